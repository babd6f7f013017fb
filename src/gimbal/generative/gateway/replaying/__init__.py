"""Replay: what production asked a prompt, asked again of another version of it.

Captured calls become a suite with the answers that were given as one evaluation and the candidate's as another; from there
on `axis/evals` judges, compares and shows them like any two.
"""
