"""What an answer cost, in US dollars and in tokens."""

from collections.abc import Mapping
from typing import Any, Literal

from gimbal.axis.scores.builtin.latency import measured
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import scorer


@scorer(
    ScorerCard(
        name="cost",
        title="Cost",
        high=None,
        better="lower",
        unit="USD",
        reads=("cost",),
        description="US dollars of the calls that made the answer.",
        limits="A call without a price is missing, not free. It is a float here: bills are kept elsewhere, in decimals.",
        source="The price book, by the gateway",
    )
)
def cost(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return the US dollars."""
    return measured(output, "cost")


@scorer(
    ScorerCard(
        name="tokens",
        title="Tokens",
        high=None,
        better="lower",
        unit="tokens",
        reads=("input_tokens", "output_tokens"),
        description="Tokens that the model read and wrote; `of` says which.",
        limits="Models count by tokenizers of their own, so the tokens of two models do not compare.",
        source="The provider's count",
    )
)
def tokens(
    expected: Mapping[str, Any], output: Mapping[str, Any], *, of: Literal["both", "input", "output"] = "both"
) -> ScoreValue:
    """Return the number of tokens; of both, where both are known."""
    fields = ["input_tokens", "output_tokens"] if of == "both" else [f"{of}_tokens"]
    found = [measured(output, field) for field in fields]
    missing = next((one for one in found if one.value is None), None)
    return missing or ScoreValue(value=sum(one.value or 0.0 for one in found))
