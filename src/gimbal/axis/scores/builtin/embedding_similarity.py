"""Embedding similarity: how near an output lies to an accepted answer in the space of an embedder."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gimbal.axis.scores.asking import Embed
from gimbal.axis.scores.builtin.texts import compared, missing
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError


async def cosines(ctx: Context, embedder: str, text: str, others: Sequence[str]) -> list[float] | ScoreValue:
    """Return the cosine of a text's vector with those of others, or why there is none."""
    if not ctx.services.has(Embed):
        return missing(
            Missing.JUDGE_FAILED, "This process has no embedders: gimbal.axis.scores.asking.Embed is not bound."
        )
    try:
        vectors = (await ctx.get(Embed)(ctx, embedder, [text, *others])).vectors
    except GimbalError as problem:
        return missing(Missing.JUDGE_FAILED, f"{problem.code}: {problem.message}")
    found = [_cosine(vectors[0], other) for other in vectors[1:]] if len(vectors) == 1 + len(others) else []
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        # A text without anything to go by has a vector of zeros, which has no direction.
        return missing(Missing.JUDGE_FAILED, "the embedder gave no direction for a text")
    return known


def _cosine(one: Sequence[float], other: Sequence[float]) -> float | None:
    size = math.hypot(*one) * math.hypot(*other)
    if len(one) != len(other) or not size or not math.isfinite(size):
        return None
    return max(-1.0, min(1.0, math.fsum(a * b for a, b in zip(one, other, strict=True)) / size))


@scorer(
    ScorerCard(
        name="embedding_similarity",
        title="Embedding similarity",
        low=-1.0,
        expects=("answers", "answer"),
        asks="embedder",
        description="Cosine of the vectors of the output and of the accepted answer that is nearest: 1 is the same "
        "direction, 0 none in common, −1 the opposite.",
        limits="Near is not right: a negation or another number moves a vector little. Values of two embedders do not "
        "compare, and most embedders use a part of the range only, so 0.8 may be far apart.",
        source="Cosine similarity (Salton, Wong and Yang 1975) of the vectors of the embedder that is named",
    )
)
async def embedding_similarity(
    ctx: Context, expected: Mapping[str, Any], output: Mapping[str, Any], *, embedder: str = ""
) -> ScoreValue:
    """Compare the vectors of the output and of each accepted answer; `embedder` as the installation names it."""
    sides = compared(expected, output)
    if isinstance(sides, ScoreValue):
        return sides
    accepted, text = sides
    found = await cosines(ctx, embedder, text, accepted)
    return found if isinstance(found, ScoreValue) else ScoreValue(value=max(found))
