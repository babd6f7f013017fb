"""Context recall: whether the passages hold what a right answer has to say."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.evidence import THRESHOLD, Evidence, objections
from gimbal.axis.scores.builtin.groundedness import Share, checkable, passages, share_of, too_much
from gimbal.axis.scores.builtin.texts import answers, listed, missing
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer


@scorer(
    ScorerCard(
        name="context_recall",
        title="Context recall",
        expects=("claims", "answers", "answer"),
        reads=("contexts",),
        description="Share of the gold claims, or else of the claims of an accepted answer, that the passages support; of "
        "several accepted answers the one that fares best.",
        limits="By words, not meaning, as groundedness is. An answer of a word or two is found wherever that word stands.",
        source="As Ragas has it, with overlap after Glickman, Dagan and Koppel 2005",
    )
)
def context_recall(
    expected: Mapping[str, Any], output: Mapping[str, Any], *, threshold: Share = THRESHOLD
) -> ScoreValue:
    """Look for each gold claim in the passages."""
    told = [claim for claim in listed(expected, "claims", "claims") if claim.strip()]
    gold = [told] if told else [found for one in answers(expected) if isinstance(found := checkable(one), list)]
    if not gold:
        return missing(Missing.NO_EXPECTATION)
    contexts = passages(output.get("contexts"))
    if contexts is None:
        return missing(Missing.NO_OUTPUT)
    if (long := too_much(contexts)) is not None:
        return long
    evidence = Evidence(contexts)
    scored: list[ScoreValue] = []
    for one in gold:
        against = objections(evidence, one, threshold)
        if isinstance(against, ScoreValue):
            return against
        scored.append(share_of(one, against, "not found"))
    return max(scored, key=lambda one: one.value or 0.0)
