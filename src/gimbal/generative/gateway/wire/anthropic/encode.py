"""A request in normal form → Anthropic's messages; what they cannot express is refused with the field named."""

import base64
import binascii
from collections.abc import Sequence

import msgspec

from gimbal.generative.gateway.conversation import (
    AnyPart,
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
    described,
    effort_of,
    file_type,
    given,
    image_type,
    role_of,
    split,
    thinking_of,
    undetailed,
)
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import HttpReply

WHOSE = "Anthropic's messages"
DEFAULT_MAX_TOKENS = 4096
"""Their API wants a limit; callers of other wires need not give one."""
_SAMPLING = frozenset({"max_tokens", "temperature", "top_p", "top_k", "stop"})
_TIERS = {"auto": "auto", "default": "standard_only", "standard": "standard_only"}
_CHOICES = {"auto": "auto", "required": "any", "none": "none", "named": "tool"}
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_ROLES = {"user": "user", "assistant": "assistant", "tool": "user", "system": "system", "developer": "system"}


def request(conversation: Conversation, model: str, *, stream: bool) -> Json:
    """Return the request in Anthropic's form; raise BadInput naming what it cannot express."""
    refuse_extras(conversation, WHOSE)
    tier = conversation.sampling.service_tier
    said = refuse_sampling(conversation, WHOSE, can=_SAMPLING | {"service_tier"} if tier in _TIERS else _SAMPLING)
    if said.get("temperature", 0) > 1:
        raise inexpressible("A temperature above 1", "temperature", WHOSE)
    leading, turns = split(conversation.turns)
    messages: list[Json] = []
    for turn in turns:
        add(messages, role_of(turn, _ROLES, WHOSE), "content", _blocks(turn))
    if not messages:
        raise BadInput("All messages are empty.", where="messages", todo="Say something.")
    thinking, config = _reasoning(conversation)
    body: Json = {
        "model": model,
        "max_tokens": said.get("max_tokens") or DEFAULT_MAX_TOKENS + (thinking or {}).get("budget_tokens", 0),
        "messages": messages,
        "stream": stream,
    }
    optional: Json = {
        "system": _system(leading),
        "temperature": said.get("temperature"),
        "top_p": said.get("top_p"),
        "top_k": said.get("top_k"),
        "stop_sequences": list(said["stop"]) if "stop" in said else None,
        "service_tier": _TIERS[tier] if tier else None,
        "metadata": {"user_id": conversation.user} if conversation.user else None,
        "thinking": thinking,
        "output_config": config,
        "tools": [_tool(tool) for tool in conversation.tools] or None,
        "tool_choice": _tool_choice(conversation),
    }
    return body | given(optional)


def _system(turns: Sequence[Turn]) -> str | list[Json] | None:
    """Return what the system says: a text, or blocks where marks for a cache stand on them."""
    blocks = [block for turn in turns for block in _blocks(turn)]
    if any(block.keys() != {"type", "text"} for block in blocks):
        return blocks
    return "\n\n".join(block["text"] for block in blocks) or None


def _blocks(turn: Turn) -> list[Json]:
    role_of(turn, _ROLES, WHOSE)
    return [_marked(block, part) for part in turn.parts for block in _block(part, turn)]


def _marked(block: Json, part: Part) -> Json:
    return block | {"cache_control": part.cache} if part.cache else block


def _block(part: AnyPart, turn: Turn) -> list[Json]:
    """Return a part as a block; none for what their API does not take and nobody misses."""
    if isinstance(part, Text | Refused):
        # A text of blanks is refused by their API, and says nothing.
        return [{"type": "text", "text": part.text}] if part.text.strip() else []
    if turn.role in SYSTEM:
        raise inexpressible("Anything but text of the system", turn.where or "system", WHOSE)
    if isinstance(part, Thinking):
        return _thoughts(part)
    if isinstance(part, Image):
        return [_image(part, turn)]
    if isinstance(part, File):
        return [_file(part, turn)]
    if isinstance(part, ToolUse):
        return [{"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_of(part, turn)}]
    if isinstance(part, ToolResult):
        return [_result(part, turn)]
    raise inexpressible("Sound", turn.where, WHOSE)


def _thoughts(part: Thinking) -> list[Json]:
    if hidden := own(CLAUDE, part.redacted):
        return [{"type": "redacted_thinking", "data": hidden}]
    signature = own(CLAUDE, part.signature)
    return [{"type": "thinking", "thinking": part.text, "signature": signature}] if signature else []


def _image(part: Image, turn: Turn) -> Json:
    undetailed(part, turn, WHOSE)
    if part.data:
        source = {"type": "base64", "media_type": image_type(part), "data": part.data}
    else:
        source = {"type": "url", "url": part.url}
    return {"type": "image", "source": source}


def _file(part: File, turn: Turn) -> Json:
    kind = file_type(part)
    if kind.startswith("image/"):
        return _image(Image(url=part.url, data=part.data, media_type=kind), turn)
    if part.id:
        # A provider knows none but its own ids, which say whose they are.
        if not part.id.startswith("file_"):
            raise inexpressible("A file by the id of another provider", turn.where, WHOSE)
        source: Json = {"type": "file", "file_id": part.id}
    elif part.url:
        if kind not in {"", "application/pdf"}:
            raise inexpressible(f"A file of type {kind!r:.60} by address", turn.where, WHOSE)
        source = {"type": "url", "url": part.url}
    elif kind.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _plain(part, turn)}
    elif kind in {"", "application/pdf"}:
        source = {"type": "base64", "media_type": "application/pdf", "data": part.data}
    else:
        raise inexpressible(f"A file of type {kind!r:.60}", turn.where, WHOSE)
    return {"type": "document", "source": source, **({"title": part.name} if part.name else {})}


def _plain(part: File, turn: Turn) -> str:
    try:
        return base64.b64decode(part.data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadInput("A text file is not UTF-8 in base64.", where=turn.where, todo="Encode it so.") from None


def _result(part: ToolResult, turn: Turn) -> Json:
    blocks = [_marked(block, inner) for inner in part.parts for block in _block(inner, turn)]
    result: Json = {"type": "tool_result", "tool_use_id": part.id}
    if [block.keys() for block in blocks] == [{"type", "text"}]:
        result["content"] = blocks[0]["text"]
    elif blocks:
        result["content"] = blocks
    return result | {"is_error": True} if part.error else result


def _tool(tool: Tool) -> Json:
    optional = {"description": tool.description or None, "strict": tool.strict, "cache_control": tool.cache}
    return {"name": tool.name, "input_schema": tool.parameters or NO_PARAMETERS} | given(optional)


def _tool_choice(conversation: Conversation) -> Json | None:
    choice = conversation.tool_choice
    if choice is None or (not conversation.tools and choice.mode in {"auto", "none"}):
        return None
    said: Json = {"type": _CHOICES[choice.mode]}
    if choice.mode == "named":
        said["name"] = choice.name
    if choice.parallel is not None and choice.mode != "none":
        said["disable_parallel_tool_use"] = not choice.parallel
    return said


def _reasoning(conversation: Conversation) -> tuple[Json | None, Json | None]:
    """Return `thinking` and `output_config`."""
    config: Json = {}
    form = conversation.format
    if form and form.kind == "json":
        raise inexpressible("Any JSON object as the form of the answer", "response_format", WHOSE)
    if form and form.kind == "schema":
        config["format"] = {"type": "json_schema", "schema": described(form.schema, form.description)}
    wanted = conversation.reasoning
    if wanted is None:
        return None, config or None
    if effort := effort_of(wanted, _EFFORTS, WHOSE):
        config["effort"] = effort
    return thinking_of(wanted), config or None


_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_body(problem: GimbalError) -> Json:
    """Return an error as Anthropic's clients read it; the field and what to do are part of the message."""
    kind = _KINDS.get(problem.status, "invalid_request_error" if problem.status < 500 else "api_error")
    said = " ".join(part for part in (problem.message, problem.todo) if part)
    message = f"{problem.where}: {said}" if problem.where else said
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": None}


def error_reply(problem: GimbalError) -> HttpReply:
    """Return the HTTP answer for an error, with `retry-after` where the error says when to come again."""
    headers = {} if problem.retry_after is None else {"retry-after": f"{max(0.0, problem.retry_after):g}"}
    return HttpReply(status=problem.status, body=msgspec.json.encode(error_body(problem)), headers=headers)
