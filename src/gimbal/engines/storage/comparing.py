"""Comparisons of a filter as conditions on columns of the catalog, the same on SQLite and on PostgreSQL."""

import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Utc
from gimbal.kernel.filters import Clause

Condition = sa.ColumnElement[bool]


def by_characters(column: sa.ColumnElement[Any], *, sqlite: bool) -> sa.ColumnElement[Any]:
    """Return a text to sort and page by: by its characters, not by the habits of some country."""
    return column if sqlite else sa.type_coerce(column, sa.Text).collate("C")


def text_condition(column: sa.ColumnElement[Any], op: str, value: Any, *, sqlite: bool) -> Condition:
    """Compare a text. LIKE minds case and ILIKE does not, but for letters outside of ASCII on SQLite."""
    match op:
        case "LIKE" if sqlite:
            # SQLite's LIKE does not mind case; its GLOB does.
            return column.op("GLOB")(_glob(value))
        case "LIKE":
            return column.like(value, escape="")
        case "ILIKE" if sqlite:
            return column.like(value)
        case "ILIKE":
            return column.ilike(value, escape="")
        case "IN":
            return column.in_(value)
        case "NOT IN":
            return column.not_in(value)
        case _:
            return compared(column, op, sa.literal(value, sa.Text))


def number_condition(column: sa.ColumnElement[Any], op: str, value: float) -> Condition:
    """Compare a measured number, null where it is NaN: that is unequal to everything, and else nothing."""
    found = compared(column, op, sa.literal(_double(value), sa.Double))
    return sa.or_(found, column.is_(None)) if op == "!=" else found


def time_condition(column: sa.ColumnElement[Any], op: str, value: float) -> Condition:
    """Compare a time with milliseconds, as if it had no more than those."""
    if not math.isfinite(value) or abs(value) > 1e15:
        value = math.copysign(10**15, value)
    low, whole = math.floor(value), value == math.floor(value)
    first, after = low * 1000, (low + 1) * 1000
    column = sa.type_coerce(column, sa.BigInteger)
    match op:
        case "=" | "!=" if not whole:
            return sa.false() if op == "=" else column.is_not(None)
        case "=":
            return sa.and_(column >= first, column < after)
        case "!=":
            return sa.or_(column < first, column >= after)
        case "<" if whole:
            return column < first
        case "<" | "<=":
            return column < after
        case ">=" if whole:
            return column >= first
        case _:
            return column >= after


def field_condition(fields: Mapping[str, Any], clause: Clause, *, sqlite: bool) -> Condition:
    """Compare one of a record's own columns, which is a time, a whole number or a text."""
    column, value = fields[clause.key], clause.value
    if isinstance(value, str | tuple):
        return text_condition(column, clause.op, value, sqlite=sqlite)
    assert value is not None
    if isinstance(column.type, Utc):
        return time_condition(column, clause.op, value)
    return compared(column, clause.op, sa.literal(value, sa.BigInteger))


def label_condition(table: sa.Table, mine: Condition, clause: Clause, *, sqlite: bool) -> Condition:
    """Compare a label in a table of names and values; one that is not there is neither equal nor unequal."""
    there = sa.exists().where(mine, table.c.name == clause.key)
    if clause.op == "IS NULL":
        return ~there
    if clause.op == "IS NOT NULL":
        return there
    return there.where(text_condition(table.c.value, clause.op, clause.value, sqlite=sqlite))


def compared(column: sa.ColumnElement[Any], op: str, value: sa.ColumnElement[Any]) -> Condition:
    """Compare by one of the six signs."""
    match op:
        case "=":
            return column == value
        case "!=":
            return column != value
        case "<":
            return column < value
        case "<=":
            return column <= value
        case ">":
            return column > value
        case _:
            return column >= value


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _glob(pattern: str) -> str:
    """Return a pattern of LIKE as one of GLOB, which tells capitals from small letters."""
    return "".join({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}.get(one, one) for one in pattern)
