"""What detectors are, and what they find."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec


class Extent(NamedTuple):
    """From where to where something stands in the UTF-8 bytes of a text."""

    start: int
    end: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found: its kind, and from where to where it stands in the text, in characters."""

    kind: str
    start: int
    end: int


class Detector(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be looked for."""

    name: str
    """What a policy calls it."""
    kind: str
    """What its findings are called, and what stands in their place: `[kind]`."""
    family: str
    """The detectors that are chosen together."""
    description: str
    """What it finds, in one line for people."""
    rank: int
    """Which of two findings of one length names the whole: the higher one, as the more specific."""
    gate: Callable[[bytes], object]
    """A cheap look that is falsy where nothing can be found; detectors that share one are asked once."""
    find: Callable[[bytes], Iterable[Extent]]
    """Where it finds something, from left to right."""
    apart: bool = False
    """Whether it looks at a text by itself, without what stands before it elsewhere."""


class Redacted(NamedTuple):
    """A text with placeholders, and how many findings of each kind they stand for."""

    text: str
    counts: dict[str, int]
