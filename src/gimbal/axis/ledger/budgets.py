"""Budget lines: what a cost should stay below, beside what it is and what it comes to when it goes on like that.

They stop nothing and promise nothing: a line is looked at, not kept. Exact budgets, which refuse a call before it is made,
are another thing.
"""

import calendar
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from gimbal.axis.ledger import sums
from gimbal.axis.ledger.model import Budget, BudgetPeriod, SetBudget
from gimbal.axis.ledger.narrowing import one_value
from gimbal.axis.ledger.store import budgets
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.money import parse_money

MOST_BUDGETS = 100
_LONGEST = 200
# Before so much of the period has passed, a forecast says nothing.
_EARLIEST = 0.01


async def set_budget(ctx: Context, body: SetBudget) -> Budget:
    """Set a line; one with the same name is replaced. Raise BadInput."""
    name = body.name.strip()
    if not 0 < len(name) <= _LONGEST or not name.isprintable():
        raise BadInput("A budget line needs a name.", where="name", todo="Give one of up to 200 characters.")
    if parse_money(body.amount) == 0:
        raise BadInput(
            "A budget line of 0 says nothing.", where="amount", todo="Give an amount above 0, in US dollars."
        )
    if bool(body.dimension) != bool(body.value):
        raise BadInput("A dimension and its value belong together.", where="value", todo="Give both or neither.")
    one_value(body.dimension, body.value, since=None)
    values: dict[str, Any] = {
        "amount": body.amount, "period": body.period, "dimension": body.dimension, "value": body.value,
        "updated_at": ctx.now(), "updated_by": ctx.principal.name,
    }  # fmt: skip
    mine = budgets.c.project == ctx.project
    async with ctx.get(Catalog).write(ctx) as tx:
        known = (await tx.execute(sa.select(sa.func.count()).where(mine, budgets.c.name != name))).scalar() or 0
        if known >= MOST_BUDGETS:
            raise BadInput(
                f"There are {MOST_BUDGETS} budget lines already.", where="name", todo="Remove one that nobody needs."
            )
        await insert_missing(tx, budgets, {"project": ctx.project, "name": name, **values})
        await tx.execute(budgets.update().where(mine, budgets.c.name == name).values(values))
    return await _told(ctx, {"name": name, **values})


async def remove(ctx: Context, name: str) -> None:
    """Remove a line; raise NotFound."""
    async with ctx.get(Catalog).write(ctx) as tx:
        gone = await tx.execute(budgets.delete().where(budgets.c.project == ctx.project, budgets.c.name == name))
        if not gone.rowcount:
            raise NotFound(
                f"There is no budget line {name!r}.", where="name", todo="`gimbal ledger budgets` lists them."
            )


async def all_budgets(ctx: Context) -> list[Budget]:
    """Return the lines with where each stands now."""
    query = sa.select(budgets).where(budgets.c.project == ctx.project).order_by(budgets.c.name)
    async with ctx.get(Catalog).read() as tx:
        found = list((await tx.execute(query)).mappings())
    return [await _told(ctx, row) for row in found]


def period_of(period: BudgetPeriod, now: datetime) -> tuple[datetime, datetime]:
    """Return when the present period began and when it ends, in UTC."""
    day = datetime(now.year, now.month, now.day, tzinfo=UTC)
    if period == "day":
        return day, day + timedelta(days=1)
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, first + timedelta(days=calendar.monthrange(day.year, day.month)[1])


async def _told(ctx: Context, row: Mapping[Any, Any]) -> Budget:
    now = ctx.now().astimezone(UTC)
    starts, ends = period_of(row["period"], now)
    found = await sums.counted(ctx, (), one_value(row["dimension"], row["value"], since=starts))
    [sum_] = await sums.rows(ctx, found, sums.SUMS, "WHERE s.start_us < {ends:Int64}", {"ends": to_us(ends)})
    spent = sums.amount(sum_, "cost")
    passed = (now - starts) / (ends - starts)
    forecast = None if spent is None or passed < _EARLIEST else round(spent / Decimal(str(passed)), 6)
    amount: Decimal = row["amount"]
    return Budget(
        name=row["name"],
        amount=amount,
        period=row["period"],
        dimension=row["dimension"],
        value=row["value"],
        starts=starts,
        ends=ends,
        spent=spent,
        unpriced=round(sum_["unpriced"] or 0),
        forecast=forecast,
        share=None if spent is None else float(spent / amount),
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
    )
