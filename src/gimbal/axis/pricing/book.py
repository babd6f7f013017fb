"""A price book as it is read: a version, prices, exchange rates. One that is not right is refused as a whole."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec

from gimbal.axis.pricing.model import RATES, Exchange, Price
from gimbal.kernel.errors import BadInput

SHIPPED = Path(__file__).with_name("prices.toml")
_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.\d{1,4})?\Z", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}\Z", re.ASCII)
# A dollar a token: more is a price per token or per thousand that was taken for one per million.
_MOST = Decimal(1_000_000)
_MOST_PLACES = 9
_ENTRIES = {"price": Price, "exchange": Exchange}
_KEPT = "the prices before"
_TODO = 'Mend the entry and read the book again; a price is a text such as "2.50", per million tokens.'


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a price book."""

    version: str
    """Day on which it was true, `2026-11-01`, with `.2` and so on for later ones of the same day."""
    prices: tuple[Price, ...]
    exchange: tuple[Exchange, ...] = ()


def read_book(text: str, name: str, *, today: date | None = None) -> Book:
    """Read a book in TOML: `version`, `[[price]]` and `[[exchange]]` tables.

    Raise BadInput with the file, the entry and the reason when any of it is not right; `today` bounds its version.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(
            f"The price book is not TOML: {error}.", where=name, kept="the prices before", todo="Mend the file."
        ) from None
    if unknown := sorted(set(raw) - {"version", *_ENTRIES}):
        raise _refused(name, f"{unknown[0]!r} is not part of a price book")
    day = _version_day(raw.get("version"), name)
    if today is not None and day > today:
        raise _refused(f"{name}: version", f"the book is of {day}, which has not come yet")
    rows = raw.get("price")
    if not isinstance(rows, list) or not rows:
        raise _refused(f"{name}: price", "the book has no prices")
    prices = tuple(_entries(cast("list[Any]", rows), "price", Price, name))
    rows = raw.get("exchange", [])
    exchange = tuple(
        _entries(cast("list[Any]", rows) if isinstance(rows, list) else [rows], "exchange", Exchange, name)
    )
    for number, price in enumerate(prices, 1):
        check_price(price, f"{name}: {label(price, number)}", latest=day)
    for number, rate in enumerate(exchange, 1):
        _check_exchange(rate, f"{name}: exchange {number} ({rate.currency})", day)
    check_overlaps(prices, name)
    known = {rate.currency for rate in exchange} | {"USD"}
    for number, price in enumerate(prices, 1):
        if price.currency not in known:
            raise _refused(f"{name}: {label(price, number)}", f"the book has no exchange rate of {price.currency}")
    return Book(version=raw["version"], prices=prices, exchange=exchange)


def version_key(version: str) -> tuple[str, int]:
    """Return what sorts versions: the day, then the number within it."""
    day, _, number = version.partition(".")
    return day, int(number or 1)


def label(price: Price, number: int) -> str:
    """Return how a message names an entry."""
    return f"price {number} ({price.provider}/{price.model}, {price.tier}, from {price.valid_from})"


def check_price(price: Price, where: str, *, latest: date, kept: str = _KEPT) -> None:
    """Raise BadInput when a price cannot be meant."""
    for field in ("provider", "model"):
        text = getattr(price, field)
        if not text or text != text.lower().strip():
            raise _unfit(f"{where}: {field}", f"{text!r} is not a name in small letters", kept)
    if price.model.strip("*") == "":
        raise _unfit(f"{where}: model", "the pattern fits every model", kept)
    for rates, place in ((price, where), (price.long_context, f"{where}: long_context")):
        for field in RATES if rates is not None else ():
            check_rate(getattr(rates, field, None), f"{place}: {field}", kept)
    for tool, rate in price.requests.items():
        check_rate(rate, f"{where}: requests.{tool}", kept)
    if not _CURRENCY.match(price.currency):
        raise _unfit(f"{where}: currency", f"{price.currency!r} is not the code of a currency", kept)
    if price.valid_from > latest:
        raise _unfit(f"{where}: valid_from", f"{price.valid_from} is in the future of {latest}", kept)
    if price.valid_until is not None and price.valid_until <= price.valid_from:
        raise _unfit(f"{where}: valid_until", "it ends before it begins", kept)
    long = price.long_context
    if long is not None and long.above <= 0:
        raise _unfit(f"{where}: long_context.above", f"{long.above} is not a number of tokens", kept)
    if long is not None and long.of == "excess" and long.output is not None:
        raise _unfit(f"{where}: long_context.output", "the output has no excess; leave it out", kept)


def check_rate(rate: Decimal | None, where: str, kept: str = _KEPT) -> None:
    """Raise BadInput when an amount is negative, no number, absurd, or has more digits than are counted with."""
    if rate is None:
        return
    exponent = rate.as_tuple().exponent
    if not rate.is_finite() or rate < 0:
        raise _unfit(where, f"{rate} is not a price from 0 up", kept)
    if rate >= _MOST or (isinstance(exponent, int) and exponent < -_MOST_PLACES):
        raise _unfit(where, f"{rate:.20} is a million or more, or has more than {_MOST_PLACES} decimals", kept)


def check_overlaps(prices: Sequence[Price], name: str) -> None:
    """Raise BadInput where two prices of one name and tier hold on the same day."""
    by_name: dict[tuple[str, str, str], list[tuple[Price, int]]] = {}
    for number, price in enumerate(prices, 1):
        for called in {price.model, *price.aliases}:
            by_name.setdefault((price.provider, called, price.tier), []).append((price, number))
    for (_, called, _), listed in by_name.items():
        listed.sort(key=lambda entry: entry[0].valid_from)
        for (before, first), (after, number) in pairwise(listed):
            ends = before.valid_until
            if before.valid_from == after.valid_from or (ends is not None and ends > after.valid_from):
                raise _refused(f"{name}: {label(after, number)}", f"it overlaps {label(before, first)} for {called!r}")


def _entries(rows: list[Any], kind: str, form: Any, name: str) -> Iterator[Any]:
    known = set(form.__struct_fields__)
    for number, row in enumerate(rows, 1):
        where = f"{name}: {kind} {number}"
        if not isinstance(row, dict):
            raise _refused(where, "it is not a table")
        entry = cast("dict[str, Any]", row)
        where += f" ({entry.get('provider', '?')}/{entry.get('model', '?')})" if kind == "price" else ""
        if unknown := sorted(set(entry) - known):
            raise _refused(f"{where}: {unknown[0]}", "there is no such field")
        _no_floats(entry, where)
        try:
            yield msgspec.convert(entry, form)
        except msgspec.ValidationError as error:
            raise _refused(where, str(error)) from None


def _no_floats(entry: Mapping[str, Any], where: str) -> None:
    """Raise BadInput for an amount that is not a text: a float is not what is written."""
    for field, value in entry.items():
        if isinstance(value, dict):
            _no_floats(cast("dict[str, Any]", value), f"{where}: {field}")
        elif isinstance(value, float):
            raise _refused(f"{where}: {field}", f"{value} is a float, which rounds")


def _check_exchange(rate: Exchange, where: str, latest: date) -> None:
    if not _CURRENCY.match(rate.currency) or rate.currency == "USD":
        raise _refused(where, f"{rate.currency!r} is not the code of another currency")
    check_rate(rate.usd, where)
    if rate.usd == 0:
        raise _refused(where, "a currency that is worth nothing makes calls free")
    if rate.valid_from > latest:
        raise _refused(where, f"{rate.valid_from} is in the future of {latest}")


def _version_day(version: Any, name: str) -> date:
    found = _VERSION.match(version) if isinstance(version, str) else None
    try:
        if found:
            return date.fromisoformat(found[1])
    except ValueError:
        pass
    raise _refused(f"{name}: version", f"{version!r} is not a day such as 2026-11-01")


def _refused(where: str, reason: str) -> BadInput:
    return BadInput(f"The price book is refused: {reason}.", where=where, kept=_KEPT, todo=_TODO)


def _unfit(where: str, reason: str, kept: str) -> BadInput:
    """Return what says that one price cannot be meant, in a book or by itself."""
    if kept == _KEPT:
        return _refused(where, reason)
    todo = 'Mend it and set it again; a price is a text such as "2.50", per million tokens.'
    return BadInput(f"The price is refused: {reason}.", where=where, kept=kept, todo=todo)
