"""The record of an estimate, apart from the numerics, so that clients can read it without them."""

import msgspec


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number, the interval that covers the truth with `level`, and what it rests on."""

    value: float | None
    """Null when undefined; `undefined` says why."""
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int = 0
    """Units."""
    clusters: int | None = None
    """Independent groups, where units share a source."""
    se: float | None = None
    method: str = ""
    undefined: str = ""
