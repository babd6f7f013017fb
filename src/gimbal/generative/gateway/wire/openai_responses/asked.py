"""A request as the path needs it: what is known is checked for its type, and the items are not built."""

from typing import Annotated, Any

import msgspec

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.fields import bad, request_of, value_of
from gimbal.generative.gateway.wire.openai_chat.asked import Limit, Name
from gimbal.generative.gateway.wire.openai_responses import opening
from gimbal.generative.gateway.wire.protocol import Asked

_encode = msgspec.json.Encoder().encode
_ROLES = frozenset({"user", "assistant", "system", "developer"})


class _Part(msgspec.Struct, frozen=True, gc=False):
    type: str
    text: str | None = None


class _Item(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None
    role: str | None = None
    content: str | list[_Part] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    encrypted_content: Any = None


class _Kind(msgspec.Struct, frozen=True, gc=False):
    type: str


class _Object(msgspec.Struct, frozen=True, gc=False):
    pass


class _Text(msgspec.Struct, frozen=True, gc=False):
    format: _Kind | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct, frozen=True, gc=False):
    effort: str | None = None
    summary: str | None = None


class _Request(msgspec.Struct, frozen=True, gc=False):
    model: Name
    input: str | list[_Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: _Object | None = None
    max_output_tokens: Limit | None = None
    max_tool_calls: Limit | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0)] | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    tools: list[_Kind] | None = None
    tool_choice: str | _Kind | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    conversation: str | _Object | None = None
    prompt: _Object | None = None
    include: list[str] | None = None
    background: bool | None = None
    store: bool | None = None
    truncation: str | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Json | None = None


_request = msgspec.json.Decoder(_Request)


def asked(body: bytes) -> Asked:
    """Read a request; raise BadInput naming the field that does not fit."""
    request, fields = request_of(body, _request)
    given = request.input
    if given is None and request.prompt is None and request.previous_response_id is None and not request.conversation:
        raise bad("There is no input.", "input", "Send a string or a list of items.")
    thoughts = False
    if type(given) is list:
        for number, item in enumerate(given):
            _check(item, f"input[{number}]")
            if item.encrypted_content is not None:
                thoughts = True
    return Asked(
        model=request.model,
        fields=fields,
        stream=request.stream is True,
        user=request.user or request.safety_identifier or "",
        metadata=request.metadata or {},
        said=_said(fields),
        thoughts=thoughts,
    )


def _check(item: _Item, where: str) -> None:
    kind = item.type or ("message" if item.role is not None else "item_reference")
    if kind == "message":
        if item.role not in _ROLES:
            raise bad("The role is none of user, assistant, system, developer.", f"{where}.role")
        if item.content is None:
            raise bad("A message has no content.", f"{where}.content")
        if type(item.content) is list:
            for place, part in enumerate(item.content):
                if part.text is None and part.type in {"input_text", "output_text"}:
                    raise bad("A text part has no text.", f"{where}.content[{place}].text")
    elif kind == "function_call":
        for name in ("call_id", "name", "arguments"):
            if not isinstance(getattr(item, name), str):
                raise bad("A string is missing here.", f"{where}.{name}")
    elif kind == "function_call_output" and item.call_id is None:
        raise bad("An output does not say which call it answers.", f"{where}.call_id", "Add its id.")
    elif kind == "item_reference" and item.id is None:
        raise bad("A reference names no item.", f"{where}.id")


def _said(fields: dict[str, msgspec.Raw]) -> bytes:
    """Return the input as a list of messages, with the instructions before it."""
    given = bytes(fields.get("input", b"[]")).strip()
    if given.startswith(b'"'):
        given = b'[{"role":"user","content":%b}]' % given
    if not given.startswith(b"["):
        given = b"[]"
    told = bytes(fields.get("instructions", b"null"))
    if told == b"null":
        return given
    rest = given[1:].lstrip()
    return b'[{"role":"system","content":%b}%b%b' % (told, b"" if rest.startswith(b"]") else b",", rest)


def same(asked: Asked, model: str) -> bytes:
    """Return the request as it goes on to a provider of this wire; usage is told in every stream of it.

    Thoughts that other makers' models had in this conversation are left out: OpenAI refuses what it did not seal.
    """
    fields: dict[str, Any] = {**asked.fields, "model": model}
    if asked.thoughts:
        fields["input"] = opening.items(value_of(asked.fields["input"], "input"))
    return _encode(fields)
