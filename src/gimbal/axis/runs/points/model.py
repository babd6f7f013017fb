"""Metric points: batches as columns on their way in, single ones on their way out."""

import math
import struct
from typing import NamedTuple

import msgspec

_DOUBLE, _SIGNED = struct.Struct("<d"), struct.Struct("<q")
_MAGNITUDE = (1 << 63) - 1


class PointBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one run."""

    names: list[str]
    steps: list[int]
    at_us: list[int]
    """Microseconds since 1970."""
    values: list[float]
    """NaN and infinities are values."""

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self.names)


class Point(NamedTuple):
    """One point of one metric."""

    step: int
    at_us: int
    value: float


class Place(NamedTuple):
    """Where a page of a history ends, in whichever order it is read."""

    step: int
    at_us: int
    rank: int
    """Of the value, by `rank_of`."""


def rank_of(value: float) -> int:
    """Return a whole number that sorts as the value does, NaN behind all: with it a place can be told exactly."""
    bits: int = _SIGNED.unpack(_DOUBLE.pack(math.nan if value != value else value))[0]  # noqa: PLR0124 - NaN
    return bits if bits >= 0 else bits ^ _MAGNITUDE


def place_of(point: Point) -> Place:
    """Return the place behind a point."""
    return Place(point.step, point.at_us, rank_of(point.value))
