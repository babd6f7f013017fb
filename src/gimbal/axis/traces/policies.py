"""Sampling policies in the catalog, what ingest reads of them from memory, and whose turn it is to decide on traces.

Who decides on a project's traces holds its row for a while and notes how far that has come; whoever else comes
meanwhile leaves them alone.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.traces.sampling import KEEP_ALL, SamplingPolicy, SetSampling, check_sampling, threshold
from gimbal.engines.storage.catalog import Catalog, Json, Utc, metadata
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock, from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Unavailable
from gimbal.kernel.ids import new_id

_FRESH_S = 1.0
_LEASE = timedelta(seconds=60)

sampling = sa.Table(
    "trace_sampling",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), primary_key=True),
    sa.Column("policy", Json, nullable=False),
    sa.Column("decided_until", Utc),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", Utc),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One project whose traces are this process's to decide on now."""

    project: str
    policy: SetSampling
    decided_us: int
    """What came in up to here has been decided on."""


class SamplingPolicies:
    """Policies by project; ingest asks for thresholds, which are at most a second old.

    With a `name` that is stable over restarts a process has its earlier turns back at once.
    """

    def __init__(self, catalog: Catalog, clock: Clock, *, name: str = "") -> None:
        self._catalog = catalog
        self._clock = clock
        self._me = name or new_id()
        self._least: dict[str, tuple[float, int]] = {}

    async def get(self, ctx: Context) -> SamplingPolicy:
        """Return the policy of the project; everything is kept where nobody has set one."""
        query = sa.select(sampling).where(sampling.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        return KEEP_ALL if row is None else _shown(row)

    async def set(self, ctx: Context, body: SetSampling) -> SamplingPolicy:
        """Set the policy, for what comes in from now on; raise BadInput when it cannot be meant."""
        check_sampling(body)
        now = ctx.now()
        values: dict[str, Any] = {"policy": body, "updated_at": now, "updated_by": ctx.principal.name}
        same = sampling.c.project == ctx.project
        # Spans bear the moment at which they came by the clock of their server, not by that of the context.
        begin = from_us(time.time_ns() // 1000)
        async with self._catalog.write(ctx) as tx:
            await insert_missing(tx, sampling, {"project": ctx.project, **values})
            until = (await tx.execute(sa.select(sampling.c.decided_until).where(same).with_for_update())).scalar()
            values["decided_until"] = None if body.tail_rate is None else until or begin
            await tx.execute(sampling.update().where(same).values(values))
        self._least.pop(ctx.project or "default", None)
        return await self.get(ctx)

    async def least(self, project: str) -> int:
        """Return the threshold of the head, from memory when that is at most a second old; 0 keeps all."""
        known = self._least.get(project)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        if known is not None:
            # Those who ask while the catalog answers go by what was known.
            self._least[project] = (time.monotonic() + _FRESH_S, known[1])
        query = sa.select(sampling.c.policy).where(sampling.c.project == project)
        try:
            async with self._catalog.read() as tx:
                found = (await tx.execute(query)).scalar()
        except Unavailable:
            if known is None:
                raise
            return known[1]
        least = 0 if found is None else threshold(msgspec.convert(found, SetSampling).head_rate)
        self._least[project] = (time.monotonic() + _FRESH_S, least)
        return least

    async def waiting(self) -> list[str]:
        """Return the projects that have a tail rate."""
        query = sa.select(sampling.c.project).where(sampling.c.decided_until.is_not(None))
        async with self._catalog.read() as tx:
            return list((await tx.execute(query.order_by(sampling.c.project))).scalars())

    async def take(self, project: str) -> Turn | None:
        """Take the turn of a project for a minute, or keep it; None when another process has it."""
        now = self._clock.now()
        free = sa.or_(sampling.c.owner.is_(None), sampling.c.owner == self._me, sampling.c.lease_until <= now)
        mine = (sampling.c.project == project, sampling.c.decided_until.is_not(None), free)
        async with self._catalog.write() as tx:
            values = {"owner": self._me, "lease_until": now + _LEASE}
            if not (await tx.execute(sampling.update().where(*mine).values(values))).rowcount:
                return None
            row = (await tx.execute(sa.select(sampling).where(sampling.c.project == project))).mappings().one()
        policy = msgspec.convert(row["policy"], SetSampling)
        return Turn(project=project, policy=policy, decided_us=to_us(row["decided_until"]))

    async def advance(self, project: str, decided_us: int) -> None:
        """Note that everything up to a moment is decided, unless the turn was lost; another will do it again then."""
        mine = (sampling.c.project == project, sampling.c.owner == self._me, sampling.c.decided_until.is_not(None))
        async with self._catalog.write() as tx:
            await tx.execute(sampling.update().where(*mine).values(decided_until=from_us(decided_us)))

    async def give_back(self, project: str) -> None:
        """Let another process have the turn."""
        mine = (sampling.c.project == project, sampling.c.owner == self._me)
        async with self._catalog.write() as tx:
            await tx.execute(sampling.update().where(*mine).values(owner=None, lease_until=None))


def _shown(row: Mapping[Any, Any]) -> SamplingPolicy:
    policy = msgspec.convert(row["policy"], SetSampling)
    return SamplingPolicy(
        **msgspec.structs.asdict(policy),
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
        decided_until=row["decided_until"],
    )
