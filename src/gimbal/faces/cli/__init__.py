"""The command line: every operation as a command, read from a manifest, and a few commands of this machine.

`main` looks at the first word only and builds just that group, so that `gimbal --help` stays quick.
"""
