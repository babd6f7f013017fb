"""Goals: how many of the things that a conversation was to reach it reached."""

import functools
from collections.abc import Mapping
from typing import Any, Literal

from gimbal.axis.scores.builtin.groundedness import share_of
from gimbal.axis.scores.builtin.judging import judged
from gimbal.axis.scores.builtin.texts import BAD_EXPECTATION, listed, missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.engines.text.matching import Pattern, pattern
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

_LONGEST = 200_000
"""Characters of a conversation that a model is shown at most."""
_SHOWN = 80
_TASK = (
    "You check whether a conversation between a user and an assistant reached a goal. It is met when the conversation shows "
    "that it was reached. It is unmet when it shows otherwise or does not show it, even if the assistant says that it will be."
)


@scorer(
    ScorerCard(
        name="goals",
        title="Goals",
        expects=("goals",),
        reads=("steps", "text"),
        description="Share of the goals that the conversation met. By `regex` each goal is a pattern, without regard to case, "
        "that is searched in what the assistant and its tools said; by `model` a sentence, with one question each.",
        limits="A pattern finds words, not deeds: an assistant that says it has booked has not booked yet. A model sees the "
        "conversation only, not the world behind the tools.",
        source="Completion by sub-goals, as in the progress rate of AgentBoard (Ma et al., arXiv 2401.13178)",
    )
)
async def goals(
    ctx: Context,
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    check: Literal["regex", "model"] = "regex",
    model: str = "",
) -> ScoreValue:
    """Check each goal against the conversation."""
    wanted = [goal for goal in listed(expected, "goals", "goals") if goal.strip()]
    if not wanted:
        return missing(Missing.NO_EXPECTATION)
    messages = _messages(output)
    if messages is None:
        return missing(Missing.NO_OUTPUT)
    if check == "regex":
        said = [content.encode(errors="replace") for role, content in messages if role not in {"user", "system"}]
        try:
            met = [any(_compiled(goal).search(one) for one in said) for goal in wanted]
        except BadInput as problem:
            return missing(BAD_EXPECTATION, f"a goal is no pattern: {problem.message}"[: 2 * _SHOWN])
        return share_of(wanted, ["" if one else "not found" for one in met], "unmet")
    if (long := too_long(["".join(content for _, content in messages)], _LONGEST)) is not None:
        return long
    conversation = [{"role": role, "content": content} for role, content in messages]
    found = await judged(ctx, model, _TASK, [{"goal": g, "conversation": conversation} for g in wanted], "met", "unmet")
    if isinstance(found, ScoreValue):
        return found
    return share_of(wanted, ["" if one else f"says {model}" for one in found], "unmet")


def _messages(output: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """Return role and text of each message, the answer as the last; None where nothing was said at all."""
    steps: Any = output.get("steps")
    found = [
        (str(step.get("role", "assistant")), step["content"])
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict) and isinstance(step.get("content"), str)
    ]
    text = output_text(output)
    if text is not None and ("assistant", text) not in found[-1:]:
        found.append(("assistant", text))
    return found if found or isinstance(steps, list) else None


@functools.lru_cache(maxsize=256)
def _compiled(goal: str) -> Pattern:
    # Asked for by itself first, so that a parenthesis too many does not close ours.
    pattern(goal)
    return pattern(f"(?i)(?:{goal})")
