"""Evaluations: suites of examples, the runner that puts a version through one, and honest comparison of two.

The runner asks a `Target` (a ring implements it for its kinds) and the scorers of `scores`; `gates` reads the results
as evidence.
"""

from gimbal.axis.evals.model import (
    CreateSuite,
    EvaluationResult,
    EvaluationRun,
    Example,
    ScorerSummary,
    StartEvaluation,
)
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.evals.verdicts import Comparison

__all__ = [
    "Comparison",
    "CreateSuite",
    "EvaluationResult",
    "EvaluationRun",
    "Example",
    "ScorerSummary",
    "StartEvaluation",
    "TargetOutput",
]
