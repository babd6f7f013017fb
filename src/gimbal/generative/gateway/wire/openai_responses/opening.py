"""Items with seals of ours on their thoughts, as they were answered by other wires → as OpenAI takes them."""

from typing import Any

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import rows, table, text
from gimbal.generative.gateway.wire.openai_responses.items import SIGNATURE
from gimbal.generative.gateway.wire.seals import opened


def items(given: Any) -> list[Any]:
    """Return the items without our marks, and without thoughts that another maker sealed."""
    return [kept for item in rows(given) if (kept := _item(item)) is not None]


def _item(item: Any) -> Any:
    found: Json = table(item)
    seal = text(found.get("encrypted_content")) if found.get("type") == "reasoning" else ""
    mark, cipher = opened(seal)
    if mark.startswith("rs_"):
        return {**found, "id": mark, "encrypted_content": cipher}
    return None if mark or seal.startswith(SIGNATURE) else item
