"""A request in normal form → Cohere's chat (v2); what it cannot express is refused with the field named."""

import msgspec

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Conversation,
    Image,
    Json,
    Refused,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.hints import refuse_extras, refuse_sampling
from gimbal.generative.gateway.wire.protocol import inexpressible
from gimbal.generative.gateway.wire.turns import NO_PARAMETERS, described, given, image_type, role_of, split
from gimbal.kernel.errors import BadInput

WHOSE = "Cohere's chat"
_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def request(conversation: Conversation, model: str, *, stream: bool) -> Json:
    """Return the request in Cohere's form; raise BadInput naming what it cannot express."""
    refuse_extras(conversation, WHOSE)
    said = refuse_sampling(conversation, WHOSE, can=frozenset(_SETTINGS))
    for name in ("presence_penalty", "frequency_penalty"):
        if not 0 <= said.get(name, 0) <= 1:
            raise inexpressible(f"A {name} below 0 or above 1", name, WHOSE)
    messages = [message for part in split(conversation.turns) for turn in part for message in _messages(turn)]
    tools, choice = _tools(conversation.tools, conversation.tool_choice)
    optional: Json = {
        "tools": [_tool(tool) for tool in tools] or None,
        "tool_choice": choice,
        "strict_tools": _strict(tools),
        "response_format": _format(conversation),
        "thinking": _thinking(conversation),
    }
    body: Json = {"model": model, "messages": messages, "stream": stream}
    body |= {_SETTINGS[name]: value for name, value in said.items()}
    return body | given(optional)


def _messages(turn: Turn) -> list[Json]:
    if turn.role == "tool":
        return [_result(part, turn) for part in turn.parts if isinstance(part, ToolResult)]
    role = role_of(turn, _ROLES, WHOSE)
    content = [block for part in turn.parts for block in _content(part, turn)]
    calls = [_call(part) for part in turn.parts if isinstance(part, ToolUse)]
    message: Json = {"role": role}
    if content:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    return [message] if content or calls else []


def _content(part: AnyPart, turn: Turn) -> list[Json]:
    if isinstance(part, ToolUse):
        return []
    if isinstance(part, Text | Refused):
        return [{"type": "text", "text": part.text}] if part.text else []
    if isinstance(part, Thinking):
        # They sign and hide nothing: of thoughts they take the words.
        return [{"type": "thinking", "thinking": part.text}] if part.text else []
    if isinstance(part, Image):
        if turn.role != "user":
            raise inexpressible("A picture in a message that is not the user's", turn.where, WHOSE)
        url = f"data:{image_type(part)};base64,{part.data}" if part.data else part.url
        return [{"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}]
    raise inexpressible("A part that is neither text nor a picture", turn.where, WHOSE)


def _call(part: ToolUse) -> Json:
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}


def _result(part: ToolResult, turn: Turn) -> Json:
    if any(not isinstance(inner, Text) for inner in part.parts):
        raise inexpressible("Anything but text of a tool", turn.where, WHOSE)
    words = "\n".join(inner.text for inner in part.parts if isinstance(inner, Text))
    if part.error:
        # They have no mark for it, so that it is said.
        words = msgspec.json.encode({"error": words}).decode()
    return {"role": "tool", "tool_call_id": part.id, "content": words}


def _tools(tools: tuple[Tool, ...], choice: ToolChoice | None) -> tuple[tuple[Tool, ...], str | None]:
    """Return the tools, and whether one must be called: of a named one they are given no other."""
    if choice is None:
        return tools, None
    if choice.parallel is False:
        raise inexpressible("One call of a tool at most", "parallel_tool_calls", WHOSE)
    if choice.mode == "named":
        named = tuple(tool for tool in tools if tool.name == choice.name)
        if not named:
            raise BadInput("The tool that is to be called is none of the tools.", where="tool_choice", todo="Add it.")
        return named, "REQUIRED"
    return tools, {"required": "REQUIRED", "none": "NONE"}.get(choice.mode) if tools else None


def _strict(tools: tuple[Tool, ...]) -> bool | None:
    strict = [bool(tool.strict) for tool in tools]
    if any(strict) and not all(strict):
        raise inexpressible("That some tools are strict and others not", "tools.strict", WHOSE)
    return True if any(strict) else None


def _tool(tool: Tool) -> Json:
    said: Json = {"name": tool.name, "parameters": tool.parameters or NO_PARAMETERS}
    return {"type": "function", "function": said | {"description": tool.description} if tool.description else said}


def _format(conversation: Conversation) -> Json | None:
    form = conversation.format
    if form is None or form.kind == "text":
        return None
    if form.kind == "json":
        return {"type": "json_object"}
    return {"type": "json_object", "json_schema": described(form.schema, form.description)}


def _thinking(conversation: Conversation) -> Json | None:
    wanted = conversation.reasoning
    if wanted is None:
        return None
    if wanted.effort == "none" or wanted.budget == 0:
        return {"type": "disabled"}
    if wanted.effort:
        raise inexpressible(f"The effort {wanted.effort!r:.60}", "reasoning_effort", WHOSE)
    if wanted.show is False:
        raise inexpressible("That thoughts are not to be shown", "reasoning", WHOSE)
    said: Json = {"type": "enabled"}
    return said if wanted.budget is None else said | {"token_budget": wanted.budget}
