"""Providers: one file each over the `Provider` protocol of `call`; `catalog` knows which there are and loads them."""
