"""A request of Gemini's generateContent → what the path needs of it at once, and the whole of it in normal form.

The model and whether the answer is streamed stand in the address: `models/{model}:{action}`. Names may come in camelCase or in
snake_case, as Google's own servers take them.
"""

from collections.abc import Mapping
from typing import cast

import msgspec

from gimbal.generative.gateway.conversation import (
    Conversation,
    Format,
    Json,
    Reasoning,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    Turn,
)
from gimbal.generative.gateway.wire.fields import Table, bad, fields_of, value_of
from gimbal.generative.gateway.wire.gemini.parts import Calls, camel, decode, paired, table, tables
from gimbal.generative.gateway.wire.gemini.schema import json_schema
from gimbal.generative.gateway.wire.protocol import Asked

_encode = msgspec.json.Encoder().encode
STREAMED = "streamGenerateContent"
_INNER = "generateContentRequest"
_TIERS = {"": "", "unspecified": "", "standard": "default", "flex": "flex", "priority": "priority"}
_MODES = {
    "": "auto",
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
}
_ROLES = {"": "user", "user": "user", "model": "assistant", "function": "user", "tool": "user"}


def asked(body: bytes, path: Mapping[str, str]) -> Asked:
    """Return what the path needs of every request; raise BadInput naming the field that does not fit.

    `path` has the model, the action, and `alt` of the query.
    """
    fields = fields_of(body)
    # Only to count tokens: then the request may stand in a field.
    inner = fields_of(bytes(fields[_INNER])) if _INNER in fields else fields
    model = path.get("model", "").removeprefix("models/")
    if not 0 < len(model) <= 256:
        raise bad("The model is missing, or its name is longer than 256 characters.", "model", "Name a model.")
    said = bytes(inner["contents"]) if "contents" in inner else b""
    if not said.startswith(b"["):
        raise bad("The contents are not there, or are no array.", "contents", "Send at least one content.")
    for name in ("systemInstruction", "system_instruction"):
        system = value_of(inner[name], name) if name in inner else None
        if isinstance(system, dict):
            rest = said[1:].lstrip()
            head = b"[" + _encode({**cast("Json", system), "role": "system"})
            said = head + (rest if rest.startswith(b"]") else b"," + rest)
    labels = value_of(fields["labels"], "labels") if "labels" in fields else None
    if labels is not None and not isinstance(labels, dict):
        raise bad("Expected an object.", "labels")
    stream = path.get("action") == STREAMED
    return Asked(
        model=model,
        fields=fields,
        stream=stream,
        metadata=labels or {},
        said=said,
        array=stream and path.get("alt") != "sse",
    )


def conversation(asked: Asked) -> Conversation:
    """Return all that a request says; raise BadInput naming the field that does not fit."""
    extras: Json = {}
    given = {name: value_of(raw, name) for name, raw in asked.fields.items()}
    body = Table(camel(given.get(_INNER, given)), "", extras)
    # What some clients repeat of the address.
    body.take("model")
    calls = Calls()
    turns = _system(body, calls)
    for content in tables(body, "contents"):
        for turn in _content(content, calls):
            # Clients keep each event of a stream as a content of its own.
            if turns and turn.role == turns[-1].role == "assistant":
                turns[-1] = msgspec.structs.replace(turns[-1], parts=turns[-1].parts + turn.parts)
            else:
                turns.append(turn)
    turns = [_paired(turn) for turn in turns]
    settings = table(body, "generationConfig") or Table({}, "generationConfig", extras)
    tools = tuple(tool for group in tables(body, "tools") for tool in _tools(group))
    tier = body.text("serviceTier").lower()
    if tier not in _TIERS:
        raise bad(f"{tier!r:.60} is none of {', '.join(_TIERS)}.", "serviceTier")
    found = Conversation(
        turns=tuple(turns),
        tools=tools,
        tool_choice=_tool_choice(table(body, "toolConfig")),
        format=_format(settings),
        reasoning=_reasoning(table(settings, "thinkingConfig")),
        sampling=_sampling(settings, _TIERS[tier]),
        extras=extras,
    )
    settings.close()
    body.close()
    return found


def _system(body: Table, calls: Calls) -> list[Turn]:
    holder = table(body, "systemInstruction")
    if holder is None:
        return []
    parts = [part for row in tables(holder, "parts") for part in decode(row, calls)]
    holder.take("role")
    holder.close()
    return [Turn(role="system", parts=tuple(parts), where="systemInstruction")] if parts else []


def _content(content: Table, calls: Calls) -> list[Turn]:
    """Return one content; answers of tools are turns of their own, and keep their place."""
    said = content.text("role")
    if said not in _ROLES:
        raise bad(f"{said!r:.60} is none of user, model.", content.at("role"))
    where, turns = content.where, list[Turn]()
    for row in tables(content, "parts"):
        for part in decode(row, calls):
            role = "tool" if isinstance(part, ToolResult) else _ROLES[said]
            if turns and turns[-1].role == role:
                turns[-1] = msgspec.structs.replace(turns[-1], parts=(*turns[-1].parts, part))
            else:
                turns.append(Turn(role=role, parts=(part,), where=where))
    content.close()
    return turns or [Turn(role=_ROLES[said], where=where)]


def _paired(turn: Turn) -> Turn:
    if not any(isinstance(part, Thinking) for part in turn.parts):
        return turn
    return msgspec.structs.replace(turn, parts=tuple(paired(turn.parts)))


def _sampling(settings: Table, tier: str) -> Sampling:
    top_k = settings.number("topK", 0, 1e9)
    if top_k is not None and top_k % 1:
        raise bad("Expected an integer.", settings.at("topK"))
    said = settings.flag("responseLogprobs")
    several = settings.count("logprobs", 0)
    return Sampling(
        max_tokens=settings.count("maxOutputTokens", 0),
        temperature=settings.number("temperature", 0, 2),
        top_p=settings.number("topP", 0, 1),
        # Their whole numbers may come as 40.0.
        top_k=None if top_k is None else int(top_k),
        stop=settings.words("stopSequences"),
        seed=settings.count("seed", -(2**31), 2**31 - 1),
        n=settings.count("candidateCount", 1),
        presence_penalty=settings.number("presencePenalty", -2, 2),
        frequency_penalty=settings.number("frequencyPenalty", -2, 2),
        logprobs=(several or 0) if said else several,
        service_tier=tier,
        modalities=tuple(word.lower() for word in settings.words("responseModalities")),
    )


def _reasoning(thinking: Table | None) -> Reasoning | None:
    if thinking is None:
        return None
    level = thinking.text("thinkingLevel").lower()
    if level not in {"", "thinking_level_unspecified", "minimal", "low", "medium", "high", "xhigh"}:
        raise bad(f"{level!r:.60} is no level of thinking.", thinking.at("thinkingLevel"))
    budget = thinking.count("thinkingBudget", -1)
    found = Reasoning(
        effort="" if level == "thinking_level_unspecified" else level,
        # As the model sees fit.
        budget=None if budget == -1 else budget,
        show=thinking.flag("includeThoughts"),
    )
    thinking.close()
    return found


def _format(settings: Table) -> Format | None:
    kind = settings.text("responseMimeType")
    own, exact = settings.object("responseSchema"), settings.object("responseJsonSchema")
    schema = exact if exact is not None else json_schema(own)
    if kind in {"", "text/plain"}:
        if schema is not None:
            name = "responseSchema" if exact is None else "responseJsonSchema"
            settings.extras[settings.at(name)] = schema
        return None
    if kind != "application/json":
        settings.extras[settings.at("responseMimeType")] = kind
        return None
    return Format(kind="json") if schema is None else Format(kind="schema", schema=schema)


def _tools(group: Table) -> list[Tool]:
    found: list[Tool] = []
    for row in tables(group, "functionDeclarations"):
        own, exact = row.object("parameters"), row.object("parametersJsonSchema")
        found.append(
            Tool(
                name=row.required("name"),
                description=_described(row),
                parameters=exact if exact is not None else json_schema(own),
            )
        )
        row.close()
    group.close()
    return found


def _described(row: Table) -> str:
    """Return what is said of a function; what it gives back has no field in other wires, and is said in words."""
    own, exact = row.object("response"), row.object("responseJsonSchema")
    given = exact if exact is not None else json_schema(own)
    told = f"It gives back JSON of this schema: {_encode(given).decode()}" if given else ""
    return "\n\n".join(words for words in (row.text("description"), told) if words)


def _tool_choice(config: Table | None) -> ToolChoice | None:
    if config is None:
        return None
    calling = table(config, "functionCallingConfig")
    found = None
    if calling is not None:
        mode = calling.text("mode").upper()
        if mode not in _MODES:
            raise bad(f"{mode!r:.60} is none of AUTO, ANY, NONE, VALIDATED.", calling.at("mode"))
        names = calling.words("allowedFunctionNames")
        found = ToolChoice(mode=_MODES[mode])
        if mode == "VALIDATED":
            calling.extras[calling.at("mode")] = mode
        if mode == "ANY" and len(names) == 1:
            found = ToolChoice(mode="named", name=names[0])
        elif names:
            calling.extras[calling.at("allowedFunctionNames")] = list(names)
        calling.close()
    config.close()
    return found
