"""One LLM call in normal form, whichever wire it came by and whichever provider answers it.

`wire` decodes requests into a Call and encodes Pieces; `providers` answer a Call with an Answer, which is a stream of
Pieces (a single one when nothing was streamed).
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.kernel.ids import new_id, new_trace_id

Json = dict[str, Any]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call, whole in a message or in part in a Piece (then the parts with one `index` are put together)."""

    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = ""
    """JSON text."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the conversation."""

    role: str
    """system, developer, user, assistant or tool."""
    text: str = ""
    """All text parts together."""
    parts: tuple[Json, ...] = ()
    """The parts as they came, when the content was a list."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    """Which call a tool message answers."""
    name: str = ""

    @property
    def only_text(self) -> bool:
        """Whether nothing but text is in it (no image, audio or file)."""
        return all(part.get("type") in {"text", "refusal"} for part in self.parts)


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """For what and for whom a call is made."""

    feature: str = ""
    user: str = ""
    session: str = ""
    prompt: str = ""
    """Reference of the prompt version, as the caller named it; `admit` resolves it."""
    endpoint: str = ""
    """What was called: a path of ours, or what the caller names."""
    tags: tuple[str, ...] = ()
    """Words, or `key:value`."""


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where the call stands in a trace."""

    trace_id: str
    parent_id: str | None = None
    remote: bool = False
    """Whether the parent belongs to the caller's process."""


def new_trace() -> TraceContext:
    """Return the context of a trace that starts here."""
    return TraceContext(trace_id=new_trace_id())


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters that a provider of any wire understands; None means not given."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for."""

    model: str
    """As asked for: `provider/model`, or a name that a provider claims."""
    messages: tuple[Message, ...]
    body: Json
    """The request as it came; a provider of the same wire forwards it, unknown fields and all."""
    wire: str = "openai"
    stream: bool = False
    wants_usage: bool = False
    """Whether the caller asked for usage in the stream."""
    settings: CallSettings = CallSettings()
    attribution: Attribution = Attribution()
    trace: TraceContext = msgspec.field(default_factory=new_trace)
    id: str = msgspec.field(default_factory=lambda: f"chatcmpl-{new_id().replace('-', '')}")


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of an answer, in order."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    """stop, length, tool_calls or content_filter; empty while it goes on."""
    usage: Usage | None = None
    """Cumulative: the last one counts."""
    side_text: str = ""
    """Text of further choices (`n` above 1): not shown in the trace, but used."""
    raw: Json | None = None
    """The chunk or whole body as the provider sent it, for a caller of the same wire."""
    wire: str = ""
    """Wire of `raw`."""


async def _nothing() -> None:
    return None


class Answer:
    """A provider's answer that has begun; close it in any case."""

    def __init__(
        self,
        pieces: AsyncIterator[Piece],
        *,
        model: str = "",
        fingerprint: str = "",
        note: Json | None = None,
        close: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self.pieces = pieces
        self.model = model
        """Model that answers, as far as known before the first piece."""
        self.fingerprint = fingerprint
        """`system_fingerprint` of the response, where we make it ourselves."""
        self.note = note or {}
        """What else the trace should say of it, as flat attributes."""
        self._close = close

    async def aclose(self) -> None:
        """Stop the provider and give the connection back; what goes wrong in that is of no consequence any more."""
        with contextlib.suppress(Exception):
            closer = getattr(self.pieces, "aclose", None)
            if closer:
                await closer()
        with contextlib.suppress(Exception):
            await self._close()


class Provider(Protocol):
    """One upstream. `open` returns once it has accepted the call, or raises the error that the caller shall see."""

    @property
    def name(self) -> str:
        """The short name, as in `name/model`."""
        ...

    @property
    def pricing(self) -> str:
        """The name by which the price book knows it."""
        ...

    async def open(self, call: Call, model: str) -> Answer:
        """Send the call for `model` (without the provider's name); raise a GimbalError when it is not accepted."""
        ...

    async def models(self) -> list[str]:
        """Return the models it offers, without its name; empty when it cannot be asked now."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
