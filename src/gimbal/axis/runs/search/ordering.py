"""The order of a search, and the place in it where a page ends: a cursor holds that place, so new runs shift nothing.

First come the values by their order, then metrics that are NaN, then runs that have no such value. Where all is equal the
newest run comes first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.runs.search.conditions import Conditions
from gimbal.axis.runs.search.model import RunQuery
from gimbal.axis.runs.store import run_latest, run_params, run_tags, runs
from gimbal.engines.storage import keyset
from gimbal.engines.storage.keyset import Term, Value
from gimbal.kernel.filters import Ordering
from gimbal.kernel.pages import decode_cursor

_TABLES: Mapping[str, sa.Table] = {"metric": run_latest, "parameter": run_params, "tag": run_tags}


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


def cursor_of(query: RunQuery, part: int, place: Sequence[Value]) -> str:
    """Return the cursor of a place in one of the parts that a search is answered in."""
    return keyset.cursor_of(_asked(query), place, part=part)


def part_of(query: RunQuery) -> int:
    """Return the part in which the page before ended; raise BadInput for a cursor of another search."""
    if query.cursor is None:
        return 0
    keyset.check_asked(query.cursor, _asked(query))
    part = decode_cursor(query.cursor).get("part")
    if type(part) is not int or not 0 <= part <= 2:
        raise keyset.foreign()
    return part


def _asked(query: RunQuery) -> list[Any]:
    return [query.filter, query.order, query.view, query.experiments]
