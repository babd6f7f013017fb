"""Schedules: cron rules in the catalog. Firing is one transaction, so two workers never fire one twice.

Times that passed while nothing ran are made up for once and counted. Rules are in UTC, so no hour of the year comes
twice or never.
"""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from croniter import croniter
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.engines.compute.jobs import KINDS, Jobs
from gimbal.engines.compute.model import Schedule
from gimbal.engines.compute.store import schedules
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Principal
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import check_slug

_MOST_COUNTED = 1000
_FIELDS = 5
_LONGEST_RULE = 200
# croniter's own words for a moment drawn by chance: another one whenever it is asked.
_BY_CHANCE = re.compile(r"(?<![A-Za-z])[RH](?![A-Za-z])", re.IGNORECASE)
_log = logging.getLogger(__name__)


def next_time(cron: str, after: datetime) -> datetime:
    """Return the first moment of a rule after `after`; raise BadInput when the rule cannot be read."""
    if len(cron) > _LONGEST_RULE or len(cron.split()) != _FIELDS or _BY_CHANCE.search(cron):
        raise _unreadable(cron, "it has not the five fields of cron")
    try:
        return croniter(cron, after).get_next(datetime)
    except (ValueError, KeyError, OverflowError) as problem:
        raise _unreadable(cron, str(problem)) from None


def _unreadable(cron: str, why: str) -> BadInput:
    return BadInput(
        f"{cron[:_LONGEST_RULE]!r} is not a schedule: {why}.",
        where="cron",
        todo="Write five fields in UTC, such as `0 6 * * *`.",
    )


class Schedules:
    """Schedules in the catalog."""

    def __init__(self, catalog: Catalog, clock: Clock, jobs: Jobs) -> None:
        self._catalog = catalog
        self._clock = clock
        self._jobs = jobs

    async def set(
        self, ctx: Context, slug: str, *, cron: str, job: str, payload: Any, enabled: bool = True
    ) -> Schedule:
        """Set a schedule; one with the same slug is replaced. Raise BadInput for a bad rule, NotFound for no job."""
        check_slug(slug)
        kind = KINDS.get(job)
        plain = msgspec.to_builtins(payload)
        try:
            msgspec.convert(plain, kind.payload)
        except msgspec.ValidationError as problem:
            raise BadInput(
                f"{job} cannot be given this: {problem}.", where="payload", todo="See what the job takes."
            ) from None
        values: dict[str, Any] = {
            "cron": cron, "job": job, "payload": plain, "principal": ctx.principal, "enabled": enabled,
            "next_at": next_time(cron, self._clock.now()), "missed": 0,
        }  # fmt: skip
        same = (schedules.c.project == ctx.project, schedules.c.slug == slug)
        async with self._catalog.write(ctx) as tx:
            if not await insert_missing(tx, schedules, {"project": ctx.project, "slug": slug, **values}):
                await tx.execute(schedules.update().where(*same).values(values))
            return _schedule((await tx.execute(sa.select(schedules).where(*same))).mappings().one())

    async def remove(self, ctx: Context, slug: str) -> None:
        """Remove a schedule; raise NotFound."""
        async with self._catalog.write(ctx) as tx:
            same = (schedules.c.project == ctx.project, schedules.c.slug == slug)
            if not (await tx.execute(schedules.delete().where(*same))).rowcount:
                raise NotFound(f"There is no schedule {slug!r}.", where="slug", todo="`gimbal schedules list`.")

    async def all(self, ctx: Context) -> list[Schedule]:
        """Return the schedules of the project by slug."""
        query = sa.select(schedules).where(schedules.c.project == ctx.project).order_by(schedules.c.slug)
        async with self._catalog.read() as tx:
            return [_schedule(row) for row in (await tx.execute(query)).mappings()]

    async def fire_due(self) -> int:
        """Enqueue the jobs of the schedules that are due; return how many."""
        due = sa.select(schedules).where(schedules.c.enabled, schedules.c.next_at <= self._clock.now())
        async with self._catalog.read() as tx:
            if (await tx.execute(due.limit(1))).first() is None:
                return 0
        fired = 0
        async with self._catalog.write() as tx:
            for row in (await tx.execute(due.with_for_update(skip_locked=True))).mappings().all():
                fired += await self._fire(tx, row)
        return fired

    async def _fire(self, tx: AsyncConnection, row: Mapping[Any, Any]) -> bool:
        """Enqueue the job of one schedule; one whose job is gone is passed over, so that it does not hold up others."""
        now = self._clock.now()
        following, missed = next_time(row["cron"], row["next_at"]), 0
        while following <= now and missed < _MOST_COUNTED:
            following, missed = next_time(row["cron"], following), missed + 1
        values: dict[str, Any] = {"next_at": max(following, next_time(row["cron"], now))}
        there = row["job"] in KINDS
        if there:
            principal = msgspec.convert(row["principal"], Principal)
            key = f"{row['slug']}@{row['next_at'].isoformat()}"
            job = await self._jobs.enqueue_in(tx, row["project"], principal, row["job"], row["payload"], key=key)
            values |= {"last_at": now, "last_job_id": job.id, "missed": row["missed"] + missed}
        else:
            _log.error("the schedule %s starts %s, which no worker knows: it is passed over", row["slug"], row["job"])
            values |= {"missed": row["missed"] + missed + 1}
        same = (schedules.c.project == row["project"], schedules.c.slug == row["slug"])
        await tx.execute(schedules.update().where(*same).values(values))
        return there


def _schedule(row: Mapping[Any, Any]) -> Schedule:
    return Schedule(**{str(k): v for k, v in row.items() if k != "principal"})
