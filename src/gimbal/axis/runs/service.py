"""The verbs of runs: start, log, finish, keep artifacts, read back. What `log` acknowledged is on disk and seen at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

import msgspec
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.runs import of_runs
from gimbal.axis.assets.service import Assets
from gimbal.axis.runs import store
from gimbal.axis.runs.model import (
    Artifact,
    CreateRun,
    FinishRun,
    Logged,
    LogMetric,
    LogRun,
    MetricPoint,
    Run,
    RunFinished,
    RunStatus,
    check_path,
    check_values,
    to_wire,
)
from gimbal.axis.runs.store import run_artifacts, run_params, run_tags, runs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.tables import insert_missing
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, NotFound, NotReady, TooLarge
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.ids import new_id, parse_id
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor
from gimbal.kernel.refs import Ref, ResolvedRef
from gimbal.kernel.settings import Settings

# Step and time before every point that can be.
_BEFORE_ALL = (-(1 << 63), -(1 << 63))


class Runs:
    """Runs on the catalog, metric points in the columns, artifacts in the blobs."""

    def __init__(self, *, catalog: Catalog, columns: Columns, writer: Writer, blobs: Blobs, assets: Assets) -> None:
        self._catalog = catalog
        self._columns = columns
        self._writer = writer
        self._blobs = blobs
        self._assets = assets

    async def create(self, ctx: Context, body: CreateRun) -> Run:
        """Start a run; the same id again is the same run. Raise NotFound when an input does not exist."""
        limits = ctx.get(Settings).limits
        check_values(body.params, body.tags, most_params=limits.params_per_run)
        inputs = await self._resolved(ctx, body.inputs)
        now = ctx.now()
        run_id = parse_id(body.id) if body.id else new_id()
        values = {
            "id": run_id,
            "project": ctx.project or "default",
            "name": body.name or f"run {now:%Y-%m-%d %H:%M:%S}",
            "experiment": body.experiment or "default",
            "status": "running",
            "started_at": body.started_at or now,
            "ended_at": None,
            "created_by": ctx.principal.name,
            "error": "",
        }
        async with self._catalog.write(ctx) as tx:
            if await insert_missing(tx, runs, values):
                await _put_params(tx, run_id, body.params, most=limits.params_per_run)
                await _put_tags(tx, run_id, body.tags)
        await self._assets.record_use(ctx, "run", run_id, inputs)
        return await self.get(ctx, run_id)

    async def log(self, ctx: Context, run_id: str, body: LogRun) -> Logged:
        """Store parameters, tags, metric points and inputs durably.

        Metrics and tags may come after the run has ended (an evaluation that takes longer); parameters and inputs may
        not. Raise Conflict for a parameter that changed, NotReady for one that comes too late.
        """
        limits = ctx.get(Settings).limits
        if len(body.metrics) > limits.metrics_per_request:
            raise TooLarge(
                f"{len(body.metrics)} points in one request; {limits.metrics_per_request} is the most.",
                where="metrics",
                kept="nothing of this request",
                todo="Send several requests.",
            )
        check_values(body.params, body.tags, most_params=limits.params_per_run)
        row = await self._row(ctx, run_id)
        if row["status"] != "running" and (body.params or body.inputs):
            raise NotReady(
                f"The run is {row['status']}; its parameters and inputs stand.",
                where="params" if body.params else "inputs",
                kept="nothing of this request",
                todo="Log parameters and inputs while it runs; metrics and tags may come later.",
            )
        inputs = await self._resolved(ctx, body.inputs)
        if body.params or body.tags:
            async with self._catalog.write(ctx) as tx:
                await _put_params(tx, run_id, body.params, most=limits.params_per_run)
                await _put_tags(tx, run_id, body.tags)
        if body.metrics:
            points = _points(ctx.project or "default", run_id, body.metrics, ctx.now())
            try:
                await self._writer.write(store.METRICS, points)
            except GimbalError as error:
                if body.params or body.tags:
                    error.kept = "the parameters and tags, none of the metric points"
                raise
        await self._assets.record_use(ctx, "run", run_id, inputs)
        return Logged(
            params=len(body.params),
            tags=len(body.tags),
            metrics=len(body.metrics),
            inputs=[str(ref) for ref in inputs],
        )

    async def finish(self, ctx: Context, run_id: str, body: FinishRun) -> Run:
        """End a run; ending it again in the same way changes nothing, in another way is a Conflict."""
        row = await self._row(ctx, run_id)
        if row["status"] not in {"running", body.status}:
            raise Conflict(
                f"The run is {row['status']} already.", where="status", kept="how it ended", todo="Start another run."
            )
        if row["status"] == "running":
            values = {"status": body.status, "ended_at": body.ended_at or ctx.now(), "error": body.error}
            async with self._catalog.write(ctx) as tx:
                # Of two that end it at once, one does.
                still = sa.and_(runs.c.id == run_id, runs.c.status == "running")
                if not (await tx.execute(runs.update().where(still).values(values))).rowcount:
                    raise Conflict("The run was ended just now.", where="status", todo="Read it again.")
                ctx.emit(RunFinished(project=ctx.project or "default", run_id=run_id, status=body.status))
        return await self.get(ctx, run_id)

    async def get(self, ctx: Context, run_id: str) -> Run:
        """Return a run with parameters, newest metrics, inputs and outputs; raise NotFound."""
        return (await self._filled(ctx, [await self._row(ctx, run_id)]))[0]

    async def page(
        self,
        ctx: Context,
        *,
        status: str | None = None,
        experiment: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        """Return runs, newest first."""
        query = sa.select(runs).where(runs.c.project == ctx.project)
        if status and status not in get_args(RunStatus):
            raise BadInput(
                f"{status!r} is not a status.", where="status", todo=f"Use {', '.join(get_args(RunStatus))}."
            )
        if status:
            query = query.where(runs.c.status == status)
        if experiment:
            query = query.where(runs.c.experiment == experiment)
        if cursor:
            query = query.where(runs.c.id < cursor_text(cursor, "id"))
        query = query.order_by(runs.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            rows = [dict(row) for row in (await tx.execute(query)).mappings()]
        items = await self._filled(ctx, rows[:limit])
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if len(rows) > limit else None)

    async def _row(self, ctx: Context, run_id: str) -> dict[str, Any]:
        query = sa.select(runs).where(runs.c.id == run_id, runs.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"There is no run {run_id}.", where="id", todo="`gimbal runs list` shows them.")
        return dict(row)

    async def _filled(self, ctx: Context, rows: Sequence[Mapping[str, Any]]) -> list[Run]:
        """Return records of rows: four questions for a whole page, however many runs are on it."""
        ids = [row["id"] for row in rows]
        params: dict[str, dict[str, Any]] = {}
        tags: dict[str, dict[str, str]] = {}
        async with self._catalog.read() as tx:
            for row in (await tx.execute(sa.select(run_params).where(run_params.c.run_id.in_(ids)))).mappings():
                params.setdefault(row["run_id"], {})[row["name"]] = msgspec.json.decode(row["value"])
            for row in (await tx.execute(sa.select(run_tags).where(run_tags.c.run_id.in_(ids)))).mappings():
                tags.setdefault(row["run_id"], {})[row["name"]] = row["value"]
        metrics: dict[str, dict[str, Any]] = {}
        for point in await store.latest(self._columns, ctx.project or "default", ids):
            metrics.setdefault(point["run_id"], {})[point["name"]] = to_wire(point["value"])
        inputs, outputs = await of_runs(self._catalog, ctx, ids)
        return [
            Run(
                **row,
                params=params.get(row["id"], {}),
                tags=tags.get(row["id"], {}),
                metrics=metrics.get(row["id"], {}),
                inputs=inputs.get(row["id"], []),
                outputs=outputs.get(row["id"], []),
            )
            for row in rows
        ]

    async def _resolved(self, ctx: Context, refs: Sequence[str]) -> list[ResolvedRef]:
        return [(await self._assets.resolve(ctx, Ref.parse(text))).ref for text in refs]

    async def metric(
        self, ctx: Context, run_id: str, name: str, *, cursor: str | None = None, limit: int = 1000
    ) -> Page[MetricPoint]:
        """Return the points of one metric by step and time."""
        await self._row(ctx, run_id)
        after = (cursor_number(cursor, "step"), cursor_number(cursor, "at")) if cursor else _BEFORE_ALL
        rows = await store.history(
            self._columns, ctx.project or "default", run_id, name, after=after, limit=check_limit(limit) + 1
        )
        items = [_point(row) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items=items, next=encode_cursor({"step": last["step"], "at": last["at_us"]}) if last else None)

    async def curve(self, ctx: Context, run_id: str, name: str, cells: int = 500) -> list[MetricPoint]:
        """Return at most `cells` points of one metric, for a chart."""
        rows = await store.curve(self._columns, ctx.project or "default", run_id, name, cells)
        return [_point(row) for row in rows]

    async def put_artifact(self, ctx: Context, run_id: str, path: str, body: Upload) -> Artifact:
        """Keep a file with a run; the same path again replaces it."""
        check_path(path)
        await self._row(ctx, run_id)
        blob = await self._blobs.put(body)
        artifact = Artifact(
            path=path,
            digest=blob.digest,
            size=blob.size,
            media_type=body.media_type or "application/octet-stream",
            at=ctx.now(),
        )
        values = msgspec.structs.asdict(artifact)
        same = (run_artifacts.c.run_id == run_id, run_artifacts.c.path == path)
        async with self._catalog.write(ctx) as tx:
            if not await insert_missing(tx, run_artifacts, {"run_id": run_id, **values}):
                await tx.execute(run_artifacts.update().where(*same).values(values))
        return artifact

    async def artifacts(self, ctx: Context, run_id: str) -> list[Artifact]:
        """Return the files of a run by path."""
        await self._row(ctx, run_id)
        query = sa.select(run_artifacts).where(run_artifacts.c.run_id == run_id).order_by(run_artifacts.c.path)
        async with self._catalog.read() as tx:
            rows = (await tx.execute(query)).mappings()
            return [Artifact(**{str(k): v for k, v in row.items() if k != "run_id"}) for row in rows]

    async def artifact(self, ctx: Context, run_id: str, path: str) -> Download:
        """Return one file of a run; raise NotFound."""
        found = next((a for a in await self.artifacts(ctx, run_id) if a.path == path), None)
        if found is None:
            raise NotFound(f"The run has no artifact {path!r}.", where="path", todo="`gimbal runs artifacts`.")
        return Download(
            chunks=self._blobs.stream(found.digest),
            media_type=found.media_type,
            filename=path.rpartition("/")[2],
            size=found.size,
        )


async def _put_params(tx: AsyncConnection, run_id: str, params: Mapping[str, Any], *, most: int) -> None:
    """Add parameters; one that is there with another value raises Conflict, and nothing is added."""
    if not params:
        return
    # The run's row is the lock: two requests that log for one run come one after the other.
    await tx.execute(sa.select(runs.c.id).where(runs.c.id == run_id).with_for_update())
    query = sa.select(run_params.c.name, run_params.c.value).where(
        run_params.c.run_id == run_id, run_params.c.name.in_(list(params))
    )
    known = {row.name: row.value for row in await tx.execute(query)}
    count = sa.select(sa.func.count()).where(run_params.c.run_id == run_id)
    total = int((await tx.execute(count)).scalar_one()) + len(params) - len(known)
    if total > most:
        raise TooLarge(
            f"The run would have {total} parameters; {most} is the most.",
            where="params",
            kept="nothing of this request",
            todo="Store long lists as an artifact, or raise limits.params_per_run.",
        )
    for name, value in params.items():
        text = msgspec.json.encode(value).decode()
        if name not in known:
            await tx.execute(run_params.insert().values(run_id=run_id, name=name, value=text))
        elif known[name] != text:
            raise Conflict(
                f"The parameter {name!r} is {known[name]} already and cannot become {text}.",
                where=f"params.{name}",
                kept="nothing of this request",
                todo="Use another name, or a tag: tags may change.",
            )


async def _put_tags(tx: AsyncConnection, run_id: str, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        row = {"run_id": run_id, "name": name, "value": value}
        if not await insert_missing(tx, run_tags, row):
            same = (run_tags.c.run_id == run_id, run_tags.c.name == name)
            await tx.execute(run_tags.update().where(*same).values(value=value))


def _points(project: str, run_id: str, metrics: Sequence[LogMetric], now: datetime) -> pa.Table:
    n = len(metrics)
    return pa.table(
        {
            "project": pa.repeat(project, n),
            "run_id": pa.repeat(run_id, n),
            "name": [m.name for m in metrics],
            "step": [m.step for m in metrics],
            "at_us": [to_us(m.at or now) for m in metrics],
            "value": [float(m.value) for m in metrics],
        },
        schema=store.POINTS,
    )


def _point(row: Mapping[str, Any]) -> MetricPoint:
    return MetricPoint(value=to_wire(row["value"]), step=row["step"], at=from_us(row["at_us"]))
