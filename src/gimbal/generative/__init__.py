"""The generative ring: prompt and index → evaluate → gate → route → trace → improve.

`prompts` and `knowledge` own what is versioned, `gateway` carries the calls. The ring stands on the axis and does not
know the predictive ring; `faces/server/wiring.py` binds what the axis asks of it.
"""
