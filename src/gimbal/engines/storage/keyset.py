"""Pages by place: a cursor holds the values at which a page ended, so what is made or deleted meanwhile shifts nothing.

A row whose sort value itself is changed between two pages goes to its new place, and may be seen there again or no more.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.engines.storage.comparing import by_characters
from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import decode_cursor, encode_cursor

Value = int | float | str | None


class Term(msgspec.Struct, frozen=True):
    """One column to sort by; none of its values is null unless a term before it says so. The last ones tell rows apart."""

    column: Any
    ascending: bool
    kind: type = int
    nullable: bool = False
    """Null where the term before, which ranks, is not 0: then all those rows are equal in it."""


def term_of(column: Any, *, ascending: bool, sqlite: bool) -> Term:
    """Return the term for a column that is never null: a text by its characters, all else (times, too) by its number."""
    if isinstance(column.type, sa.String):
        return Term(by_characters(column, sqlite=sqlite), ascending, str)
    return Term(sa.type_coerce(column, sa.BigInteger), ascending)


async def page(
    tx: AsyncConnection, query: sa.Select[Any], terms: Sequence[Term], *, asked: Any, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of a query's rows, and the cursor of the next one; `asked` is the search, which the cursor is bound to.

    Raise BadInput for a cursor of another search.
    """
    labels = [f"_place_{number}" for number in range(len(terms))]
    query = query.add_columns(*(term.column.label(label) for term, label in zip(terms, labels, strict=True)))
    if cursor is not None:
        check_asked(cursor, asked)
        query = query.where(behind(terms, place_of(cursor, terms)))
    query = query.order_by(*sorted_by(terms)).limit(limit + 1)
    rows = [dict(row) for row in (await tx.execute(query)).mappings()]
    places = [[row.pop(label) for label in labels] for row in rows]
    more = cursor_of(asked, places[limit - 1]) if len(rows) > limit else None
    return cast("list[dict[str, Any]]", rows[:limit]), more


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


def sorted_by(terms: Sequence[Term]) -> list[sa.ColumnElement[Any]]:
    """Return what stands behind ORDER BY."""
    return [term.column.asc() if term.ascending else term.column.desc() for term in terms]


def cursor_of(asked: Any, place: Sequence[Value], **more: int) -> str:
    """Return the cursor of a place in what was asked."""
    told = [value.hex() if isinstance(value, float) else value for value in place]
    return encode_cursor({"of": _of(asked), "place": told, **more})


def check_asked(cursor: str, asked: Any) -> None:
    """Raise BadInput for a cursor of another search."""
    if decode_cursor(cursor).get("of") != _of(asked):
        raise foreign()


def place_of(cursor: str, terms: Sequence[Term]) -> list[Value]:
    """Return the place where the page before ended; raise BadInput when it is none of this order."""
    told: Any = decode_cursor(cursor).get("place")
    if not isinstance(told, list) or len(cast("list[Any]", told)) != len(terms):
        raise foreign()
    return [_value(term, one) for term, one in zip(terms, cast("list[Any]", told), strict=True)]


def foreign() -> BadInput:
    """Return the error for a cursor that this search did not make."""
    return BadInput(
        "The cursor was not made by this search.",
        where="cursor",
        todo="Use `next` of the page before, unchanged, with the same filter and order.",
    )


def _bound(term: Term, value: Value) -> sa.ColumnElement[Any]:
    return sa.literal(value, {int: sa.BigInteger, float: sa.Double, str: sa.Text}[term.kind])


def _value(term: Term, told: Any) -> Value:
    if told is None and term.nullable:
        return None
    if term.kind is float and isinstance(told, str) and len(told) < 40:
        try:
            return float.fromhex(told)
        except (ValueError, OverflowError):
            raise foreign() from None
    fits = type(told) is int and -(2**63) <= told < 2**63
    if (term.kind is int and fits) or (term.kind is str and isinstance(told, str) and "\0" not in told):
        return told
    raise foreign()


def _of(asked: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:16]
