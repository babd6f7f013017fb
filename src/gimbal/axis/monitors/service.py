"""The verbs of monitors: set, take labels in, look, and remember what was found."""

import math
from collections.abc import Sequence
from typing import Protocol

import msgspec
import pyarrow as pa
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.model import manifest_of
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.endpoints.predictions import Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.gates.evidence import LabelledScores
from gimbal.axis.monitors.looking import Baseline, Reference, look
from gimbal.axis.monitors.model import CreateMonitor, GotWorse, Label, Monitor, MonitorReport, check_monitor
from gimbal.axis.monitors.store import monitor_reports, monitors
from gimbal.axis.monitors.windows import windows_of
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.tables import insert_missing
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, NotReady
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor
from gimbal.kernel.refs import Ref


class Judge(Protocol):
    """Scores a labelled data set with a model version; the predictive ring does."""

    async def __call__(self, ctx: Context, version: Version, dataset: str, label: str) -> LabelledScores:
        """Return probability and label per labelled row."""
        ...


class Monitors:
    """Monitors on the catalog over predictions and labels in the columns."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        columns: Columns,
        writer: Writer,
        assets: Assets,
        datasets: Datasets,
        endpoints: Endpoints,
        predictions: Predictions,
        judge: Judge,
    ) -> None:
        self._catalog = catalog
        self._columns = columns
        self._writer = writer
        self._assets = assets
        self._datasets = datasets
        self._endpoints = endpoints
        self._predictions = predictions
        self._judge = judge

    async def set(self, ctx: Context, body: CreateMonitor) -> Monitor:
        """Set a monitor; raise NotFound or BadInput when its endpoint, reference or baseline do not fit."""
        check_monitor(body)
        await self._endpoints.get(ctx, body.endpoint)
        reference = await self._dataset(ctx, body.reference, body.features, "features")
        baseline = await self._dataset(ctx, body.baseline, [body.label], "label")
        monitor = Monitor(
            slug=body.slug,
            endpoint=body.endpoint,
            reference=reference.ref,
            baseline=baseline.ref,
            label=body.label,
            features=body.features,
            window=body.window,
            level=body.level,
            least_drift=body.least_drift,
            created_at=ctx.now(),
            created_by=ctx.principal.name,
        )
        same = (monitors.c.project == ctx.project, monitors.c.slug == body.slug)
        async with self._catalog.write(ctx) as tx:
            values = {"endpoint": body.endpoint, "document": monitor}
            if not await insert_missing(tx, monitors, {"project": ctx.project, "slug": body.slug, **values}):
                await tx.execute(monitors.update().where(*same).values(values))
        return monitor

    async def _dataset(self, ctx: Context, ref: str, columns: Sequence[str], where: str) -> Version:
        """Return the version of a data set that has these columns; raise NotFound or BadInput."""
        version = await self._assets.resolve(ctx, Ref.parse(ref, kind="dataset"))
        manifest = manifest_of(version)
        missing = [name for name in columns if manifest.column(name) is None]
        if missing:
            there = ", ".join(column.name for column in manifest.schema[:50])
            raise BadInput(f"{version.ref} lacks {', '.join(missing)}.", where=where, todo=f"It has: {there}.")
        return version

    async def get(self, ctx: Context, slug: str) -> Monitor:
        """Return a monitor; raise NotFound."""
        query = sa.select(monitors.c.document).where(monitors.c.project == ctx.project, monitors.c.slug == slug)
        async with self._catalog.read() as tx:
            document = (await tx.execute(query)).scalar()
        if document is None:
            raise NotFound(f"There is no monitor {slug!r}.", where="slug", todo="`gimbal monitors list` shows them.")
        return msgspec.convert(document, Monitor)

    async def all(self, ctx: Context) -> list[Monitor]:
        """Return the monitors of the project by slug."""
        query = sa.select(monitors.c.document).where(monitors.c.project == ctx.project).order_by(monitors.c.slug)
        async with self._catalog.read() as tx:
            return [msgspec.convert(d, Monitor) for d in (await tx.execute(query)).scalars()]

    async def remove(self, ctx: Context, slug: str) -> None:
        """Remove a monitor with its reports; raise NotFound."""
        async with self._catalog.write(ctx) as tx:
            mine = (monitor_reports.c.project == ctx.project, monitor_reports.c.monitor == slug)
            await tx.execute(monitor_reports.delete().where(*mine))
            same = (monitors.c.project == ctx.project, monitors.c.slug == slug)
            if not (await tx.execute(monitors.delete().where(*same))).rowcount:
                raise NotFound(f"There is no monitor {slug!r}.", where="slug", todo="`gimbal monitors list`.")

    async def add_labels(self, ctx: Context, endpoint: str, labels: Sequence[Label]) -> int:
        """Store labels durably; a second label of a prediction replaces the first. Raise NotFound, BadInput."""
        await self._endpoints.get(ctx, endpoint)
        for index, label in enumerate(labels):
            if not label.prediction_id or len(label.prediction_id) > 100:
                raise BadInput("A label names its prediction.", where=f"labels[{index}].prediction_id", todo="Add it.")
            if not math.isfinite(label.value):
                todo = "Leave a label out as long as it is not known."
                raise BadInput(f"{label.value} is no number.", where=f"labels[{index}].value", todo=todo)
        now = ctx.now()
        n = len(labels)
        table = pa.table(
            {
                "project": pa.repeat(ctx.project or "default", n),
                "endpoint": pa.repeat(endpoint, n),
                "prediction_id": [label.prediction_id for label in labels],
                "value": pa.array([label.value for label in labels], pa.float64()),
                "at_us": pa.array([to_us(label.at or now) for label in labels], pa.int64()),
                "author": pa.repeat(ctx.principal.name, n),
            }
        )
        await self._writer.write("labels", table)
        return n

    async def _labels(self, ctx: Context, endpoint: str, start_us: int, end_us: int) -> dict[str, float]:
        """Return the label by prediction id, of the predictions whose event time lies in [start, end)."""
        table = await self._columns.arrow(
            "SELECT prediction_id, value FROM labels FINAL WHERE project = {project:String} "
            "AND endpoint = {endpoint:String} AND prediction_id IN (SELECT prediction_id FROM predictions "
            "WHERE project = {project:String} AND endpoint = {endpoint:String} "
            "AND event_us >= {start:Int64} AND event_us < {end:Int64})",
            {"project": ctx.project or "default", "endpoint": endpoint, "start": start_us, "end": end_us},
        )
        return dict(zip(table["prediction_id"].to_pylist(), table["value"].to_pylist(), strict=True))

    async def run(self, ctx: Context, slug: str, *, report_id: str | None = None) -> MonitorReport:
        """Look at every window that has predictions; store and return what was found. Raise NotReady without any.

        A look that has a `report_id` is taken once: a second time what was found then is returned, and nobody is told
        again.
        """
        monitor = await self.get(ctx, slug)
        known = await self._report(ctx, slug, report_id) if report_id else None
        if known is not None:
            return known
        days = await self._predictions.days(ctx, monitor.endpoint)
        if not days:
            raise NotReady(
                f"The endpoint {monitor.endpoint} has recorded no predictions.", todo="Send some, with capture on."
            )
        _, version = await self._endpoints.resolve(ctx, monitor.endpoint)
        scored = await self._judge(ctx, version, str(monitor.baseline), monitor.label)
        reference = await self._reference(ctx, monitor)
        baseline = Baseline.of(scored, monitor.level)
        found = []
        versions: set[str] = set()
        for start, end in windows_of(days, monitor.window):
            recorded = await self._predictions.window(ctx, monitor.endpoint, to_us(start), to_us(end), reference.names)
            labels = await self._labels(ctx, monitor.endpoint, to_us(start), to_us(end))
            versions.update(recorded.versions)
            found.append((start, end, recorded, labels))
        report = look(monitor, baseline, reference, found, report_id=report_id or new_id(), at=ctx.now())
        if len(versions) == 1:
            report = msgspec.structs.replace(report, version=version.ref if versions == {str(version.ref)} else None)
        async with self._catalog.write(ctx) as tx:
            row = {"id": report.id, "project": ctx.project, "monitor": slug, "at": report.at, "document": report}
            is_first = await insert_missing(tx, monitor_reports, row)
        if report.worse and is_first:
            ctx.emit(GotWorse(project=ctx.project or "default", monitor=slug, report=report))
        return report

    async def _reference(self, ctx: Context, monitor: Monitor) -> Reference:
        table = await self._datasets.read(ctx, str(monitor.reference))
        names = monitor.features or [name for name in table.column_names if name != monitor.label]
        reference = Reference.of(table.select(names))
        strange = [name for name in monitor.features if name not in reference.names]
        if strange:
            raise BadInput(
                f"{', '.join(strange)} of {monitor.reference} are neither numbers, truth values nor text.",
                where="features",
                todo="Watch other columns.",
            )
        return reference

    async def _report(self, ctx: Context, slug: str, report_id: str) -> MonitorReport | None:
        mine = (monitor_reports.c.project == ctx.project, monitor_reports.c.monitor == slug)
        query = sa.select(monitor_reports.c.document).where(*mine, monitor_reports.c.id == report_id)
        async with self._catalog.read() as tx:
            document = (await tx.execute(query)).scalar()
        return None if document is None else msgspec.convert(document, MonitorReport)

    async def reports(
        self, ctx: Context, slug: str, *, cursor: str | None = None, limit: int = 20
    ) -> Page[MonitorReport]:
        """Return what a monitor found, newest first."""
        await self.get(ctx, slug)
        query = sa.select(monitor_reports.c.document).where(
            monitor_reports.c.project == ctx.project, monitor_reports.c.monitor == slug
        )
        if cursor:
            query = query.where(monitor_reports.c.id < cursor_text(cursor, "id"))
        query = query.order_by(monitor_reports.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            found = [msgspec.convert(d, MonitorReport) for d in (await tx.execute(query)).scalars()]
        items = found[:limit]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if len(found) > limit else None)

    async def latest(self, ctx: Context, slug: str) -> MonitorReport | None:
        """Return the newest report, or None when it has not looked yet."""
        page = await self.reports(ctx, slug, limit=1)
        return page.items[0] if page.items else None
