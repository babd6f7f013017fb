"""What encoders of requests share: how turns become messages, and what no provider but the caller's own can be told."""

import mimetypes
from collections.abc import Sequence
from typing import Any

from gimbal.generative.gateway.conversation import File, Image, Json, Reasoning, ToolUse, Turn
from gimbal.generative.gateway.wire.answers import arguments
from gimbal.generative.gateway.wire.protocol import inexpressible
from gimbal.kernel.errors import BadInput

NO_PARAMETERS: Json = {"type": "object", "properties": {}}
"""The schema of a tool that takes nothing, for wires that want one."""
SYSTEM = frozenset({"system", "developer"})


def split(turns: Sequence[Turn]) -> tuple[Sequence[Turn], Sequence[Turn]]:
    """Return what the system says before the conversation, and the conversation: wires have a field for the first."""
    leading = 0
    while leading < len(turns) and turns[leading].role in SYSTEM:
        leading += 1
    if leading == len(turns):
        raise BadInput("There is no message but the system's.", where="messages", todo="Add a user message.")
    return turns[:leading], turns[leading:]


def role_of(turn: Turn, roles: dict[str, str], whose: str) -> str:
    """Return the role as a wire names it; raise BadInput for one that it lacks, and for the name of a speaker."""
    if turn.role not in roles:
        raise inexpressible(f"The role {turn.role!r:.60}", f"{turn.where}.role".lstrip("."), whose)
    if turn.name and turn.role not in {"tool", "function"}:
        raise inexpressible("The name of a speaker", f"{turn.where}.name".lstrip("."), whose)
    return roles[turn.role]


def add(messages: list[Json], role: str, field: str, blocks: list[Json]) -> None:
    """Add what a turn says; neighbours of one role become one message, as most APIs want."""
    if blocks and messages and messages[-1]["role"] == role:
        messages[-1][field] += blocks
    elif blocks:
        messages.append({"role": role, field: blocks})


def arguments_of(use: ToolUse, turn: Turn) -> Json:
    """Return the arguments of a call that a model made before; raise BadInput where they are no object."""
    given = arguments(use.arguments)
    if given is None:
        raise BadInput(
            "The arguments of a tool call are not a JSON object.", where=turn.where, todo="Send them as JSON."
        )
    return given


def undetailed(image: Image, turn: Turn, whose: str) -> Image:
    """Return a picture; raise BadInput where it is not to be looked at closely, which is what happens anyway."""
    if image.detail not in {"", "auto", "high"}:
        raise inexpressible("The detail of a picture", turn.where, whose)
    return image


def image_type(image: Image) -> str:
    """Return the media type of a picture; where nobody told it, its first bytes or its address do. Empty: unknown."""
    kind = image.media_type.partition(";")[0].strip().lower()
    if kind:
        return "image/jpeg" if kind == "image/jpg" else kind
    if image.data:
        return next((kind for head, kind in _HEADS.items() if image.data.startswith(head)), "image/png")
    return _guessed(image.url)


def file_type(file: File) -> str:
    """Return the media type of a document; where nobody told it, its name or its address do. Empty: unknown."""
    return file.media_type.partition(";")[0].strip().lower() or _guessed(file.name) or _guessed(file.url)


_HEADS = {"iVBORw0K": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How pictures begin, in base64."""


def _guessed(name: str) -> str:
    return mimetypes.guess_type(name.partition("?")[0])[0] or ""


def effort_of(reasoning: Reasoning, efforts: frozenset[str], whose: str) -> str:
    """Return how hard a model shall think, empty for not at all or not said; raise BadInput for a word that is lacking."""
    if reasoning.effort not in efforts | {"", "none"}:
        raise inexpressible(f"The effort {reasoning.effort!r:.60}", "reasoning_effort", whose)
    return "" if reasoning.effort == "none" else reasoning.effort


def thinking_of(reasoning: Reasoning) -> Json:
    """Return Anthropic's `thinking`, which Bedrock takes for Anthropic's models too."""
    if reasoning.effort == "none" or reasoning.budget == 0:
        return {"type": "disabled"}
    thinking: Json = (
        {"type": "adaptive"} if reasoning.budget is None else {"type": "enabled", "budget_tokens": reasoning.budget}
    )
    if reasoning.show is not None:
        thinking["display"] = "summarized" if reasoning.show else "omitted"
    return thinking


def described(schema: Json | None, description: str) -> Json:
    """Return the schema of an answer; what was said of it beside the schema goes into it."""
    found: dict[str, Any] = schema or {"type": "object"}
    return {"description": description} | found if description else found


def given(fields: Json) -> Json:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
