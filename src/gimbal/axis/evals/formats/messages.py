"""Chat messages of other tools as inputs: a single question by itself, a conversation with its last question beside it."""

from collections.abc import Callable
from typing import Any, cast

from gimbal.axis.evals.formats.files import kind_of
from gimbal.axis.evals.formats.model import Collecting
from gimbal.kernel.errors import BadInput


def as_is(text: str) -> str:
    """Return a text as it stands there."""
    return text


def input_of(value: Any, into: Collecting, where: str, resolve: Callable[[str], str] = as_is) -> dict[str, Any]:
    """Return an input: `question` of a text or of one message of a user, `messages` and `question` of a conversation.

    `resolve` returns a text whose content is elsewhere. Raise BadInput for what is neither.
    """
    if isinstance(value, str):
        return {"question": resolve(value)}
    if not isinstance(value, list) or not value:
        raise BadInput(f"The input is {kind_of(value)}, not a text or messages.", where=where, todo="Mend it.")
    messages: list[dict[str, Any]] = []
    for one in cast("list[Any]", value):
        if not isinstance(one, dict) or not isinstance(cast("dict[str, Any]", one).get("role"), str):
            raise BadInput("A message has no role.", where=where, todo="Mend it.")
        message = cast("dict[str, Any]", one)
        kept = {"role": message["role"], "content": text_of(message.get("content"), into, where, resolve)}
        kept |= {name: message[name] for name in ("name", "tool_calls", "tool_call_id") if message.get(name)}
        messages.append(kept)
    asked = next((one["content"] for one in reversed(messages) if one["role"] == "user"), "")
    if len(messages) == 1 and messages[0]["role"] == "user":
        return {"question": asked}
    return {"messages": messages, "question": asked}


def text_of(content: Any, into: Collecting, where: str, resolve: Callable[[str], str] = as_is) -> str:
    """Return the text of a message's content; parts that are no text are noted."""
    if content is None:
        return ""
    if isinstance(content, str):
        return resolve(content)
    found: list[str] = []
    for part in cast("list[Any]", content) if isinstance(content, list) else [content]:
        piece = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
        text = part if isinstance(part, str) else piece.get("text")
        if isinstance(text, str):
            found.append(resolve(text))
        elif piece.get("type") != "reasoning":
            into.note(f"a part of a message is left out: {str(piece.get('type') or kind_of(part))[:40]}", where)
    return "\n".join(found)
