"""HTTP to others: one Protocol (`model`), our own client for hot paths, a library's for the rest, and who serves which origin.

A request runs through `head`, `pool`, `connection` and `answer`; `raw` puts them together. `choose` is what others open.
"""
