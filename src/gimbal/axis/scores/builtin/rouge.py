"""ROUGE: how much of an accepted answer's n-grams, or of its longest common subsequence, the output has."""

import functools
import re
from collections.abc import Mapping
from typing import Any, Literal

from gimbal.axis.scores.builtin.overlap import loaded, sample_of
from gimbal.axis.scores.builtin.texts import TOO_LONG, missing
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

_LIBRARY = "rouge_score.rouge_scorer"
_WORD = re.compile(r"\w+")
# The longest common subsequence compares each word with each; that many comparisons take about a second.
_COMPARISONS = 2_000_000


class UnicodeWords:
    """Words of any script for the library, whose own tokenizer knows a to z and 0 to 9 only."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text, without case."""
        return _WORD.findall(text.casefold())


@scorer(
    ScorerCard(
        name="rouge",
        title="ROUGE",
        expects=("answers", "answer"),
        extra="metrics",
        description="Of the accepted answer that fits best: F1 (or `measure` recall, precision) of words (`variant` "
        "rouge1), of pairs of words (rouge2), or of the longest common subsequence (rougeL; rougeLsum line by line).",
        limits="Knows words, not meaning. The library's words are of a to z and 0 to 9; `words` as `unicode` takes those "
        "of any script, without stems. Long texts are not compared by subsequence.",
        source="Lin 2004, by the library rouge-score",
    )
)
def rouge(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    variant: Literal["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"] = "rougeL",
    measure: Literal["f1", "recall", "precision"] = "f1",
    stem: bool = False,
    words: Literal["ascii", "unicode"] = "ascii",
) -> ScoreValue:
    """Compare the output with each accepted answer and keep the best."""
    sample = sample_of(expected, output, _LIBRARY)
    if isinstance(sample, ScoreValue):
        return sample
    library, tokens = _scorer(variant, stem, words)
    wanted = [len(tokens(one)) for one in sample.accepted]
    if not any(wanted):
        return missing(Missing.NO_EXPECTATION, "the accepted answers have no words of a to z: set `words` to unicode")
    if variant.startswith("rougeL") and max(wanted) * len(tokens(sample.said)) > _COMPARISONS:
        return missing(TOO_LONG, f"the longest common subsequence would take more than {_COMPARISONS} comparisons")
    found = [library.score(one, sample.said)[variant] for one in sample.accepted]
    place = {"precision": 0, "recall": 1, "f1": 2}[measure]
    # The best by F1, as the library takes it, whichever measure is shown.
    best = max(found, key=lambda one: one.fmeasure)
    return ScoreValue(
        value=min(1.0, float(best[place])), explanation=f"precision {best.precision:.3f}, recall {best.recall:.3f}"
    )


@functools.lru_cache(maxsize=32)
def _scorer(variant: str, stem: bool, words: str) -> tuple[Any, Any]:
    tokenizer: Any = UnicodeWords() if words == "unicode" else loaded("rouge_score.tokenizers").DefaultTokenizer(stem)
    return loaded(_LIBRARY).RougeScorer([variant], tokenizer=tokenizer), tokenizer.tokenize
