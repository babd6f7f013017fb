"""What finding traces returns: judgements, the live tail, sessions and their conversations. Programs get these, too."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.traces.model import Document, TraceSummary
from gimbal.kernel.pages import Page


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement of a span, a trace or a session."""

    id: str
    target_kind: str
    """`span`, `trace` or `session`."""
    target_id: str
    trace_id: str = ""
    """Of a span: its trace, where known."""
    name: str
    value: float | None = None
    label: str = ""
    explanation: str = ""
    source: str = "code"
    """`code`, `judge`, `human` or `user`."""
    author: str = ""
    """Who gave it; whoever sends it unless told."""
    missing: str = ""
    """Why there is neither a value nor a label."""
    metadata: dict[str, Any] = {}
    """What else is known of it."""
    at_us: int


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """A trace that came, or changed."""

    trace: TraceSummary
    stored: datetime
    """When the newest part of it was. The same trace with the same moment is the same news."""


class TailAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came since the answer before."""

    items: list[Arrived]
    """By when they were stored; the newest last."""
    cursor: str
    """Give this with the next call."""
    more: bool = False
    """Whether more came than are told, or the cursor is too old: the list of traces has all of them."""


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A session as lists show it."""

    id: str
    user_id: str
    """Of its newest trace that names one."""
    first: datetime
    """When its first span began."""
    last: datetime
    """When its last span ended."""
    traces: int
    """Its turns, as many as are stored."""
    failed: int
    """Traces with a failed span."""
    input_tokens: int | None
    """None when no span reported any."""
    output_tokens: int | None
    cost: Decimal | None
    """Sum of the known costs; None when none is known."""
    unpriced: int
    """Calls whose cost is unknown."""
    scores: list[Judgement] = []
    """What was said of the session itself, newest first."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of a turn: a message, what a tool did, what was retrieved, or what failed."""

    kind: str
    """`message`, `tool`, `documents` or `error`."""
    span_id: str
    """Where it is in the trace."""
    name: str = ""
    """Of the span."""
    message: dict[str, Any] | None = None
    """In the form of OpenAI's chat; see the types of messages."""
    input: str = ""
    """Of a tool that no message tells of: JSON text."""
    output: str = ""
    documents: list[Document] = []
    error: str = ""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One trace of a session, with what it added to the conversation."""

    trace: TraceSummary
    said: list[Said]
    scores: list[Judgement] = []
    """Of the trace and of its spans, newest first."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A session with a page of its turns, the first first."""

    session: SessionSummary
    turns: Page[Turn]
