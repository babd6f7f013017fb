"""Readability of English: Flesch's reading ease, and the school grade of Kincaid and others."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gimbal.axis.scores.builtin.texts import missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

_WORD = re.compile(r"[A-Za-z]++(?:['\u2019][A-Za-z]++)*+")
_END = re.compile(r"[.!?]++(?=[\s\"'\u201d\u2019)\]]|$)")
_VOWELS = re.compile(r"[aeiouy]+")
# Endings whose e is silent, unless a consonant and l go before it: `made`, `makes`, `called`, but `table`, `wanted`.
_SILENT = re.compile(r"(?:[^aeiouyl]|[aeiouy]l|ll)e$|[^aeioutdy]ed$|[^aeiouyszxcgh]es$")
_LONGEST = 1_000_000
_LIMITS = (
    "For English prose only. Counts syllables by spelling, so that single words may be one off; lists, code and tables are "
    "no sentences to it."
)


class _Counts(NamedTuple):
    words: int
    sentences: int
    syllables: int


@scorer(
    ScorerCard(
        name="readability",
        title="Reading ease",
        low=None,
        high=206.835,
        description="Flesch's reading ease: 206.835 − 1.015 × words per sentence − 84.6 × syllables per word. Above 60 is "
        "plain English, below 30 is for graduates.",
        limits=_LIMITS,
        source="Flesch 1948, A new readability yardstick, Journal of Applied Psychology 32",
    )
)
def readability(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return the reading ease of the output."""
    counts = _counts(output)
    if isinstance(counts, ScoreValue):
        return counts
    words, sentences, syllables = counts
    value = 206.835 - 1.015 * words / sentences - 84.6 * syllables / words
    return ScoreValue(value=value, explanation=_shown(counts))


@scorer(
    ScorerCard(
        name="readability_grade",
        title="School grade",
        low=None,
        high=None,
        better="lower",
        unit="grades",
        description="School grade of the United States that reads it with ease: 0.39 × words per sentence + 11.8 × "
        "syllables per word − 15.59.",
        limits=_LIMITS,
        source="Kincaid, Fishburne, Rogers and Chissom 1975, Naval Technical Training, Research Branch Report 8-75",
    )
)
def readability_grade(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return the school grade of the output."""
    counts = _counts(output)
    if isinstance(counts, ScoreValue):
        return counts
    words, sentences, syllables = counts
    value = 0.39 * words / sentences + 11.8 * syllables / words - 15.59
    return ScoreValue(value=value, explanation=_shown(counts))


def syllables_of(word: str) -> int:
    """Return about how many syllables an English word has: its groups of vowels, without a silent e."""
    plain = re.sub("['\u2019].*", "", word.lower())
    groups = len(_VOWELS.findall(plain))
    return max(1, groups - (1 if groups > 1 and _SILENT.search(plain) else 0))


def _counts(output: Mapping[str, Any]) -> _Counts | ScoreValue:
    text = output_text(output)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    if (long := too_long([text], _LONGEST)) is not None:
        return long
    found = _WORD.findall(text)
    if not found:
        return missing(Missing.UNPARSEABLE, "the output has no words of a to z")
    sentences = sum(_WORD.search(part) is not None for part in _END.split(text))
    return _Counts(len(found), sentences, sum(map(syllables_of, found)))


def _shown(counts: _Counts) -> str:
    return f"{counts.words} words, {counts.sentences} sentences, {counts.syllables} syllables"
