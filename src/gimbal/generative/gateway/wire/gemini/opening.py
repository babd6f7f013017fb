"""Contents with seals of ours on their parts, as they were answered by other wires → as Gemini takes them."""

from typing import Any

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import rows, table, text
from gimbal.generative.gateway.wire.gemini.encode import STRICT, UNSIGNED
from gimbal.generative.gateway.wire.gemini.parts import generation_of
from gimbal.generative.gateway.wire.seals import GEMINI, own, unpacked

_NAMES = ("thoughtSignature", "thought_signature")


def contents(given: Any, model: str) -> list[Any]:
    """Return the contents without our marks, and without the signatures of other makers."""
    strict = generation_of(model) >= STRICT
    found: list[Any] = []
    for content in rows(given):
        parts = table(content).get("parts")
        if isinstance(parts, list):
            found.append({**table(content), "parts": [_part(part, strict=strict) for part in rows(parts)]})
        else:
            found.append(content)
    return found


def _part(part: Any, *, strict: bool) -> Any:
    found: Json = dict(table(part))
    if not found:
        return part
    for name in _NAMES:
        if given := text(found.pop(name, None)):
            seal, hidden = unpacked(given)
            cipher = "" if hidden else own(GEMINI, seal)
            if not cipher and strict and ("functionCall" in found or "function_call" in found):
                cipher = UNSIGNED
            if cipher:
                found[name] = cipher
    return found
