"""What stands in the playground: up to four models beside each other, one conversation, variables; as its address says it."""

from collections.abc import Sequence
from typing import Literal, cast

import msgspec

from gimbal.engines.console.pages import PageRequest

MOST_COLUMNS = 4
_MOST_MESSAGES = 50
_ROLES = ("user", "assistant")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One of those that are compared."""

    model: str = ""
    """`provider/model`, `prompt:…` or `route:…`."""
    temperature: str = ""
    max_tokens: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the conversation."""

    role: Literal["user", "assistant"] = "user"
    content: str = ""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """The playground as it was set up."""

    columns: tuple[Column, ...]
    system: str
    messages: tuple[Message, ...]
    variables: tuple[tuple[str, str], ...]


def read_setup(request: PageRequest) -> Setup:
    """Return what an address says; what it does not say, or says too often, is as in a fresh playground.

    `model`, `message` (`user:text`) and `variable` (`name=value`) come several times; `temperature2` is of the second model.
    """
    query = request.query
    models = request.values("model")[:MOST_COLUMNS] or [""]
    columns = tuple(
        Column(
            model=name,
            temperature=query.get(f"temperature{place}", ""),
            max_tokens=query.get(f"max_tokens{place}", ""),
        )
        for place, name in enumerate(models, 1)
    )
    variables = [one.partition("=") for one in request.values("variable")[:_MOST_MESSAGES]]
    return Setup(
        columns=columns,
        system=query.get("system", ""),
        messages=_messages(request.values("message")[:_MOST_MESSAGES]),
        variables=tuple((name, value) for name, _, value in variables if name),
    )


def _messages(given: Sequence[str]) -> tuple[Message, ...]:
    found: list[Message] = []
    for one in given:
        role, colon, content = one.partition(":")
        known = bool(colon) and role in _ROLES
        found.append(
            Message(
                role=cast('Literal["user", "assistant"]', role) if known else "user", content=content if known else one
            )
        )
    return tuple(found) or (Message(),)
