"""Citations: whether the passages that an answer points to with `[n]` say what it says, and how much of it points anywhere.

`[n]` is the nth passage of the output's `contexts`, from 1. The two sides are those of ALCE (Gao et al., arXiv
2305.14627), with words instead of a model of entailment.
"""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.claims import MARKER, claims, without_markers
from gimbal.axis.scores.builtin.evidence import MOST_CLAIMS, MOST_TEXT, THRESHOLD, Evidence, content_words, objections
from gimbal.axis.scores.builtin.groundedness import Share, passages, share_of, too_much
from gimbal.axis.scores.builtin.texts import TOO_LONG, missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

_SOURCE = "Gao et al., arXiv 2305.14627 (ALCE), with overlap of words for entailment"


def cited(text: str) -> list[tuple[str, list[int]]] | ScoreValue:
    """Return the claims of a text, without markers, and to which passages each points; or why there are none."""
    if (long := too_long([text], MOST_TEXT)) is not None:
        return long
    found = [
        (plain, [int(number) for marker in MARKER.finditer(claim) for number in marker[1].split(",")])
        for claim in claims(text)
        if content_words(plain := without_markers(claim).strip())
    ]
    if len(found) > MOST_CLAIMS:
        return missing(TOO_LONG, f"{len(found)} claims are more than {MOST_CLAIMS}")
    return found or missing(Missing.NO_OUTPUT, "the text claims nothing")


def _marked(output: Mapping[str, Any]) -> str | None:
    """Return the answer with its markers, which some targets give beside the text."""
    marked = output.get("marked")
    return marked if isinstance(marked, str) else output_text(output)


@scorer(
    ScorerCard(
        name="citation_support",
        title="Citation support",
        reads=("text", "contexts"),
        description="Share of the claims with a marker `[n]` that one of the passages they point to supports.",
        limits="By words, not meaning, as groundedness is. Without any marker it is missing: see `citation_recall`. A "
        "claim that puts several passages together is supported by none of them; a marker too many goes unnoticed.",
        source=_SOURCE,
    )
)
def citation_support(
    expected: Mapping[str, Any], output: Mapping[str, Any], *, threshold: Share = THRESHOLD
) -> ScoreValue:
    """Check each claim that points to passages against these alone."""
    text, contexts = _marked(output), passages(output.get("contexts"))
    if text is None or contexts is None:
        return missing(Missing.NO_OUTPUT, "" if text is None else "the output does not say its contexts")
    found = cited(text)
    if isinstance(found, ScoreValue):
        return found
    if (long := too_much(contexts)) is not None:
        return long
    pointing = [(claim, numbers) for claim, numbers in found if numbers]
    if not pointing:
        return missing(Missing.NO_OUTPUT, "the text points to no passage")
    known: dict[int, Evidence] = {}
    against: list[str] = []
    for claim, numbers in pointing:
        reasons: list[str] = []
        for number in dict.fromkeys(numbers):
            if not 1 <= number <= len(contexts):
                reasons.append(f"there is no passage {number}")
                continue
            if number not in known:
                known[number] = Evidence([contexts[number - 1]])
            why = objections(known[number], [claim], threshold)
            if isinstance(why, ScoreValue):
                return why
            reasons.extend(why)
        against.append("" if "" in reasons else reasons[0])
    return share_of([claim for claim, _ in pointing], against, "not in what it cites")


@scorer(
    ScorerCard(
        name="citation_recall",
        title="Citation recall",
        description="Share of the answer's claims that have a marker `[n]`.",
        limits="Whether the passage says so is for `citation_support`. A marker covers the clause that it stands in.",
        source=_SOURCE,
    )
)
def citation_recall(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Count the claims that point anywhere."""
    text = _marked(output)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    found = cited(text)
    if isinstance(found, ScoreValue):
        return found
    return share_of([claim for claim, _ in found], ["" if numbers else "no marker" for _, numbers in found], "uncited")
