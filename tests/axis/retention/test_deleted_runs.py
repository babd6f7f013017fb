"""Runs that were deleted go for good after their term: nothing names them any more, and what others need of them stays."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.axis.retention.conftest import Place
from tests.axis.retention.stored import canary, chat, erase, judge
from tests.axis.retention.test_run_files import upload
from tests.axis.retention.test_terms import kept

import gimbal.predictive.flavors.model  # noqa: F401 - the kind `model`
from gimbal.axis.assets.registry.model import NewVersion
from gimbal.axis.assets.registry.service import Registry
from gimbal.axis.assets.service import Assets
from gimbal.axis.retention import files
from gimbal.axis.retention.model import EraseUser, SetRetention
from gimbal.axis.retention.rewriting import Rewriting
from gimbal.axis.retention.runs import DeletedRuns
from gimbal.axis.retention.service import Retaining
from gimbal.axis.runs.artifacts.service import Artifacts, Owner, owner_in
from gimbal.axis.runs.candidates.model import ModelMetric, NewModel
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.experiments.model import CreateExperiment
from gimbal.axis.runs.inputs import DatasetInput, InputDataset, put_inputs
from gimbal.axis.runs.model import CreateRun, LogMetric, LogRun
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.store import artifact_files, experiments, input_datasets, runs, uploads
from gimbal.axis.scores.model import ScoreTarget
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, metadata
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotReady
from gimbal.kernel.settings import Settings
from gimbal.testing.clock import FrozenClock

TERM = timedelta(days=30)


class Tracking:
    """Runs and what is around them."""

    def __init__(self, ctx: Context) -> None:
        catalog, blobs = ctx.get(Catalog), ctx.get(Blobs)
        assets = Assets(catalog, blobs)
        self.artifacts = Artifacts(catalog, blobs)
        points = Points(ctx.get(Columns), catalog)
        self.runs = Runs(catalog=catalog, points=points, artifacts=self.artifacts, assets=assets)
        self.models = LoggedModels(catalog, self.runs.experiments)
        self.registry = Registry(catalog, assets)
        self.catalog = catalog
        if not ctx.services.has(Settings):
            ctx.services.register(Settings, Settings())

    async def filled(self, ctx: Context, experiment: str) -> tuple[str, str]:
        """Make a run with something in every table; return the ids of it and of its logged model."""
        run = await self.runs.create(ctx, CreateRun(experiment=experiment, params={"a": 1}, tags={"b": "c"}))
        await self.runs.create(ctx, CreateRun(experiment="other", parent_id=run.id))
        await self.runs.log(ctx, run.id, LogRun(metrics=[LogMetric(name="loss", value=1.0, step=n) for n in range(3)]))
        row = await self.runs.desk.of(ctx, run.id)
        dataset = InputDataset(name="flights", digest="1", profile="{}")
        await put_inputs(self.catalog, ctx, row, [DatasetInput(dataset=dataset)])
        await self.artifacts.put(ctx, Owner("run", run.id), "notes.txt", upload(run.id.encode()))
        await self.artifacts.begin(ctx, Owner("run", run.id), "big.bin", 2)
        experiment_key = row.experiment_key
        model = await self.models.create(
            ctx, NewModel(experiment_key=experiment_key, source_run_id=run.id, params={"p": "1"}, tags={"t": "1"})
        )
        point = ModelMetric(name="auc", value=0.9, step=0, at=ctx.now(), run_id=run.id)
        await self.models.measured(ctx, {model.id: [point]})
        await self.models.link(ctx, row, "output", [(model.id, 0)])
        await self.artifacts.put(ctx, Owner("model", model.id), "model.bin", upload(model.id.encode()))
        await judge(ctx, ScoreTarget.RUN, run.id, "good")
        return run.id, model.id

    async def rows(self, ctx: Context, table: sa.Table, *where: Any) -> int:
        async with self.catalog.read() as tx:
            query = sa.select(sa.func.count()).select_from(table).where(*where)
            return int((await tx.execute(query)).scalar_one())


@pytest.fixture
async def tracking(here: Context) -> Tracking:
    """Give runs in the project of the test."""
    return Tracking(here)


async def named(ctx: Context, *ids: str) -> list[str]:
    """Return which columns of which tables, of the catalog and of the columns, say one of some ids."""
    found: list[str] = []
    async with ctx.get(Catalog).read() as tx:
        for table in metadata.sorted_tables:
            for column in table.c:
                said = sa.or_(*(sa.cast(column, sa.Text).contains(one) for one in ids))
                if (await tx.execute(sa.select(sa.func.count()).select_from(table).where(said))).scalar_one():
                    found.append(f"{table.name}.{column.name}")
    columns = await ctx.get(Columns).query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND type LIKE '%String%' AND table IN "
        "(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')"
    )
    for row in columns:
        says = f"multiSearchAny(toString(`{row['name']}`), {{ids:Array(String)}})"
        query = f"SELECT count() AS n FROM `{row['table']}` WHERE {says}"
        if (await ctx.get(Columns).query(query, {"ids": list(ids)}))[0]["n"]:
            found.append(f"{row['table']}.{row['name']}")
    return sorted(found)


async def test_a_run_that_is_deleted_for_good_leaves_nothing_behind(
    tracking: Tracking, here: Context, clock: FrozenClock
) -> None:
    """Every column of every table is looked at, also those that nobody thought of."""
    run_id, model_id = await tracking.filled(here, "delay")
    before = set(await named(here, run_id, model_id))
    assert before >= {
        "runs.id", "runs.parent_id", "artifact_files.owner_id", "uploads.owner_id", "logged_models.id",
        "logged_models.source_run_id", "logged_model_metrics.run_id", "metric_points.run_id", "scores.target_id",
    }  # fmt: skip
    keyed = [(table, column) for table in metadata.sorted_tables for column in table.c if column.name == "run_key"]
    assert {table.name for table, _ in keyed} >= {"run_params", "run_tags", "run_latest", "run_datasets", "run_models"}
    key = (await tracking.runs.desk.of(here, run_id)).key

    await tracking.runs.set_stage(here, run_id, "deleted")
    clock.advance(seconds=TERM.total_seconds())
    await kept(here, deleted_runs=30)
    assert set(await named(here, run_id, model_id)) == before
    clock.advance(seconds=1)
    due = {one.name: one for one in (await here.get(Retaining).get(here)).classes}["deleted_runs"]
    assert (due.rows, due.due) == (1, 1)
    report = await kept(here, deleted_runs=30)

    assert report.rows == {"deleted_runs": 1}
    assert await named(here, run_id, model_id) == []
    for table, column in keyed:
        assert not await tracking.rows(here, table, column == key), table.name
    assert not await tracking.rows(here, input_datasets, input_datasets.c.name == "flights")
    # Its child is another run, and its experiment was not deleted.
    assert await tracking.rows(here, runs, runs.c.project == here.project) == 1
    assert await tracking.rows(here, experiments, experiments.c.project == here.project) == 2
    check = await here.get(Retaining).proofs.verify(here, report.proofs[0])
    assert check.holds or check.parts_left, check
    assert (await kept(here, deleted_runs=30)).rows == {}


async def test_what_something_names_or_is_not_deleted_stays(
    tracking: Tracking, here: Context, place: Place, clock: FrozenClock
) -> None:
    """A run of which a version was made, one that was restored, one of another project, and all under a legal hold."""
    made, model = await tracking.filled(here, "delay")
    restored, _ = await tracking.filled(here, "delay")
    elsewhere = await place()
    foreign, _ = await tracking.filled(elsewhere, "delay")
    gone = (await tracking.runs.create(here, CreateRun())).id
    await tracking.registry.create(here, "model", "Delay", tags={})
    manifest = {"format": "mlflow", "registration": "1", "source": f"models:/{model}", "files_at": ""}
    await tracking.registry.add(here, "Delay", NewVersion(manifest=manifest, made_by=made, run_id=made, model_id=model))
    for ctx, one in ((here, made), (here, restored), (elsewhere, foreign), (here, gone)):
        await tracking.runs.set_stage(ctx, one, "deleted")
    await tracking.runs.set_stage(here, restored, "active")
    clock.advance(seconds=TERM.total_seconds() + 1)

    await here.get(Retaining).set(here, SetRetention(hold=True, hold_reason="case 12"))
    assert (await kept(here, deleted_runs=30)).held
    assert await tracking.rows(here, runs, runs.c.id == gone) == 1
    await here.get(Retaining).set(here, SetRetention(hold=False))
    assert (await kept(here, deleted_runs=30)).rows == {"deleted_runs": 1}

    assert await tracking.rows(here, runs, runs.c.id.in_([made, restored, foreign])) == 3
    assert await tracking.rows(here, runs, runs.c.id == gone) == 0
    assert "metric_points.run_id" in set(await named(here, made))
    assert (await tracking.models.get(here, model)).source_run_id == made


async def test_a_run_cannot_be_restored_while_it_is_taken_away(
    tracking: Tracking, here: Context, clock: FrozenClock
) -> None:
    """Neither alone nor with its experiment: it would come back without its points. Cut off there, the next run goes on."""
    run_id, _ = await tracking.filled(here, "delay")
    key = (await tracking.runs.experiments.named(here, "delay")).key
    await tracking.runs.set_stage(here, run_id, "deleted")
    clock.advance(seconds=TERM.total_seconds() + 1)
    deleting = DeletedRuns(tracking.catalog, Rewriting(here.get(Columns), clock))

    async def once(name: str, run: Any) -> Any:
        if name.endswith(":ids"):
            return await run()
        with pytest.raises(NotReady, match="taken away"):
            await tracking.runs.set_stage(here, run_id, "active")
        await tracking.runs.set_experiment_stage(here, key, "deleted")
        await tracking.runs.set_experiment_stage(here, key, "active")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await deleting.expire(str(here.project), clock.now(), once)
    tracking.runs.desk.forget()
    assert (await tracking.runs.get(here, run_id)).stage == "deleted"
    assert run_id not in {run.id for run in (await tracking.runs.page(here)).items}
    assert (await deleting.state(str(here.project), clock.now())).due == 1
    assert (await kept(here, deleted_runs=30)).rows == {"deleted_runs": 1}
    assert await named(here, run_id) == []


async def test_experiments_and_models_that_were_deleted_alone_go_too(
    tracking: Tracking, here: Context, clock: FrozenClock
) -> None:
    """An experiment goes with its last run; a model without its run, unless a version was made of it."""
    await tracking.filled(here, "old")
    key = (await tracking.runs.experiments.named(here, "old")).key
    await tracking.runs.set_experiment_stage(here, key, "deleted")
    kept_key = (await tracking.runs.experiments.create(here, CreateExperiment(name="kept", tags={"a": "b"}))).key
    alone = await tracking.models.create(here, NewModel(experiment_key=kept_key))
    registered = await tracking.models.create(here, NewModel(experiment_key=kept_key))
    await tracking.registry.create(here, "model", "Delay", tags={})
    manifest = {"format": "mlflow", "registration": "1", "source": "", "files_at": ""}
    await tracking.registry.add(here, "Delay", NewVersion(manifest=manifest, model_id=registered.id))
    for one in (alone, registered):
        await tracking.models.delete(here, one.id)
    clock.advance(seconds=TERM.total_seconds() + 1)
    await kept(here, deleted_runs=30)

    assert await named(here, alone.id) == []
    assert "logged_models.id" in set(await named(here, registered.id))
    names = {one.name for one in (await tracking.runs.experiments.page(here, stage=None)).items}
    assert names == {"other", "kept"}


async def test_files_of_a_trace_go_with_it(
    here: Context, tracking: Tracking, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the user who is erased, or after the term of what was said; those of other traces stay.

    However many there are: a statement names a few of them.
    """
    monkeypatch.setattr(files, "_AT_ONCE", 1)
    mine, other = await chat(here, canary(), user="ann"), await chat(here, canary(), user="bob")
    put: dict[str, str] = {}
    for trace in (mine, other):
        # As MLflow names traces, and as spans do.
        owner = owner_in(here, "trace", f"tr-{trace}")
        put[trace] = (await tracking.artifacts.put(here, owner, "traces.json", upload(trace.encode()))).digest
        await tracking.artifacts.begin(here, owner_in(here, "trace", trace), "more.json", 1)
    asked = EraseUser(user="ann", reason="a request", dry_run=True)
    counts = (await here.get(Retaining).erase(here, asked)).counts
    assert counts is not None
    assert counts.rows["artifact_files"] == 1

    proof = await erase(here, "ann")
    assert proof.blobs.deleted == 1
    assert [await here.get(Blobs).exists(put[one]) for one in (mine, other)] == [False, True]
    here_uploads = uploads.c.project == here.project
    assert await tracking.rows(here, uploads, here_uploads) == 1
    # What is uploaded to it later is erased again.
    await tracking.artifacts.put(here, owner_in(here, "trace", f"tr-{mine}"), "late.json", upload(b"late"))
    assert len(await here.get(Retaining).erasing.again(here)) == 1
    left = artifact_files.c.owner_id.contains(str(here.project))
    assert await tracking.rows(here, artifact_files, left) == 1

    clock.advance(seconds=TERM.total_seconds() + 1)
    await kept(here, content=30)
    assert await tracking.rows(here, artifact_files, left) == 0
    assert await tracking.rows(here, uploads, here_uploads) == 0
    assert await files.TraceFiles(tracking.catalog, here.get(Columns)).expire(str(here.project), here.now()) == 0
