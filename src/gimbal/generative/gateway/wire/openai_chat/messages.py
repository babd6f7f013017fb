"""The messages of chat completions → turns.

A run of tool messages is one turn. `reasoning_details` say more than `reasoning_content`: where both are there, the
details count.
"""

import re
from collections.abc import Iterator, Sequence

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Audio,
    File,
    Image,
    Json,
    Refused,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire import fields
from gimbal.generative.gateway.wire.fields import Table, bad
from gimbal.generative.gateway.wire.openai_chat import places

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_DATA = re.compile(r"data:(?P<kind>[^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)


def turns_of(messages: Sequence[Table]) -> tuple[Turn, ...]:
    """Return the turns; raise BadInput naming the field that does not fit."""
    found: list[Turn] = []
    names: dict[str, str] = {}
    for message in messages:
        role = message.word("role", *_ROLES)
        if not role:
            raise bad("A message has no role.", message.at("role"))
        if role in {"tool", "function"}:
            _answer(message, role, names, found)
        elif role == "assistant":
            found.append(_said(message, names, len(found)))
        else:
            parts = tuple(parts_of(message))
            found.append(Turn(role=role, parts=parts, name=message.text("name"), where=message.where))
        message.close()
    return tuple(found)


def _said(message: Table, names: dict[str, str], place: int) -> Turn:
    """Return what the model said, in the order in which it thinks, speaks and calls."""
    thoughts, parts = list(_thoughts(message)), list(parts_of(message))
    calls: list[ToolUse] = []
    if refusal := message.text("refusal"):
        parts.append(Refused(text=refusal))
    for call in message.tables("tool_calls"):
        if call.word("type", "function", "custom") == "custom":
            call.whole()
            continue
        function = call.table("function")
        if function is None:
            raise bad("A tool call has no function.", call.at("function"))
        use = ToolUse(id=call.required("id"), name=function.required("name"), arguments=function.text("arguments"))
        names[use.id] = use.name
        calls.append(use)
        call.take("index")
        call.close()
        function.close()
    if (old := message.table("function_call")) is not None:
        # The deprecated form has no ids: the next function message answers the last call of its name.
        use = ToolUse(id=f"call_{place}", name=old.required("name"), arguments=old.text("arguments"))
        names[use.id] = use.name
        calls.append(use)
        old.close()
    # Clients hand an answer back as they got it, empty lists included.
    message.tell("annotations", list(message.rows("annotations")), [])
    found = tuple(places.woven(thoughts, parts, calls))
    return Turn(role="assistant", parts=found, name=message.text("name"), where=message.where)


def _thoughts(message: Table) -> Iterator[tuple[places.Place, Thinking | None]]:
    plain = message.text("reasoning_content")
    also = message.text("reasoning")
    details = message.tables("reasoning_details")
    place = places.FIRST
    for detail in details:
        kind = detail.word("type", "reasoning.text", "reasoning.encrypted", "reasoning.summary")
        said = detail.text("summary" if kind == "reasoning.summary" else "text")
        signature, hidden = detail.text("signature"), detail.text("data")
        known = detail.take("id")
        place = places.place_of(known, place) if isinstance(known, str) else place
        if said or signature or hidden:
            yield place, Thinking(text=said, signature=signature, redacted=hidden)
        elif places.ours(known):
            yield place, None
        for name in ("index", "format"):
            detail.take(name)
        detail.close()
    if not details and (plain or also):
        yield place, Thinking(text=plain or also)


def _answer(message: Table, role: str, names: dict[str, str], found: list[Turn]) -> None:
    """Add a tool's answer; those that follow one another are one turn."""
    parts = tuple(parts_of(message))
    if role == "function":
        name = message.required("name")
        asked = [known for known, called in names.items() if called == name]
        if not asked:
            raise bad(f"No function {name!r} was called before.", message.at("name"))
        result = ToolResult(id=asked[-1], name=name, parts=parts)
    else:
        known = message.required("tool_call_id")
        result = ToolResult(id=known, name=message.text("name") or names.get(known, ""), parts=parts)
    if found and found[-1].role == "tool":
        last = found.pop()
        found.append(Turn(role="tool", parts=(*last.parts, result), where=last.where))
    else:
        found.append(Turn(role="tool", parts=(result,), where=message.where))


def parts_of(message: Table) -> Iterator[AnyPart]:
    """Yield the content's parts; those of a kind that nobody else knows are told as a whole."""
    content = message.take("content")
    if isinstance(content, str):
        if content:
            yield Text(text=content)
        return
    if content is None:
        return
    yield from fields.parts_of(message, "content", content, _part)


def _part(row: Table) -> AnyPart | None:
    kind = row.required("type")
    cache = cache_of(row)
    if kind == "text":
        return Text(text=row.required("text"), cache=cache)
    if kind == "refusal":
        return Refused(text=row.required("refusal"), cache=cache)
    if kind not in {"image_url", "input_audio", "file"}:
        return None
    inner = row.table(kind)
    if inner is None:
        raise bad(f"A part of the type {kind} has no {kind}.", row.at(kind))
    if kind == "image_url":
        url, data, media = address(inner, "url")
        part = Image(url=url, data=data, media_type=media, detail=inner.text("detail"), cache=cache)
    elif kind == "input_audio":
        part = Audio(data=inner.required("data"), format=inner.required("format"), cache=cache)
    else:
        part = file_of(inner, cache)
    inner.close()
    return part


def address(row: Table, name: str) -> tuple[str, str, str]:
    """Return an address as it is, or the data and the media type of a `data:` one."""
    url = row.required(name)
    if url[:5].lower() != "data:":
        return url, "", ""
    match = _DATA.match(url)
    if match is None:
        raise bad("A data URL must be base64, as in data:image/png;base64,….", row.at(name))
    return "", url[match.end() :], match["kind"].lower()


def file_of(row: Table, cache: Json | None) -> File:
    """Return a document that is given by its id, its data or its address."""
    known, name = row.text("file_id"), row.text("filename")
    data, media = row.text("file_data"), ""
    url = row.text("file_url")
    match = _DATA.match(data)
    if match:
        data, media = data[match.end() :], match["kind"].lower()
    if not (known or data or url):
        raise bad("A file has neither data nor an id.", row.where)
    return File(url=url, data=data, id=known, media_type=media, name=name, cache=cache)


def cache_of(row: Table) -> Json | None:
    """Return what a part says of caching, in Anthropic's form, which is the normal one."""
    point = row.table("prompt_cache_breakpoint")
    said = row.object("cache_control")
    if point is None:
        return said
    ttl = point.word("ttl", "30m", "12h")
    point.word("mode", "explicit")
    point.close()
    return said or ({"type": "ephemeral", "ttl": "1h"} if ttl else {"type": "ephemeral"})
