"""The fields of an answer that are looked into, and how they are read where their types are not those of the wire."""

from typing import Any

import msgspec

from gimbal.generative.gateway.wire.answers import rows, table, text


class Function(msgspec.Struct, gc=False):
    """A function's name and arguments, or some of them."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct, gc=False):
    """A call of a tool, or some of it."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Detail(msgspec.Struct, gc=False):
    """A thought in detail."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class Said(msgspec.Struct, gc=False):
    """What an answer says, whole or in part."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers to one request."""

    index: int | None = None
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    error: Any = None


class Answer(msgspec.Struct, gc=False):
    """A whole answer or an event."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None
    service_tier: str | None = None
    error: Any = None


def as_far(raw: dict[str, Any]) -> Answer:
    """Return as much as can be read of an answer whose types are not those of the wire."""
    usage = raw.get("usage")
    return Answer(
        id=text(raw.get("id")),
        model=text(raw.get("model")),
        choices=[_choice(table(row)) for row in rows(raw.get("choices"))],
        usage=usage if isinstance(usage, dict) else None,
        service_tier=text(raw.get("service_tier")) or None,
        error=raw.get("error"),
    )


def _choice(raw: dict[str, Any]) -> Choice:
    said = table(raw.get("delta") or raw.get("message"))
    index = raw.get("index")
    old = said.get("function_call")
    return Choice(
        index=index if isinstance(index, int) else None,
        delta=Said(
            content=_content(said.get("content")),
            refusal=text(said.get("refusal")),
            reasoning_content=text(said.get("reasoning_content") or said.get("reasoning"))
            or _thinking(said.get("content")),
            reasoning_details=[_detail(table(row)) for row in rows(said.get("reasoning_details"))],
            tool_calls=[_call(table(row)) for row in rows(said.get("tool_calls"))],
            function_call=_function(table(old)) if old else None,
        ),
        finish_reason=text(raw.get("finish_reason")) or None,
        error=raw.get("error"),
    )


def _detail(raw: dict[str, Any]) -> Detail:
    index = raw.get("index")
    said = {name: text(raw.get(name)) or None for name in Detail.__struct_fields__ if name != "index"}
    return Detail(**said, index=index if isinstance(index, int) else None)


def _content(value: Any) -> str:
    """Return text, which some servers send in parts."""
    return text(value) or "".join(text(table(part).get("text")) for part in rows(value))


def _thinking(value: Any) -> str:
    """Return what stands in the thinking parts of a content in parts."""
    parts = (table(part).get("thinking") for part in rows(value))
    return "".join(_content(part) for part in parts)


def _call(raw: dict[str, Any]) -> Call:
    index = raw.get("index")
    return Call(
        index=index if isinstance(index, int) else None,
        id=text(raw.get("id")),
        function=_function(table(raw.get("function"))),
    )


def _function(raw: dict[str, Any]) -> Function:
    said = raw.get("arguments")
    # Some servers send the arguments as an object instead of its text.
    whole = msgspec.json.encode(said).decode() if isinstance(said, dict) else text(said)
    return Function(name=text(raw.get("name")), arguments=whole)
