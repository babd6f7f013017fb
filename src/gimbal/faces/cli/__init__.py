"""The command line: every operation as a command, read from a manifest, and a few commands of this machine.

`main` shows the overview, which is `gimbal --help`, without what reads a command line; for all else `app` looks at the first
word only and builds just that group. So both stay quick.
"""
