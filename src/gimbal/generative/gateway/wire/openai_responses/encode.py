"""A conversation that came by another wire → a request of responses; what cannot be said is refused by name.

Nothing is stored at the provider unless the caller asked for it: other wires do not store. Thoughts come back encrypted,
because they must be handed back; the id of their item is kept before the cipher (`rs_…:`).
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Conversation,
    File,
    Format,
    Image,
    Json,
    Reasoning,
    Refused,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.hints import refuse_extras, refuse_sampling
from gimbal.generative.gateway.wire.openai_chat.encode import (
    address,
    effort_of,
    file_of,
    function,
    kind_of,
    result_text,
    schema_of,
)
from gimbal.generative.gateway.wire.protocol import inexpressible
from gimbal.generative.gateway.wire.seals import opened

WHOSE = "OpenAI's responses"
_CAN = frozenset({"max_tokens", "temperature", "top_p", "service_tier", "verbosity"})
_UNDERSTOOD = frozenset({"store", "metadata", "prompt_cache_key", "prompt_cache_retention"})
_TIERS = {"standard": "default"}


def request(conversation: Conversation, model: str, *, stream: bool) -> Json:
    """Encode a request; raise BadInput naming what cannot be expressed."""
    refuse_extras(conversation, WHOSE, _UNDERSTOOD)
    body: Json = {"model": model, "input": list(items(conversation.turns)), "store": False}
    body |= {name: value for name, value in conversation.extras.items() if name in _UNDERSTOOD}
    given = refuse_sampling(conversation, WHOSE, can=_CAN)
    if "max_tokens" in given:
        given["max_output_tokens"] = given.pop("max_tokens")
    if tier := given.get("service_tier"):
        given["service_tier"] = _TIERS.get(tier, tier)
    verbosity = given.pop("verbosity", "")
    body |= given
    if text := _text(conversation.format, verbosity):
        body["text"] = text
    if conversation.reasoning is not None and (reasoning := _reasoning(conversation.reasoning)):
        body["reasoning"] = reasoning
        if reasoning.get("effort") != "none":
            body["include"] = ["reasoning.encrypted_content"]
    if conversation.tools:
        # Other wires are not strict unless told to be; responses are.
        body["tools"] = [
            {"type": "function", "strict": False, "parameters": None} | function(tool) for tool in conversation.tools
        ]
        body |= _choice(conversation.tool_choice)
    if conversation.user:
        body["safety_identifier"] = conversation.user
    return body | {"stream": True} if stream else body


def _reasoning(reasoning: Reasoning) -> Json:
    found: Json = {}
    if effort := effort_of(reasoning):
        found["effort"] = effort
    return found | {"summary": "auto"} if reasoning.show else found


def _text(form: Format | None, verbosity: str) -> Json:
    found: Json = {"verbosity": verbosity} if verbosity else {}
    if form is None or form.kind == "text":
        return found
    if form.kind == "json":
        return found | {"format": {"type": "json_object"}}
    return found | {"format": {"type": "json_schema"} | schema_of(form)}


def _choice(choice: ToolChoice | None) -> Json:
    if choice is None:
        return {}
    named = {"type": "function", "name": choice.name}
    found: Json = {"tool_choice": named if choice.mode == "named" else choice.mode}
    return found if choice.parallel is None else found | {"parallel_tool_calls": choice.parallel}


def items(turns: Sequence[Turn]) -> Iterator[Json]:
    """Yield the items of turns; what the assistant thought, said and called is an item each."""
    for number, turn in enumerate(turns):
        where = turn.where or f"input[{number}]"
        if turn.name:
            raise inexpressible("The name of who speaks", f"{where}.name", WHOSE)
        if turn.role == "assistant":
            yield from _said(turn, where)
        elif turn.role == "tool":
            for part in turn.parts:
                yield _result(part, where)
        elif all(isinstance(part, Text) for part in turn.parts) and len(turn.parts) < 2:
            yield {"type": "message", "role": turn.role, "content": turn.text}
        else:
            rows = [_part(part, f"{where}.content[{place}]") for place, part in enumerate(turn.parts)]
            yield {"type": "message", "role": turn.role, "content": rows}


def _said(turn: Turn, where: str) -> Iterator[Json]:
    for place, part in enumerate(turn.parts):
        if isinstance(part, Text):
            yield {"type": "message", "role": "assistant", "content": part.text}
        elif isinstance(part, Refused):
            content = [{"type": "refusal", "refusal": part.text}]
            known = f"msg_{_digest(where, str(place), part.text)}"
            message = {"type": "message", "role": "assistant", "id": known, "status": "completed"}
            yield message | {"content": content}
        elif isinstance(part, ToolUse):
            yield {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
        elif isinstance(part, Thinking):
            yield from _thought(part)
        else:
            raise inexpressible(f"{kind_of(part)} of the assistant", where, WHOSE)


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _thought(part: Thinking) -> Iterator[Json]:
    """Yield a thought of OpenAI's own; one of another provider it could neither decipher nor find."""
    known, cipher = opened(part.redacted or part.signature)
    if known.startswith("rs_"):
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        yield {"type": "reasoning", "id": known, "summary": summary, "encrypted_content": cipher}


def _result(part: AnyPart, where: str) -> Json:
    if not isinstance(part, ToolResult):
        raise inexpressible(kind_of(part), where, WHOSE)
    output: str | list[Json] = [_part(inner, where) for inner in part.parts]
    if all(isinstance(inner, Text) for inner in part.parts) and len(part.parts) < 2:
        output = result_text(part, "".join(inner.text for inner in part.parts if isinstance(inner, Text)))
    elif part.error:
        output = [{"type": "input_text", "text": result_text(part, "")}, *output]
    return {"type": "function_call_output", "call_id": part.id, "output": output}


def _part(part: AnyPart, where: str) -> Json:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Image):
        url = address(part.url, part.data, part.media_type, "image/png")
        return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
    if isinstance(part, File):
        if part.url and not part.data and not part.id:
            return {"type": "input_file", "file_url": part.url}
        return {"type": "input_file"} | file_of(part)
    raise inexpressible(kind_of(part), where, WHOSE)
