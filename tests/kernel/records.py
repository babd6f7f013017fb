"""A body with parts and an event, as operations have them."""

from typing import Any

import msgspec

from gimbal.kernel.events import Event


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a body."""

    size: int
    more: Any = None


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body."""

    name: str
    parts: list[Part] = []
    labels: dict[str, int] = {}


class Moved(Event, frozen=True, kw_only=True):
    """Something moved."""

    what: str
