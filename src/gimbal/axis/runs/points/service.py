"""Metric points: put down durably, read back by name as a history or as curves, and the newest of each."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.points import store
from gimbal.axis.runs.points.keeping import Keeping
from gimbal.axis.runs.points.latest import Latest
from gimbal.axis.runs.points.model import Place, Point, PointBatch
from gimbal.axis.runs.points.records import Ready, packed, ready
from gimbal.axis.runs.points.store import ALL_STEPS, Order, Steps
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.errors import Busy

_PAGE = 5000
_WHOLE_S = 20.0


class Points:
    """Points in the columns, the newest ones in the catalog. Without `kept_in` each batch is stored as it comes."""

    def __init__(self, columns: Columns, catalog: Catalog) -> None:
        self._columns = columns
        self._latest = Latest(catalog)
        self._keeping: Keeping | None = None

    def kept_in(self, folder: Path, *, most_bytes: int) -> Keeping:
        """Put points into a journal from now on, which whoever asks opens, runs and closes."""
        self._keeping = Keeping(folder, self._keep, self._latest.store, most_bytes=most_bytes)
        return self._keeping

    async def put(self, run: RunRow, batch: PointBatch) -> None:
        """Put points down durably; raise Busy when too many wait, DiskFull when there is no room."""
        if not len(batch):
            return
        if self._keeping is not None:
            await self._keeping.put(run, batch)
        else:
            await self._keep(ready([packed(run, batch)]))

    async def arrived(self, runs: Sequence[RunRow]) -> None:
        """Wait until what was acknowledged of some runs can be read as a history; for a moment at most."""
        if self._keeping is not None:
            await self._keeping.arrived([run.id for run in runs])

    async def searchable(self, project: str) -> None:
        """See to it that a search finds the newest points of a project that were acknowledged until now."""
        if self._keeping is not None:
            await self._keeping.newest(project)

    async def settled(self, seconds: float) -> bool:
        """Wait until all that was acknowledged, also by processes that are gone, is stored; so many seconds at most.

        Return whether it is.
        """
        return self._keeping is None or await self._keeping.settled(seconds)

    async def latest(self, runs: Sequence[RunRow]) -> dict[str, dict[str, Point]]:
        """Return, of runs of one project, by run id and name the newest point: of the highest step, then the latest time, then the highest value."""
        if self._keeping is not None and runs:
            await self._keeping.newest(runs[0].project, {run.id for run in runs})
        found = await self._latest.of_runs([run.key for run in runs])
        return {run.id: found[run.key] for run in runs if run.key in found}

    async def history(
        self,
        run: RunRow,
        name: str,
        *,
        order: Order = "step",
        after: Place | None = None,
        steps: Steps = ALL_STEPS,
        limit: int,
    ) -> list[Point]:
        """Return points of one metric behind a place, by step, time and value or by `time`, step and value."""
        await self.arrived([run])
        return await store.history(
            self._columns, run.project, run.id, name, order=order, after=after, steps=steps, limit=limit
        )

    async def curves(
        self, runs: Sequence[RunRow], name: str, *, order: Order = "step", steps: Steps = ALL_STEPS, most: int
    ) -> dict[str, list[Point]]:
        """Return of runs of one project at most so many points each of one metric, for a chart over steps or over time.

        The first and the last point and, with room for four or more, the extremes of every stretch are among them.
        """
        if not runs:
            return {}
        await self.arrived(runs)
        project, cells = runs[0].project, max(1, most // 4)
        ids = [run.id for run in runs]
        found = await store.curves(self._columns, project, ids, name, order=order, steps=steps, cells=cells)
        return {run_id: _at_most(points, most) for run_id, points in found.items()}

    async def whole(self, runs: Sequence[RunRow]) -> pa.Table:
        """Return all points of runs of one project, each once; raise Busy where too many are still on their way."""
        if not await self.settled(_WHOLE_S):
            raise Busy("Points are still on their way to the store.", todo="Ask again in a moment.", retry_after=1.0)
        return await store.whole(self._columns, runs[0].project, [run.id for run in runs])

    async def take_over(self) -> None:
        """Take over points of before there was a journal, as an old installation or its backup has them."""
        if not await store.old_points(self._columns):
            return
        await store.take_over(self._columns)
        place = ("", "")
        while rows := await store.old_latest(self._columns, after=place, limit=_PAGE):
            await self._latest.take_over(rows)
            place = (rows[-1][1], rows[-1][2])
        await store.forget_old(self._columns)

    async def _keep(self, made: Ready) -> None:
        """Store points. The columns come first: what is newest is also in the history."""
        await self._columns.insert(store.POINTS, made.table)
        await self._latest.store(made.newest)


def _at_most(points: list[Point], most: int) -> list[Point]:
    """Return up to three of the points of a single stretch where not even one stretch has room."""
    if len(points) <= most:
        return points
    return [points[0], *points[1 : most - 1], points[-1]] if most > 1 else points[-1:]
