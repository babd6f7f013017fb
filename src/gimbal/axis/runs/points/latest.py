"""Of each metric of a run the newest point, in the catalog: beside parameters and tags, so that one engine answers searches.

Newest is what has the highest step, then the latest time, then the highest value; NaN is the lowest. Whatever comes again,
in whatever order, the same point stays.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gimbal.axis.runs.points.model import Point
from gimbal.axis.runs.store import metric_names, run_latest, runs
from gimbal.engines.storage.among import Among
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import from_us, to_us

_CHUNK = 2000
"""Rows of one transaction: others who write the catalog go between."""
_MOST_NAMES = 100_000
# Made once: to put a statement together takes longer than SQLite needs for its answer.
_OF_RUNS = (
    sa.select(run_latest.c.run_key, metric_names.c.name, run_latest.c.step, run_latest.c.at_us, run_latest.c.value)
    .join(metric_names, metric_names.c.key == run_latest.c.name_key)
    .where(Among(run_latest.c.run_key))
)


class Newest(NamedTuple):
    """The newest point of one metric of a run, and what of the run stands beside it."""

    project: str
    run_key: int
    experiment_key: int
    started_us: int
    name: str
    point: Point


class Latest:
    """The newest points, on the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._names: dict[tuple[str, str], int] = {}

    async def store(self, rows: Sequence[Newest]) -> None:
        """Keep what is newer than what is there."""
        keys = await self._keys({(row.project, row.name) for row in rows})
        insert = postgresql.insert if self._catalog.dialect == "postgresql" else sqlite.insert
        statement = insert(run_latest)
        new, old = statement.excluded, run_latest.c
        higher = sa.and_(new.value.is_not(None), sa.or_(old.value.is_(None), new.value > old.value))
        statement = statement.on_conflict_do_update(
            index_elements=[old.run_key, old.name_key],
            set_={"value": new.value, "step": new.step, "at_us": new.at_us},
            where=sa.or_(
                new.step > old.step,
                sa.and_(new.step == old.step, new.at_us > old.at_us),
                sa.and_(new.step == old.step, new.at_us == old.at_us, higher),
            ),
        )
        # In one order, so that two who carry at once wait for each other instead of one of them failing.
        values = sorted(
            (
                {
                    "run_key": row.run_key,
                    "name_key": keys[row.project, row.name],
                    "experiment_key": row.experiment_key,
                    "started_at": from_us(row.started_us),
                    "value": None if math.isnan(row.point.value) else row.point.value,
                    "step": row.point.step,
                    "at_us": row.point.at_us,
                }
                for row in rows
            ),
            key=lambda one: (one["run_key"], one["name_key"]),
        )
        for start in range(0, len(values), _CHUNK):
            async with self._catalog.write() as tx:
                await tx.execute(statement, values[start : start + _CHUNK])
            await asyncio.sleep(0)

    async def of_runs(self, run_keys: Sequence[int]) -> dict[int, dict[str, Point]]:
        """Return by run and metric the newest point."""
        found: dict[int, dict[str, Point]] = {}
        async with self._catalog.read() as tx:
            for key, name, step, at_us, value in (await tx.execute(_OF_RUNS, {"keys": run_keys})).all():
                found.setdefault(key, {})[name] = Point(step, at_us, math.nan if value is None else value)
        return found

    async def take_over(self, rows: Sequence[tuple[str, str, str, Point]]) -> None:
        """Keep newest points by project, run id, metric and point, as they stood before; runs that are gone are left out."""
        asked = sa.select(runs.c.id, runs.c.key, runs.c.experiment_key, runs.c.started_at)
        async with self._catalog.read() as tx:
            found = await tx.execute(asked.where(runs.c.id.in_({run_id for _, run_id, _, _ in rows})))
            known = {row.id: row for row in found}
        await self.store(
            [
                Newest(project, run.key, run.experiment_key, to_us(run.started_at), name, point)
                for project, run_id, name, point in rows
                if (run := known.get(run_id)) is not None
            ]
        )

    async def _keys(self, wanted: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        """Return the keys of names (project, name), which are made where they are new."""
        wanted = set(wanted)
        if missing := sorted(one for one in wanted if one not in self._names):
            if len(self._names) + len(missing) > _MOST_NAMES:
                self._names.clear()
                missing = sorted(wanted)
            for start in range(0, len(missing), _CHUNK):
                self._names |= await self._made(missing[start : start + _CHUNK])
        return self._names

    async def _made(self, missing: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        insert = postgresql.insert if self._catalog.dialect == "postgresql" else sqlite.insert
        rows = [{"project": project, "name": name} for project, name in missing]
        async with self._catalog.write() as tx:
            await tx.execute(insert(metric_names).on_conflict_do_nothing(), rows)
            found: dict[tuple[str, str], int] = {}
            for project in {project for project, _ in missing}:
                names = [name for of, name in missing if of == project]
                mine = (metric_names.c.project == project, metric_names.c.name.in_(names))
                for key, name in await tx.execute(sa.select(metric_names.c.key, metric_names.c.name).where(*mine)):
                    found[project, name] = key
        return found
