"""Groundedness: whether what an answer claims stands in the passages that were put before the model."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.scores.builtin.claims import claims, without_markers
from gimbal.axis.scores.builtin.evidence import (
    MOST_CLAIMS,
    MOST_CONTEXT,
    MOST_TEXT,
    THRESHOLD,
    Evidence,
    content_words,
    objections,
)
from gimbal.axis.scores.builtin.judging import judged
from gimbal.axis.scores.builtin.texts import TOO_LONG, missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.kernel.context import Context

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_SHOWN, _SHOWN_LENGTH = 5, 160
_TASK = (
    "You check whether a claim is supported by passages. It is supported when the passages say it or it follows from them "
    "alone. It is unsupported when they say otherwise or do not say it, even if it is true."
)


def passages(found: Any) -> list[str] | None:
    """Return the passages of a field, or None where it has none."""
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else None


def checkable(text: str) -> list[str] | ScoreValue:
    """Return the claims of a text that have something to check, without markers; or why there are none."""
    if (long := too_long([text], MOST_TEXT)) is not None:
        return long
    found = [claim for claim in map(without_markers, claims(text)) if content_words(claim)]
    if len(found) > MOST_CLAIMS:
        return missing(TOO_LONG, f"{len(found)} claims are more than {MOST_CLAIMS}")
    return found or missing(Missing.NO_OUTPUT, "the text claims nothing")


def too_much(contexts: Sequence[str]) -> ScoreValue | None:
    """Return what to say where passages are longer together than can be compared; None where they are not."""
    whole = sum(map(len, contexts))
    if whole <= MOST_CONTEXT:
        return None
    return missing(TOO_LONG, f"The passages have {whole} characters; at most {MOST_CONTEXT} are compared.")


def share_of(statements: Sequence[str], reasons: Sequence[str], what: str) -> ScoreValue:
    """Return the share of statements without a reason against it, and an explanation that names the others."""
    against = [(one, why) for one, why in zip(statements, reasons, strict=True) if why]
    named = [f"{what}: {one[:_SHOWN_LENGTH]!r} ({why})" for one, why in against[:_SHOWN]]
    more = [f"and {len(against) - _SHOWN} more"] if len(against) > _SHOWN else []
    return ScoreValue(value=1 - len(against) / len(statements), explanation="; ".join([*named, *more]))


@scorer(
    ScorerCard(
        name="groundedness",
        title="Groundedness",
        reads=("text", "contexts"),
        description="Share of the answer's claims that its passages support. By `overlap`: enough of a claim's content words "
        "within three sentences, with all its numbers, dates and names, and negated alike. By `model`: one question each.",
        limits="By overlap it knows words, not meaning: a paraphrase in other words is unsupported, words put together in "
        "another sense are supported; names are told by capitals, stems are English. Claims are parted by rules of thumb. "
        "It says nothing of whether the passages are true, or the answer of use.",
        source="Overlap after Glickman, Dagan and Koppel 2005; claim by claim as Min et al., arXiv 2305.14251 (FActScore)",
    )
)
async def groundedness(
    ctx: Context,
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    check: Literal["overlap", "model"] = "overlap",
    model: str = "",
    threshold: Share = THRESHOLD,
) -> ScoreValue:
    """Check each claim of the answer against the passages."""
    text, contexts = output_text(output), passages(output.get("contexts"))
    if text is None or contexts is None:
        return missing(Missing.NO_OUTPUT, "" if text is None else "the output does not say its contexts")
    found = checkable(text)
    if isinstance(found, ScoreValue):
        return found
    if (long := too_much(contexts)) is not None:
        return long
    if check == "overlap":
        against = objections(Evidence(contexts), found, threshold)
        return against if isinstance(against, ScoreValue) else share_of(found, against, "unsupported")
    questions = [{"claim": claim, "passages": contexts} for claim in found]
    verdicts = await judged(ctx, model, _TASK, questions, "supported", "unsupported")
    if isinstance(verdicts, ScoreValue):
        return verdicts
    return share_of(found, ["" if verdict else f"says {model}" for verdict in verdicts], "unsupported")
