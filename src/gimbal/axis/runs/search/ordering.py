"""The order of a search, and the place in it where a page ends: a cursor holds that place, so new runs shift nothing.

First come the values by their order, then metrics that are NaN, then runs that have no such value. Where all is equal the
newest run comes first.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import sqlalchemy as sa

from gimbal.axis.runs.search.conditions import Conditions
from gimbal.axis.runs.search.grammar import Ordering
from gimbal.axis.runs.search.model import RunQuery
from gimbal.axis.runs.store import run_latest, run_params, run_tags, runs
from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import decode_cursor, encode_cursor

Value = int | float | str | None
_TABLES: Mapping[str, sa.Table] = {"metric": run_latest, "parameter": run_params, "tag": run_tags}


class Term(msgspec.Struct, frozen=True):
    """One column to sort by; none of its values is null unless a term before it says so."""

    column: Any
    ascending: bool
    kind: type = int
    nullable: bool = False
    """Null where the term before, which ranks, is not 0: then all those rows are equal in it."""


class Order(msgspec.Struct, frozen=True):
    """How runs are sorted: terms, and what is joined for them."""

    source: Any
    terms: list[Term]


_STARTED = sa.type_coerce(runs.c.started_at, sa.BigInteger)
NEWEST = [Term(_STARTED, ascending=False), Term(runs.c.key, ascending=False)]


def newest_first() -> Order:
    """Return the order where nothing is said."""
    return Order(runs, NEWEST)


def by_metric(conditions: Conditions, one: Ordering) -> Order:
    """Return the order by one metric of those runs that have a number for it: an index has it."""
    mine = sa.and_(run_latest.c.run_key == runs.c.key, run_latest.c.name_key == conditions.name_key(one.key))
    started = sa.type_coerce(run_latest.c.started_at, sa.BigInteger)
    terms = [
        Term(run_latest.c.value, one.ascending, float),
        Term(started, ascending=False),
        Term(run_latest.c.run_key, ascending=False),
    ]
    return Order(run_latest.join(runs, mine), terms)


def by_columns(conditions: Conditions, order: Sequence[Ordering]) -> Order:
    """Return the order by any columns: all that the filter lets through are sorted."""
    source: Any = runs
    terms: list[Term] = []
    for place, one in enumerate(order):
        table = _TABLES.get(one.entity)
        joined: Any = None
        if table is not None:
            joined = table.alias(f"o{place}")
            name = (
                joined.c.name_key == conditions.name_key(one.key)
                if one.entity == "metric"
                else joined.c.name == one.key
            )
            source = source.outerjoin(joined, sa.and_(joined.c.run_key == runs.c.key, name))
        if one.entity == "metric":
            rank = sa.case((joined.c.run_key.is_(None), 2), (joined.c.value.is_(None), 1), else_=0)
            terms += [Term(rank, ascending=True), Term(joined.c.value, one.ascending, float, nullable=True)]
            continue
        column = conditions.sorted_by(one.entity, one.key, joined)
        if one.entity == "attribute" and one.key == "start_time" and place == len(order) - 1:
            newest = [Term(_STARTED, one.ascending), Term(runs.c.key, ascending=False)]
            return Order(source, terms + newest)
        kind = int if one.entity == "attribute" and one.key in {"start_time", "end_time"} else str
        if one.entity == "attribute" and one.key != "end_time":
            terms.append(Term(column, one.ascending, kind))
            continue
        rank = sa.case((column.is_(None), 1), else_=0)
        terms += [Term(rank, ascending=True), Term(column, one.ascending, kind, nullable=True)]
    return Order(source, terms + NEWEST)


def behind(terms: Sequence[Term], place: Sequence[Value]) -> sa.ColumnElement[bool]:
    """Return the condition of rows behind a place."""
    if not any(term.ascending or term.nullable for term in terms):
        columns = sa.tuple_(*(term.column for term in terms))
        return columns < sa.tuple_(*(_bound(term, value) for term, value in zip(terms, place, strict=True)))
    found: list[sa.ColumnElement[bool]] = []
    same: list[sa.ColumnElement[bool]] = []
    for term, value in zip(terms, place, strict=True):
        if value is None:
            continue
        bound = _bound(term, value)
        found.append(sa.and_(*same, term.column > bound if term.ascending else term.column < bound))
        same.append(term.column == bound)
    return sa.or_(*found)


def _bound(term: Term, value: Value) -> sa.ColumnElement[Any]:
    return sa.literal(value, {int: sa.BigInteger, float: sa.Double, str: sa.Text}[term.kind])


def sorted_by(terms: Sequence[Term]) -> list[sa.ColumnElement[Any]]:
    """Return what stands behind ORDER BY."""
    return [term.column.asc() if term.ascending else term.column.desc() for term in terms]


def cursor_of(query: RunQuery, part: int, place: Sequence[Value]) -> str:
    """Return the cursor of a place in one of the parts that a search is answered in."""
    told = [value.hex() if isinstance(value, float) else value for value in place]
    return encode_cursor({"of": _of(query), "part": part, "place": told})


def part_of(query: RunQuery) -> int:
    """Return the part in which the page before ended; raise BadInput for a cursor of another search."""
    if query.cursor is None:
        return 0
    found = decode_cursor(query.cursor)
    part = found.get("part")
    if found.get("of") != _of(query) or type(part) is not int or not 0 <= part <= 2:
        raise _foreign()
    return part


def place_of(query: RunQuery, terms: Sequence[Term]) -> list[Value]:
    """Return the place where the page before ended; raise BadInput when it is none of this order."""
    told: Any = decode_cursor(query.cursor or "").get("place")
    if not isinstance(told, list) or len(cast("list[Any]", told)) != len(terms):
        raise _foreign()
    return [_value(term, one) for term, one in zip(terms, cast("list[Any]", told), strict=True)]


def _value(term: Term, told: Any) -> Value:
    if told is None and term.nullable:
        return None
    if term.kind is float and isinstance(told, str) and len(told) < 40:
        try:
            return float.fromhex(told)
        except (ValueError, OverflowError):
            raise _foreign() from None
    fits = type(told) is int and -(2**63) <= told < 2**63
    if (term.kind is int and fits) or (term.kind is str and isinstance(told, str)):
        return told
    raise _foreign()


def _of(query: RunQuery) -> str:
    asked = msgspec.json.encode([query.filter, query.order, query.view, query.experiments])
    return hashlib.sha256(asked).hexdigest()[:16]


def _foreign() -> BadInput:
    return BadInput(
        "The cursor was not made by this search.",
        where="cursor",
        todo="Use `next` of the page before, unchanged, with the same filter and order.",
    )
