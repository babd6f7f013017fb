"""chrF: F-score of character n-grams, of one output and of all outputs of a suite together."""

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from gimbal.axis.scores.builtin.overlap import Sample, bounded, loaded, sample_of, score_of, segment_counts
from gimbal.axis.scores.card import Level, ScorerCard
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import metric, scorer

_LIBRARY = "sacrebleu.metrics.chrf"
_SOURCE = "Popović 2015 and 2017 (chrF++ with `words` 2), by the library sacrebleu"
_LIMITS = "Knows letters, not meaning: a `not` more or less hardly moves it."
Order = Annotated[int, msgspec.Meta(ge=1, le=10)]
Words = Annotated[int, msgspec.Meta(ge=0, le=4)]
Beta = Annotated[int, msgspec.Meta(ge=1, le=10)]


@scorer(
    ScorerCard(
        name="chrf",
        title="chrF of a sentence",
        high=100.0,
        expects=("answers", "answer"),
        extra="metrics",
        description="0 to 100: F-score of character n-grams to `characters`, recall weighing `beta` times as much as "
        "precision, against the accepted answer that fits best. With `words` 2 it is chrF++.",
        limits=_LIMITS,
        source=_SOURCE,
    )
)
def chrf(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    characters: Order = 6,
    words: Words = 0,
    beta: Beta = 2,
    ignore_case: bool = False,
) -> ScoreValue:
    """Compare the output with each accepted answer and keep the best."""
    sample = sample_of(expected, output, _LIBRARY)
    if isinstance(sample, ScoreValue):
        return sample
    found = _metric(characters, words, beta, ignore_case).sentence_score(sample.said, list(sample.accepted))
    return ScoreValue(value=bounded(found.score))


def _read(expected: Mapping[str, Any], output: Mapping[str, Any]) -> Sample | ScoreValue:
    return sample_of(expected, output, _LIBRARY)


@metric(
    ScorerCard(
        name="corpus_chrf",
        title="chrF",
        level=Level.SUITE,
        high=100.0,
        expects=("answers", "answer"),
        extra="metrics",
        description="0 to 100: chrF of all outputs together, which is no mean of those of sentences.",
        limits=_LIMITS,
        source=_SOURCE,
    ),
    _read,
)
def corpus_chrf(
    samples: Sequence[Sample],
    *,
    characters: Order = 6,
    words: Words = 0,
    beta: Beta = 2,
    ignore_case: bool = False,
) -> float:
    """Return chrF over all samples."""
    library = _metric(characters, words, beta, ignore_case)
    count = functools.partial(segment_counts, library)
    settings = ("chrf", characters, words, beta, ignore_case)
    return score_of(library, [one.counted(settings, count) for one in samples])


@functools.lru_cache(maxsize=32)
def _metric(characters: int, words: int, beta: int, ignore_case: bool) -> Any:
    return loaded(_LIBRARY).CHRF(char_order=characters, word_order=words, beta=beta, lowercase=ignore_case)
