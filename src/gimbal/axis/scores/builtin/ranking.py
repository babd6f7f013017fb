"""How well a ranked list of sources has what is relevant, and has it first: recall@k, precision@k, MRR, MAP, nDCG.

Sources: Manning, Raghavan and Schütze 2008, chapter 8; nDCG after Järvelin and Kekäläinen 2002 with gains 2^grade − 1
(Burges et al. 2005) over log2(rank + 1). A source that nobody judged counts as irrelevant, and the explanation says how
many of those looked at are such: pooled judgements favour whatever resembles the pool (Buckley and Voorhees 2004).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from gimbal.axis.scores.builtin.texts import missing
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

K = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
_EXPECTS = ("relevance", "sources", "source")
_LIMITS = "What nobody judged counts as irrelevant. A part behind `#` is ignored, and a source counts at its first place only."
_HIGHEST_GRADE = 1000.0
_BOOK = "Manning, Raghavan and Schütze 2008, chapter 8"


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A ranked list beside what is relevant."""

    grades: dict[str, float]
    """Grade by source of all that was judged; above 0 is relevant."""
    sources: list[str]
    """What the output rests on, best first, each once."""

    @property
    def relevant(self) -> set[str]:
        """Sources that are relevant."""
        return {name for name, grade in self.grades.items() if grade > 0}

    def scored(self, value: float, k: int) -> ScoreValue:
        """Return a value with how much of what it looked at nobody judged."""
        seen = self.sources[:k]
        unjudged = sum(name not in self.grades for name in seen)
        note = f"{unjudged} of the first {len(seen)} are not judged" if unjudged else ""
        return ScoreValue(value=value, explanation=note)


def read_ranked(expected: Mapping[str, Any], output: Mapping[str, Any]) -> Ranked | ScoreValue:
    """Return the ranked sources and their grades, from `relevance` or else `sources` or `source`; or why they are missing."""
    grades = _grades(expected)
    if not any(grade > 0 for grade in grades.values()):
        return missing(Missing.NO_EXPECTATION)
    found: Any = output.get("sources")
    if not isinstance(found, list):
        return missing(Missing.NO_OUTPUT)
    return Ranked(grades=grades, sources=list(dict.fromkeys(map(page, found))))


def page(source: Any) -> str:
    """Return the name of a source without the part behind `#`."""
    return str(source).partition("#")[0]


def _grades(expected: Mapping[str, Any]) -> dict[str, float]:
    told = next((expected[name] for name in _EXPECTS if expected.get(name) is not None), None)
    if isinstance(told, dict):
        grades: dict[str, float] = {}
        for name, grade in told.items():
            if isinstance(grade, int | float) and 0 <= grade <= _HIGHEST_GRADE:
                grades[page(name)] = max(float(grade), grades.get(page(name), 0.0))
        return grades
    listed: list[Any] = told if isinstance(told, list) else [told]
    return {page(name): 1.0 for name in listed if name is not None and page(name)}


def dcg(grades: Sequence[float]) -> float:
    """Return the discounted cumulative gain of grades in their order: the sum of (2^grade − 1) / log2(rank + 1)."""
    return math.fsum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def average_precision(hits: Sequence[bool], relevant: int) -> float:
    """Return the mean, over what is relevant, of the precision at the place of each hit; what was not found has 0."""
    found = 0
    total: list[float] = []
    for place, hit in enumerate(hits, start=1):
        if hit:
            found += 1
            total.append(found / place)
    return math.fsum(total) / relevant if relevant else 0.0


def _card(name: str, title: str, description: str, source: str = _BOOK) -> ScorerCard:
    return ScorerCard(
        name=name,
        title=title,
        expects=_EXPECTS,
        reads=("sources",),
        description=description,
        limits=_LIMITS,
        source=source,
    )


@scorer(_card("recall_at_k", "Recall@k", "Share of what is relevant that is among the first k sources."))
def recall_at_k(expected: Mapping[str, Any], output: Mapping[str, Any], *, k: K = 10) -> ScoreValue:
    """Return |relevant ∩ first k| / |relevant|."""
    ranked = read_ranked(expected, output)
    if isinstance(ranked, ScoreValue):
        return ranked
    return ranked.scored(len(ranked.relevant.intersection(ranked.sources[:k])) / len(ranked.relevant), k)


@scorer(
    _card(
        "precision_at_k", "Precision@k", "Share of the first k places that hold something relevant; empty places count."
    )
)
def precision_at_k(expected: Mapping[str, Any], output: Mapping[str, Any], *, k: K = 10) -> ScoreValue:
    """Return |relevant ∩ first k| / k."""
    ranked = read_ranked(expected, output)
    if isinstance(ranked, ScoreValue):
        return ranked
    return ranked.scored(len(ranked.relevant.intersection(ranked.sources[:k])) / k, k)


@scorer(
    _card(
        "mrr", "Reciprocal rank", "1 over the place of the first relevant source, 0 without one; the mean is the MRR."
    )
)
def mrr(expected: Mapping[str, Any], output: Mapping[str, Any], *, k: K = 10_000) -> ScoreValue:
    """Return 1 / rank of the first that is relevant, of the first k."""
    ranked = read_ranked(expected, output)
    if isinstance(ranked, ScoreValue):
        return ranked
    relevant = ranked.relevant
    first = next((rank for rank, name in enumerate(ranked.sources[:k], start=1) if name in relevant), None)
    return ranked.scored(1 / first if first else 0.0, k)


@scorer(
    _card(
        "map",
        "Average precision of a ranking",
        "Mean precision at the places of what is relevant; the mean is the MAP.",
    )
)
def mean_average_precision(expected: Mapping[str, Any], output: Mapping[str, Any], *, k: K = 10_000) -> ScoreValue:
    """Return the average precision of the first k."""
    ranked = read_ranked(expected, output)
    if isinstance(ranked, ScoreValue):
        return ranked
    relevant = ranked.relevant
    hits = [name in relevant for name in ranked.sources[:k]]
    return ranked.scored(average_precision(hits, len(relevant)), k)


@scorer(
    _card(
        "ndcg",
        "nDCG@k",
        "Gain of the first k sources, discounted by place, as a share of that of the best order there is.",
        "Järvelin and Kekäläinen 2002; Burges et al. 2005 for the gains",
    )
)
def ndcg(expected: Mapping[str, Any], output: Mapping[str, Any], *, k: K = 10) -> ScoreValue:
    """Return DCG@k over the DCG@k of the ideal order."""
    ranked = read_ranked(expected, output)
    if isinstance(ranked, ScoreValue):
        return ranked
    gained = dcg([ranked.grades.get(name, 0.0) for name in ranked.sources[:k]])
    best = dcg(sorted(ranked.grades.values(), reverse=True)[:k])
    return ranked.scored(min(1.0, gained / best), k)
