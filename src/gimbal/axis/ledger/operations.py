"""The operations of the ledger."""

from datetime import date, datetime
from typing import Annotated

from gimbal.axis.ledger import budgets, changes, difference, rerating, statements, totals, unpriced
from gimbal.axis.ledger.model import (
    Budget,
    CostChange,
    DifferenceReport,
    Rerate,
    Rerating,
    SetBudget,
    Statement,
    Totals,
    UnpricedGroup,
)
from gimbal.axis.ledger.narrowing import narrowed_to, one_value, read_where
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("ledger", "What calls cost: totals, what is unpriced, providers' bills, budget lines.")
describe("pricing", "Pricing history anew when a price was corrected.")

_PATH = "/projects/{project}/ledger"
_RERATINGS = "/projects/{project}/pricing/reratings"
Since = Annotated[datetime | None, "Only calls that began at or after this."]
Until = Annotated[datetime | None, "And before this."]
Group = Annotated[
    list[str] | None,
    "Up to two of model, provider, feature, user, session, endpoint, key, tag, prompt, ref, kind, status, tag:KEY, attribute:KEY …",
]
Every = Annotated[str | None, "Part the time, too: hour, day, week (from Monday) or month, in UTC."]
Where = Annotated[
    list[str] | None,
    "Only calls with these values, as dimension=value: model=gpt-4o, feature=help, tag:team=search, attribute:tenant=acme.",
]


@operation(
    "POST",
    _RERATINGS,
    name="pricing.rerate",
    allow=Permission.ADMIN,
    audited=True,
    absent={"cli": "`gimbal pricing rerate` of the room's own commands calls it, waits and shows what it came to"},
)
async def rerate(ctx: Context, project: str, body: Rerate) -> Rerating:
    """Price the calls of a stretch of time anew, by the prices that hold for the project now.

    A job does it; `pricing.rerating` tells how far it is. Only figures that differ are changed, and what they were is kept
    with the reason. A call that would lose its cost keeps it unless that is allowed. A second time nothing changes.
    """
    found = await rerating.start(ctx, body)
    ctx.audit(rerating=found.id, reason=found.reason, dry_run=found.dry_run, since=body.from_.isoformat())
    return found


@operation("GET", _RERATINGS, name="pricing.reratings", allow=Permission.VIEW)
async def list_reratings(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[Rerating]:
    """List when history was priced anew, by whom and why, newest first."""
    return await rerating.page(ctx, cursor=cursor, limit=limit)


@operation("GET", _RERATINGS + "/{id}", name="pricing.rerating", allow=Permission.VIEW)
async def show_rerating(ctx: Context, project: str, id: str) -> Rerating:  # noqa: A002 - the name in the path
    """Show a rerating with what it came to by day and model."""
    return await rerating.show(ctx, id)


@operation("GET", _PATH + "/changes", name="ledger.changes", allow=Permission.VIEW)
async def list_changes(
    ctx: Context,
    project: str,
    rerating: Annotated[str | None, "Only of this rerating."] = None,
    trace: Annotated[str | None, "Only of this trace."] = None,
    span: Annotated[str | None, "Only of this span."] = None,
    day: Annotated[date | None, "Only of calls that began on this day of UTC."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[CostChange]:
    """List costs that were changed afterwards, with what they were before, the calls that began last first."""
    return await changes.page(ctx, rerating=rerating, trace=trace, span=span, day=day, cursor=cursor, limit=limit)


@operation("GET", _PATH + "/unpriced", name="ledger.unpriced", allow=Permission.VIEW)
async def list_unpriced(
    ctx: Context,
    project: str,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, "How many groups at most, 1 to 1000."] = 100,
) -> list[UnpricedGroup]:
    """List calls without a cost by provider, model and reason, the most first, each with what to do about it."""
    return await unpriced.groups(ctx, one_value("", "", since=since, until=until), limit=limit)


@operation(
    "POST",
    _PATH + "/statements",
    name="ledger.import",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal ledger import FILE` of the room's own commands sends it with the file's name"},
)
async def import_statement(
    ctx: Context,
    project: str,
    body: Upload,
    format: Annotated[  # noqa: A002 - what people call it
        str, "openai-usage, openai-costs, anthropic-usage, anthropic-costs (JSON or CSV), or csv with columns."
    ],
    provider: Annotated[str | None, "Whose it is, where the format does not say."] = None,
    account: Annotated[str, "Which of several accounts with the same provider."] = "",
    filename: Annotated[str, "What the file was called."] = "",
    column: Annotated[
        list[str] | None, "What a column of a csv means, as MEANING=COLUMN: day=Date, model=Model, cost=Amount …"
    ] = None,
) -> Statement:
    """Import what a provider says of usage or costs; the same file, or the same line, counts once.

    A line that cannot be read is rejected with its number and the reason, the others are stored all at once.
    """
    asked = statements.Import(
        format=format, provider=provider, account=account, filename=filename, columns=tuple(column or ())
    )
    found = await statements.take(ctx, await body.read(), asked)
    ctx.audit(statement=found.id, lines=found.lines, rejected=found.rejected_lines, repeated=found.repeated)
    return found


@operation("GET", _PATH + "/statements", name="ledger.statements", allow=Permission.VIEW)
async def list_statements(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[Statement]:
    """List the statements that were imported, newest first."""
    return await statements.page(ctx, cursor=cursor, limit=limit)


@operation("DELETE", _PATH + "/statements/{id}", name="ledger.remove-statement", allow=Permission.DEVELOP, audited=True)
async def remove_statement(ctx: Context, project: str, id: str) -> None:  # noqa: A002 - as above
    """Remove a statement with its lines; lines that had given way to them do not come back."""
    await statements.remove(ctx, id)


@operation(
    "GET",
    _PATH + "/difference",
    name="ledger.difference",
    allow=Permission.VIEW,
    absent={"cli": "`gimbal ledger difference` of the room's own commands shows it as a table"},
)
async def show_difference(
    ctx: Context,
    project: str,
    since: Annotated[datetime | None, "First day, in UTC; thirty days ago when left out."] = None,
    until: Annotated[datetime | None, "Up to this, today included when left out."] = None,
    provider: Annotated[str | None, "Only of this provider."] = None,
) -> DifferenceReport:
    """Show providers' figures beside ours by day and model, with what likely explains the difference."""
    return await difference.report(ctx, since, until, provider)


@operation("GET", _PATH + "/totals", name="ledger.totals", allow=Permission.VIEW)
async def show_totals(
    ctx: Context,
    project: str,
    group: Group = None,
    every: Every = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    limit: Annotated[int, "How many rows at most, 1 to 100,000; the total has all of them."] = 1000,
) -> Totals:
    """Sum up costs by dimension and time, with calls, what is unpriced, saved and wasted, and tokens."""
    return await totals.totals(ctx, _asked(group, every, since, until, where, limit))


@operation("GET", _PATH + "/totals.csv", name="ledger.export", allow=Permission.VIEW)
async def export_totals(
    ctx: Context,
    project: str,
    group: Group = None,
    every: Every = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
) -> Download:
    """Download the same as CSV; what is unknown is an empty cell."""
    return await totals.as_csv(ctx, _asked(group, every, since, until, where, 1))


def _asked(
    group: list[str] | None,
    every: str | None,
    since: datetime | None,
    until: datetime | None,
    where: list[str] | None,
    limit: int,
) -> totals.Asked:
    narrowed = narrowed_to(read_where(where or ()), since=since, until=until)
    return totals.Asked(by=tuple(group or ()), every=every, narrowed=narrowed, limit=limit)


@operation("GET", _PATH + "/budgets", name="ledger.budgets", allow=Permission.VIEW)
async def list_budgets(ctx: Context, project: str) -> list[Budget]:
    """List the budget lines with what was spent so far and what that comes to. They are shown, not enforced."""
    return await budgets.all_budgets(ctx)


@operation("PUT", _PATH + "/budgets", name="ledger.set-budget", allow=Permission.DEVELOP, audited=True)
async def set_budget(ctx: Context, project: str, body: SetBudget) -> Budget:
    """Set a budget line; one with the same name is replaced. It is compared with, and stops nothing."""
    ctx.audit(name=body.name, amount=str(body.amount), period=body.period)
    return await budgets.set_budget(ctx, body)


@operation("DELETE", _PATH + "/budgets/{name}", name="ledger.remove-budget", allow=Permission.DEVELOP, audited=True)
async def remove_budget(ctx: Context, project: str, name: Annotated[str, "Name of the line."]) -> None:
    """Remove a budget line."""
    await budgets.remove(ctx, name)
