"""What the scores of n-grams share: their sides, and samples that remember what was counted in them.

A metric over a suite is computed anew for every draw of its interval; counting n-grams once per sample makes that a sum.
"""

import importlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gimbal.axis.scores.builtin.texts import compared, missing, needs_extra, too_long
from gimbal.axis.scores.model import Missing, ScoreValue

Counts = NDArray[np.int64]


class Sample:
    """One output and the accepted answers to compare it with."""

    def __init__(self, said: str, accepted: Sequence[str]) -> None:
        self.said = said
        self.accepted = accepted
        self._counts: dict[Hashable, Counts] = {}

    def counted(self, settings: Hashable, count: Callable[[str, Sequence[str]], Sequence[int]]) -> Counts:
        """Return the counts of n-grams under some settings, made at the first time of asking."""
        if settings not in self._counts:
            self._counts[settings] = np.array(count(self.said, self.accepted), dtype=np.int64)
        return self._counts[settings]


def sample_of(expected: Mapping[str, Any], output: Mapping[str, Any], library: str) -> Sample | ScoreValue:
    """Return the two sides of one example, or what to say where one is missing, too long, or the library is not there."""
    sides = compared(expected, output)
    if isinstance(sides, ScoreValue):
        return sides
    accepted, text = sides
    if not any(one.strip() for one in accepted):
        return missing(Missing.NO_EXPECTATION, "the accepted answers are empty, so there is nothing to share")
    if (long := too_long([text, *accepted])) is not None:
        return long
    if loaded(library) is None:
        return needs_extra(library.partition(".")[0], "metrics")
    # A lone surrogate is no character, and the libraries write what they read.
    plain = [one.encode(errors="replace").decode() for one in (text, *accepted)]
    return Sample(plain[0], plain[1:])


def loaded(library: str) -> Any:
    """Return a library of the extra `metrics`, imported at first use; None where it is not installed."""
    try:
        return importlib.import_module(library)
    except ImportError:
        return None


def segment_counts(metric: Any, said: str, accepted: Sequence[str]) -> Sequence[int]:
    """Return what one segment adds to the counts of sacrebleu's metric; the number of its references is its own."""
    return metric._extract_corpus_statistics([said], [[one] for one in accepted])[0]  # noqa: SLF001 - no public way


def score_of(metric: Any, counts: Sequence[Counts]) -> float:
    """Return the score, 0 to 100, of the counts of segments together; raise ValueError for none."""
    if not counts:
        raise ValueError("no values")
    whole = np.sum(counts, axis=0).tolist()
    return bounded(metric._compute_score_from_stats(whole).score)  # noqa: SLF001 - no public way


def bounded(score: float) -> float:
    """Return a score that rounding has not carried above 100."""
    return min(100.0, float(score))
