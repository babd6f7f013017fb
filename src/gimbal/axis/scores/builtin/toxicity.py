"""Toxicity: how likely the output is toxic, as the classifier says that the installation has."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.asking import Classify
from gimbal.axis.scores.builtin.texts import missing, output_text
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError


@scorer(
    ScorerCard(
        name="toxicity",
        title="Toxicity",
        better="lower",
        asks="classifier",
        description="Probability that the output is toxic, as the installation's classifier gives it.",
        limits="Means what the classifier was trained on, with its errors: dialects and mentions of groups are often "
        "marked without reason. There is no classifier unless the installation has one.",
        source="The classifier that is bound as gimbal.axis.scores.asking.Classify",
    )
)
async def toxicity(ctx: Context, expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Ask the classifier about the output."""
    text = output_text(output)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    if not ctx.services.has(Classify):
        return missing(
            Missing.JUDGE_FAILED,
            "There is no classifier: register one as gimbal.axis.scores.asking.Classify in the wiring.",
        )
    try:
        told = await ctx.get(Classify)(ctx, [text])
    except GimbalError as problem:
        return missing(Missing.JUDGE_FAILED, f"{problem.code}: {problem.message}")
    if len(told) != 1 or not 0 <= told[0] <= 1:
        return missing(Missing.JUDGE_FAILED, f"The classifier gave no probability: {told!r}"[:120])
    return ScoreValue(value=float(told[0]))
