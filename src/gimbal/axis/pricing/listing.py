"""Prices as people see them: one row each, whichever layer they come from, and whether they count."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from gimbal.axis.pricing.layers import Layers
from gimbal.axis.pricing.lookup import compiled
from gimbal.axis.pricing.model import RATES, Confidence, LongContext, Price, Tier
from gimbal.axis.pricing.overrides import Override

Layer = Literal["project", "installation", "book"]
Standing = Literal["in force", "covered", "planned", "ended", "removed"]
LAYERS: tuple[Layer, ...] = ("project", "installation", "book")


class PriceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One price of a model, per million tokens."""

    layer: Layer
    """`project`, `installation` or `book`: the first that has anything for a call counts."""
    name: str
    """`p3` of the project, `i3` of the installation, or the version of the book: spans name their prices so."""
    provider: str
    model: str
    """Name, or a pattern with `*`."""
    tier: Tier | None = None
    """Null: every tier."""
    state: Standing
    """`covered` is what a layer above has a price for; `removed` is kept for what was counted with it."""
    valid_from: date
    valid_until: date | None = None
    factor: Decimal | None = None
    """What the layers below say is multiplied by it; then there are no other amounts."""
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_write_12h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    audio_cache_read: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None
    requests: dict[str, Decimal] = {}
    long_context: LongContext | None = None
    currency: str = "USD"
    usd: Decimal | None = None
    aliases: tuple[str, ...] = ()
    source: str = ""
    confidence: Confidence = "published"
    note: str = ""
    set_at: datetime | None = None
    set_by: str = ""
    removed_at: datetime | None = None
    removed_by: str = ""

    @property
    def place(self) -> str:
        """What rows are sorted by, for cursors; newest first within a name and tier."""
        age = 10**8 - int(self.valid_from.strftime("%Y%m%d"))
        return "\t".join(
            (self.provider, self.model, self.tier or "", str(LAYERS.index(self.layer)), f"{age:08}", self.name)
        )


def entry_of(found: Override, state: Standing) -> PriceEntry:
    """Return the row of an override."""
    kept = {name: getattr(found, name) for name in ("note", "set_at", "set_by", "removed_at", "removed_by", "usd")}
    return _row(
        found.price,
        {**kept, **_common(found), "factor": found.factor, "name": found.mark, "state": state},
        layer="project" if found.scope else "installation",
    )


def entry_of_book(price: Price, version: str, state: Standing) -> PriceEntry:
    """Return the row of a price of a book."""
    return _row(price, {**_common(price), "name": version, "state": state}, layer="book")


def _common(found: Override | Price) -> dict[str, Any]:
    names = ("provider", "model", "tier", "valid_from", "valid_until", "aliases", "source", "confidence")
    return {name: getattr(found, name) for name in names}


def _row(price: Price | None, fields: dict[str, Any], *, layer: Layer) -> PriceEntry:
    if price is not None:
        fields |= {name: getattr(price, name) for name in (*RATES, "requests", "long_context", "currency")}
    return PriceEntry(layer=layer, **fields)


def entries(layers: Layers, at: datetime) -> Iterator[PriceEntry]:
    """Yield every price of the layers, as it stands at a moment."""
    day = at.astimezone(UTC).date()
    for lookup in layers.overrides:
        for found in lookup.all():
            yield entry_of(found, _standing(layers, found, found.price, at, day))
    for book in layers.books:
        for price in book.all():
            yield entry_of_book(price, book.version, _standing(layers, price, price, at, day))


def _standing(layers: Layers, found: Override | Price, price: Price | None, at: datetime, day: date) -> Standing:
    if found.valid_from > day:
        return "planned"
    if found.valid_until is not None and found.valid_until <= day:
        return "ended"
    if "*" in found.model or found.tier is None:
        return "in force"
    first = layers.first(found.provider, found.model, at, found.tier)
    if first is None or first is found or first is price:
        return "in force"
    newer = first.valid_from > found.valid_from and type(first) is type(found) and first.model == found.model
    return "ended" if newer else "covered"


def fits(entry: PriceEntry, provider: str | None, model: str | None) -> bool:
    """Tell whether a row is of a provider and has a text, or a pattern with `*`, in its name or an alias."""
    if provider and entry.provider != provider.strip().lower():
        return False
    if not model:
        return True
    asked = model.strip().lower()
    names = (entry.model, *entry.aliases)
    if "*" in asked:
        wanted = compiled(asked)
        return any(wanted.match(name) for name in names)
    if any(asked in name for name in names):
        return True
    return "*" in entry.model and compiled(entry.model).match(asked) is not None
