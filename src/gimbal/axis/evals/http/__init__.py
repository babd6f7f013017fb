"""HTTP services as what is evaluated: one is an asset of kind `http`, which says how an example becomes a request, and an answer an output.

`model` says what one may hold, `filling` makes requests, `reading` reads answers, `reach` decides where may be called, and
`target` calls.
"""
