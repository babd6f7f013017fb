"""The verbs of runs: start, log, change, finish, delete, read back. What `log` acknowledged is on disk and seen at once."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec
import sqlalchemy as sa

from gimbal.axis.assets.service import Assets
from gimbal.axis.runs.artifacts.service import Artifacts, Owner
from gimbal.axis.runs.desk import COLUMNS, WITH_EXPERIMENT, RunDesk, RunRow, row_of
from gimbal.axis.runs.experiments.model import DEFAULT, Experiment, Stage
from gimbal.axis.runs.experiments.service import Experiments
from gimbal.axis.runs.filling import filled, info_of
from gimbal.axis.runs.liveness import Liveness
from gimbal.axis.runs.model import (
    Artifact,
    Beat,
    BeatRun,
    CreateRun,
    FinishRun,
    Logged,
    LogRun,
    MetricPoint,
    Run,
    RunFinished,
    RunInfo,
    RunStatus,
    UpdateRun,
    check_path,
    check_values,
    to_wire,
)
from gimbal.axis.runs.points.model import Place, Point, place_of
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.store import EXPIRING, experiments, runs
from gimbal.axis.runs.values import batch_of, put_params, put_tags, remove_tags
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_counted
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, NotFound, NotReady, TooLarge
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.ids import new_id, parse_id
from gimbal.kernel.pages import Page, check_limit, cursor_number, encode_cursor
from gimbal.kernel.refs import Ref, ResolvedRef
from gimbal.kernel.settings import Settings

_OPEN = frozenset({"running", "scheduled", "dead"})
# Made once: to put a statement together takes longer than SQLite needs for its answer.
_CHANGING = runs.update().where(runs.c.key == sa.bindparam("of")).returning(*runs.c)


class Runs:
    """Runs on the catalog; their points and files have services of their own."""

    def __init__(self, *, catalog: Catalog, points: Points, artifacts: Artifacts, assets: Assets) -> None:
        self._catalog = catalog
        self._points = points
        self._artifacts = artifacts
        self._assets = assets
        self.desk = RunDesk(catalog)
        self.liveness = Liveness(catalog, self.desk)
        self.experiments = Experiments(catalog, changed=self.desk.forget)

    async def create(self, ctx: Context, body: CreateRun) -> Run:
        """Start a run and return it whole; as `begin` otherwise."""
        return (await filled(self._catalog, self._points, ctx, [await self.begin(ctx, body)]))[0]

    async def begin(self, ctx: Context, body: CreateRun) -> RunRow:
        """Start a run; the same id again is the same run. Raise NotFound when an input or the parent does not exist."""
        limits = ctx.get(Settings).limits
        check_values(body.params, body.tags, most_params=limits.params_per_run)
        inputs = await self._resolved(ctx, body.inputs)
        parent = (await self.desk.of(ctx, body.parent_id)).id if body.parent_id else None
        now = ctx.now()
        run_id = parse_id(body.id) if body.id else new_id()
        values: dict[str, Any] = {
            "id": run_id,
            "project": ctx.project or "default",
            "name": body.name or f"run {now:%Y-%m-%d %H:%M:%S}",
            "status": "running",
            "stage": "active",
            "user": body.user or ctx.principal.name,
            "started_at": body.started_at or now,
            "ended_at": None,
            "updated_at": now,
            "parent_id": parent,
            "group": body.group,
            "created_by": ctx.principal.name,
            "error": "",
            "note": body.note,
            "beat_at": now if body.beat_s else None,
            "beat_s": body.beat_s,
        }
        async with self._catalog.write(ctx) as tx:
            values["experiment_key"] = await self.experiments.ensure(ctx, tx, body.experiment or DEFAULT)
            key = await insert_counted(tx, runs, values, runs.c.key)
            if key is not None:
                await put_params(tx, key, body.params, most=limits.params_per_run)
                await put_tags(tx, key, body.tags)
        if key is None:
            self.desk.forget(run_id)
        else:
            self.desk.know(RunRow(key=key, experiment=body.experiment or DEFAULT, **values))
        await self._assets.record_use(ctx, "run", run_id, inputs)
        return await self.desk.of(ctx, run_id)

    async def log(self, ctx: Context, run_id: str, body: LogRun, *, late: bool = False) -> Logged:
        """Store parameters, tags, metric points and inputs durably.

        Metrics and tags may come after the run has ended (an evaluation that takes longer); parameters and inputs may
        not, unless `late`. Raise Conflict for a parameter that changed, NotReady for what comes too late.
        """
        limits = ctx.get(Settings).limits
        points = len(body.metrics) + (len(body.columns.index) if body.columns else 0)
        if points > limits.metrics_per_request:
            raise TooLarge(
                f"{points} points in one request; {limits.metrics_per_request} is the most.",
                where="metrics",
                kept="nothing of this request",
                todo="Send several requests.",
            )
        check_values(body.params, body.tags, most_params=limits.params_per_run)
        batch = batch_of(body, to_us(ctx.now()))
        row = await self.desk.of(ctx, run_id)
        row.must_be_active()
        if row.status not in _OPEN and (body.params or body.inputs) and not late:
            raise NotReady(
                f"The run is {row.status}; its parameters and inputs stand.",
                where="params" if body.params else "inputs",
                kept="nothing of this request",
                todo="Log parameters and inputs while it runs; metrics and tags may come later.",
            )
        inputs = await self._resolved(ctx, body.inputs)
        if body.params or body.tags:
            async with self._catalog.write(ctx) as tx:
                await put_params(tx, row.key, body.params, most=limits.params_per_run)
                await put_tags(tx, row.key, body.tags)
        if len(batch):
            try:
                await self._points.put(row, batch)
            except GimbalError as error:
                if body.params or body.tags:
                    error.kept = "the parameters and tags, none of the metric points"
                raise
        await self._assets.record_use(ctx, "run", row.id, inputs)
        await self.liveness.heard(ctx, row)
        return Logged(
            params=len(body.params),
            tags=len(body.tags),
            metrics=points,
            inputs=[str(ref) for ref in inputs],
        )

    async def beat(self, ctx: Context, run_id: str, body: BeatRun) -> Beat:
        """Note that the sender of a run is there; one that was held for dead lives again."""
        row = await self.desk.of(ctx, run_id)
        await self.liveness.heard(ctx, row, body.every_s)
        row = await self.desk.of(ctx, run_id)
        return msgspec.convert({"status": row.status, "stage": row.stage}, Beat)

    async def finish(self, ctx: Context, run_id: str, body: FinishRun) -> RunInfo:
        """End a run; ending it again in the same way changes nothing, in another way is a Conflict."""
        row = await self.desk.of(ctx, run_id)
        row.must_be_active()
        if row.status in _OPEN:
            values = {"status": body.status, "ended_at": body.ended_at or ctx.now(), "error": body.error}
            async with self._catalog.write(ctx) as tx:
                # Of two that end it at once, one does.
                still = sa.and_(runs.c.key == row.key, runs.c.status.in_(_OPEN))
                changed = await tx.execute(runs.update().where(still).values(**values, updated_at=ctx.now()))
                if changed.rowcount:
                    ctx.emit(RunFinished(project=row.project, run_id=row.id, status=body.status))
            self.desk.forget(row.id)
            row = await self.desk.of(ctx, row.id)
        if row.status != body.status:
            raise Conflict(
                f"The run is {row.status} already.", where="status", kept="how it ended", todo="Start another run."
            )
        return info_of(row)

    async def update(self, ctx: Context, run_id: str, body: UpdateRun) -> RunRow:
        """Rename a run, write its note, set and take away tags, end it or go on with it; raise NotReady when deleted."""
        row = await self.desk.of(ctx, run_id)
        row.must_be_active()
        tags = {name: value for name, value in body.tags.items() if value is not None}
        check_values({}, tags, most_params=0)
        values = {name: value for name in ("name", "note", "error") if (value := getattr(body, name)) is not None}
        if body.status is not None:
            ended = None if body.status in _OPEN else body.ended_at or row.ended_at or ctx.now()
            values |= {"status": body.status, "ended_at": ended}
            if body.status == "running":
                values = {"error": "", "beat_at": ctx.now()} | values
        elif body.ended_at is not None and row.status not in _OPEN:
            values["ended_at"] = body.ended_at
        async with self._catalog.write(ctx) as tx:
            changed = await tx.execute(_CHANGING, {"of": row.key, **values, "updated_at": ctx.now()})
            # All of the row as it stands now, also what others changed since it was looked up.
            stands = changed.mappings().one_or_none()
            if stands is None:
                self.desk.forget(row.id)
                raise NotFound(f"The run {row.id} was deleted for good meanwhile.", where="id", kept="nothing of it")
            await put_tags(tx, row.key, tags)
            await remove_tags(tx, row.key, [name for name, value in body.tags.items() if value is None])
            if body.status is not None and body.status not in _OPEN and row.status in _OPEN:
                ctx.emit(RunFinished(project=row.project, run_id=row.id, status=body.status))
        now = row_of({**stands, "experiment": row.experiment})
        self.desk.know(now)
        return now

    async def set_stage(self, ctx: Context, run_id: str, stage: Stage) -> RunInfo:
        """Delete (`deleted`) or restore (`active`) a run; nothing of it is lost by that. A second time changes nothing.

        Raise NotReady for one whose term is over and which retention is taking away.
        """
        row = await self.desk.of(ctx, run_id)
        if row.stage != stage:
            async with self._catalog.write(ctx) as tx:
                values = {"stage": stage, "updated_at": ctx.now()}
                mine = (runs.c.key == row.key, runs.c.stage != EXPIRING)
                changed = await tx.execute(runs.update().where(*mine).values(**values))
            if not changed.rowcount:
                raise NotReady(
                    f"The run {row.id} is being taken away for good: its term as a deleted one is over.",
                    where="id",
                    kept="nothing: what was logged with it goes now",
                    todo="Restore a run before its term: `gimbal retention show` tells it.",
                )
            self.desk.forget(row.id)
            row = await self.desk.of(ctx, row.id)
        return info_of(row)

    async def set_experiment_stage(self, ctx: Context, key: int, stage: Stage) -> Experiment:
        """Delete (`deleted`) or restore (`active`) an experiment and its runs with it."""
        return await self.experiments.set_stage(ctx, key, stage)

    async def get(self, ctx: Context, run_id: str) -> Run:
        """Return a run with parameters, newest metrics, inputs and outputs, also a deleted one; raise NotFound."""
        return (await filled(self._catalog, self._points, ctx, [await self.desk.of(ctx, run_id)]))[0]

    async def some(self, ctx: Context, run_ids: Sequence[str]) -> list[Run]:
        """Return runs by their ids, whole, in the order of the ids; raise NotFound that names the first that is not there."""
        return await filled(self._catalog, self._points, ctx, await self.rows(ctx, run_ids))

    async def rows(self, ctx: Context, run_ids: Sequence[str]) -> list[RunRow]:
        """Return the rows of runs by their ids, in that order; raise NotFound that names the first that is not there."""
        ids = list(dict.fromkeys(parse_id(run_id) for run_id in run_ids))
        query = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT).where(runs.c.project == ctx.project)
        async with self._catalog.read() as tx:
            found = [row_of(row) for row in (await tx.execute(query.where(runs.c.id.in_(ids)))).mappings()]
        rows = {row.id: row for row in found}
        if missing := [run_id for run_id in ids if run_id not in rows]:
            raise NotFound(f"There is no run {missing[0]}.", where="runs", todo="`gimbal runs list` shows the runs.")
        return [rows[run_id] for run_id in ids]

    async def children(self, ctx: Context, run_id: str, limit: int = 100) -> list[Run]:
        """Return the newest runs that are a part of a run and not deleted."""
        query = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT)
        mine = (runs.c.project == ctx.project, runs.c.stage == "active", runs.c.parent_id == parse_id(run_id))
        query = query.where(*mine).order_by(runs.c.started_at.desc(), runs.c.key.desc()).limit(limit)
        async with self._catalog.read() as tx:
            rows = [row_of(row) for row in (await tx.execute(query)).mappings()]
        return await filled(self._catalog, self._points, ctx, rows)

    async def page(
        self,
        ctx: Context,
        *,
        status: str | None = None,
        experiment: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        """Return runs that are not deleted, newest first."""
        query = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT)
        query = query.where(runs.c.project == ctx.project, runs.c.stage == "active")
        if status and status not in get_args(RunStatus):
            raise BadInput(
                f"{status!r} is not a status.", where="status", todo=f"Use {', '.join(get_args(RunStatus))}."
            )
        if status:
            query = query.where(runs.c.status == status)
        if experiment:
            query = query.where(experiments.c.name == experiment)
        if cursor:
            at, key = from_us(cursor_number(cursor, "at")), cursor_number(cursor, "key")
            earlier = sa.or_(runs.c.started_at < at, sa.and_(runs.c.started_at == at, runs.c.key < key))
            query = query.where(earlier)
        query = query.order_by(runs.c.started_at.desc(), runs.c.key.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            rows = [row_of(row) for row in (await tx.execute(query)).mappings()]
        items = await filled(self._catalog, self._points, ctx, rows[:limit])
        last = rows[limit - 1] if len(rows) > limit else None
        place = encode_cursor({"at": to_us(last.started_at), "key": last.key}) if last else None
        return Page(items=items, next=place)

    async def _resolved(self, ctx: Context, refs: Sequence[str]) -> list[ResolvedRef]:
        return [(await self._assets.resolve(ctx, Ref.parse(text))).ref for text in refs]

    async def metric(
        self, ctx: Context, run_id: str, name: str, *, cursor: str | None = None, limit: int = 1000
    ) -> Page[MetricPoint]:
        """Return the points of one metric by step and time."""
        row = await self.desk.of(ctx, run_id)
        after = Place(*(cursor_number(cursor, part) for part in Place._fields)) if cursor else None
        rows = await self._points.history(row, name, after=after, limit=check_limit(limit) + 1)
        more = encode_cursor(place_of(rows[limit - 1])._asdict()) if len(rows) > limit else None
        return Page(items=[_point(one) for one in rows[:limit]], next=more)

    async def curve(self, ctx: Context, run_id: str, name: str, cells: int = 500) -> list[MetricPoint]:
        """Return at most `cells` points of one metric, for a chart, extremes among them."""
        row = await self.desk.of(ctx, run_id)
        found = await self._points.curves([row], name, most=cells)
        return [_point(one) for one in found.get(row.id, [])]

    async def curves(
        self, rows: Sequence[RunRow], name: str, *, order: Literal["step", "time"] = "step", most: int
    ) -> dict[str, list[Point]]:
        """Return by run id at most so many points of one metric of each run, extremes among them, in one question."""
        return await self._points.curves(rows, name, order=order, most=most)

    async def put_artifact(self, ctx: Context, run_id: str, path: str, body: Upload) -> Artifact:
        """Keep a file with a run; the same path again replaces it."""
        row = await self.desk.of(ctx, run_id)
        row.must_be_active()
        return await self._artifacts.put(ctx, Owner("run", row.id), path, body)

    async def artifacts(self, ctx: Context, run_id: str, folder: str = "") -> list[Artifact]:
        """Return the files of a run by path, those in a folder of it when one is given."""
        row = await self.desk.of(ctx, run_id)
        return await self._artifacts.listing(Owner("run", row.id), folder)

    async def delete_artifact(self, ctx: Context, run_id: str, path: str) -> int:
        """Remove a file of a run, or a folder with all in it; return how many files. Raise NotFound, NotReady."""
        row = await self.desk.of(ctx, run_id)
        row.must_be_active()
        return await self._artifacts.delete(ctx, Owner("run", row.id), check_path(path))

    async def artifact(self, ctx: Context, run_id: str, path: str) -> Download:
        """Return one file of a run; raise NotFound."""
        row = await self.desk.of(ctx, run_id)
        return await self._artifacts.open(Owner("run", row.id), path)


def _point(point: Point) -> MetricPoint:
    return MetricPoint(value=to_wire(point.value), step=point.step, at=from_us(point.at_us))
