"""The provider `local`: models that run in this process. There is one, `local/extractive`, and it costs nothing.

It counts tokens with `gimbal-pieces-1` (named in `system_fingerprint` and in the trace) and refuses what it cannot do.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.call import Answer, Call, Message, Piece
from gimbal.generative.gateway.providers import extractive
from gimbal.generative.gateway.providers.reading import read
from gimbal.generative.knowledge.analysis import TOKENIZER, count_tokens, split_tokens
from gimbal.kernel.errors import BadInput, NotFound

MODEL = "extractive"
FINGERPRINT = f"{extractive.NAME}/{TOKENIZER}"

# What would change the answer in a way that this model cannot follow, and the values that ask for nothing special.
_CANNOT: dict[str, Sequence[Any]] = {
    "n": (1,),
    "logprobs": (False,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "modalities": (["text"],),
    "audio": (),
}


class LocalProvider:
    """Answers in process."""

    name = "local"
    pricing = "local"

    async def models(self) -> list[str]:
        """Return the one model there is."""
        return [MODEL]

    async def open(self, call: Call, model: str) -> Answer:
        """Answer from the context in the request."""
        if model != MODEL:
            raise NotFound(f"There is no model local/{model}.", where="model", todo=f"Use local/{MODEL}.")
        for field, harmless in _CANNOT.items():
            value = call.body.get(field)
            if value is not None and value not in harmless:
                raise BadInput(
                    f"local/{MODEL} cannot do {field}.", where=field, todo="Leave it out, or use another model."
                )
        for number, message in enumerate(call.messages):
            if not message.only_text:
                raise BadInput(f"local/{MODEL} reads text only.", where=f"messages[{number}].content")
        # Long contexts take milliseconds of pure computing: off the event loop.
        extract = await asyncio.to_thread(lambda: extractive.answer(read(call.messages)))
        text, finish = _limit(extract.text, call)
        usage = Usage.of(input_tokens=_input_tokens(call.messages), output_tokens=count_tokens(text))
        note = {
            "gimbal.tokenizer": TOKENIZER,
            "gimbal.answerer": extractive.NAME,
            "gimbal.answer.known": extract.known,
            "gimbal.answer.coverage": round(extract.coverage, 4),
        }
        pieces = _stream(text, finish, usage) if call.stream else _whole(text, finish, usage)
        return Answer(pieces, model=f"local/{MODEL}", fingerprint=FINGERPRINT, note=note)

    async def aclose(self) -> None:
        """Nothing is held."""


def _input_tokens(messages: Sequence[Message]) -> int:
    return sum(count_tokens(message.text) for message in messages)


def _limit(text: str, call: Call) -> tuple[str, str]:
    """Apply the stop texts and the token limit."""
    cuts = [place for stop in call.settings.stop if stop and (place := text.find(stop)) >= 0]
    text = text[: min(cuts)] if cuts else text
    pieces = split_tokens(text)
    limit = call.settings.max_tokens
    if limit is not None and len(pieces) > limit:
        return "".join(pieces[:limit]).rstrip(), "length"
    return text, "stop"


async def _whole(text: str, finish: str, usage: Usage) -> AsyncIterator[Piece]:
    yield Piece(text=text, finish=finish, usage=usage)


async def _stream(text: str, finish: str, usage: Usage) -> AsyncIterator[Piece]:
    for piece in split_tokens(text):
        yield Piece(text=piece)
    yield Piece(finish=finish, usage=usage)
