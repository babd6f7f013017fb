"""Upstreams: one file per kind of provider over `base`; `kinds.toml` has what is particular to each as data."""
