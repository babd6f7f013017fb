"""A request in normal form → Bedrock's Converse; what it cannot express is refused with the field named.

What Converse has no field for, but the makers of some models do, goes into `additionalModelRequestFields`: by the model's name.
"""

import re

import msgspec

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Audio,
    Conversation,
    File,
    Image,
    Json,
    Part,
    Refused,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.hints import refuse_extras, refuse_sampling
from gimbal.generative.gateway.wire.protocol import inexpressible
from gimbal.generative.gateway.wire.seals import CLAUDE, own
from gimbal.generative.gateway.wire.turns import (
    NO_PARAMETERS,
    SYSTEM,
    add,
    arguments_of,
    effort_of,
    file_type,
    given,
    image_type,
    role_of,
    split,
    thinking_of,
    undetailed,
)
from gimbal.kernel.errors import BadInput

WHOSE = "Bedrock's Converse"
_SETTINGS = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
_TIERS = frozenset({"flex", "priority"})
_EFFORTS = frozenset({"minimal", "low", "medium", "high", "xhigh", "max"})
_CACHING = ("anthropic.", "amazon.nova")
"""Names of models that take marks for a cache; others refuse a request with one."""
_ANTHROPIC = "anthropic."
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_SOUNDS = frozenset(
    ["mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "m4a", "mpeg", "mpga", "pcm", "webm"]
)
_NAME = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
_ROLES = {"user": "user", "assistant": "assistant", "tool": "user", "system": "system", "developer": "system"}


def request(conversation: Conversation, model: str) -> Json:
    """Return the request in Converse's form; raise BadInput naming what it cannot express. The model is in the address."""
    refuse_extras(conversation, WHOSE)
    tier = conversation.sampling.service_tier
    can = set(_SETTINGS) | ({"service_tier"} if tier in _TIERS else set[str]())
    if _ANTHROPIC in model:
        can.add("top_k")
    said = refuse_sampling(conversation, WHOSE, can=frozenset(can))
    settings = {_SETTINGS[name]: value for name, value in said.items() if name in _SETTINGS}
    marks = any(name in model for name in _CACHING)
    leading, turns = split(conversation.turns)
    messages: list[Json] = []
    for turn in turns:
        add(messages, role_of(turn, _ROLES, WHOSE), "content", _blocks(turn, marks=marks))
    if not messages:
        raise BadInput("All messages are empty.", where="messages", todo="Say something.")
    more, effort = _reasoning(conversation, model)
    if "top_k" in said:
        more["top_k"] = said["top_k"]
    form = _format(conversation)
    optional: Json = {
        "system": [block for turn in leading for block in _blocks(turn, marks=marks)] or None,
        "inferenceConfig": settings or None,
        "toolConfig": _tool_config(conversation, marks=marks),
        "outputConfig": ({"textFormat": form} if form else {}) | ({"effort": effort} if effort else {}) or None,
        "serviceTier": {"type": tier} if tier in _TIERS else None,
        "additionalModelRequestFields": more or None,
    }
    return {"messages": messages} | given(optional)


def _blocks(turn: Turn, *, marks: bool) -> list[Json]:
    role_of(turn, _ROLES, WHOSE)
    blocks: list[Json] = []
    for part in turn.parts:
        if turn.role in SYSTEM and not isinstance(part, Text):
            raise inexpressible("Anything but text of the system", turn.where or "system", WHOSE)
        blocks += _block(part, turn)
        if part.cache and marks and blocks:
            blocks.append(_mark(part))
    return blocks


def _mark(part: Part | Tool) -> Json:
    ttl = (part.cache or {}).get("ttl")
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl in ("5m", "1h") else {})}}


def _block(part: AnyPart, turn: Turn) -> list[Json]:
    """Return a part as a block; none for what their API does not take and nobody misses."""
    if isinstance(part, Text | Refused):
        # A text of blanks is refused by their API, and says nothing.
        return [{"text": part.text}] if part.text.strip() else []
    if isinstance(part, Thinking):
        return _thoughts(part)
    if isinstance(part, Image):
        return [_image(part, turn)]
    if isinstance(part, Audio):
        if part.format not in _SOUNDS:
            raise inexpressible(f"Sound as {part.format!r:.60}", turn.where, WHOSE)
        return [{"audio": {"format": part.format, "source": {"bytes": part.data}}}]
    if isinstance(part, File):
        return [_file(part, turn)]
    if isinstance(part, ToolUse):
        return [{"toolUse": {"toolUseId": part.id, "name": part.name, "input": arguments_of(part, turn)}}]
    return [_result(part, turn)]


def _thoughts(part: Thinking) -> list[Json]:
    if hidden := own(CLAUDE, part.redacted):
        return [{"reasoningContent": {"redactedContent": hidden}}]
    if not (signature := own(CLAUDE, part.signature)):
        return []
    return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": signature}}}]


def _source(url: str, data: str, what: str, turn: Turn) -> Json:
    if data:
        return {"bytes": data}
    if not url.startswith("s3://"):
        raise inexpressible(f"{what} by address", turn.where, WHOSE)
    return {"s3Location": {"uri": url}}


def _image(part: Image, turn: Turn) -> Json:
    undetailed(part, turn, WHOSE)
    kind = image_type(part)
    form = _IMAGES.get(kind)
    if form is None:
        raise inexpressible(f"A picture of type {kind!r:.60}", turn.where, WHOSE)
    return {"image": {"format": form, "source": _source(part.url, part.data, "A picture", turn)}}


def _file(part: File, turn: Turn) -> Json:
    kind = file_type(part) or "application/pdf"
    if kind in _IMAGES:
        return _image(Image(url=part.url, data=part.data, media_type=kind), turn)
    if part.id:
        raise inexpressible("A file by the id of another provider", turn.where, WHOSE)
    if kind not in _DOCUMENTS:
        raise inexpressible(f"A file of type {kind!r:.60}", turn.where, WHOSE)
    # They want a name, of few characters.
    name = " ".join(_NAME.sub(" ", part.name.rpartition(".")[0] or part.name).split())[:200] or "document"
    source = _source(part.url, part.data, "A file", turn)
    return {"document": {"format": _DOCUMENTS[kind], "name": name, "source": source}}


def _result(part: ToolResult, turn: Turn) -> Json:
    blocks = [block for inner in part.parts for block in _block(inner, turn)]
    # What a tool answered is never nothing to them.
    result: Json = {"toolUseId": part.id, "content": blocks or [{"text": "(nothing)"}]}
    return {"toolResult": result | {"status": "error"} if part.error else result}


def _tool_config(conversation: Conversation, *, marks: bool) -> Json | None:
    choice = conversation.tool_choice
    if not conversation.tools:
        return None
    if choice and choice.mode == "none":
        used = any(isinstance(part, ToolUse | ToolResult) for turn in conversation.turns for part in turn.parts)
        if used:
            raise inexpressible("That tools are not to be called", "tool_choice", WHOSE)
        return None
    if choice and choice.parallel is False:
        raise inexpressible("One call of a tool at most", "parallel_tool_calls", WHOSE)
    tools: list[Json] = []
    for tool in conversation.tools:
        optional = {"description": tool.description or None, "strict": tool.strict}
        said: Json = {"name": tool.name, "inputSchema": {"json": tool.parameters or NO_PARAMETERS}}
        tools.append({"toolSpec": said | given(optional)})
        if tool.cache and marks:
            tools.append(_mark(tool))
    config: Json = {"tools": tools}
    if choice and choice.mode == "required":
        config["toolChoice"] = {"any": {}}
    elif choice and choice.mode == "named":
        config["toolChoice"] = {"tool": {"name": choice.name}}
    return config


def _format(conversation: Conversation) -> Json | None:
    form = conversation.format
    if form is None or form.kind == "text":
        return None
    if form.kind == "json":
        raise inexpressible("Any JSON object as the form of the answer", "response_format", WHOSE)
    said = {"name": form.name, "description": form.description}
    schema = msgspec.json.encode(form.schema or {"type": "object"}).decode()
    return {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": schema} | {key: value for key, value in said.items() if value}},
    }


def _reasoning(conversation: Conversation, model: str) -> tuple[Json, str]:
    """Return the fields that only a maker's models have, and the effort."""
    wanted = conversation.reasoning
    if wanted is None:
        return {}, ""
    effort = effort_of(wanted, _EFFORTS, WHOSE)
    if _ANTHROPIC not in model:
        if wanted.effort == "none" or wanted.budget is not None or wanted.show is not None or not effort:
            raise inexpressible("How the model shall think, but for its effort,", "reasoning", WHOSE)
        return {}, effort
    return {"thinking": thinking_of(wanted)}, effort
