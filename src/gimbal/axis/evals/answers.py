"""Records of answers from outside: what a program of somebody else, or another tool, brings to be judged."""

from decimal import Decimal
from typing import Annotated

import msgspec

from gimbal.axis.evals.model import MOST_REPEATS
from gimbal.axis.evals.target import TargetOutput
from gimbal.kernel.errors import BadInput
from gimbal.kernel.ids import is_trace_id

MOST_ANSWERS = 500
"""Answers in one call."""
NOT_ANSWERED = "not answered"
"""The error of an answer that nobody brought until its run was finished."""
_MOST_COST = Decimal(10) ** 12
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class OpenEvaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An evaluation whose answers come from outside."""

    suite: str
    """Reference of the suite: `suite:help/questions`."""
    subject: str
    """Reference of the version whose answers they are: `function:help/answer`."""
    repeats: Annotated[int, msgspec.Meta(ge=1, le=MOST_REPEATS)] | None = None
    """How often each example is asked; null for what the suite says."""
    client: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "another program"
    """What brings the answers, for people: `promptfoo`."""
    max_cost: Decimal | None = None
    """US dollars that judging the answers may cost, which is all that is spent here: it stops before a call of a judge that
    could pass them, and goes on with `evaluations.resume`. Null for no cap."""


class RecordedAnswer(TargetOutput, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One answer from outside."""

    example_id: str
    """The example that was asked."""
    repeat: int = 0
    """Which asking of the example this is, from 0."""
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    latency_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Milliseconds that it took; null when unknown."""
    scores: dict[str, float] = msgspec.field(default_factory=dict)
    """What others have said of it, by names that no scorer of the suite has: `promptfoo/score`."""
    missing: dict[str, str] = msgspec.field(default_factory=dict)
    """Reason by such a name, where others could not say it."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Word by such a name, where others gave one."""


class RecordAnswers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers for an evaluation that is open; all are stored or none."""

    answers: list[RecordedAnswer]
    """1 to 500 of them; one that was stored before for the same example and repeat is replaced."""


def check_answer(one: RecordedAnswer, where: str) -> None:
    """Raise BadInput for a trace id that cannot be one, and a cost that is no amount."""
    if one.trace_id and not is_trace_id(one.trace_id):
        raise BadInput("A trace id has 32 hex digits.", where=f"{where}.trace_id", todo="Give one, or leave it out.")
    if one.cost is not None and not (one.cost.is_finite() and 0 <= one.cost < _MOST_COST):
        raise BadInput("A cost is dollars from 0.", where=f"{where}.cost", todo="Leave out what is not known.")
