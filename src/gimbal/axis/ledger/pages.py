"""The console's pages of calls without a price, and of providers' bills beside ours."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import gimbal.axis.ledger.budget_pages  # pyright: ignore[reportUnusedImport] - importing them declares their pages
import gimbal.axis.ledger.cost_page  # noqa: F401  # pyright: ignore[reportUnusedImport]
from gimbal.axis.ledger import difference, rerating, statements, unpriced
from gimbal.axis.ledger.model import DifferenceReport, UnpricedGroup
from gimbal.engines.console import charts
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke

_DAYS = 30
_MOST_DAYS = 400
_MOST_ROWS = 60
_AGREED = frozenset({"same", "rounding"})
REASONS = {
    "unknown_model": "the book has no such model",
    "no_usage": "nobody reported tokens",
    "implausible_usage": "the usage contradicts itself",
    "no_exchange_rate": "no rate for the currency of its price",
}


@page("/costs/unpriced", title="Unpriced calls", order=77, icon="money", tab="Unpriced", within="/costs")
async def unpriced_page(ctx: Context, request: PageRequest) -> View:
    """Show the calls that have no cost, why, and what to do; and when history was priced anew."""
    days = _days(request)
    groups = await unpriced.groups(ctx, unpriced.last_days(ctx, days), limit=200)
    data = {
        "days": days,
        "groups": groups,
        "reasons": _by_reason(groups),
        "words": {one.reason: in_words(one.reason) for one in groups},
        "calls": sum(one.calls for one in groups),
        "reratings": (await rerating.page(ctx, cursor=None, limit=10)).items,
    }
    return View("ledger/unpriced.html", data)


def in_words(reason: str) -> str:
    """Return what a reason means to a person."""
    part = reason.removeprefix("no_price:")
    return f"the price names no {part.replace('_', ' ')}" if part != reason else REASONS.get(reason, reason)


def _by_reason(groups: list[UnpricedGroup]) -> list[tuple[str, int]]:
    found: defaultdict[str, int] = defaultdict(int)
    for one in groups:
        found[one.reason] += one.calls
    return sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))


@page("/costs/reconcile", title="Reconcile", order=78, icon="check", tab="Reconcile", within="/costs")
async def reconcile_page(ctx: Context, request: PageRequest) -> View:
    """Show providers' figures beside ours by day and model."""
    query = request.query
    days = _days(request)
    now = ctx.now()
    asked = await difference.report(ctx, now - timedelta(days=days - 1), now, query.get("provider") or None)
    rows = [row for row in asked.rows if query.get("show") != "differences" or row.state not in _AGREED]
    listed = await statements.page(ctx, cursor=query.get("cursor"), limit=20)
    known = sorted({one.provider for one in listed.items} | {row.provider for row in asked.rows})
    data = {
        "report": asked,
        "days": days,
        "rows": rows[:_MOST_ROWS],
        "more": len(rows) - _MOST_ROWS,
        "difference": _less(asked.their_cost, asked.our_cost),
        "by_day": _chart(asked),
        "statements": listed,
        "providers": known,
        "may_change": request.principal.may(Permission.DEVELOP, request.project),
    }
    return View("ledger/reconcile.html", data)


def _days(request: PageRequest) -> int:
    days = request.number("days", _DAYS)
    if not 1 <= days <= _MOST_DAYS:
        raise BadInput(f"{days} days cannot be shown.", where="days", todo=f"Give 1 to {_MOST_DAYS}.")
    return days


def _less(theirs: Decimal | None, ours: Decimal | None) -> Decimal | None:
    return None if theirs is None or ours is None else theirs - ours


def _chart(report: DifferenceReport) -> charts.Spec | None:
    """Return both sides' dollars by day; None where there are not two days of them."""
    days: defaultdict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in report.rows:
        if row.their_cost is not None:
            days[row.day][0] += row.their_cost
            days[row.day][1] += row.our_cost or 0
    if len(days) < 2:
        return None
    points = [
        charts.Point(x=datetime(day.year, day.month, day.day, tzinfo=UTC), y=float(sums[side]), series=name)
        for side, name in enumerate(("provider", "Gimbal"))
        for day, sums in sorted(days.items())
    ]
    return charts.line(points, y_title="US dollars", zero=True)


@page_action("/costs/reconcile/remove")
async def remove_statement(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Remove a statement."""
    try:
        statement = form.need("id")
        await invoke(find("ledger.remove-statement"), ctx, {"project": request.project, "id": statement})
    except GimbalError as error:
        return Redirect(request.href("/costs/reconcile"), flash=error.message, tone="bad")
    return Redirect(request.href("/costs/reconcile"), flash="The statement is removed with its lines.")
