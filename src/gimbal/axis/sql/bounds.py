"""The stretch of time that a statement's own conditions leave of a view, so that no more than that is read.

A bound is a day wider than what the condition says, and there is one only where the condition must hold for every row that
counts. The condition itself stays where it is, so a bound can only spare reading.
"""

from collections.abc import Iterator

from sqlglot import exp

from gimbal.axis.sql.views import View

_SLACK_US = 86_400_000_000
# A trace's spans begin up to a day after it, like lists have it.
_AFTER_US = {"traces": 86_400_000_000}
_NEVER = 2**62
_CHANGING = ("rand", "generate", "row", "uuid")


def of(table: exp.Table, view: View) -> str:
    """Return the conditions on the table behind a view; empty for none."""
    select = table.find_ancestor(exp.Select)
    if not view.time or select is None or not _counts(table, select) or _renamed(select, view.time):
        return ""
    where = select.args.get("where")
    if where is None:
        return ""
    alone = not select.args.get("joins")
    found: list[str] = []
    for one in _parts(where.this):
        for column, lower, value in _compared(one):
            mine = (
                column.name == view.time
                and not column.args.get("db")
                and column.table
                in {
                    table.alias_or_name,
                    *([""] if alone else []),
                }
            )
            if mine and _constant(value):
                found.append(_bound(view, value, lower=lower))
    return " AND ".join(dict.fromkeys(found))


def _counts(table: exp.Table, select: exp.Select) -> bool:
    """Tell whether a condition behind WHERE holds for every row of the table that counts."""
    joins = [join for join in select.args.get("joins") or () if isinstance(join, exp.Join)]
    if any(join.side in {"RIGHT", "FULL"} for join in joins):
        return False
    if isinstance(table.parent, exp.From):
        return table.parent.parent is select
    join = table.parent
    return join in joins and isinstance(join, exp.Join) and not join.side and join.kind in {"", "INNER"}


def _renamed(select: exp.Select, name: str) -> bool:
    """Tell whether something else bears the name of the view's time."""
    return any(alias.alias == name for alias in select.root().find_all(exp.Alias, exp.CTE))


def _parts(condition: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.And):
        yield from _parts(condition.left)
        yield from _parts(condition.right)
    elif isinstance(condition, exp.Paren):
        yield from _parts(condition.this)
    else:
        yield condition


def _compared(one: exp.Expr) -> Iterator[tuple[exp.Column, bool, exp.Expr]]:
    """Yield what a condition compares a column with, and whether that is its lower bound."""
    if isinstance(one, exp.Between) and isinstance(one.this, exp.Column):
        yield one.this, True, one.args["low"]
        yield one.this, False, one.args["high"]
    elif isinstance(one, exp.GT | exp.GTE | exp.LT | exp.LTE):
        lower = isinstance(one, exp.GT | exp.GTE)
        if isinstance(one.left, exp.Column):
            yield one.left, lower, one.right
        elif isinstance(one.right, exp.Column):
            yield one.right, not lower, one.left


def _constant(value: exp.Expr) -> bool:
    if isinstance(value, exp.Literal) and not value.is_string:
        return False
    if value.find(exp.Column, exp.Query, exp.Subquery, exp.Identifier):
        return False
    text = value.sql(dialect="clickhouse").lower()
    return not any(word in text for word in _CHANGING)


def _bound(view: View, value: exp.Expr, *, lower: bool) -> str:
    said = value.sql(dialect="clickhouse", comments=False)
    us = f"toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(toString({said}), 6, 'UTC'))"
    if lower:
        return f"{view.at} >= ifNull({us} - {_SLACK_US}, -{_NEVER})"
    return f"{view.at} <= ifNull({us} + {_SLACK_US + _AFTER_US.get(view.name, 0)}, {_NEVER})"
