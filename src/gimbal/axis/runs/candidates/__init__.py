"""Logged models: what a run made and may be registered later. Their files are artifacts, their metrics the newest points."""
