"""Any provider that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, OpenRouter …

The caller's request is forwarded as it came, with the model's name put right. For streams usage is always asked for
upstream, because it is needed to settle the call; `wire/openai` keeps it from callers who did not ask.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import msgspec

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.call import Answer, Call, Json, Piece, ToolCall
from gimbal.generative.gateway.providers.upstream import HttpProvider, count, said, usage_by
from gimbal.generative.gateway.sse import events
from gimbal.kernel.errors import Upstream

WIRE = "openai"


class OpenAIProvider(HttpProvider):
    """One OpenAI-compatible upstream."""

    async def open(self, call: Call, model: str) -> Answer:
        """Forward the call."""
        body = call.body | {"model": model}
        if call.stream:
            asked = call.body.get("stream_options")
            options = cast("Json", asked) if isinstance(asked, dict) else {}
            body |= {"stream_options": options | {"include_usage": True}}
        response = await self._http.send("chat/completions", body)
        pieces = self._stream(response) if call.stream else self._whole(response)
        return Answer(pieces, model=model, close=response.aclose)

    async def _whole(self, response: httpx.Response) -> AsyncIterator[Piece]:
        raw = await self._http.read(response)
        if raw.get("error"):
            raise Upstream(f"{self.name} answered with an error: {said(msgspec.json.encode(raw))[0]}")
        choices = _choices(raw)
        if not choices:
            raise Upstream(f"{self.name} answered without a choice.", todo="Try again.")
        yield _piece(raw, choices, "message")

    async def _stream(self, response: httpx.Response) -> AsyncIterator[Piece]:
        finished = False
        async for event in events(self._http.chunks(response)):
            if event.data == b"[DONE]":
                return
            raw = self._http.json(event.data)
            if raw.get("error"):
                raise Upstream(
                    f"{self.name} broke off with an error: {said(event.data)[0]}", kept="what was streamed before"
                )
            piece = _piece(raw, _choices(raw), "delta")
            finished = finished or bool(piece.finish)
            yield piece
        if not finished:
            raise Upstream(
                f"{self.name} ended the stream in the middle of the answer.",
                kept="what was streamed before",
                todo="Try again.",
            )


def _choices(raw: Json) -> list[Json]:
    # Some servers send `choices: null` where there are none.
    choices = raw.get("choices")
    rows = cast("list[Any]", choices) if isinstance(choices, list) else []
    return [cast("Json", row) for row in rows if isinstance(row, dict)]


def _piece(raw: Json, choices: list[Json], field: str) -> Piece:
    first = next((choice for choice in choices if not choice.get("index")), None)
    shown = _dict(first.get(field)) if first else {}
    others = (_dict(choice.get(field)) for choice in choices if choice is not first)
    return Piece(
        text=_text(shown.get("content")),
        reasoning=_text(shown.get("reasoning_content") or shown.get("reasoning")),
        refusal=_text(shown.get("refusal")),
        tool_calls=_tool_calls(shown.get("tool_calls")),
        finish=_text(first.get("finish_reason")) if first else "",
        usage=decode_usage(raw.get("usage"), raw.get("service_tier")),
        side_text="".join(_text(other.get("content")) for other in others),
        raw=raw,
        wire=WIRE,
    )


def _tool_calls(value: Any) -> tuple[ToolCall, ...]:
    rows = cast("list[Any]", value) if isinstance(value, list) else []
    found: list[ToolCall] = []
    for place, row in enumerate(rows):
        tool = _dict(row)
        function = _dict(tool.get("function"))
        index = tool.get("index")
        found.append(
            ToolCall(
                index=index if isinstance(index, int) else place,
                id=_text(tool.get("id")),
                name=_text(function.get("name")),
                arguments=_text(function.get("arguments")),
            )
        )
    return tuple(found)


def decode_usage(value: Any, tier: Any = None) -> Usage | None:
    """Return OpenAI's usage; None when it is absent or says nothing of input and output."""
    return usage_by(wires.openai_chat, _as_far, value, tier=tier)


def _as_far(value: Any) -> Usage:
    """Return as much as can be read of OpenAI's usage where it contradicts itself."""
    usage = _dict(value)
    prompt, completion = _dict(usage.get("prompt_tokens_details")), _dict(usage.get("completion_tokens_details"))
    return Usage.of(
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        cache_read_tokens=count(prompt.get("cached_tokens")),
        cache_write_tokens=count(prompt.get("cache_write_tokens")),
        reasoning_tokens=count(completion.get("reasoning_tokens")),
    )


def _dict(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
