"""Rows of runs by their ids, looked up once for a while: a run that logs asks for its own with every call."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.runs.store import EXPIRING, experiments, runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, NotReady
from gimbal.kernel.fresh import Fresh
from gimbal.kernel.ids import parse_id

_FRESH_S = 2.0
COLUMNS = [*runs.c, experiments.c.name.label("experiment")]
WITH_EXPERIMENT = runs.join(experiments, runs.c.experiment_key == experiments.c.key)
# Made once: to put a statement together takes longer than SQLite needs for its answer.
_OF_ID = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT).where(runs.c.id == sa.bindparam("run_id"))


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the catalog has it, without what was logged."""

    key: int
    id: str
    project: str
    experiment_key: int
    experiment: str
    name: str
    status: str
    stage: str
    user: str
    started_at: datetime
    ended_at: datetime | None
    updated_at: datetime
    beat_at: datetime | None
    beat_s: int | None
    parent_id: str | None
    group: str
    created_by: str
    error: str
    note: str

    def must_be_active(self) -> None:
        """Raise NotReady for a run that was deleted."""
        if self.stage != "active":
            raise NotReady(
                f"The run {self.id} was deleted.",
                where="id",
                kept="nothing of this request",
                todo="Restore it first: `gimbal runs restore`.",
            )


class RunDesk:
    """Finds rows of runs; what this process changes it sees at once, what others change within two seconds."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: Fresh[str, RunRow | None] = Fresh(_FRESH_S)

    async def of(self, ctx: Context, run_id: str) -> RunRow:
        """Return a run of the context's project; raise NotFound."""
        try:
            canonical = parse_id(run_id)
        except BadInput:  # no run has such an id
            raise _missing(run_id) from None
        row = await self._known.get(canonical, self._read)
        if row is None or row.project != (ctx.project or "default"):
            self._known.forget(canonical)
            raise _missing(run_id)
        return row

    def know(self, row: RunRow) -> None:
        """Note a run as it was written just now."""
        self._known.put(row.id, row)

    def forget(self, run_id: str | None = None) -> None:
        """Look a run (None: any) up anew: it was changed here."""
        self._known.forget(run_id)

    async def _read(self, run_id: str) -> RunRow | None:
        async with self._catalog.read() as tx:
            found = (await tx.execute(_OF_ID, {"run_id": run_id})).mappings().first()
        return None if found is None else row_of(found)


def row_of(found: Any) -> RunRow:
    """Return a row of `COLUMNS` as a record; one that retention takes away is a deleted one until it is gone."""
    row = RunRow(**found)
    return msgspec.structs.replace(row, stage="deleted") if row.stage == EXPIRING else row


def _missing(run_id: str) -> NotFound:
    return NotFound(f"There is no run {run_id}.", where="id", todo="`gimbal runs list` shows them.")
