"""Events invert upward needs: a lower room says what happened, a higher one listens. In process, after the commit."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

_log = logging.getLogger(__name__)


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all events: facts in the past tense, named after them."""

    project: str
    """Slug of the project that it happened in."""


E = TypeVar("E", bound=Event)


class EventBus:
    """Hands each event to the handlers of its type, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Callable[[Any], Awaitable[None]]]] = {}
        self.failures = 0
        """How many handler calls raised; shown on /metrics."""

    def subscribe(self, kind: type[E], handler: Callable[[E], Awaitable[None]]) -> None:
        """Call `handler` with every event of exactly this kind from now on."""
        self._handlers.setdefault(kind, []).append(handler)

    async def publish(self, event: Event) -> None:
        """Call the handlers one after the other. What happened stays so: a failing handler is logged and counted."""
        for handler in self._handlers.get(type(event), ()):
            try:
                await handler(event)
            except Exception:  # noqa: BLE001 - one bad listener must not undo what happened
                self.failures += 1
                _log.exception("a handler of %s failed", type(event).__name__)
