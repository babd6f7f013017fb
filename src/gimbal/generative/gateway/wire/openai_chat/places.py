"""Where thoughts stand in a message of chat completions, which has one field for all text and one for all calls.

A detail of what was thought says so by its `id`: after how many characters of the content and after how many calls. One
without such an id stands before both. What lies between two of them is text, then calls; where text came after a call, an
empty thought stands before it.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from gimbal.generative.gateway.conversation import AnyPart, Json, Text, Thinking, ToolUse

_PLACE = re.compile(r"after-(\d{1,9})-(\d{1,9})", re.ASCII)


class Place(msgspec.Struct, frozen=True):
    """Where a thought stands."""

    characters: int = 0
    """Of the content, before it."""
    calls: int = 0
    """Before it."""


FIRST = Place()


def said(place: Place) -> Json:
    """Return the fields that say a place; none for the first."""
    return {} if place == FIRST else {"id": f"after-{place.characters}-{place.calls}"}


def empty(place: Place) -> Json:
    """Return the empty thought before a text that came after a call."""
    return {"type": "reasoning.text", "text": ""} | said(place)


def place_of(known: str, before: Place) -> Place:
    """Return the place that an id says; that of the thought before it where it says none."""
    match = _PLACE.fullmatch(known)
    return Place(int(match[1]), int(match[2])) if match else before


def ours(known: object) -> bool:
    """Tell whether an id says a place."""
    return isinstance(known, str) and _PLACE.fullmatch(known) is not None


def woven(
    thoughts: Sequence[tuple[Place, Thinking | None]], content: Sequence[AnyPart], calls: Sequence[ToolUse]
) -> Iterator[AnyPart]:
    """Yield the parts of a message in order; what the caller has changed since loses nothing."""
    left, length, made = list(content), 0, 0
    for place, thought in thoughts:
        while left and length < place.characters:
            part = left.pop(0)
            if isinstance(part, Text) and length + len(part.text) > place.characters:
                cut = place.characters - length
                left.insert(0, msgspec.structs.replace(part, text=part.text[cut:]))
                part = Text(text=part.text[:cut])
            length += len(part.text) if isinstance(part, Text) else 0
            yield part
        yield from calls[made : place.calls]
        made = max(made, place.calls)
        if thought is not None:
            yield thought
    yield from left
    yield from calls[made:]
