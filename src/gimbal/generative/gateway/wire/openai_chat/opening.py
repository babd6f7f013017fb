"""Messages with seals of ours on their thoughts, as they were answered by other wires → as providers of this wire take them."""

from typing import Any

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import rows, table, text
from gimbal.generative.gateway.wire.openai_chat import places
from gimbal.generative.gateway.wire.openai_chat.encode import unsealed
from gimbal.generative.gateway.wire.seals import CHAT, opened

_DETAILS = "reasoning_details"


def messages(given: Any) -> list[Any]:
    """Return the messages without our marks, and without thoughts that another maker sealed."""
    return [_message(message) for message in rows(given)]


def _message(message: Any) -> Any:
    found: Json = dict(table(message))
    if not isinstance(found.get(_DETAILS), list):
        return message
    details = [kept for row in rows(found.pop(_DETAILS)) if (kept := _detail(row)) is not None]
    return found | {_DETAILS: details} if details else found


def _detail(row: Any) -> Any:
    found: Json = dict(table(row))
    if places.ours(found.get("id")):
        del found["id"]
        if not any(found.get(name) for name in ("text", "summary", "signature", "data")):
            return None
    for name in ("signature", "data"):
        mark, cipher = opened(text(found.get(name)))
        if mark and mark != CHAT:
            return None
        if mark:
            found |= unsealed(name, cipher)
    return found or row
