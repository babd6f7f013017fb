"""A request of Anthropic's messages → what the path needs of it at once, and the whole of it in normal form.

What has no place in the normal form (server tools and their blocks, containers, citations …) is told by its path among the
extras, so that another wire refuses it by name.
"""

import base64
from typing import Any

import msgspec

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Conversation,
    File,
    Format,
    Image,
    Json,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.answers import text
from gimbal.generative.gateway.wire.fields import Table, bad, fields_of, parts_of, value_of
from gimbal.generative.gateway.wire.protocol import Asked, Fields
from gimbal.generative.gateway.wire.seals import CLAUDE, claimed

_encode = msgspec.json.Encoder().encode
_CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}
_TIERS = {"": "", "auto": "auto", "standard_only": "default"}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def asked(body: bytes) -> Asked:
    """Return what the path needs of every request; raise BadInput naming the field that does not fit."""
    fields = fields_of(body)
    model = _string(fields, "model")
    if not 0 < len(model) <= 256:
        raise bad("The model is missing, or its name is longer than 256 characters.", "model", "Name a model.")
    said = bytes(fields["messages"]) if "messages" in fields else b""
    if not said.startswith(b"["):
        raise bad("The messages are not there, or are no array.", "messages", "Send at least one message.")
    if system := fields.get("system"):
        rest = said[1:].lstrip()
        head = b'[{"role":"system","content":' + bytes(system) + b"}"
        said = head + (rest if rest.startswith(b"]") else b"," + rest)
    stream = bytes(fields["stream"]) if "stream" in fields else b"null"
    if stream not in {b"true", b"false", b"null"}:
        raise bad("Expected true or false.", "stream")
    labels = value_of(fields["metadata"], "metadata") if "metadata" in fields else None
    if labels is not None and not isinstance(labels, dict):
        raise bad("Expected an object.", "metadata")
    user = (labels or {}).get("user_id")
    if user is not None and not isinstance(user, str):
        raise bad("Expected a string.", "metadata.user_id")
    return Asked(
        model=model,
        fields=fields,
        stream=stream == b"true",
        user=user or "",
        metadata=labels or {},
        said=said,
    )


def _string(fields: Fields, name: str) -> str:
    value = value_of(fields[name], name) if name in fields else None
    if value is not None and not isinstance(value, str):
        raise bad("Expected a string.", name)
    return value or ""


def conversation(asked: Asked) -> Conversation:
    """Return all that a request says; raise BadInput naming the field that does not fit."""
    extras: Json = {}
    given = {name: value_of(raw, name) for name, raw in asked.fields.items() if name not in {"model", "stream"}}
    body = Table(given, "", extras)
    turns = _system(body)
    for message in body.tables("messages"):
        turns += _message(message)
    config = body.table("output_config")
    reasoning = _reasoning(body.table("thinking"), config)
    form = (config and config.table("format")) or body.table("output_format")
    # What else stands there are labels on the call, which the trace has.
    labels = body.table("metadata")
    user = labels.text("user_id") if labels else ""
    tools = tuple(tool for table in body.tables("tools") if (tool := _tool(table)))
    found = Conversation(
        turns=tuple(turns),
        tools=tools,
        tool_choice=_tool_choice(body.table("tool_choice")),
        format=_format(form),
        reasoning=reasoning,
        sampling=_sampling(body),
        user=user,
        extras=extras,
    )
    for table in (config, body):
        if table:
            table.close()
    return found


def _sampling(body: Table) -> Sampling:
    tier = body.word("service_tier", "auto", "standard_only")
    return Sampling(
        max_tokens=body.count("max_tokens", 0),
        temperature=body.number("temperature", 0, 1),
        top_p=body.number("top_p", 0, 1),
        top_k=body.count("top_k", 0),
        stop=body.words("stop_sequences"),
        service_tier=_TIERS[tier],
    )


def _system(body: Table) -> list[Turn]:
    given = body.take("system")
    if given is None:
        return []
    parts = [Text(text=given)] if isinstance(given, str) else _parts(body, "system", given)
    return [Turn(role="system", parts=tuple(parts), where="system")] if parts else []


def _parts(holder: Table, name: str, rows: Any) -> list[AnyPart]:
    """Return the blocks of an array as parts, but for those without a place in the normal form."""
    return list(parts_of(holder, name, rows, _part))


def _message(message: Table) -> list[Turn]:
    """Return one message; results of tools are turns of their own, and keep their place."""
    role = message.word("role", "user", "assistant", "system")
    content = message.take("content")
    if not role or content is None:
        field = "content" if role else "role"
        raise bad(f"A message has no {field}.", message.at(field))
    where, turns = message.where, list[Turn]()
    if isinstance(content, str):
        turns.append(Turn(role=role, parts=(Text(text=content),), where=where))
    else:
        for part in _parts(message, "content", content):
            speaker = "tool" if isinstance(part, ToolResult) else role
            if turns and turns[-1].role == speaker:
                turns[-1] = msgspec.structs.replace(turns[-1], parts=(*turns[-1].parts, part))
            else:
                turns.append(Turn(role=speaker, parts=(part,), where=where))
    message.close()
    return turns or [Turn(role=role, where=where)]


def _part(block: Table) -> AnyPart | None:
    """Return a block as a part; None for one without a place in the normal form."""
    kind = block.required("type")
    read = _BLOCKS.get(kind)
    return read(block) if read else None


def _text(block: Table) -> Text:
    return Text(text=block.required("text"), cache=block.object("cache_control"))


def _thinking(block: Table) -> Thinking:
    return Thinking(text=block.text("thinking"), signature=claimed(CLAUDE, block.text("signature")))


def _redacted(block: Table) -> Thinking:
    return Thinking(redacted=claimed(CLAUDE, block.required("data")))


def _image(block: Table) -> Image | None:
    kind = text(block.peek("source").get("type"))
    table = block.table("source")
    if table is None or kind not in {"base64", "url"}:
        return None
    table.take("type")
    if kind == "url":
        part = Image(url=table.required("url"), cache=block.object("cache_control"))
    else:
        part = Image(
            data=table.required("data"),
            media_type=table.required("media_type"),
            cache=block.object("cache_control"),
        )
    table.close()
    return part


def _document(block: Table) -> File | None:
    kind = text(block.peek("source").get("type"))
    table = block.table("source")
    if table is None or kind not in {"base64", "url", "text", "file"}:
        return None
    table.take("type")
    name, cache = block.text("title"), block.object("cache_control")
    media_type = table.text("media_type")
    if kind == "url":
        part = File(url=table.required("url"), media_type="application/pdf", name=name, cache=cache)
    elif kind == "file":
        part = File(id=table.required("file_id"), name=name, cache=cache)
    elif kind == "text":
        data = base64.b64encode(table.required("data").encode()).decode()
        part = File(data=data, media_type=media_type or "text/plain", name=name, cache=cache)
    else:
        part = File(data=table.required("data"), media_type=media_type or "application/pdf", name=name, cache=cache)
    table.close()
    return part


def _tool_use(block: Table) -> ToolUse:
    given = block.object("input")
    return ToolUse(
        id=block.required("id"),
        name=block.required("name"),
        arguments=_encode(given or {}).decode(),
        cache=block.object("cache_control"),
    )


def _tool_result(block: Table) -> ToolResult:
    content = block.take("content")
    parts: list[AnyPart] = []
    if isinstance(content, str):
        parts.append(Text(text=content))
    elif content is not None:
        parts += _parts(block, "content", content)
    return ToolResult(
        id=block.required("tool_use_id"),
        parts=tuple(parts),
        error=bool(block.flag("is_error")),
        cache=block.object("cache_control"),
    )


_BLOCKS: dict[str, Any] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}


def _tool(table: Table) -> Tool | None:
    """Return a tool of the caller's; None for one that Anthropic runs itself."""
    kind = table.text("type")
    if kind not in {"", "custom"}:
        table.whole()
        return None
    tool = Tool(
        name=table.required("name"),
        description=table.text("description"),
        parameters=table.object("input_schema"),
        strict=table.flag("strict"),
        cache=table.object("cache_control"),
    )
    table.close()
    return tool


def _tool_choice(table: Table | None) -> ToolChoice | None:
    if table is None:
        return None
    kind = table.required("type")
    if kind not in _CHOICES:
        raise bad(f"{kind!r:.60} is none of {', '.join(_CHOICES)}.", table.at("type"))
    serial = table.flag("disable_parallel_tool_use")
    choice = ToolChoice(
        mode=_CHOICES[kind],
        name=table.required("name") if kind == "tool" else "",
        parallel=None if serial is None else not serial,
    )
    table.close()
    return choice


def _reasoning(thinking: Table | None, config: Table | None) -> Reasoning | None:
    effort = config.word("effort", *_EFFORTS) if config else ""
    if thinking is None:
        return Reasoning(effort=effort) if effort else None
    kind = thinking.required("type")
    if kind not in {"enabled", "disabled", "adaptive"}:
        thinking.whole()
        return None
    display = thinking.word("display", "summarized", "omitted")
    budget = thinking.count("budget_tokens", 0)
    if kind == "enabled" and budget is None:
        raise bad("Thinking has no budget.", thinking.at("budget_tokens"), "Say how many tokens it may have.")
    thinking.close()
    return Reasoning(
        effort=effort,
        budget=0 if kind == "disabled" else budget,
        show=display == "summarized" if display else None,
    )


def _format(table: Table | None) -> Format | None:
    if table is None:
        return None
    kind = table.word("type", "json_schema")
    schema = table.object("schema")
    if kind != "json_schema" or schema is None:
        raise bad("The format is no JSON schema.", table.at("schema"), "Give type json_schema and a schema.")
    table.close()
    return Format(kind="schema", schema=schema)
