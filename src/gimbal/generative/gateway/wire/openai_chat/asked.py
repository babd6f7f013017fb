"""A request as the path needs it: what is known is checked for its type, and the messages are not built.

The caller's bytes go on to providers of this wire; all that is put right in them is the model's name, and that usage is
told in streams, because it is needed to settle the call.
"""

from typing import Annotated, Any

import msgspec

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.fields import bad, request_of, value_of
from gimbal.generative.gateway.wire.openai_chat import opening
from gimbal.generative.gateway.wire.protocol import Asked

_encode = msgspec.json.Encoder().encode
_USAGE = msgspec.Raw(b'{"include_usage":true}')
_NONE = msgspec.Raw(b"")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""A model's name."""
Limit = Annotated[int, msgspec.Meta(ge=1)]
"""How many, at least one."""
_Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class _Part(msgspec.Struct, frozen=True, gc=False):
    type: str
    text: str | None = None


class _Function(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    arguments: str = ""


class _ToolCall(msgspec.Struct, frozen=True, gc=False):
    id: str = ""
    function: _Function | None = None


class _Message(msgspec.Struct, frozen=True, gc=False, tag_field="role"):
    content: str | list[_Part]
    name: str | None = None


class _System(_Message, frozen=True, gc=False, tag="system"):
    pass


class _Developer(_Message, frozen=True, gc=False, tag="developer"):
    pass


class _User(_Message, frozen=True, gc=False, tag="user"):
    pass


class _Tool(_Message, frozen=True, gc=False, kw_only=True, tag="tool"):
    tool_call_id: str


class _Assistant(msgspec.Struct, frozen=True, gc=False, tag_field="role", tag="assistant"):
    content: str | list[_Part] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    reasoning_details: msgspec.Raw = _NONE


class _OldTool(msgspec.Struct, frozen=True, gc=False, tag_field="role", tag="function"):
    name: str
    content: str | None = None


class _StreamOptions(msgspec.Struct, frozen=True, gc=False):
    include_usage: bool | None = None


class _Kind(msgspec.Struct, frozen=True, gc=False):
    type: str


class _Named(msgspec.Struct, frozen=True, gc=False):
    name: str


class _Object(msgspec.Struct, frozen=True, gc=False):
    pass


class _Request(msgspec.Struct, frozen=True, gc=False):
    model: Name
    messages: list[_System | _Developer | _User | _Assistant | _Tool | _OldTool]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    stop: str | list[str] | None = None
    n: Limit | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0)] | None = None
    logit_bias: dict[str, float] | None = None
    tools: list[_Kind] | None = None
    tool_choice: str | _Kind | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Named] | None = None
    function_call: str | _Named | None = None
    response_format: _Kind | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: _Object | None = None
    prediction: _Kind | None = None
    web_search_options: _Object | None = None
    service_tier: str | None = None
    store: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Json | None = None


_request = msgspec.json.Decoder(_Request)


def asked(body: bytes) -> Asked:
    """Read a request; raise BadInput naming the field that does not fit."""
    request, fields = request_of(body, _request)
    if not request.messages and not request.model.startswith(
        ("prompt:", "route:")
    ):  # prompts bring messages of their own
        raise bad("There is no message.", "messages", "Send at least one.")
    thoughts = False
    for number, message in enumerate(request.messages):
        if type(message) is _Assistant and message.reasoning_details is not _NONE:
            thoughts = True
        if type(message.content) is list:
            for place, part in enumerate(message.content):
                if part.type == "text" and part.text is None:
                    raise bad("A text part has no text.", f"messages[{number}].content[{place}].text")
    options = request.stream_options
    return Asked(
        model=request.model,
        fields=fields,
        stream=request.stream is True,
        wants_usage=not request.stream or (options is not None and options.include_usage is True),
        user=request.user or request.safety_identifier or "",
        metadata=request.metadata or {},
        said=bytes(fields["messages"]),
        thoughts=thoughts,
    )


def same(asked: Asked, model: str) -> bytes:
    """Return the request as it goes on to a provider of this wire, without what models of other wires thought and sealed."""
    fields: dict[str, Any] = {**asked.fields, "model": model}
    if asked.stream:
        said = asked.fields.get("stream_options")
        fields["stream_options"] = _USAGE if said is None else _with_usage(said)
    if asked.thoughts:
        fields["messages"] = opening.messages(value_of(asked.fields["messages"], "messages"))
    return _encode(fields)


def _with_usage(said: msgspec.Raw) -> Json:
    return {**(value_of(said, "stream_options") or {}), "include_usage": True}
