"""What a call says and how an answer comes, whichever wire either came by.

A request is decoded into a `Conversation` only when somebody needs it: a provider of another wire, a guard, an estimate.
Between equal wires the caller's own bytes go on. `wire` makes and reads these; `providers` and `stages` use them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage

Json = dict[str, Any]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """One part of a message."""

    cache: Json | None = None
    """What the caller says about caching up to here (Anthropic's `cache_control`): a hint that changes no answer."""


class Text(Part, frozen=True, kw_only=True, tag="text"):
    """Text."""

    text: str


class Image(Part, frozen=True, kw_only=True, tag="image"):
    """A picture, by address or as base64."""

    url: str = ""
    data: str = ""
    """Base64, without a `data:` head."""
    media_type: str = ""
    detail: str = ""
    """OpenAI's `low`, `high` or `auto`."""


class Audio(Part, frozen=True, kw_only=True, tag="audio"):
    """Sound as base64."""

    data: str
    format: str = ""
    """`wav`, `mp3` …"""


class File(Part, frozen=True, kw_only=True, tag="file"):
    """A document: by address, as base64, or by the id that a provider gave it."""

    url: str = ""
    data: str = ""
    id: str = ""
    media_type: str = ""
    name: str = ""


class Thinking(Part, frozen=True, kw_only=True, tag="thinking"):
    """What a model thought, as it must be handed back."""

    text: str = ""
    signature: str = ""
    redacted: str = ""
    """What the provider hid, in its own cipher."""


class Refused(Part, frozen=True, kw_only=True, tag="refusal"):
    """A model's refusal."""

    text: str


class ToolUse(Part, frozen=True, kw_only=True, tag="tool_use"):
    """A model's call of a tool."""

    id: str
    name: str
    arguments: str
    """JSON text."""


class ToolResult(Part, frozen=True, kw_only=True, tag="tool_result"):
    """What a tool answered."""

    id: str
    """Of the ToolUse."""
    name: str = ""
    """Of the tool, for wires that go by it."""
    parts: tuple["AnyPart", ...] = ()
    error: bool = False


AnyPart = Text | Image | Audio | File | Thinking | Refused | ToolUse | ToolResult


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message."""

    role: str
    """system, developer, user, assistant, or tool (then every part is a ToolResult)."""
    parts: tuple[AnyPart, ...] = ()
    name: str = ""
    where: str = ""
    """Where it stood in the caller's request, so that an error names the caller's own field: `messages[2]`."""

    @property
    def text(self) -> str:
        """All its text, one part a line."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text | Refused))


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: Json | None = None
    """JSON schema; None where none was given."""
    strict: bool | None = None
    cache: Json | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether tools are called, and which."""

    mode: str = "auto"
    """auto, none, required, or named."""
    name: str = ""
    parallel: bool | None = None
    """Whether several may be called at once; None where nothing was said."""


class Format(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The form that the answer must have."""

    kind: str = "text"
    """text, json (any object), or schema."""
    name: str = ""
    description: str = ""
    schema: Json | None = None
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much a model shall think."""

    effort: str = ""
    """none, minimal, low, medium, high, xhigh, max; empty where nothing was said: then as the model sees fit."""
    budget: int | None = None
    """Tokens; 0 turns it off."""
    show: bool | None = None
    """Whether the thoughts (or a summary) shall be in the answer."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of an answer; None means not given."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None
    """How many alternatives shall be told with each token; 0 means only the token's own."""
    logit_bias: dict[str, float] | None = None
    service_tier: str = ""
    verbosity: str = ""
    modalities: tuple[str, ...] = ()
    """Empty means text only."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request in normal form."""

    turns: tuple[Turn, ...]
    """System and developer messages stand among them, where they stood."""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    format: Format | None = None
    reasoning: Reasoning | None = None
    sampling: Sampling = Sampling()
    user: str = ""
    """Whom the provider shall hold responsible."""
    extras: Json = {}
    """Fields of the caller's wire that have no place above and were not null, by name. Whoever writes another wire refuses
    them by name, but for values that ask for what happens anyway."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A tool call of an answer, whole or in part (then the parts with one `index` are put together)."""

    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = ""
    """JSON text."""


AnswerPart = Thinking | Text | Refused | ToolCall


def thinking_of(reasoning: str, signature: str, redacted: str) -> tuple[Thinking, ...]:
    """Return what was thought as parts: first what was said, with its signature, then what was hidden."""
    said = (Thinking(text=reasoning, signature=signature),) if reasoning or signature else ()
    return (*said, Thinking(redacted=redacted)) if redacted else said


def said_of(thoughts: Sequence[Thinking]) -> Json:
    """Return the fields of a Piece or a Done that say these thoughts; several have a field of their own."""
    reasoning = "".join(part.text for part in thoughts)
    hidden = [part.redacted for part in thoughts if part.redacted]
    signed = [part.signature for part in thoughts if part.signature]
    few = len(hidden) <= 1 and len(signed) <= 1
    if few and thinking_of(reasoning, "".join(signed), "".join(hidden)) == tuple(thoughts):
        return {"reasoning": reasoning, "signature": "".join(signed), "redacted": "".join(hidden)}
    return {"reasoning": reasoning, "thoughts": tuple(thoughts) if hidden or signed else ()}


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of an answer, in order; a whole answer is a single one."""

    text: str = ""
    reasoning: str = ""
    signature: str = ""
    """Of the reasoning before it: of all of one thought, which it ends."""
    redacted: str = ""
    """Reasoning that the provider hid: all of one thought."""
    thoughts: tuple[Thinking, ...] = ()
    """Several thoughts of which some are signed or hidden, in order: each signature is of its own text. Then `reasoning` is
    their text all the same, and the two fields above are empty."""
    parts: tuple[AnswerPart, ...] = ()
    """Of a whole answer: all that the other fields say, in order; empty where all thoughts came first, then the text, then a
    refusal, then the calls."""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    """stop, length, tool_calls or content_filter; empty while it goes on."""
    usage: Usage | None = None
    """Cumulative: the last one counts."""
    model: str = ""
    """As the provider names it."""
    id: str = ""
    """The provider's id of the answer."""
    side_text: str = ""
    """Text of further choices (`n` above 1): not shown in the trace, but used."""
    raw: bytes = b""
    """The event's data, or the whole body, as the provider sent it, for a caller of the same wire."""
    event: str = ""
    """The event's name, where the wire names events."""

    @property
    def thinking(self) -> tuple[Thinking, ...]:
        """What it says of thoughts, in order, whether all of one or a part."""
        return self.thoughts or thinking_of(self.reasoning, self.signature, self.redacted)

    @property
    def order(self) -> Sequence[AnswerPart]:
        """All that it says, in order."""
        return self.parts or _order(self)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that has ended, for whoever writes it in another wire."""

    id: str
    """Ours, in the form of the caller's wire."""
    model: str
    created: int
    """Seconds since 1970."""
    text: str = ""
    reasoning: str = ""
    signature: str = ""
    redacted: str = ""
    thoughts: tuple[Thinking, ...] = ()
    """As of a Piece."""
    parts: tuple[AnswerPart, ...] = ()
    """As of a Piece; empty where the answer was streamed: then it was written in its order."""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    usage: Usage = Usage()
    estimated: bool = False
    """Whether the usage is our estimate."""
    fingerprint: str = ""

    @property
    def thinking(self) -> tuple[Thinking, ...]:
        """What was thought, in order."""
        return self.thoughts or thinking_of(self.reasoning, self.signature, self.redacted)

    @property
    def order(self) -> Sequence[AnswerPart]:
        """All that was thought, said and called, in order."""
        return self.parts or _order(self)


def _order(said: Piece | Done) -> list[AnswerPart]:
    parts: list[AnswerPart] = []
    if said.reasoning or said.signature or said.redacted or said.thoughts:
        parts += said.thinking
    if said.text:
        parts.append(Text(text=said.text))
    if said.refusal:
        parts.append(Refused(text=said.refusal))
    parts += said.tool_calls
    return parts


class Thoughts:
    """What a model thinks while it grows by pieces, thought by thought: a signature ends the one that it signs."""

    def __init__(self) -> None:
        self._ended: list[Thinking] = []
        self._text: list[str] = []
        self._parts: tuple[AnswerPart, ...] = ()

    def take(self, piece: Piece) -> None:
        """Account for one piece."""
        self._parts = piece.parts or self._parts
        for part in piece.thinking:
            if part.redacted:
                self._end("")
                self._ended.append(Thinking(redacted=part.redacted))
            if part.text:
                self._text.append(part.text)
            if part.signature:
                self._end(part.signature)

    def said(self) -> Json:
        """Return the fields of a Piece or a Done that say what was thought up to here."""
        self._end("")
        said = said_of(self._ended)
        return said | {"parts": self._parts} if self._parts else said

    def _end(self, signature: str) -> None:
        if self._text or signature:
            self._ended.append(Thinking(text="".join(self._text), signature=signature))
            self._text = []
