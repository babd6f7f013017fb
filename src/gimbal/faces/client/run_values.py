"""What a run may be given: checked where it is logged, and made into what is sent."""

import math
import operator
from collections.abc import Mapping
from typing import Any

from gimbal.axis.runs.model import MAX_NAME
from gimbal.faces.client.wire import jsonable, text
from gimbal.kernel.errors import BadInput

MOST_STEP = 2**62


def numbers(metrics: Mapping[Any, Any]) -> dict[str, float]:
    """Return metrics as names and floats; raise BadInput for what is neither."""
    return {_name(name): _number(name, value) for name, value in metrics.items()}


def whole_step(step: Any) -> int:
    """Return a step as an int; raise BadInput for what is none."""
    try:
        at_step = operator.index(step)
    except TypeError:
        raise unfit(f"A step is a whole number, not {step!r}.", "step", "Count steps, epochs or batches.") from None
    if not -MOST_STEP <= at_step <= MOST_STEP:
        raise unfit(f"The step {at_step} is out of range.", "step", "Keep it within ±2⁶².")
    return at_step


def _name(name: Any) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
        where = f"metrics.{str(name)[:40]}"
        raise unfit(f"A metric's name is a text of 1 to {MAX_NAME} characters.", where, "Give it such a name.")
    return text(name)


def _number(name: Any, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, str | bytes) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        raise unfit(
            f"A metric is a number, not {str(value)[:40]!r}.",
            f"metrics.{str(name)[:40]}",
            "Leave out what is missing; log text as a tag.",
        )
    return math.nan if number != number else number  # noqa: PLR0124 - NaN is what is not itself


def unfit(message: str, where: str, todo: str) -> BadInput:
    """Return the error for what cannot be logged."""
    return BadInput(message, where=where, kept="nothing of this call", todo=todo)


def plain(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameters as JSON can carry them."""
    return {text(str(name)): jsonable(value, f"params.{name}") for name, value in (params or {}).items()}


def texts(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return tags as texts."""
    return {text(str(name)): text(str(value)) for name, value in (tags or {}).items()}
