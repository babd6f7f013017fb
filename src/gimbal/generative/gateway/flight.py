"""One call on its way through the stages: what is known of it so far, and in the end what is recorded.

`pipeline` moves it; each stage reads and writes its own part.
"""

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Done, Piece, Thoughts, ToolCall
from gimbal.generative.gateway.guarding.answered import Outflow
from gimbal.generative.gateway.guarding.looking import Looking, Records
from gimbal.generative.gateway.parted import Parted
from gimbal.generative.gateway.provider import Answer, Choice, Provider
from gimbal.generative.gateway.put_down import CallRecord
from gimbal.generative.gateway.resilience.model import Attempt, Plan
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.ids import new_span_id
from gimbal.kernel.refs import ResolvedRef

CANCELLED = "cancelled"
CHAT, EMBEDDINGS = "chat", "embeddings"


class Flight:
    """Mutable; belongs to one task."""

    shadow_of = ""
    """Span of the call beside which this one runs for the record alone."""
    # guards
    looking: Looking | None = None
    """The policy at work; None without one."""
    outflow: Outflow | None = None
    """The guards that the answer goes through."""
    # route
    plan: Plan | None = None
    # provider
    choice: Choice | None = None
    """Whom the plan came to."""
    provider: Provider | None = None
    model = ""
    """Model without the provider's name."""
    answer: Answer | None = None
    parted: list[Parted] | None = None
    """Attempts at vectors that took several requests and came to no answer; None without one."""
    upstream_us = 0
    """Microseconds that were spent waiting for providers."""
    thoughts: Thoughts | None = None
    """What was thought, thought by thought; None while nothing was."""
    refusal = ""
    side_text = 0
    """Characters of further choices."""
    finish = ""
    usage: Usage | None = None
    answered_by = ""
    """Model as the provider names it."""
    response_id = ""
    """The provider's id of the answer."""
    first_token_us: int | None = None
    """Microseconds from the start to the first text or tool call."""
    # encode
    body = b""
    """The answer's bytes."""
    # end
    landed = False
    """Whether it is known when it ended."""
    ending = False
    """Whether settle and record have begun."""
    over = False
    """Whether both have ended."""
    ended: asyncio.Future[None] | None = None
    """Done once they have; None while nobody waits for that."""
    prompted: int | None = None
    """How many of the recorded messages are a released prompt's, first of all; None without one."""
    error: GimbalError | None = None
    cancelled = False
    """Whether the caller went away before the end."""
    complete = False
    """Whether the provider's answer came to its end."""
    estimated = False
    """Whether the usage is our estimate because the provider did not say."""
    cost: Decimal | None = None
    unpriced = ""
    """Why the cost is not known."""
    price_book = ""
    ended_us: int | None = None
    wasted: Sequence[Span] = ()
    """Of attempts whose answers nobody got."""
    record: CallRecord | None = None
    """What is put down, once it is made: begun again, it has the same ids."""

    def __init__(self, ctx: Context, call: Call, *, operation: str = CHAT, at_once: bool = False) -> None:
        # What most calls leave as it is stands above: it is made once.
        self.at_once = at_once
        """Whether its record must be in the store when it ends, instead of on the way there."""
        self.ctx = ctx
        self.call = call
        self.operation = operation
        """By the OpenTelemetry conventions: chat, embeddings …"""
        self.span_id = new_span_id()
        self.started = ctx.now()
        self.started_us = to_us(self.started)
        self._begun = time.perf_counter()
        self.timings_us: dict[str, int] = {}
        """Microseconds per stage."""
        self.refs: list[ResolvedRef] = []
        """Versions that the call used: the prompt, the route, what the caller retrieved from."""
        self.guards: Records = {}
        """What became of each guard of the project's policy, by direction; empty without one."""
        self.attempts: list[Attempt] = []
        """Every attempt, the last one being the one that answered, if any did."""
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.tools: dict[int, ToolCall] = {}
        self.lost: list[str] = []
        """Stages of the end that failed."""
        self.parts: dict[str, Decimal] = {}
        """The cost by token class."""

    def elapsed_us(self) -> int:
        """Return the microseconds since the call came in."""
        return int((time.perf_counter() - self._begun) * 1e6)

    def land(self) -> None:
        """Note the end; the duration is measured by the monotonic clock."""
        self.landed = True
        if self.ended_us is None:
            self.ended_us = self.started_us + self.elapsed_us()

    def take(self, piece: Piece) -> None:
        """Account for one piece of the answer."""
        if piece.text:
            self.text.append(piece.text)
        if piece.reasoning:
            self.reasoning.append(piece.reasoning)
        if piece.tool_calls:
            self._take_tools(piece.tool_calls)
        if self.first_token_us is None and (piece.text or piece.tool_calls or piece.reasoning):
            self.first_token_us = self.elapsed_us()
        if piece.usage is not None:
            self.usage = piece.usage
        if piece.finish:
            self.finish = piece.finish
        if piece.model:
            self.answered_by = piece.model
        if piece.id:
            self.response_id = piece.id
        if piece.reasoning or piece.signature or piece.redacted or piece.thoughts:
            self.thoughts = self.thoughts or Thoughts()
            self.thoughts.take(piece)
        if piece.refusal or piece.side_text:
            self.refusal += piece.refusal
            self.side_text += len(piece.side_text)

    def retake(self, piece: Piece) -> None:
        """Account for one piece instead of all before it."""
        self.text, self.reasoning, self.tools = [], [], {}
        self.refusal, self.thoughts = "", None
        self.side_text = 0
        self.take(piece)

    def _take_tools(self, calls: tuple[ToolCall, ...]) -> None:
        for part in calls:
            before = self.tools.get(part.index, ToolCall(index=part.index))
            self.tools[part.index] = ToolCall(
                index=part.index,
                id=part.id or before.id,
                name=part.name or before.name,
                arguments=before.arguments + part.arguments,
            )

    def done(self) -> Done:
        """Return the answer as it came to its end, for whoever writes it in the caller's wire."""
        thought = self.thoughts.said() if self.thoughts else {}
        thought["reasoning"] = "".join(self.reasoning)
        return Done(
            id=self.call.id,
            model=self.answered_by or self.shown_model,
            created=self.started_us // 1_000_000,
            text="".join(self.text),
            **thought,
            refusal=self.refusal,
            tool_calls=tuple(self.tools[place] for place in sorted(self.tools)),
            finish=self.finish or "stop",
            usage=self.usage or Usage(),
            estimated=self.estimated,
            fingerprint=self.answer.fingerprint if self.answer else "",
        )

    @property
    def shown_model(self) -> str:
        """The model as `provider/model`; what was asked for while no provider is known."""
        return f"{self.provider.name}/{self.model}" if self.provider else self.call.asked.model

    @property
    def status(self) -> str:
        """`ok`, `error` or `cancelled`."""
        if self.error is not None:
            return "error"
        return CANCELLED if self.cancelled else "ok"
