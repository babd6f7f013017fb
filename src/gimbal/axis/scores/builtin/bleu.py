"""BLEU: of one output with sacrebleu's smoothing, and of all outputs of a suite together."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gimbal.axis.scores.builtin.overlap import Sample, bounded, loaded, sample_of, score_of, segment_counts
from gimbal.axis.scores.card import Level, ScorerCard
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import metric, scorer

_LIBRARY = "sacrebleu.metrics.bleu"
_SOURCE = "Papineni et al. 2002; Post, arXiv 1804.08771, by the library sacrebleu"
_LIMITS = "Knows n-grams, not meaning. The tokenizer must fit the language: `zh` or `char` where words have no spaces."
Tokenizer = Literal["13a", "intl", "zh", "char", "none"]
Smoothing = Literal["exp", "floor", "add-k", "none"]


@scorer(
    ScorerCard(
        name="bleu",
        title="BLEU of a sentence",
        high=100.0,
        expects=("answers", "answer"),
        extra="metrics",
        description="0 to 100: geometric mean of the shares of n-grams, to four, that an accepted answer has, less for an "
        "output that is shorter. Orders that a short text has not are left out, as sacrebleu does with sentences.",
        limits=f"{_LIMITS} Of single sentences it is noisy: `corpus_bleu` is what papers report.",
        source=_SOURCE,
    )
)
def bleu(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    tokenizer: Tokenizer = "13a",
    smoothing: Smoothing = "exp",
    ignore_case: bool = False,
) -> ScoreValue:
    """Compare the output with the accepted answers together, as several references."""
    sample = sample_of(expected, output, _LIBRARY)
    if isinstance(sample, ScoreValue):
        return sample
    found = _metric(tokenizer, smoothing, ignore_case, effective=True).sentence_score(
        sample.said, list(sample.accepted)
    )
    precisions = "/".join(f"{share:.0f}" for share in found.precisions)
    return ScoreValue(
        value=bounded(found.score), explanation=f"precisions {precisions}, brevity penalty {found.bp:.3f}"
    )


def _read(expected: Mapping[str, Any], output: Mapping[str, Any]) -> Sample | ScoreValue:
    return sample_of(expected, output, _LIBRARY)


@metric(
    ScorerCard(
        name="corpus_bleu",
        title="BLEU",
        level=Level.SUITE,
        high=100.0,
        expects=("answers", "answer"),
        extra="metrics",
        description="0 to 100: BLEU of all outputs together, which is no mean of those of sentences.",
        limits=_LIMITS,
        source=_SOURCE,
    ),
    _read,
)
def corpus_bleu(
    samples: Sequence[Sample],
    *,
    tokenizer: Tokenizer = "13a",
    smoothing: Smoothing = "exp",
    ignore_case: bool = False,
) -> float:
    """Return BLEU over all samples."""
    library = _metric(tokenizer, smoothing, ignore_case, effective=False)
    count = functools.partial(segment_counts, library)
    return score_of(library, [one.counted(("bleu", tokenizer, ignore_case), count) for one in samples])


@functools.lru_cache(maxsize=32)
def _metric(tokenizer: str, smoothing: str, ignore_case: bool, *, effective: bool) -> Any:
    return loaded(_LIBRARY).BLEU(
        tokenize=tokenizer, smooth_method=smoothing, lowercase=ignore_case, effective_order=effective, force=True
    )
