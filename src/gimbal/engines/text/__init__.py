"""What a text holds that should not be kept or passed on: personal data by pattern and checksum, and secrets.

Knows no nouns; pure functions of text, on RE2, so that no text takes more than linear time. `scanner` is the way in: it is
made of detectors that `registry` knows by name and of custom patterns, finds, and replaces. One file holds one family:
`emails`, `phones`, `cards`, `ibans`, `national_ids`, `addresses`, `secrets`, `entropy`, `custom`. Each finds candidates
with the patterns of `matching` and keeps those that their `checksums` and their neighbours allow: a missed number costs
the person whose it is, a false alarm costs the trace that is read for it.

Beside these stand what compares texts: `near` finds those that are nearly the same, by `words`, and `lines` which lines two share.
"""
