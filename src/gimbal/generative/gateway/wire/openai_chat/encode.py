"""A conversation that came by another wire → a request of chat completions; what cannot be said is refused by name."""

from collections.abc import Iterator, Sequence

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Audio,
    Conversation,
    File,
    Format,
    Image,
    Json,
    Reasoning,
    Refused,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.answers import arguments
from gimbal.generative.gateway.wire.hints import refuse_extras, refuse_sampling
from gimbal.generative.gateway.wire.protocol import inexpressible
from gimbal.generative.gateway.wire.seals import CHAT, opened

WHOSE = "OpenAI's chat completions"
_CAN = frozenset(
    {
        *("max_tokens", "temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty"),
        *("logit_bias", "service_tier", "verbosity"),
    }
)
_TIERS = {"standard": "default"}
KEPT = ("id", "format", "index")
"""What a provider knows its own details by: it stands with the cipher, as JSON."""
_EFFORT_BY_BUDGET = ((0, "none"), (2048, "low"), (8192, "medium"))


def request(conversation: Conversation, model: str, *, stream: bool) -> Json:
    """Encode a request; raise BadInput naming what cannot be expressed."""
    refuse_extras(conversation, WHOSE)
    body: Json = {"model": model, "messages": list(messages(conversation.turns))}
    body |= _sampling(conversation)
    if effort := effort_of(conversation.reasoning):
        body["reasoning_effort"] = effort
    if (form := conversation.format) is not None and form.kind != "text":
        body["response_format"] = _format(form)
    if conversation.tools:
        body["tools"] = [{"type": "function", "function": function(tool)} for tool in conversation.tools]
        body |= choice_of(conversation.tool_choice)
    if conversation.user:
        body["user"] = conversation.user
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _sampling(conversation: Conversation) -> Json:
    given = refuse_sampling(conversation, WHOSE, can=_CAN)
    if "max_tokens" in given:
        given["max_completion_tokens"] = given.pop("max_tokens")
    if "stop" in given:
        given["stop"] = list(given["stop"])
    if tier := given.get("service_tier"):
        given["service_tier"] = _TIERS.get(tier, tier)
    return given


def effort_of(reasoning: Reasoning | None) -> str:
    """Return how hard a model shall think; a budget of tokens is said by the next word that allows it."""
    if reasoning is None or reasoning.effort or reasoning.budget is None:
        return reasoning.effort if reasoning else ""
    budget = reasoning.budget
    return next((word for most, word in _EFFORT_BY_BUDGET if budget <= most), "high")


def schema_of(form: Format) -> Json:
    """Return the JSON schema of a form, with the name that OpenAI wants."""
    schema: Json = {"name": form.name or "answer", "schema": form.schema or {}}
    if form.description:
        schema["description"] = form.description
    return schema if form.strict is None else schema | {"strict": form.strict}


def _format(form: Format) -> Json:
    return {"type": "json_object"} if form.kind == "json" else {"type": "json_schema", "json_schema": schema_of(form)}


def function(tool: Tool) -> Json:
    """Return one function."""
    found: Json = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    if tool.parameters is not None:
        found["parameters"] = tool.parameters
    return found if tool.strict is None else found | {"strict": tool.strict}


def choice_of(choice: ToolChoice | None) -> Json:
    """Return whether tools are called."""
    if choice is None:
        return {}
    named = {"type": "function", "function": {"name": choice.name}}
    found: Json = {"tool_choice": named if choice.mode == "named" else choice.mode}
    return found if choice.parallel is None else found | {"parallel_tool_calls": choice.parallel}


def messages(turns: Sequence[Turn]) -> Iterator[Json]:
    """Yield the messages of turns; results of tools are a message each."""
    for number, turn in enumerate(turns):
        where = turn.where or f"messages[{number}]"
        if turn.role == "tool":
            for part in turn.parts:
                if not isinstance(part, ToolResult):
                    raise inexpressible(kind_of(part), where, WHOSE)
                yield {"role": "tool", "tool_call_id": part.id, "content": _result(part, where)}
            continue
        message = _said(turn.parts, where) if turn.role == "assistant" else _heard(turn, where)
        yield message | {"name": turn.name} if turn.name else message


def kind_of(part: AnyPart) -> str:
    """Return what kind of part this is, in a word for people."""
    return f"a part of the kind {part.__struct_config__.tag}"


def result_text(part: ToolResult, text: str) -> str:
    """Return a tool's answer with its failure in words: OpenAI has no flag for it."""
    return f"Error: {text}" if part.error and not text[:5].lower().startswith("error") else text


def _result(part: ToolResult, where: str) -> str | list[Json]:
    texts: list[str] = []
    for inner in part.parts:
        if not isinstance(inner, Text):
            raise inexpressible(f"{kind_of(inner)} in a tool's answer", where, WHOSE)
        texts.append(inner.text)
    if texts:
        texts[0] = result_text(part, texts[0])
    if len(texts) < 2:
        return texts[0] if texts else result_text(part, "")
    return [{"type": "text", "text": text} for text in texts]


def _said(parts: Sequence[AnyPart], where: str) -> Json:
    """Return the assistant's message."""
    content: list[Json] = []
    calls: list[Json] = []
    thoughts: list[Thinking] = []
    for part in parts:
        if isinstance(part, Text):
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, Refused):
            content.append({"type": "refusal", "refusal": part.text})
        elif isinstance(part, ToolUse):
            named = {"name": part.name, "arguments": part.arguments}
            calls.append({"id": part.id, "type": "function", "function": named})
        elif isinstance(part, Thinking):
            thoughts.append(part)
        else:
            raise inexpressible(f"{kind_of(part)} of the assistant", where, WHOSE)
    only = content[0] if len(content) == 1 else {}
    message: Json = {"role": "assistant", "content": only.get("text", content or None)}
    if "refusal" in only:
        message |= {"content": None, "refusal": only["refusal"]}
    if not content and not calls:
        message["content"] = ""
    if calls:
        message["tool_calls"] = calls
    return message | thoughts_of(thoughts)


def thoughts_of(thoughts: Sequence[Thinking]) -> Json:
    """Return what was thought: in detail where this wire sealed it, else as text; what others sealed is theirs."""
    details: list[Json] = []
    text = ""
    for part in thoughts:
        mark, cipher = opened(part.redacted or part.signature)
        if mark == CHAT:
            name = "data" if part.redacted else "signature"
            told = Thinking(redacted=cipher) if part.redacted else Thinking(text=part.text, signature=cipher)
            details.append(detail(told) | unsealed(name, cipher))
        elif not cipher:
            text += part.text
    plain: Json = {"reasoning_content": text} if text else {}
    return plain | {"reasoning_details": details} if details else plain


def unsealed(name: str, cipher: str) -> Json:
    """Return the fields of a detail that its maker wants to have back: the cipher, and what was kept with it."""
    kept = arguments(cipher) if cipher.startswith("{") else None
    return {key: value for key, value in kept.items() if key in {name, *KEPT}} if kept else {name: cipher}


def detail(part: Thinking) -> Json:
    """Return one thought with its signature, or one that the provider hid."""
    if part.redacted:
        return {"type": "reasoning.encrypted", "data": part.redacted}
    told: Json = {"type": "reasoning.text", "text": part.text}
    return told | {"signature": part.signature} if part.signature else told


def _heard(turn: Turn, where: str) -> Json:
    """Return a message of the user or the system."""
    if turn.role != "user":
        strange = next((part for part in turn.parts if not isinstance(part, Text)), None)
        if strange is not None:
            raise inexpressible(f"{kind_of(strange)} of the {turn.role}", where, WHOSE)
    if all(isinstance(part, Text) for part in turn.parts) and len(turn.parts) < 2:
        return {"role": turn.role, "content": turn.text}
    rows = [_part(part, f"{where}.content[{number}]") for number, part in enumerate(turn.parts)]
    return {"role": turn.role, "content": rows}


def _part(part: AnyPart, where: str) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        image: Json = {"url": address(part.url, part.data, part.media_type, "image/png")}
        return {"type": "image_url", "image_url": image | ({"detail": part.detail} if part.detail else {})}
    if isinstance(part, Audio):
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
    if isinstance(part, File) and (part.data or part.id):
        return {"type": "file", "file": file_of(part)}
    raise inexpressible("A file by its address" if isinstance(part, File) else kind_of(part), where, WHOSE)


def address(url: str, data: str, media_type: str, otherwise: str) -> str:
    """Return an address, or data as an address."""
    return url or f"data:{media_type or otherwise};base64,{data}"


def file_of(part: File) -> Json:
    """Return a document by its id or its data."""
    if part.id:
        return {"file_id": part.id}
    named = {"filename": part.name} if part.name else {}
    return named | {"file_data": address("", part.data, part.media_type, "application/pdf")}
