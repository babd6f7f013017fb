"""What a project's policy takes out of spans, events and scores before any of it is stored.

`model` is the policy, `rules` what it comes to, `policies` keeps it in the catalog and a `Redactor` of it in memory, which
every door asks for: ingest by `Fitting`, `Traces.record` and `Scores`. `walking` finds the texts in what came, `replacing`
puts something in the place of what the detectors of `engines/text` find in them, `tokens` makes what can be undone where a
key is configured, and `revealing` undoes it.
"""
