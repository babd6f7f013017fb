"""Commands that are more than one operation and need the client or the terminal, by the group that they belong to."""
