"""What providers export, read into lines: one file for each provider, and one for tables with columns of any name."""
