"""Suites from what happened: traces are chosen, read as examples, freed of personal data and duplicates, and stored.

`sampling` draws traces by keyed hashes, so that the same seed draws the same ones; `dimensions` says what parts they are
dealt out by; `reading` makes examples of their spans and `feedback` of what was said of them; `cleaning` takes out what is
personal or secret; `from_traces` does all of it, and writes down how the examples were made; `service` stores them as a suite, as
the job of `work`.
"""

from gimbal.axis.evals.building.model import BuiltSuite, FromTraces, SuiteDraw

__all__ = ["BuiltSuite", "FromTraces", "SuiteDraw"]
