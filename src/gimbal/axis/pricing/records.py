"""What changes of prices and books answer, as every face shows it."""

from datetime import datetime
from typing import Literal

import msgspec

from gimbal.axis.pricing.listing import PriceEntry

Outcome = Literal["taken", "unchanged", "refused", "unreachable"]
OUTCOMES: tuple[Outcome, ...] = ("taken", "unchanged", "refused", "unreachable")


class PriceChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of prices does."""

    price: PriceEntry
    effect: str
    """From when it counts, in words."""
    stored_calls: int | None
    """Calls that are stored already and would cost something else now; null: they could not be counted."""
    todo: str = ""
    """What to run, so that those have the new price."""
    notes: list[str] = []
    """What is worth a look, though it was done."""


class BookVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A price book that was in force some time."""

    version: str
    in_force: bool
    origin: str
    """`shipped`, or where it came from."""
    prices: int
    taken_at: datetime
    taken_by: str
    digest: str


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """How getting a newer book went."""

    outcome: Outcome
    """`taken` or `unchanged`; what is refused or cannot be reached is an error."""
    version: str
    """The book that is in force now."""
    before: str
    """The one that was."""
    source: str
    prices: int = 0
    added: int = 0
    """Prices that the one before had not."""
    changed: int = 0
    gone: int = 0
    """Prices that it has no more: the shipped book is asked for these."""
