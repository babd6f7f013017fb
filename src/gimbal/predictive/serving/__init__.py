"""Serving: predictions over the Open Inference Protocol, from model processes that can crash without the server.

A call goes `dialect` → `axis/endpoints` (which version) → `pool` (its process, over a socket) → capture → answer.
`host` keeps one `child` process per version in use; `evidence` scores labelled data sets for gates and monitors.
"""
