"""Suites that a model writes: questions with answers from passages, each with where it came from and what it rests on.

`passages` are given or read out of a version; `writing` says what a model is asked and reads what it says; `checking` keeps
what its passage supports and what is not there already; `service` plans, and carries it out as the job of `work`.
"""

from gimbal.axis.evals.synthesis.model import Passage, Synthesis, Synthesise, SynthesisReport

__all__ = ["Passage", "Synthesis", "SynthesisReport", "Synthesise"]
