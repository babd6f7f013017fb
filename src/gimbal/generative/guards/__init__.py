"""Guards: what a project lets go to models and come back from them, as versioned policies (`policy:gateway@production`).

`model` says what a policy may hold, `files` reads one from TOML, `prepared` makes its guards ready to look at texts, `window`
looks at a text that comes in pieces and holds back only what a match could still need (`holds`). `service` publishes policies
and keeps those that are in force ready in memory; `gateway` applies them to calls.
"""
