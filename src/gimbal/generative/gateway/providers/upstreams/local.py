"""The provider `local`: models that run in this process. There is one, `local/extractive`, and it costs nothing.

It counts tokens with `gimbal-pieces-1` (named in the fingerprint and in the trace) and refuses what it cannot do.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.engines.http.model import Deadlines
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import (
    Audio,
    Conversation,
    File,
    Image,
    Piece,
    Refused,
    Text,
    ToolResult,
    Turn,
)
from gimbal.generative.gateway.provider import Answer
from gimbal.generative.gateway.providers import extractive
from gimbal.generative.gateway.providers.reading import read
from gimbal.generative.knowledge.analysis import TOKENIZER, count_tokens, split_tokens
from gimbal.kernel.errors import BadInput, NotFound

MODEL = "extractive"
FINGERPRINT = f"{extractive.NAME}/{TOKENIZER}"

# Fields that no conversation has a place for and that would change the answer, and values that ask for nothing special.
_CANNOT: dict[str, Sequence[Any]] = {"audio": (), "modalities": (["text"],), "prediction": ()}


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message, with what tools answered as text."""

    role: str
    text: str


class LocalProvider:
    """Answers in process."""

    name = "local"
    pricing = "local"
    scope = ""

    async def models(self) -> list[str]:
        """Return the one model there is."""
        return [MODEL]

    async def open(self, call: Call, model: str, deadlines: Deadlines) -> Answer:
        """Answer from the context in the request."""
        if model != MODEL:
            raise NotFound(f"There is no model local/{model}.", where="model", todo=f"Use local/{MODEL}.")
        if call.wire.name.endswith(".embeddings"):
            raise BadInput(f"local/{MODEL} makes no embeddings.", where="model", todo="Use another model.")
        conversation = call.conversation
        _check(conversation)
        lines = [_Line(role=turn.role, text=_text(turn, number)) for number, turn in enumerate(conversation.turns)]
        # Long contexts take milliseconds of pure computing: off the event loop.
        extract = await asyncio.to_thread(lambda: extractive.answer(read(lines)))
        text, finish = _limit(extract.text, conversation)
        asked = sum(count_tokens(line.text) for line in lines)
        usage = Usage.of(input_tokens=asked, output_tokens=count_tokens(text))
        note = {
            "gimbal.tokenizer": TOKENIZER,
            "gimbal.answerer": extractive.NAME,
            "gimbal.answer.known": extract.known,
            "gimbal.answer.coverage": round(extract.coverage, 4),
        }
        named = f"local/{MODEL}"
        if call.asked.stream:
            pieces = _stream(text, finish, usage)
            return Answer(pieces=pieces, model=named, fingerprint=FINGERPRINT, note=note)
        whole = Piece(text=text, finish=finish, usage=usage)
        return Answer(whole=whole, model=named, fingerprint=FINGERPRINT, note=note)

    async def aclose(self) -> None:
        """Nothing is held."""


def _check(conversation: Conversation) -> None:
    """Raise BadInput naming what this model cannot do."""
    sampling, choice, form = conversation.sampling, conversation.tool_choice, conversation.format
    cannot = {
        "n": sampling.n not in {None, 1},
        "logprobs": sampling.logprobs is not None,
        "response_format": form is not None and form.kind != "text",
        "tool_choice": choice is not None and choice.mode not in {"auto", "none"},
        "modalities": bool(set(sampling.modalities) - {"text"}),
        **{
            field: value not in _CANNOT[field] and value is not None
            for field, value in conversation.extras.items()
            if field in _CANNOT
        },
    }
    for field, refused in cannot.items():
        if refused:
            raise BadInput(f"local/{MODEL} cannot do {field}.", where=field, todo="Leave it out, or use another model.")


def _text(turn: Turn, number: int) -> str:
    """Return the text of a message and of the tools' answers in it; raise BadInput where there is something else."""
    texts: list[str] = []
    for part in turn.parts:
        inner = part.parts if isinstance(part, ToolResult) else (part,)
        for one in inner:
            if isinstance(one, Text | Refused):
                texts.append(one.text)
            elif isinstance(one, Image | Audio | File):
                raise BadInput(f"local/{MODEL} reads text only.", where=f"messages[{number}].content")
    return "\n".join(texts)


def _limit(text: str, conversation: Conversation) -> tuple[str, str]:
    """Apply the stop texts and the token limit."""
    cuts = [place for stop in conversation.sampling.stop if stop and (place := text.find(stop)) >= 0]
    text = text[: min(cuts)] if cuts else text
    pieces = split_tokens(text)
    limit = conversation.sampling.max_tokens
    if limit is not None and len(pieces) > limit:
        return "".join(pieces[:limit]).rstrip(), "length"
    return text, "stop"


async def _stream(text: str, finish: str, usage: Usage) -> AsyncGenerator[Piece]:
    for piece in split_tokens(text):
        yield Piece(text=piece)
    yield Piece(finish=finish, usage=usage)
