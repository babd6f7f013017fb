"""A request in normal form → Gemini's generateContent; what it cannot express is refused with the field named."""

from collections.abc import Sequence

import msgspec

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Audio,
    Conversation,
    File,
    Image,
    Json,
    Refused,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.gemini.parts import SOUND_TYPES, answer_of, generation_of, sign
from gimbal.generative.gateway.wire.hints import refuse_extras, refuse_sampling
from gimbal.generative.gateway.wire.protocol import inexpressible
from gimbal.generative.gateway.wire.seals import GEMINI, own
from gimbal.generative.gateway.wire.turns import (
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
    undetailed,
)
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import HttpReply

WHOSE = "Gemini's generateContent"
_SETTINGS = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_TIERS = {"flex": "flex", "priority": "priority"}
_ROLES = {"user": "user", "tool": "user", "assistant": "model"}
STRICT = 3
"""From this generation on a model takes no call of a tool back without its signature."""
UNSIGNED = "skip_thought_signature_validator"
"""What their reference gives for calls that have none, as those that another model made."""
_EFFORTS = frozenset({"minimal", "low", "medium", "high", "xhigh"})


def request(conversation: Conversation, model: str) -> Json:
    """Return the request in Gemini's form; raise BadInput naming what it cannot express. The model is in the address."""
    refuse_extras(conversation, WHOSE)
    tier = conversation.sampling.service_tier
    can = frozenset(_SETTINGS) | ({"service_tier"} if tier in _TIERS else set[str]())
    said = refuse_sampling(conversation, WHOSE, can=can)
    settings: Json = {_SETTINGS[name]: value for name, value in said.items() if name in _SETTINGS}
    settings |= _format(conversation) | _thinking(conversation)
    leading, turns = split(conversation.turns)
    system = _system(leading)
    body: Json = {"contents": _contents(turns, generation_of(model))}
    optional: Json = {
        "systemInstruction": {"parts": system} if system else None,
        "generationConfig": settings or None,
        "tools": [{"functionDeclarations": [_tool(tool) for tool in conversation.tools]}]
        if conversation.tools
        else None,
        "toolConfig": _tool_config(conversation),
        "serviceTier": _TIERS.get(tier),
    }
    return body | given(optional)


def _system(turns: Sequence[Turn]) -> list[Json]:
    parts: list[Json] = []
    for turn in turns:
        role_of(turn, _ROLES | dict.fromkeys(SYSTEM, ""), WHOSE)
        for part in turn.parts:
            if not isinstance(part, Text):
                raise inexpressible("Anything but text of the system", turn.where or "system", WHOSE)
            if part.text:
                parts.append({"text": part.text})
    return parts


def _contents(turns: Sequence[Turn], generation: int) -> list[Json]:
    """Return the turns; neighbours of one role become one content."""
    contents: list[Json] = []
    names: dict[str, str] = {}
    for turn in turns:
        if turn.role in SYSTEM:
            raise inexpressible("A system message after the first message", turn.where, WHOSE)
        names |= {part.id: part.name for part in turn.parts if isinstance(part, ToolUse)}
        add(contents, role_of(turn, _ROLES, WHOSE), "parts", _parts(turn, names, generation))
    if not contents:
        raise BadInput("All messages are empty.", where="messages", todo="Say something.")
    return contents


def _parts(turn: Turn, names: dict[str, str], generation: int) -> list[Json]:
    """Return the parts of a turn; a signature alone goes onto the part after it.

    That of a thought goes onto the next call of a tool, which newer models always sign; older ones sign what comes next.
    """
    found: list[Json] = []
    older = 0 < generation < STRICT
    signature, begin, exactly = "", 0, False
    for part in turn.parts:
        if not isinstance(part, Thinking):
            found.append(_part(part, turn, names))
            continue
        sign(found, begin, signature, exactly=exactly)
        if part.text:
            found.append({"text": part.text, "thought": True})
        signature, begin, exactly = own(GEMINI, part.signature), len(found), not part.text or older
    sign(found, begin, signature, exactly=exactly)
    calls = [part for part in found if "functionCall" in part]
    if generation >= STRICT and calls and not any("thoughtSignature" in part for part in calls):
        calls[0]["thoughtSignature"] = UNSIGNED
    return found


def _part(part: AnyPart, turn: Turn, names: dict[str, str]) -> Json:
    if isinstance(part, Text | Refused):
        return {"text": part.text}
    if isinstance(part, Image):
        undetailed(part, turn, WHOSE)
        kind = image_type(part)
        return _blob(kind, part.data) if part.data else _by_address(part.url, kind)
    if isinstance(part, Audio):
        return _blob(SOUND_TYPES.get(part.format) or f"audio/{part.format or 'wav'}", part.data)
    if isinstance(part, File):
        if part.id:
            raise inexpressible("A file by the id of another provider", turn.where, WHOSE)
        if part.url:
            return _by_address(part.url, file_type(part))
        return _blob(file_type(part) or "application/pdf", part.data)
    if isinstance(part, ToolUse):
        return {"functionCall": {"id": part.id, "name": part.name, "args": arguments_of(part, turn)}}
    if isinstance(part, ToolResult):
        return _response(part, turn, names)
    raise inexpressible("Thoughts here", turn.where, WHOSE)


def _blob(kind: str, data: str) -> Json:
    return {"inlineData": {"mimeType": kind, "data": data}}


def _by_address(url: str, kind: str) -> Json:
    return {"fileData": {"fileUri": url, **({"mimeType": kind} if kind else {})}}


def _response(part: ToolResult, turn: Turn, names: dict[str, str]) -> Json:
    name = part.name or names.get(part.id, "")
    if not name:
        raise BadInput(
            "A tool's answer belongs to no call of this conversation.",
            where=turn.where,
            todo="Send the message with the call before it, with the same id.",
        )
    said: Json = {"id": part.id, "name": name, "response": answer_of(part, turn.where)}
    blobs = [_part(inner, turn, names) for inner in part.parts if not isinstance(inner, Text)]
    return {"functionResponse": said | {"parts": blobs} if blobs else said}


def _tool(tool: Tool) -> Json:
    said: Json = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    if tool.parameters is not None:
        said["parametersJsonSchema"] = tool.parameters
    return said


def _tool_config(conversation: Conversation) -> Json | None:
    choice = conversation.tool_choice
    strict = any(tool.strict for tool in conversation.tools)
    if choice is not None and choice.parallel is False:
        raise inexpressible("One call of a tool at most", "parallel_tool_calls", WHOSE)
    mode = choice.mode if choice else "auto"
    if mode == "auto" and not strict:
        return None
    said: Json = {"mode": {"auto": "VALIDATED", "none": "NONE"}.get(mode, "ANY")}
    if choice and mode == "named":
        said["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": said}


def _format(conversation: Conversation) -> Json:
    form = conversation.format
    if form is None or form.kind == "text":
        return {}
    if form.kind == "json":
        return {"responseMimeType": "application/json"}
    return {"responseMimeType": "application/json", "responseJsonSchema": described(form.schema, form.description)}


def _thinking(conversation: Conversation) -> Json:
    wanted = conversation.reasoning
    if wanted is None:
        return {}
    said: Json = {}
    if effort := effort_of(wanted, _EFFORTS, WHOSE):
        said["thinkingLevel"] = effort.upper()
    if wanted.effort == "none":
        said["thinkingBudget"] = 0
    if wanted.budget is not None:
        said["thinkingBudget"] = wanted.budget
    if wanted.show is not None:
        said["includeThoughts"] = wanted.show
    return {"thinkingConfig": said or {"thinkingBudget": -1}}


_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(problem: GimbalError) -> Json:
    """Return an error as Google's clients read it; the field is among the details, where they look for it."""
    said = " ".join(part for part in (problem.message, problem.todo) if part)
    status = _STATUSES.get(problem.status, "INVALID_ARGUMENT" if problem.status < 500 else "INTERNAL")
    details: list[Json] = []
    if problem.where:
        violation = {"field": problem.where, "description": problem.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    if problem.retry_after is not None:
        delay = f"{max(0.0, problem.retry_after):g}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    message = f"{problem.where}: {said}" if problem.where else said
    return {"error": {"code": problem.status, "message": message, "status": status, "details": details}}


def error_reply(problem: GimbalError) -> HttpReply:
    """Return the HTTP answer for an error, with `retry-after` where the error says when to come again."""
    headers = {} if problem.retry_after is None else {"retry-after": f"{max(0.0, problem.retry_after):g}"}
    return HttpReply(status=problem.status, body=msgspec.json.encode(error_body(problem)), headers=headers)
