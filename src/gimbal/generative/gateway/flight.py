"""One call on its way through the stages: what is known of it so far, and in the end what is recorded.

`pipeline` moves it; each stage reads and writes its own part.
"""

import asyncio
import time
from decimal import Decimal

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.call import Answer, Call, Json, Piece, Provider, ToolCall
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.ids import new_span_id
from gimbal.kernel.refs import ResolvedRef

CANCELLED = "cancelled"


class Flight:
    """Mutable; belongs to one task."""

    def __init__(self, ctx: Context, call: Call) -> None:
        self.ctx = ctx
        self.call = call
        self.span_id = new_span_id()
        self.started_us = to_us(ctx.now())
        self._begun = time.perf_counter()
        self.timings_us: dict[str, int] = {}
        """Microseconds per stage."""
        # admit
        self.refs: list[ResolvedRef] = []
        """Versions that the call used: the prompt, what the caller retrieved from."""
        # route
        self.provider: Provider | None = None
        self.model = ""
        """Model without the provider's name."""
        # provider
        self.answer: Answer | None = None
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal = ""
        self.side_text = 0
        """Characters of further choices."""
        self.tools: dict[int, ToolCall] = {}
        self.finish = ""
        self.usage: Usage | None = None
        self.answered_by = ""
        """Model as the provider names it."""
        self.last_raw: Json | None = None
        self.first_token_us: int | None = None
        """Microseconds from the start to the first text or tool call."""
        # encode
        self.body = b""
        """The answer's bytes, when they are forwarded as they came."""
        # end
        self.finishing: asyncio.Future[None] | None = None
        """Settle and record, once begun."""
        self.lost: list[str] = []
        """Stages of the end that failed."""
        self.error: GimbalError | None = None
        self.cancelled = False
        """Whether the caller went away before the end."""
        self.complete = False
        """Whether the provider's answer came to its end."""
        self.estimated = False
        """Whether the usage is our estimate because the provider did not say."""
        self.cost: Decimal | None = None
        self.unpriced = ""
        """Why the cost is not known."""
        self.price_book = ""
        self.parts: dict[str, Decimal] = {}
        """The cost by token class."""
        self.ended_us: int | None = None

    def elapsed_us(self) -> int:
        """Return the microseconds since the call came in."""
        return int((time.perf_counter() - self._begun) * 1e6)

    def land(self) -> None:
        """Note the end; the duration is measured by the monotonic clock."""
        if self.ended_us is None:
            self.ended_us = self.started_us + self.elapsed_us()

    def take(self, piece: Piece) -> None:
        """Account for one piece of the answer."""
        if self.first_token_us is None and (piece.text or piece.tool_calls or piece.reasoning):
            self.first_token_us = self.elapsed_us()
        if piece.text:
            self.text.append(piece.text)
        if piece.reasoning:
            self.reasoning.append(piece.reasoning)
        self.refusal += piece.refusal
        self.side_text += len(piece.side_text)
        for part in piece.tool_calls:
            before = self.tools.get(part.index, ToolCall(index=part.index))
            self.tools[part.index] = ToolCall(
                index=part.index,
                id=part.id or before.id,
                name=part.name or before.name,
                arguments=before.arguments + part.arguments,
            )
        self.finish = piece.finish or self.finish
        if piece.usage is not None:
            self.usage = piece.usage
        if piece.raw is not None:
            self.last_raw = piece.raw
            model = piece.raw.get("model")
            self.answered_by = model if isinstance(model, str) and model else self.answered_by

    @property
    def shown_model(self) -> str:
        """The model as `provider/model`; what was asked for while no provider is known."""
        return f"{self.provider.name}/{self.model}" if self.provider else self.call.model

    @property
    def status(self) -> str:
        """`ok`, `error` or `cancelled`."""
        if self.error is not None:
            return "error"
        return CANCELLED if self.cancelled else "ok"
