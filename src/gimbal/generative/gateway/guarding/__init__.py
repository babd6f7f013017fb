"""A project's policy on its calls: `asked` looks at what goes in, `answered` at what comes out, `looking` at each in time.

The policies themselves are `guards`' business; here is what they mean for conversations, pieces of answers and records.
"""
