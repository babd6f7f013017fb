"""Runs whose sender promised to be heard of: those that are not any more are `dead` instead of running for ever.

Beats are kept in memory and stored together every few seconds; a log counts as a beat. Whoever is heard of again lives.
"""

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta

import sqlalchemy as sa

from gimbal.axis.runs.desk import RunDesk, RunRow
from gimbal.axis.runs.store import runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock, iso
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError

_log = logging.getLogger(__name__)
MISSED = 3
"""So many beats in a row that did not come make a run dead."""
_STORE_EVERY = timedelta(seconds=5)
_LOOK_EVERY_S = 15.0


class Liveness:
    """Beats of runs."""

    def __init__(self, catalog: Catalog, desk: RunDesk) -> None:
        self._catalog = catalog
        self._desk = desk
        self._heard: dict[int, datetime] = {}
        self._stored_at: datetime | None = None

    async def heard(self, ctx: Context, row: RunRow, every_s: int | None = None) -> None:
        """Note that the sender of a run was heard of, and how often it promises to be if it says so."""
        now = ctx.now()
        if row.status == "dead" or (every_s is not None and every_s != row.beat_s):
            values = {"beat_at": now, "beat_s": every_s or row.beat_s}
            alive = {"status": "running", "ended_at": None, "error": "", "updated_at": now}
            async with self._catalog.write(ctx) as tx:
                await tx.execute(runs.update().where(runs.c.key == row.key).values(values))
                # One that was ended meanwhile stays so.
                await tx.execute(runs.update().where(runs.c.key == row.key, runs.c.status == "dead").values(alive))
            self._desk.forget(row.id)
        elif row.beat_s is not None and (row.status == "running" or every_s is not None):
            # Who says so lives, though the run was ended: a trial may go on when its program has ended its run.
            self._heard[row.key] = now
            if self._stored_at is None or now - self._stored_at >= _STORE_EVERY:
                self._stored_at = now
                await self.store()

    async def store(self) -> None:
        """Write down what was heard."""
        heard, self._heard = self._heard, {}
        if not heard:
            return
        rows = [{"a_key": key, "a_time": at} for key, at in sorted(heard.items())]
        mine = runs.c.key == sa.bindparam("a_key")
        try:
            async with self._catalog.write() as tx:
                await tx.execute(runs.update().where(mine).values(beat_at=sa.bindparam("a_time")), rows)
        except BaseException:
            self._heard = heard | self._heard
            raise

    async def sweep(self, now: datetime, *, since: datetime | None = None) -> list[str]:
        """Mark the runs dead that were silent for too long; return their ids.

        `since` is when it was begun to listen: what was said before nobody could hear.
        """
        await self.store()
        silent = (runs.c.status == "running", runs.c.beat_s.is_not(None), runs.c.beat_at < now)
        query = sa.select(runs.c.key, runs.c.id, runs.c.beat_at, runs.c.beat_s).where(*silent)
        async with self._catalog.read() as tx:
            rows = (await tx.execute(query)).all()
        dead: list[str] = []
        for row in rows:
            last = max(row.beat_at, since) if since else row.beat_at
            if now - last <= timedelta(seconds=MISSED * row.beat_s):
                continue
            error = f"Nothing was heard of it after {iso(row.beat_at)}."
            values = {"status": "dead", "ended_at": row.beat_at, "error": error, "updated_at": now}
            same = (runs.c.key == row.key, runs.c.status == "running", runs.c.beat_at == row.beat_at)
            async with self._catalog.write() as tx:
                changed = await tx.execute(runs.update().where(*same).values(values))
            if changed.rowcount:
                dead.append(row.id)
                self._desk.forget(row.id)
        return dead

    async def watch(self, stop: asyncio.Event, clock: Clock) -> None:
        """Look for dead runs now and then until `stop` is set."""
        since = clock.now()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_EVERY_S)
            try:
                await self.sweep(clock.now(), since=since)
            except GimbalError as problem:
                _log.warning("dead runs cannot be looked for now: %s", problem)
