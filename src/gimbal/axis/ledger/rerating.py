"""Pricing history anew: asked for here, carried out by the job of `work` in pages, each of which is durable by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.ledger import changes, repricing
from gimbal.axis.ledger.books import current_book, mark_of
from gimbal.axis.ledger.lines import rated_line
from gimbal.axis.ledger.model import RatedLine, Rerate, Rerating
from gimbal.axis.ledger.repricing import Asked, Change, Figure, Place
from gimbal.axis.ledger.store import reratings
from gimbal.axis.projects.store import projects
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.store import jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import ZERO
from gimbal.kernel.pages import Page as Listed
from gimbal.kernel.pages import check_limit, cursor_text, encode_cursor

JOB = "pricing.rerate"
MOST_LINES = 10_000
_OPEN = ("queued", "running", "parked")
_LONGEST = 1000
# How often a place is noted; what was done behind it is done again after a kill, and changes nothing then.
_NOTE_S = 1.0
Tell = Callable[[int, int, str], Awaitable[None]]


class RerateJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which rerating a job carries out."""

    rerating_id: str


class Tally:
    """What a rerating has counted so far, by day and model."""

    def __init__(self, row: Mapping[Any, Any]) -> None:
        self.seen: int = row["seen"]
        self.kept: int = row["kept"]
        self.lines: dict[tuple[str, str, str], list[Any]] = {}
        for day, provider, model, *counts, old, new in row["lines"]:
            self.lines[day, provider, model] = [*counts, Decimal(old), Decimal(new)]

    def add(self, one: Figure) -> None:
        """Count a call whose figure differs."""
        day = from_us(one.old.start_us).date().isoformat()
        line = self.lines.setdefault((day, one.old.provider, one.old.model), [0, 0, 0, ZERO, ZERO])
        line[0] += 1
        line[1] += one.old.cost is None
        line[2] += one.new.cost is None
        line[3] += one.old.cost or ZERO
        line[4] += one.new.cost or ZERO

    def told(self) -> list[list[Any]]:
        """Return the lines as the catalog holds them."""
        return [[*key, *line[:3], str(line[3]), str(line[4])] for key, line in sorted(self.lines.items())]


async def start(ctx: Context, body: Rerate) -> Rerating:
    """Enqueue a rerating; raise BadInput, or Conflict while another one of the project changes costs."""
    now = ctx.now()
    until = min(body.to or now, now)
    if to_us(body.from_) >= to_us(until):
        raise BadInput(
            "The stretch of time ends before it begins." if body.to else "The stretch of time lies in the future.",
            where="from",
            todo="Give a `from` before `to` and before now.",
        )
    reason = body.reason.strip()
    if not 0 < len(reason) <= _LONGEST:
        raise BadInput(
            "A correction of costs needs a reason.", where="reason", todo="Say in a sentence why prices were corrected."
        )
    _check_name("provider", body.provider)
    _check_name("model", body.model)
    rerating_id, project = new_id(), ctx.project or "default"
    async with ctx.get(Catalog).write(ctx) as tx:
        # Two that are asked for at once come one after the other.
        await tx.execute(sa.select(projects.c.slug).where(projects.c.slug == project).with_for_update())
        if not body.dry_run:
            others = sa.select(reratings.c.id).join(jobs, jobs.c.id == reratings.c.job_id)
            others = others.where(
                reratings.c.project == project, reratings.c.dry_run.is_(False), jobs.c.status.in_(_OPEN)
            )
            other = (await tx.execute(others)).scalar()
            if other is not None:
                raise Conflict(
                    f"The rerating {other} still changes costs of this project.",
                    where="from",
                    todo="Wait until it has ended, or cancel its job: `gimbal pricing reratings` shows it.",
                )
        job = await ctx.get(Jobs).enqueue_in(
            tx, project, ctx.principal, JOB, RerateJob(rerating_id=rerating_id), key=rerating_id
        )
        row: dict[str, Any] = {
            "id": rerating_id, "project": project, "job_id": job.id, "since": body.from_, "until": until,
            "provider": body.provider or None, "model": body.model or None, "reason": reason, "dry_run": body.dry_run,
            "allow_unpriced": body.allow_unpriced, "book": "", "place": {}, "seen": 0, "kept": 0, "lines": [],
            "created_at": now, "created_by": ctx.principal.name, "finished_at": None,
        }  # fmt: skip
        await tx.execute(reratings.insert().values(row))
    return _record(row | {"status": job.status}, [])


def _check_name(name: str, value: str | None) -> None:
    if value is not None and (len(value) > _LONGEST or "\0" in value):
        raise BadInput(f"That is no {name}.", where=name, todo="Give its name; a model may be a pattern with `*`.")


async def carry_out(ctx: Context, rerating_id: str, tell: Tell) -> Rerating:
    """Price page after page anew from where it was left off; what is noted of a page is noted once."""
    catalog, columns = ctx.get(Catalog), ctx.get(Columns)
    row: dict[str, Any] = dict(await _row(ctx, rerating_id))
    book = await current_book(ctx)
    mark = mark_of(ctx, book)
    if row["book"] != mark:
        # With another book nothing of what was told holds any more; what the first one changed it changed.
        row |= {"book": mark, "place": {}, "seen": 0, "kept": 0, "lines": []}
    low, high = to_us(row["since"]), to_us(row["until"])
    asked = Asked(project=row["project"], low_us=low, high_us=high, provider=row["provider"], model=row["model"])
    place = msgspec.convert(row["place"], Place) if row["place"] else Place(start_us=low)
    tally, noted = Tally(row), time.monotonic()
    while True:
        last = await repricing.bound(columns, asked, place)
        if last is None:
            break
        found = await repricing.figures(columns, book, asked, place, last)
        tally.seen += len(found)
        differing = [one for one in found if one.differs]
        kept = [] if row["allow_unpriced"] else [one for one in differing if one.loses]
        changed = differing if row["allow_unpriced"] else [one for one in differing if not one.loses]
        tally.kept += len(kept)
        if row["dry_run"]:
            for one in changed:
                tally.add(one)
        elif changed:
            await _write(ctx, row, changed)
        place = last
        if time.monotonic() - noted > _NOTE_S:
            await _note(catalog, rerating_id, mark, place, tally)
            noted = time.monotonic()
        await tell(max(place.start_us - low, 0) // 1_000_000, max(high - low, 1) // 1_000_000, f"{tally.seen:,} calls")
    await _note(catalog, rerating_id, mark, place, tally)
    values: dict[str, Any] = {"finished_at": ctx.now()}
    if not row["dry_run"]:
        values["lines"] = [_told(line) for line in await changes.by_day(ctx, rerating_id, MOST_LINES)]
    async with catalog.write() as tx:
        await tx.execute(reratings.update().where(reratings.c.id == rerating_id).values(values))
    return await show(ctx, rerating_id)


def _told(line: RatedLine) -> list[Any]:
    counts = [line.calls, line.priced, line.unpriced, str(line.old or ZERO), str(line.new or ZERO)]
    return [line.day.isoformat(), line.provider, line.model, *counts]


async def _write(ctx: Context, row: Mapping[Any, Any], changed: Sequence[Figure]) -> None:
    """Change the costs of a page: when it is cancelled meanwhile, whole."""
    change = Change(
        project=row["project"],
        rerating=row["id"],
        reason=row["reason"],
        by=row["created_by"],
        now_us=to_us(ctx.now()),
    )

    async def both() -> None:
        await repricing.note(ctx.get(Writer), changed, change)
        await repricing.carry_out(ctx.get(Columns), changed, change)

    page = asyncio.create_task(both())
    try:
        await asyncio.shield(page)
    except asyncio.CancelledError:
        await page
        raise


async def _note(catalog: Catalog, rerating_id: str, book: str, place: Place, tally: Tally) -> None:
    values: dict[str, Any] = {
        "book": book, "place": place, "seen": tally.seen, "kept": tally.kept, "lines": tally.told(),
    }  # fmt: skip
    async with catalog.write() as tx:
        await tx.execute(reratings.update().where(reratings.c.id == rerating_id).values(values))


def _query(ctx: Context) -> sa.Select[Any]:
    both = sa.select(reratings, jobs.c.status).join(jobs, jobs.c.id == reratings.c.job_id, isouter=True)
    return both.where(reratings.c.project == ctx.project)


async def _row(ctx: Context, rerating_id: str) -> Mapping[Any, Any]:
    async with ctx.get(Catalog).read() as tx:
        row = (await tx.execute(_query(ctx).where(reratings.c.id == rerating_id))).mappings().first()
    if row is None:
        raise NotFound(
            f"There is no rerating {rerating_id}.", where="id", todo="`gimbal pricing reratings` lists them."
        )
    return row


async def show(ctx: Context, rerating_id: str) -> Rerating:
    """Return a rerating with what it came to by day and model; raise NotFound."""
    row = await _row(ctx, rerating_id)
    return _record(row, await _lines(ctx, row))


async def page(ctx: Context, *, cursor: str | None, limit: int) -> Listed[Rerating]:
    """Return the reratings of the project, newest first, without their lines."""
    query = _query(ctx)
    if cursor:
        query = query.where(reratings.c.id < cursor_text(cursor, "id"))
    async with ctx.get(Catalog).read() as tx:
        rows = list((await tx.execute(query.order_by(reratings.c.id.desc()).limit(check_limit(limit) + 1))).mappings())
    items = [msgspec.structs.replace(_record(row, await _lines(ctx, row)), lines=[]) for row in rows[:limit]]
    return Listed(items=items, next=encode_cursor({"id": items[-1].id}) if len(rows) > limit else None)


async def _lines(ctx: Context, row: Mapping[Any, Any]) -> list[RatedLine]:
    if not row["dry_run"] and row["finished_at"] is None:
        return await changes.by_day(ctx, row["id"], MOST_LINES)
    return [
        rated_line(
            date.fromisoformat(day),
            provider,
            model,
            calls=calls,
            priced=priced,
            unpriced=unpriced,
            old=Decimal(old),
            new=Decimal(new),
        )
        for day, provider, model, calls, priced, unpriced, old, new in row["lines"][:MOST_LINES]
    ]


def _record(row: Mapping[Any, Any], lines: list[RatedLine]) -> Rerating:
    old = [line.old for line in lines if line.old is not None]
    new = [line.new for line in lines if line.new is not None]
    until: datetime = row["until"]
    return Rerating(
        id=row["id"],
        status=row["status"] or "unknown",
        job_id=row["job_id"],
        from_=row["since"],
        to=until,
        provider=row["provider"],
        model=row["model"],
        reason=row["reason"],
        dry_run=row["dry_run"],
        allow_unpriced=row["allow_unpriced"],
        book=row["book"],
        seen=row["seen"],
        changed=sum(line.calls for line in lines),
        old=sum(old, ZERO) if old else None,
        new=sum(new, ZERO) if new else None,
        kept=row["kept"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        finished_at=row["finished_at"],
        lines=lines,
    )
