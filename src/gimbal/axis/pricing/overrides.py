"""Prices of one's own: what a project or the whole installation pays instead of what a book says.

An override has either full prices or a factor on what would count without it. It never changes: to correct one,
remove it and set another, so that a span that names it leads to the very prices that it was counted with.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any

import msgspec

from gimbal.axis.pricing.book import check_price, check_rate
from gimbal.axis.pricing.model import RATES, Confidence, LongContext, Price, Tier
from gimbal.kernel.errors import BadInput, Conflict

KEPT = "the prices as they were"
_FIRST_DAY = date(2015, 1, 1)
_FURTHEST = timedelta(days=3 * 366)
_MOST_FACTOR = Decimal(10)
_FEWEST_OWN = 2
_MOST_TIMES = 100
# Dollars per million tokens outside of which nobody sold anything yet.
_LEAST, _MOST = Decimal("0.001"), Decimal(10_000)
_MOST_TOOLS = 50
_MOST_ALIASES = 20
_Name = Annotated[str, msgspec.Meta(max_length=256)]
_Text = Annotated[str, msgspec.Meta(max_length=2000)]


class SetPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one pays: full prices per million tokens, or a factor on what the book says."""

    provider: _Name
    """As spans name it: `openai`, `anthropic` …"""
    model: _Name
    """Name, or a pattern with `*` for any characters; with a factor `*` alone is every model of the provider."""
    factor: Decimal | None = None
    """`0.88` is 12 % off what would be paid without this price, tools included; then there are no other amounts."""
    input: Decimal | None = None
    """Text that is neither cached nor written to a cache; full prices need it."""
    output: Decimal | None = None
    """Text, without reasoning; full prices need it."""
    cache_read: Decimal | None = None
    """Input from the provider's cache; null: as other input."""
    cache_write: Decimal | None = None
    """Input put into it for up to 30 minutes; null: as other input."""
    cache_write_1h: Decimal | None = None
    """Input put into it for an hour; null: such calls are unpriced."""
    cache_write_12h: Decimal | None = None
    """Input put into it for 12 hours; null: such calls are unpriced."""
    reasoning: Decimal | None = None
    """Null: as the output."""
    audio_input: Decimal | None = None
    """Null: such calls are unpriced."""
    audio_output: Decimal | None = None
    """Null: such calls are unpriced."""
    audio_cache_read: Decimal | None = None
    """Null: such calls are unpriced."""
    image_input: Decimal | None = None
    """Null: as the input."""
    image_output: Decimal | None = None
    """Null: such calls are unpriced."""
    requests: dict[str, Decimal] = {}
    """Per use of a tool of the provider: `web_search` …"""
    long_context: LongContext | None = None
    """Other rates for calls whose input is longer than a threshold."""
    tier: Tier | None = None
    """Null: full prices are those of `standard`, a factor holds for every tier."""
    valid_from: date | None = None
    """First day, in UTC; null: today. A later day is a planned change, an earlier one touches what is stored only by
    rerating it."""
    valid_until: date | None = None
    """First day on which it no longer holds; null: until the next of the same model begins, or it is removed."""
    currency: str = "USD"
    """Of all amounts here, in three letters."""
    usd: Decimal | None = None
    """What one unit of the currency is worth in dollars; null: as the book says for the day of the call."""
    aliases: tuple[_Name, ...] = ()
    """Other names of the model."""
    source: _Text = ""
    """Who says so: a contract's number, a page."""
    confidence: Confidence = "contract"
    """How sure it is: published, contract, derived or estimated."""
    note: _Text = ""
    """For whoever reads it later."""
    unusual: bool = False
    """Set it although it is far from what the book says or from what models cost: checked, and meant so."""


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A price of one's own as it is kept."""

    scope: str
    """Slug of the project; empty: of the whole installation."""
    number: int
    provider: str
    model: str
    aliases: tuple[str, ...] = ()
    tier: Tier | None = None
    valid_from: date
    valid_until: date | None = None
    price: Price | None = None
    factor: Decimal | None = None
    usd: Decimal | None = None
    source: str = ""
    confidence: Confidence = "contract"
    note: str = ""
    set_at: datetime
    set_by: str
    removed_at: datetime | None = None
    removed_by: str = ""

    @property
    def mark(self) -> str:
        """How it is named within its project: `p3`, or `i3` for one of the installation."""
        return f"{'p' if self.scope else 'i'}{self.number}"


def to_override(body: SetPrice, *, scope: str, number: int, at: datetime, by: str) -> Override:
    """Return what is kept of a price; raise BadInput when it cannot be meant, whatever else there is."""
    today = at.date()
    provider, model = body.provider.strip().lower(), body.model.strip().lower()
    begins = body.valid_from or today
    _check_names(provider, model, body)
    if not _FIRST_DAY <= begins <= today + _FURTHEST:
        raise _refused("valid_from", f"{begins} is not between {_FIRST_DAY} and three years from now")
    common: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "aliases": tuple(alias.strip().lower() for alias in body.aliases),
        "valid_from": begins,
        "valid_until": body.valid_until,
        "source": body.source,
        "confidence": body.confidence,
    }
    if body.factor is not None:
        _check_factor(body, begins)
        price = None
    else:
        price = _full(body, common)
    kept: dict[str, Any] = {"number": number, "set_at": at, "set_by": by, "note": body.note, "usd": body.usd}
    tier: Tier | None = body.tier if price is None else price.tier
    return Override(scope=scope, price=price, factor=body.factor, tier=tier, **common, **kept)


def _check_names(provider: str, model: str, body: SetPrice) -> None:
    if not provider or "*" in provider:
        raise _refused("provider", f"{provider!r} is not the name of one provider")
    if not model:
        raise _refused("model", "it is empty")
    if "\0" in provider + model + body.note + body.source + "".join(body.aliases):
        raise _refused("body", "a text holds the character U+0000")
    if len(body.aliases) > _MOST_ALIASES or len(body.requests) > _MOST_TOOLS:
        raise _refused("aliases" if body.aliases else "requests", "there are too many")
    if any(not alias.strip() or "*" in alias for alias in body.aliases):
        raise _refused("aliases", "an alias is a name without `*`")
    own = len(model.replace("*", ""))
    if "*" in model and own < _FEWEST_OWN and not (body.factor is not None and model == "*"):
        raise _refused("model", f"the pattern {model!r} fits nearly every model; give more of the name")


def _check_factor(body: SetPrice, begins: date) -> None:
    given = [name for name in (*RATES, "long_context", "usd") if getattr(body, name) is not None]
    given += ["requests"] if body.requests else []
    if given or body.currency != "USD":
        raise _refused(given[0] if given else "currency", "with a factor there are no other amounts")
    factor = body.factor or Decimal(0)
    if not factor.is_finite() or not 0 < factor <= _MOST_FACTOR:
        raise _refused("factor", f"{factor} is not above 0 and at most {_MOST_FACTOR}; 0.88 is 12 % off")
    check_rate(factor, "factor", KEPT)
    if body.valid_until is not None and body.valid_until <= begins:
        raise _refused("valid_until", "it ends before it begins")


def _full(body: SetPrice, common: dict[str, Any]) -> Price:
    for name in ("input", "output"):
        if getattr(body, name) is None:
            raise _refused(name, f"{name} is missing; give full prices, or a factor")
    rates = {name: getattr(body, name) for name in RATES}
    price = Price(
        **rates,
        **common,
        requests=body.requests,
        long_context=body.long_context,
        tier=body.tier or "standard",
        currency=body.currency,
    )
    check_price(price, "body", latest=date.max, kept=KEPT)
    if body.usd is not None:
        check_rate(body.usd, "usd", KEPT)
        if body.usd == 0 or body.currency == "USD":
            raise _refused("usd", "it is what one unit of another currency is worth")
    return price


def check_currency(found: Override, known: Iterable[str]) -> None:
    """Raise BadInput when nobody says what the currency of a price is worth."""
    price = found.price
    if price is not None and found.usd is None and price.currency not in {"USD", *known}:
        raise _refused(
            "currency", f"the book has no exchange rate of {price.currency}; give `usd`, or prices in dollars"
        )


def check_usual(found: Override, usual: Price | None) -> list[str]:
    """Raise BadInput when full prices are far from the usual ones; return what is worth a look.

    A price per token or per thousand that was taken for one per million is the mistake that this is for.
    """
    if found.price is None or found.price.currency != "USD":
        return []
    notes: list[str] = []
    for name in ("input", "output"):
        rate, other = getattr(found.price, name), getattr(usual, name) if usual is not None else None
        if other:
            times = rate / other
            if not 1 / Decimal(_MOST_TIMES) <= times <= _MOST_TIMES:
                raise _far(name, f"{rate} is far from the {other} that count without it")
            if not Decimal("0.1") <= times <= 10:
                notes.append(f"{name}: {rate} is {times:.3g} times the {other} that count without it.")
        elif not _LEAST <= rate <= _MOST and not (usual is not None and rate == other):
            raise _far(name, f"{rate} dollars per million tokens is what no model costs")
    return notes


def _far(name: str, reason: str) -> BadInput:
    return BadInput(
        f"The price is refused: {reason}.",
        where=name,
        kept=KEPT,
        todo="Amounts are per million tokens. If it is meant so, set it with `unusual`.",
    )


def check_free(found: Override, others: Sequence[Override]) -> None:
    """Raise Conflict when another override of the same layer means the same model and tier on the same days."""
    names = {found.model, *found.aliases}
    for other in others:
        if other.provider != found.provider or not names & {other.model, *other.aliases}:
            continue
        if found.tier is not None and other.tier is not None and found.tier != other.tier:
            continue
        for before, after in pairwise(sorted((found, other), key=lambda o: o.valid_from)):
            ends = before.valid_until
            if before.valid_from == after.valid_from or (ends is not None and ends > after.valid_from):
                raise Conflict(
                    f"The price overlaps {other.mark} ({other.provider}/{other.model}, {other.tier or 'every tier'}, "
                    f"from {other.valid_from}{f' until {other.valid_until}' if other.valid_until else ''}).",
                    where="valid_from",
                    kept=KEPT,
                    todo=f"Remove {other.mark} first, or begin on another day.",
                )


def scaled(price: Price, factor: Decimal) -> Price:
    """Return a price of which every amount is multiplied."""
    rates = {name: rate * factor for name in RATES if (rate := getattr(price, name)) is not None}
    long = price.long_context
    if long is not None:
        of_long = {name: getattr(long, name) for name in RATES if name in LongContext.__struct_fields__}
        long = msgspec.structs.replace(long, **{name: r * factor for name, r in of_long.items() if r is not None})
    requests = {tool: rate * factor for tool, rate in price.requests.items()}
    return msgspec.structs.replace(price, **rates, requests=requests, long_context=long)


def _refused(where: str, reason: str) -> BadInput:
    return BadInput(
        f"The price is refused: {reason}.", where=where, kept=KEPT, todo="Amounts are texts, per million tokens."
    )
