"""Metric points of runs: put down durably, carried to the columns, read back as histories and curves."""
