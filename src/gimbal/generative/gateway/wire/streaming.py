"""What readers share whose streams have a last word: bytes become events, each a piece, and an end without it is none."""

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from gimbal.generative.gateway.conversation import Piece
from gimbal.generative.gateway.wire.answers import cut_short, each

_Event = TypeVar("_Event")
_Event_co = TypeVar("_Event_co", covariant=True)


class Parser(Protocol[_Event_co]):
    """Cuts the bytes of a stream into events."""

    def feed(self, chunk: bytes) -> Iterable[_Event_co]:
        """Return the events that these bytes complete."""
        ...

    def end(self) -> Iterable[_Event_co]:
        """Return what was complete when the stream ended."""
        ...


class StreamReader(Generic[_Event]):
    """Reads one stream. What a wire has of its own says what each event means, and sets `_ended` at the last word."""

    def __init__(self, provider: str, events: Parser[_Event]) -> None:
        self._provider = provider
        self._events = events
        self._ended = False

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the pieces of the events that these bytes complete."""
        return each(self._piece, self._events.feed(chunk))

    @property
    def done(self) -> bool:
        """Whether the last word has come."""
        return self._ended

    def end(self) -> list[Piece]:
        """Return what was complete when the stream ended; raise Upstream when it ended in the middle."""
        last = each(self._piece, self._events.end())
        if not self._ended:
            raise cut_short(self._provider)
        return last

    def _piece(self, event: _Event) -> Piece:
        raise NotImplementedError
