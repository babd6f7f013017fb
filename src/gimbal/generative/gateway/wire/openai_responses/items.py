"""The input items of responses → turns: what the assistant thought, said and called one after another is one turn."""

from collections.abc import Iterator

import msgspec

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Audio,
    Image,
    Json,
    Refused,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.fields import Table, bad, parts_of
from gimbal.generative.gateway.wire.openai_chat.messages import address, cache_of, file_of

_ROLES = ("user", "assistant", "system", "developer")
SIGNATURE = "signature:"
"""Before a signature that came without a text to sign: other providers sign what they do next by it."""
_OWN = ("id", "status", "phase")
"""Names and states of items, which mean nothing to another provider."""


def turns_of(given: object, extras: Json) -> tuple[Turn, ...]:
    """Return the turns of an input; raise BadInput naming the field that does not fit."""
    if isinstance(given, str):
        return (Turn(role="user", parts=(Text(text=given),) if given else (), where="input"),)
    found: list[Turn] = []
    names: dict[str, str] = {}
    for item in Table({"input": given}, "", extras).tables("input"):
        role, parts = _item(item, names)
        if not role:
            item.whole()
            continue
        for name in _OWN:
            item.take(name)
        item.close()
        if found and found[-1].role == role and role in {"assistant", "tool"}:
            parts = (*found[-1].parts, *parts)
            found[-1] = msgspec.structs.replace(found[-1], parts=parts)
        else:
            found.append(Turn(role=role, parts=tuple(parts), where=item.where))
    return tuple(found)


def _item(item: Table, names: dict[str, str]) -> tuple[str, tuple[AnyPart, ...]]:
    """Return the role and the parts of an item; no role for one that nobody else knows."""
    kind = item.text("type")
    role = item.word("role", *_ROLES)
    if kind == "message" or (not kind and role):
        if not role:
            raise bad("A message has no role.", item.at("role"))
        return role, tuple(_content(item, "content"))
    if kind == "reasoning":
        return "assistant", _thought(item)
    if kind == "function_call":
        use = ToolUse(id=item.required("call_id"), name=item.required("name"), arguments=item.required("arguments"))
        names[use.id] = use.name
        return "assistant", (use,)
    if kind == "function_call_output":
        known = item.required("call_id")
        name = item.text("name") or names.get(known, "")
        return "tool", (ToolResult(id=known, name=name, parts=tuple(_content(item, "output"))),)
    return "", ()


def _thought(item: Table) -> tuple[AnyPart, ...]:
    """Return a thought: its text is what was thought, or else the summary; what is encrypted signs or hides it."""
    texts = {"content": list[str](), "summary": list[str]()}
    for field, found in texts.items():
        for row in item.tables(field):
            row.word("type", "summary_text", "reasoning_text")
            found.append(row.required("text"))
            row.close()
    text = "".join(texts["content"]) or "\n\n".join(texts["summary"])
    sealed = item.text("encrypted_content")
    if not text and sealed.startswith(SIGNATURE):
        return (Thinking(signature=sealed.removeprefix(SIGNATURE)),)
    if not text:
        return (Thinking(redacted=sealed),) if sealed else ()
    return (Thinking(text=text, signature=sealed),)


def _content(item: Table, name: str) -> Iterator[AnyPart]:
    content = item.take(name)
    if isinstance(content, str):
        if content:
            yield Text(text=content)
        return
    if content is None:
        raise bad(f"The {name} is missing.", item.at(name))
    yield from parts_of(item, name, content, _part)


def _part(row: Table) -> AnyPart | None:
    kind = row.required("type")
    cache = cache_of(row)
    if kind in {"input_text", "output_text", "text"}:
        # Clients hand an answer back as they got it, empty lists included.
        row.tell("annotations", list(row.rows("annotations")), [])
        row.tell("logprobs", list(row.rows("logprobs")), [])
        return Text(text=row.required("text"), cache=cache)
    if kind == "refusal":
        return Refused(text=row.required("refusal"), cache=cache)
    if kind == "input_image" and not row.text("file_id"):
        url, data, media = address(row, "image_url")
        return Image(url=url, data=data, media_type=media, detail=row.text("detail"), cache=cache)
    if kind == "input_file":
        return file_of(row, cache)
    if kind == "input_audio" and (inner := row.table("input_audio")) is not None:
        part = Audio(data=inner.required("data"), format=inner.required("format"), cache=cache)
        inner.close()
        return part
    return None
