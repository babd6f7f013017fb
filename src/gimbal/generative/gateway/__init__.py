"""The gateway: one door to every model, with routing, attribution, tokens, cost and a trace for every call.

`wire` decodes a request into a `Call`, `pipeline` carries it through its stages, `providers` answer it. `dialect` is the
HTTP face that OpenAI's clients call, `complete` the same inside a process, `target` what evaluations call for prompts.
"""
