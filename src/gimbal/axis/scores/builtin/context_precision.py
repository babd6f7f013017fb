"""Context precision: whether the passages that are of use stand before those that are not."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.evidence import THRESHOLD, content_words
from gimbal.axis.scores.builtin.groundedness import Share, passages, too_much
from gimbal.axis.scores.builtin.ranking import average_precision, page
from gimbal.axis.scores.builtin.texts import listed, missing
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer


@scorer(
    ScorerCard(
        name="context_precision",
        title="Context precision",
        expects=("contexts", "sources", "source"),
        reads=("contexts", "sources"),
        description="Mean precision at the places of the relevant passages: 1 when they all stand first, 0 without one. A "
        "passage is relevant when it shares enough content words with a gold passage, or else comes from a gold source.",
        limits="What was not retrieved does not count: see `context_recall`. Passages are compared by words, as wholes; "
        "one that answers as well as the gold passage in other words counts as irrelevant.",
        source="Average precision over what was retrieved: Manning, Raghavan and Schütze 2008, 8.4; as Ragas has it",
    )
)
def context_precision(
    expected: Mapping[str, Any], output: Mapping[str, Any], *, threshold: Share = THRESHOLD
) -> ScoreValue:
    """Judge each passage in its place against the gold passages, or each source against the gold sources."""
    gold, found = passages(expected.get("contexts")), passages(output.get("contexts"))
    wanted = {page(name) for name in listed(expected, "sources", "source")} - {""}
    sources: Any = output.get("sources")
    if not gold and not wanted:
        return missing(Missing.NO_EXPECTATION)
    if gold and found is not None:
        if (long := too_much([*gold, *found])) is not None:
            return long
        words = [content_words(one) for one in gold]
        hits = [any(_alike(content_words(one), other) >= threshold for other in words) for one in found]
    elif wanted and isinstance(sources, list):
        hits = [page(source) in wanted for source in sources]
    else:
        return missing(Missing.NO_OUTPUT)
    value = average_precision(hits, sum(hits))
    return ScoreValue(value=min(1.0, value), explanation=f"{sum(hits)} of {len(hits)} are relevant")


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    """Return how much of the smaller text is in the larger: one may be a part of the other."""
    fewer = min(len(one), len(other))
    return len(one & other) / fewer if fewer else 0.0
