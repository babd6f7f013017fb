"""Anthropic's messages API: Call → request, events → Pieces.

What the other wire cannot express is refused with the field named, never dropped in silence. Usage comes with cached
tokens excluded from the input and cumulative in every delta.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import httpx
import msgspec

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.call import Answer, Call, Json, Message, Piece, ToolCall
from gimbal.generative.gateway.providers.upstream import HttpProvider, count, said, usage_by
from gimbal.generative.gateway.sse import events
from gimbal.kernel.errors import BadInput, Upstream

VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 4096
"""Their API wants a limit; callers of the other wire need not give one."""
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "stop",
}
# Read into the Call, translated below, or without any effect on the answer.
_FIELDS = """
model messages stream stream_options max_tokens max_completion_tokens temperature top_p stop user metadata tools
tool_choice parallel_tool_calls store safety_identifier prompt_cache_key
"""
_UNDERSTOOD = frozenset(_FIELDS.split())
# Values that ask for what happens anyway.
_HARMLESS: dict[str, Sequence[Any]] = {
    "n": (1,),
    "logprobs": (False,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "modalities": (["text"],),
}


class AnthropicProvider(HttpProvider):
    """One upstream that speaks Anthropic's messages."""

    @staticmethod
    def headers(key: str) -> dict[str, str]:
        """Return the version of the wire, and the key in a header of its own."""
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    async def open(self, call: Call, model: str) -> Answer:
        """Translate and send the call."""
        response = await self._http.send("messages", encode(call, model))
        pieces = self._stream(response) if call.stream else self._whole(response)
        return Answer(pieces, model=model, close=response.aclose)

    async def _whole(self, response: httpx.Response) -> AsyncIterator[Piece]:
        raw = await self._http.read(response)
        if raw.get("type") == "error":
            raise Upstream(f"{self.name} answered with an error: {said(msgspec.json.encode(raw))[0]}")
        blocks = cast("list[Json]", raw.get("content") or [])
        tools = [block for block in blocks if block.get("type") == "tool_use"]
        yield Piece(
            text="".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text"),
            reasoning="".join(str(b.get("thinking") or "") for b in blocks if b.get("type") == "thinking"),
            tool_calls=tuple(
                ToolCall(
                    index=place,
                    id=str(tool.get("id") or ""),
                    name=str(tool.get("name") or ""),
                    arguments=msgspec.json.encode(tool.get("input") or {}).decode(),
                )
                for place, tool in enumerate(tools)
            ),
            finish=_finish(raw.get("stop_reason")),
            usage=decode_usage(raw.get("usage")),
        )

    async def _stream(self, response: httpx.Response) -> AsyncIterator[Piece]:
        usage: Json = {}
        tools: dict[int, int] = {}
        async for event in events(self._http.chunks(response)):
            raw = self._http.json(event.data)
            kind = raw.get("type")
            if kind == "error":
                message = said(event.data)[0]
                raise Upstream(f"{self.name} broke off with an error: {message}", kept="what was streamed before")
            if kind == "message_stop":
                return
            if kind == "message_start":
                usage = _dict(_dict(raw.get("message")).get("usage"))
                yield Piece(usage=decode_usage(usage))
            elif kind == "content_block_start":
                if piece := _block_start(raw, tools):
                    yield piece
            elif kind == "content_block_delta":
                if piece := _delta(raw, tools):
                    yield piece
            elif kind == "message_delta":
                # Cumulative: a field that is there replaces the one before, one that is absent leaves it.
                usage = wires.merged((usage, raw.get("usage")))
                stop = _dict(raw.get("delta")).get("stop_reason")
                used = decode_usage(usage)
                yield Piece(usage=used, finish=_finish(stop) if stop else "")
        raise Upstream(
            f"{self.name} ended the stream in the middle of the answer.",
            kept="what was streamed before",
            todo="Try again.",
        )


def _block_start(raw: Json, tools: dict[int, int]) -> Piece | None:
    block = _dict(raw.get("content_block"))
    if block.get("type") == "tool_use":
        place = tools.setdefault(int(raw.get("index") or 0), len(tools))
        tool = ToolCall(index=place, id=str(block.get("id") or ""), name=str(block.get("name") or ""))
        return Piece(tool_calls=(tool,))
    text = block.get("text")
    return Piece(text=str(text)) if block.get("type") == "text" and text else None


def _delta(raw: Json, tools: dict[int, int]) -> Piece | None:
    delta = _dict(raw.get("delta"))
    kind = delta.get("type")
    if kind == "text_delta":
        return Piece(text=str(delta.get("text") or ""))
    if kind == "thinking_delta":
        return Piece(reasoning=str(delta.get("thinking") or ""))
    if kind == "input_json_delta":
        place = tools.setdefault(int(raw.get("index") or 0), len(tools))
        return Piece(tool_calls=(ToolCall(index=place, arguments=str(delta.get("partial_json") or "")),))
    return None  # signatures and citations have no place in the other wire and no bearing on the answer's text


def _finish(reason: Any) -> str:
    return _FINISH.get(str(reason), "stop")


def decode_usage(value: Any) -> Usage | None:
    """Return Anthropic's usage; None when it is absent or says nothing of input and output."""
    return usage_by(wires.anthropic, _as_far, value)


def _as_far(value: Any) -> Usage:
    """Return as much as can be read of Anthropic's usage where it contradicts itself."""
    usage = _dict(value)
    read, write = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    return Usage.of(
        input_tokens=count(usage.get("input_tokens")) + read + write,
        output_tokens=count(usage.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=count(_dict(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


def encode(call: Call, model: str) -> Json:
    """Return the request in Anthropic's form; raise BadInput naming what it cannot express."""
    for field, value in call.body.items():
        if field not in _UNDERSTOOD and value is not None and value not in _HARMLESS.get(field, ()):
            raise _inexpressible(field)
    settings = call.settings
    if settings.temperature is not None and settings.temperature > 1:
        raise _inexpressible("temperature")
    system = "\n\n".join(_only_text(m, n) for n, m in enumerate(call.messages) if m.role in {"system", "developer"})
    body: Json = {
        "model": model,
        "max_tokens": settings.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": _turns(call.messages),
        "stream": call.stream,
    }
    optional = {
        "system": system or None,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "stop_sequences": list(settings.stop) or None,
        "metadata": {"user_id": call.attribution.user} if call.attribution.user else None,
        "tools": [_tool(tool) for tool in call.body.get("tools") or ()] or None,
        "tool_choice": _tool_choice(call.body),
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def _inexpressible(field: str) -> BadInput:
    return BadInput(
        f"{field} cannot be expressed for a provider that speaks Anthropic's messages.",
        where=field,
        todo="Leave it out, or choose a provider that speaks OpenAI's wire.",
    )


def _only_text(message: Message, number: int) -> str:
    if not message.only_text:
        raise _inexpressible(f"messages[{number}].content")
    return message.text


def _turns(messages: Sequence[Message]) -> list[Json]:
    """Return the conversation as alternating turns; neighbours of one role become one turn, as their API wants."""
    turns: list[Json] = []
    for number, message in enumerate(messages):
        if message.role in {"system", "developer"}:
            continue
        text = _only_text(message, number)
        blocks: list[Json] = [{"type": "text", "text": text}] if text.strip() else []
        if message.role == "assistant":
            role = "assistant"
            blocks += [_tool_use(tool, number) for tool in message.tool_calls]
        elif message.role == "tool":
            role = "user"
            blocks = [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": text}]
        elif message.role == "user":
            role = "user"
        else:
            raise _inexpressible(f"messages[{number}].role")
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise BadInput("There is no message but the system's.", where="messages", todo="Add a user message.")
    return turns


def _tool_use(tool: ToolCall, number: int) -> Json:
    try:
        arguments = msgspec.json.decode(tool.arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise BadInput(
            "The arguments of a tool call are not a JSON object.", where=f"messages[{number}].tool_calls[{tool.index}]"
        ) from None
    return {"type": "tool_use", "id": tool.id, "name": tool.name, "input": arguments}


def _tool(tool: Any) -> Json:
    function = _dict(_dict(tool).get("function"))
    if _dict(tool).get("type") != "function" or not function.get("name"):
        raise _inexpressible("tools")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    described = {"description": function["description"]} if function.get("description") else {}
    return {"name": function["name"], "input_schema": schema, **described}


def _tool_choice(body: Json) -> Json | None:
    choice = body.get("tool_choice")
    kinds = {"auto": "auto", "none": "none", "required": "any"}
    serial = {"disable_parallel_tool_use": True} if body.get("parallel_tool_calls") is False else {}
    if choice is None:
        return {"type": "auto", **serial} if serial and body.get("tools") else None
    if isinstance(choice, str) and choice in kinds:
        return {"type": kinds[choice], **({} if choice == "none" else serial)}
    name = _dict(_dict(choice).get("function")).get("name")
    if not name:
        raise _inexpressible("tool_choice")
    return {"type": "tool", "name": name, **serial}


def _dict(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}
