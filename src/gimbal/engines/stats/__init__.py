"""Statistics on plain arrays: numbers with their uncertainty, and verdicts that say what evidence can carry.

Knows no nouns; `evals`, `gates` and `monitors` hand it arrays and store what it returns. An undefined number says why
instead of being 0 or NaN.
"""
