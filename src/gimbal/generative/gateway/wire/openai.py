"""OpenAI chat completions: request → Call, Pieces → response or chunks, errors in OpenAI's own form.

Source: the public API reference of chat completions as spoken by the official client 3.x. Fields that are not read
here stay in `Call.body` and are forwarded to providers of the same wire. `null` means not given, everywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.call import (
    Attribution,
    Call,
    CallSettings,
    Json,
    Message,
    Piece,
    ToolCall,
    TraceContext,
    new_trace,
)
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import HttpReply
from gimbal.kernel.ids import parse_traceparent

WIRE = "openai"
_MOST_TAGS, _MOST_TAG = 50, 256
_Limit = Annotated[int, msgspec.Meta(ge=1)]


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class _ToolCall(msgspec.Struct, frozen=True):
    id: str = ""
    function: _Function = _Function()


class _Message(msgspec.Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Json] | None = None
    name: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class _Request(msgspec.Struct, frozen=True):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Limit | None = None
    max_completion_tokens: _Limit | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    n: _Limit | None = None
    user: str | None = None
    metadata: Json | None = None


def decode(raw: bytes | Json, headers: Mapping[str, str] | None = None, *, endpoint: str = "") -> Call:
    """Return the Call that a request body and its headers mean; raise BadInput naming the field that does not fit.

    `endpoint` is the path that was called.
    """
    body = _object(raw) if isinstance(raw, bytes) else raw
    try:
        request = msgspec.convert(body, _Request)
    except msgspec.ValidationError as problem:
        what, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"{what}.",
            where=place.strip("`").removeprefix("$").removeprefix(".") or "body",
            todo="See the reference of chat completions for what the field takes.",
        ) from None
    messages = tuple(_message(message, number) for number, message in enumerate(request.messages))
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return Call(
        model=request.model,
        messages=messages,
        body=body,
        wire=WIRE,
        stream=bool(request.stream),
        wants_usage=bool(request.stream_options and request.stream_options.include_usage),
        settings=CallSettings(
            max_tokens=request.max_completion_tokens or request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            stop=stop,
        ),
        attribution=_attribution(request, headers or {}, endpoint),
        trace=_trace(headers or {}),
    )


def _object(raw: bytes) -> Json:
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise BadInput(f"The body is not valid JSON: {problem}.", where="body", todo="Send UTF-8 JSON.") from None
    if not isinstance(body, dict):
        raise BadInput("The body is not a JSON object.", where="body", todo="Send an object with model and messages.")
    return cast("Json", body)


def _message(message: _Message, number: int) -> Message:
    where = f"messages[{number}]"
    parts = message.content if isinstance(message.content, list) else []
    texts: list[str] = []
    for index, part in enumerate(parts):
        kind = part.get("type")
        if not isinstance(kind, str):
            raise BadInput("A content part has no type.", where=f"{where}.content[{index}].type", todo="Add one.")
        if kind == "text":
            text = part.get("text")
            if not isinstance(text, str):
                raise BadInput(
                    "A text part has no text.", where=f"{where}.content[{index}].text", todo="Give it as a string."
                )
            texts.append(text)
    if message.role == "tool" and not message.tool_call_id:
        raise BadInput(
            "A tool message does not say which call it answers.", where=f"{where}.tool_call_id", todo="Add its id."
        )
    if message.content is None and message.role in {"system", "developer", "user", "tool"}:
        raise BadInput("A message has no content.", where=f"{where}.content", todo="Give a string or a list of parts.")
    return Message(
        role=message.role,
        text=message.content if isinstance(message.content, str) else "\n".join(texts),
        parts=tuple(parts),
        tool_calls=tuple(
            ToolCall(index=place, id=call.id, name=call.function.name, arguments=call.function.arguments)
            for place, call in enumerate(message.tool_calls or ())
        ),
        tool_call_id=message.tool_call_id or "",
        name=message.name or "",
    )


def _attribution(request: _Request, headers: Mapping[str, str], endpoint: str) -> Attribution:
    metadata = request.metadata or {}

    def pick(name: str, other: str | None = None) -> str:
        value = headers.get(f"x-gimbal-{name}") or other or metadata.get(name) or ""
        if not isinstance(value, str) or len(value) > 256:
            raise BadInput(
                f"The {name} is not a text of at most 256 characters.", where=f"metadata.{name}", todo="Shorten it."
            )
        return value

    return Attribution(
        feature=pick("feature"),
        user=pick("user", request.user),
        session=pick("session"),
        prompt=pick("prompt"),
        endpoint=pick("endpoint") or endpoint,
        tags=_tags(headers.get("x-gimbal-tags") or metadata.get("tags")),
    )


def _tags(given: Any) -> tuple[str, ...]:
    """Return the tags in a list, or between the commas of a text."""
    rows = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    words = [row.strip() if isinstance(row, str) else "" for row in cast("list[Any]", rows)]
    found = tuple(dict.fromkeys(word for word in words if word))
    if len(found) > _MOST_TAGS or max(map(len, found), default=0) > _MOST_TAG:
        raise BadInput(
            f"A call may have {_MOST_TAGS} tags of {_MOST_TAG} characters.", where="metadata.tags", todo="Send fewer."
        )
    return found


def _trace(headers: Mapping[str, str]) -> TraceContext:
    # A traceparent that is not valid is ignored and a new trace started: so the standard asks.
    parent = parse_traceparent(headers.get("traceparent", ""))
    return TraceContext(trace_id=parent[0], parent_id=parent[1], remote=True) if parent else new_trace()


def encode_usage(usage: Usage) -> Json:
    """Return usage in OpenAI's form: prompt tokens include cached ones, as in the normal form."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def encode_message(text: str, tool_calls: Sequence[ToolCall], refusal: str = "") -> Json:
    """Return the assistant's message of a whole answer."""
    message: Json = {
        "role": "assistant",
        "content": text if text or not tool_calls else None,
        "refusal": refusal or None,
    }
    if tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in tool_calls
        ]
    return message


def encode_whole(
    call: Call, *, model: str, created: int, message: Json, finish: str, usage: Usage, fingerprint: str = ""
) -> Json:
    """Return the response body of a call that was not streamed."""
    return {
        "id": call.id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish or "stop"}],
        "usage": encode_usage(usage),
        "system_fingerprint": fingerprint or None,
    }


class ChunkEncoder:
    """Turns the Pieces of one answer into chunks; keeps the promise about usage that the caller was given.

    With `include_usage` every chunk has `usage: null` but the last one, which has no choices; without it no chunk has
    usage at all, whatever the provider sent.
    """

    def __init__(self, call: Call, *, model: str, created: int, fingerprint: str = "") -> None:
        self._call = call
        self._head: Json = {"id": call.id, "object": "chat.completion.chunk", "created": created, "model": model}
        if fingerprint:
            self._head["system_fingerprint"] = fingerprint
        self._first = True
        self._said: Json | None = None

    def piece(self, piece: Piece) -> Json | None:
        """Return the chunk for a piece; None when there is nothing in it for the caller."""
        if piece.raw is not None and piece.wire == WIRE:
            return self._forward(piece.raw)
        delta: Json = {"role": "assistant"} if self._first else {}
        if piece.text or (self._first and not piece.tool_calls):
            delta["content"] = piece.text
        if piece.refusal:
            delta["refusal"] = piece.refusal
        if piece.reasoning:
            delta["reasoning_content"] = piece.reasoning
        if piece.tool_calls:
            delta["tool_calls"] = [_tool_delta(tool) for tool in piece.tool_calls]
        if not piece.finish and not any((piece.text, piece.refusal, piece.reasoning, piece.tool_calls)):
            return None
        self._first = False
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": piece.finish or None}
        return self._chunk([choice])

    def _forward(self, raw: Json) -> Json | None:
        choices = raw.get("choices") or []
        self._head |= {key: raw[key] for key in ("id", "created", "model") if raw.get(key)}
        self._said = raw.get("usage") or self._said
        if not choices:
            return None
        chunk = {key: value for key, value in raw.items() if key != "usage"}
        return chunk | {"usage": None} if self._call.wants_usage else chunk

    def _chunk(self, choices: list[Json]) -> Json:
        chunk = self._head | {"choices": choices}
        return chunk | {"usage": None} if self._call.wants_usage else chunk

    def usage(self, usage: Usage, *, estimated: bool) -> Json | None:
        """Return the chunk that ends a stream whose caller asked for usage; an estimate says that it is one."""
        if not self._call.wants_usage:
            return None
        said = None if estimated else self._said
        chunk: Json = self._head | {"choices": [], "usage": said or encode_usage(usage)}
        return chunk | {"usage_estimated": True} if estimated else chunk


def _tool_delta(tool: ToolCall) -> Json:
    function: Json = {"arguments": tool.arguments}
    if not tool.id:
        return {"index": tool.index, "function": function}
    return {"index": tool.index, "id": tool.id, "type": "function", "function": {"name": tool.name, **function}}


_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {"not_authenticated": "invalid_api_key", "busy": "rate_limit_exceeded"}


def error_body(error: GimbalError) -> Json:
    """Return an error as OpenAI's clients read it; what was kept and what to do are part of the message."""
    message = " ".join(part for part in (error.message, error.todo) if part)
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    code = "model_not_found" if error.code == "not_found" and error.where == "model" else error.code
    return {"message": message, "type": kind, "param": error.where or None, "code": _CODES.get(code, code)}


def error_reply(error: Any) -> HttpReply:
    """Return the HTTP answer for an error, with `retry-after` where the error says when to come again."""
    assert isinstance(error, GimbalError)
    headers = {} if error.retry_after is None else {"retry-after": f"{max(0.0, error.retry_after):g}"}
    return HttpReply(status=error.status, body=msgspec.json.encode({"error": error_body(error)}), headers=headers)
