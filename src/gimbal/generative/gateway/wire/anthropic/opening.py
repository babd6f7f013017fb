"""Messages with seals of ours on their thoughts, as they were answered by other wires → as Anthropic takes them."""

from typing import Any

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import rows, table, text
from gimbal.generative.gateway.wire.seals import CLAUDE, own

_SEALS = {"thinking": "signature", "redacted_thinking": "data"}


def messages(given: Any) -> list[Any]:
    """Return the messages without our marks, and without thoughts that another maker sealed."""
    return [kept for message in rows(given) if (kept := _message(message)) is not None]


def _message(message: Any) -> Any:
    content = table(message).get("content")
    if not isinstance(content, list):
        return message
    blocks = [kept for block in rows(content) if (kept := _block(block)) is not None]
    # A message that was nothing but such thoughts is none any more.
    return {**table(message), "content": blocks} if blocks or not content else None


def _block(block: Any) -> Any:
    found: Json = table(block)
    name = _SEALS.get(text(found.get("type")))
    seal = text(found.get(name)) if name else ""
    if not name or not seal:
        return block
    cipher = own(CLAUDE, seal)
    return {**found, name: cipher} if cipher else None
