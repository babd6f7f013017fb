"""The cost ledger: history priced anew, calls without a price, providers' own figures beside ours, totals and budget lines.

What a call costs is told when its span is stored (`traces`, by the book of `pricing`). Here is what happens with it
afterwards: `rerating` computes it again when a price was corrected and keeps the old figure, `unpriced` tells what has none
and what to do, `statements` reads what providers export and `difference` compares, `totals` and `budgets` sum up.
"""
