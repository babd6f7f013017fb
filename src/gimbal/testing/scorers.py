"""Conformance of scorers: what every `gimbal.axis.scores.Scorer` written in code promises to evaluations and gates."""

import copy
import math
from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.model import Scorer, ScoreValue
from gimbal.testing.promise import promise

_HOSTILE = ("", " ", "\x00", "<script>", "ß ﬁ İ", "🜚" * 3, "a " * 5_000)


def check_scorer(scorer: Scorer, expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Check a scorer with one example that it can judge; return its judgement of it.

    A value is finite and from 0 to 1, or missing with a reason; never both, never a 0 that stands for "unknown". The
    scorer is deterministic, leaves its arguments alone, ignores fields that it does not know and takes any text.
    """
    before = copy.deepcopy((dict(expected), dict(output)))
    judged = scorer(expected, output)
    promise(judged.value is not None, f"This example is one that the scorer can judge, yet: {judged.missing!r}.")
    _check_value(judged)
    promise((dict(expected), dict(output)) == before, "A scorer changes neither what was expected nor the output.")
    promise(scorer(expected, output) == judged, "The same example scores the same each time.")
    strange = {"unknown_field": [{}]}
    promise(scorer({**expected, **strange}, {**output, **strange}) == judged, "Fields it does not know are ignored.")

    promise(scorer({}, output).missing == "no_expectation", "Without an expectation the score is missing, not 0.")
    promise(scorer(expected, {}).missing == "no_output", "Without an output the score is missing, not 0.")
    for nothing in (scorer({}, output), scorer(expected, {}), scorer({}, {})):
        _check_value(nothing)
    for text in _HOSTILE:
        _check_value(scorer(expected, {**output, "text": text, "sources": [text]}))
    return judged


def _check_value(judged: ScoreValue) -> None:
    if judged.value is None:
        promise(bool(judged.missing), "A score without a value says why it is missing.")
    else:
        promise(not judged.missing, "A score with a value is not missing.")
        promise(math.isfinite(judged.value) and 0 <= judged.value <= 1, f"{judged.value} is not from 0 to 1.")
