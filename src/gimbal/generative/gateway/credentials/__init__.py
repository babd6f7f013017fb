"""Providers' keys: sealed in the catalog under a master key, and held in memory so that nobody prints them.

`sealing` makes and opens seals, `master` reads the master keys; the rows are those of `providers`.
"""
