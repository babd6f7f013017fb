"""What routes ask of a call; messages are decoded only where a rule or a target makes it necessary."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Protocol

import msgspec

from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import AnyPart, Audio, Conversation, File, Image, ToolResult

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MEDIUM = 1000
# From here on it matters whether the bytes are text or a picture, and reading them is worth it.
_LONG = 16_384
_MEDIA = (b"base64", b"inline", b"input_audio")
_BESIDE = ("tools", "functions", "system", "instructions", "systemInstruction")
# Where the wires say how long an answer may be, and where they keep it.
_MOST = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_CONFIG = ("generationConfig", "generation_config")
_FORMATS = ("response_format", "text", "output_format", "output_config", *_CONFIG)


class Facts(Protocol):
    """What is known of a call before it is sent."""

    @property
    def feature(self) -> str:
        """For what it is made."""
        ...

    @property
    def user(self) -> str:
        """For whom."""
        ...

    @property
    def session(self) -> str:
        """In which session."""
        ...

    @property
    def tags(self) -> Sequence[str]:
        """Its tags."""
        ...

    @property
    def model(self) -> str:
        """The model that was asked for."""
        ...

    @property
    def key(self) -> str:
        """Name of the caller's key."""
        ...

    @property
    def stream(self) -> bool:
        """Whether the answer shall be streamed."""
        ...

    @property
    def tools(self) -> bool:
        """Whether it brings tools."""
        ...

    @property
    def vision(self) -> bool:
        """Whether it shows images."""
        ...

    @property
    def json_schema(self) -> bool:
        """Whether the answer must follow a JSON schema."""
        ...

    @property
    def input_tokens(self) -> int:
        """Tokens of its input, by estimate."""
        ...

    @property
    def answer_tokens(self) -> int | None:
        """Tokens that its answer may have; None where it does not say."""
        ...


class CallFacts:
    """The facts of a call that came in."""

    def __init__(self, call: Call, *, key: str = "") -> None:
        self._call = call
        self.key = key

    @property
    def feature(self) -> str:
        """For what it is made."""
        return self._call.attribution.feature

    @property
    def user(self) -> str:
        """For whom."""
        return self._call.attribution.user or self._call.asked.user

    @property
    def session(self) -> str:
        """In which session."""
        return self._call.attribution.session

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self._call.attribution.tags

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return self._call.asked.model

    @property
    def stream(self) -> bool:
        """Whether the answer shall be streamed."""
        return self._call.asked.stream

    @property
    def tools(self) -> bool:
        """Whether it brings tools."""
        return self._tools

    @cached_property
    def _tools(self) -> bool:
        fields = self._call.asked.fields
        said = next((bytes(fields[name]).strip() for name in ("tools", "functions") if name in fields), b"")
        return bool(said) and said not in {b"null", b"[]", b"{}"}

    @property
    def vision(self) -> bool:
        """Whether it shows images. Without the word in its messages it does not; else they are read."""
        return self._vision

    @cached_property
    def _vision(self) -> bool:
        if b"image" not in self._call.asked.said:
            return False
        return _shows_images(self._call.conversation)

    @property
    def json_schema(self) -> bool:
        """Whether the answer must follow a JSON schema."""
        return self._json_schema

    @cached_property
    def _json_schema(self) -> bool:
        fields = self._call.asked.fields
        if not any(b"schema" in bytes(fields[name]).lower() for name in _FORMATS if name in fields):
            return False
        wanted = self._call.conversation.format
        return wanted is not None and wanted.kind == "schema"

    @property
    def input_tokens(self) -> int:
        """Tokens of its input: a quarter of the bytes of text and tools as they came, and a thousand for each medium."""
        return self._input_tokens

    @cached_property
    def _input_tokens(self) -> int:
        said, fields = self._call.asked.said, self._call.asked.fields
        beside = sum(len(bytes(fields[name])) for name in _BESIDE if name in fields)
        if len(said) > _LONG and any(mark in said for mark in _MEDIA):
            text, media = _measured(self._call.conversation)
            return -(-(text + beside) // _BYTES_PER_TOKEN) + media * _TOKENS_PER_MEDIUM
        return -(-(len(said) + beside) // _BYTES_PER_TOKEN)

    @property
    def answer_tokens(self) -> int | None:
        """Tokens that its answer may have; None where it does not say."""
        return self._answer_tokens

    @cached_property
    def _answer_tokens(self) -> int | None:
        fields = self._call.asked.fields
        for name in _MOST:
            if name in fields and (found := _number(fields[name])) is not None:
                return found
        if any(name in fields for name in _CONFIG):
            return self._call.conversation.sampling.max_tokens
        return None


def _number(raw: msgspec.Raw) -> int | None:
    try:
        return msgspec.json.decode(raw, type=int)
    except msgspec.DecodeError:
        return None


def _shows_images(conversation: Conversation) -> bool:
    return any(isinstance(part, Image) for turn in conversation.turns for part in _parts(turn.parts))


def _measured(conversation: Conversation) -> tuple[int, int]:
    """Return the bytes of text and the number of pictures, sounds and files."""
    text = media = 0
    for turn in conversation.turns:
        for part in _parts(turn.parts):
            if isinstance(part, Image | Audio | File):
                media += 1
            elif not isinstance(part, ToolResult):
                text += len(getattr(part, "text", "").encode()) + len(getattr(part, "arguments", "").encode())
    return text, media


def _parts(parts: Iterable[AnyPart]) -> Iterator[AnyPart]:
    """Yield parts with those that tools gave back."""
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from _parts(part.parts)
