"""Monitors over the stores: windows, late labels, verdicts, reports, and what is refused."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.axis.monitors.conftest import Place, world

from gimbal.axis.monitors.model import AddLabels, GotWorse, Label, MonitorReport, WindowReport
from gimbal.axis.monitors.work import RunMonitor, run_monitor
from gimbal.engines.compute.jobs import JobContext, Jobs
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, NotReady
from gimbal.kernel.events import EventBus
from gimbal.kernel.pages import encode_cursor


async def look(place: Place) -> MonitorReport:
    return await place.monitors.run(place.ctx, "watch")


def month(report: MonitorReport, number: int) -> WindowReport:
    return next(w for w in report.windows if w.start.month == number)


async def test_each_window_says_what_happened_in_it(place: Place) -> None:
    """A good month, one in which the model no longer ranks, one whose features moved: told apart, in words."""
    labels = await place.predict(1, 600)
    labels += await place.predict(2, 600, noise=1.0)  # labels have nothing to do with x any more
    labels += await place.predict(3, 600, shift=1.5)  # x moved, and the model is still right
    assert await place.label(labels) == 1_800
    report = await look(place)
    assert [(w.start.isoformat(), w.end.month, w.verdict) for w in report.windows] == [
        ("2026-01-01T00:00:00+00:00", 2, "same"),
        ("2026-02-01T00:00:00+00:00", 3, "worse"),
        ("2026-03-01T00:00:00+00:00", 4, "same"),
    ]
    assert (report.worse, report.drifted) == (["2026-02-01"], ["x"])
    assert month(report, 2).reasons[0] == "it ranks worse"
    found = {d.feature: d.verdict for d in month(report, 3).drift}
    assert found["x"] == "drifted"
    assert {found["hour"], found["carrier"]} <= {"stable", "undecided"}
    assert "worse than its baseline in 1: 2026-02" in report.text
    assert "Drifted: x." in report.text
    assert str(report.version) == "model:ring/model@v1"


async def test_the_auc_of_a_window_is_that_of_its_rows(place: Place) -> None:
    """Compared with scikit-learn's on the same rows; the interval holds it, shares and counts are right."""
    labels = await place.predict(4, 400)
    await place.label(labels)
    window = month(await look(place), 4)
    rows, late = world(400, 4)
    expected = roc_auc_score(late, rows["x"].to_numpy())
    assert window.auc.value == pytest.approx(expected)
    assert window.auc.low is not None
    assert window.auc.high is not None
    assert window.auc.low < expected < window.auc.high
    assert (window.predictions, window.labelled) == (400, 400)
    assert window.positive_share == pytest.approx(late.mean())


class TestLabels:
    """The ledger of labels: late, twice, corrected, of nothing."""

    async def test_they_come_late(self, place: Place) -> None:
        """Until then the window waits: nothing is known, and nothing is 0."""
        labels = await place.predict(1)
        before = month(await look(place), 1)
        assert (before.verdict, before.labelled, before.positive_share) == ("unlabelled", 0, None)
        for estimate in (before.auc, before.log_loss, before.calibration, before.auc_change, before.log_loss_change):
            assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
            assert estimate.undefined
        assert "no verdict" in before.text
        await place.label(labels[:100])
        some = month(await look(place), 1)
        assert (some.verdict, some.labelled, some.predictions) == ("same", 100, 300)
        await place.label(labels[100:])
        assert month(await look(place), 1).labelled == 300

    async def test_too_few_say_so(self, place: Place) -> None:
        """One class only, or one row of a class: undefined with the reason, and the window is not judged."""
        labels = await place.predict(1)
        true = [label for label in labels if label.value]
        false = [label for label in labels if not label.value]
        await place.label(true[:5])
        window = month(await look(place), 1)
        assert (window.auc.value, window.verdict, window.labelled) == (None, "unlabelled", 5)
        assert window.auc.undefined == "only one class is there"
        assert "no verdict: only one class" in window.text
        await place.label(false[:1])
        assert month(await look(place), 1).auc.undefined == "a class has one row only"
        report = await look(place)
        assert report.worse == []
        assert "1 windows wait for labels" in report.text

    async def test_the_last_of_a_prediction_counts(self, place: Place) -> None:
        """Sent again it counts once; corrected later, or within one batch, the correction counts."""
        labels = await place.predict(1, 50)
        wrong = [msgspec.structs.replace(label, value=1.0 - label.value) for label in labels]
        await place.label(labels)
        await place.label(labels)
        assert month(await look(place), 1).labelled == 50
        truth = month(await look(place), 1).positive_share
        assert truth is not None
        await place.label(wrong)
        assert month(await look(place), 1).positive_share == pytest.approx(1 - truth)
        await place.label([*wrong, *labels])  # both in one batch: the later of them
        assert month(await look(place), 1).positive_share == pytest.approx(truth)

    async def test_of_predictions_that_there_are_not(self, place: Place) -> None:
        """They are kept, for the prediction may come later, and change nothing."""
        labels = await place.predict(1, 50)
        await place.label(labels)
        before = month(await look(place), 1)
        assert await place.label([Label(prediction_id="01a1fd07-unknown", value=1.0)]) == 1
        assert month(await look(place), 1) == before

    async def test_of_another_endpoint_or_project(self, place: Place, ctx: Context) -> None:
        """The same ids there are other predictions."""
        labels = await place.predict(1, 50)
        elsewhere = Context(ctx.services, ctx.principal, "flights")
        with pytest.raises(NotFound, match="no endpoint"):
            await place.monitors.add_labels(elsewhere, place.slug, labels)
        with pytest.raises(NotFound, match="no endpoint"):
            await place.monitors.add_labels(ctx, "another", labels)
        assert month(await look(place), 1).labelled == 0

    @pytest.mark.parametrize("id_", ["", "x" * 101])
    async def test_without_a_prediction(self, place: Place, id_: str) -> None:
        """All or none: the place of the bad one is said, and nothing of the batch is stored."""
        labels = await place.predict(1, 10)
        with pytest.raises(BadInput) as told:
            await place.label([*labels, Label(prediction_id=id_, value=1.0)])
        assert told.value.where == "labels[10].prediction_id"
        assert month(await look(place), 1).labelled == 0

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    async def test_that_are_no_numbers(self, place: Place, value: float) -> None:
        """Unknown is not a label: leave it out."""
        (label, *_) = await place.predict(1, 10)
        with pytest.raises(BadInput, match="is no number") as told:
            await place.label([msgspec.structs.replace(label, value=value)])
        assert told.value.where == "labels[0].value"

    @pytest.mark.parametrize(
        "body",
        [
            {"endpoint": "e", "labels": []},
            {"endpoint": "e", "labels": [{"prediction_id": "p"}]},
            {"endpoint": "e", "labels": [{"prediction_id": "p", "value": "yes"}]},
            {"endpoint": "e", "labels": [{"prediction_id": "p", "value": 1, "extra": 1}]},
            {"endpoint": "e", "labels": [{"prediction_id": "p", "value": 1}] * 100_001},
        ],
    )
    def test_bodies_that_are_refused(self, body: dict[str, Any]) -> None:
        """None, too many, without a value, of another kind, with unknown fields."""
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(body, AddLabels)


async def test_windows_of_days_weeks_and_months(place: Place) -> None:
    """The same predictions, cut by the calendar of UTC; weeks begin on Monday."""
    await place.predict(2, 20)  # 3 February 2026 is a Tuesday
    starts = {"day": "2026-02-03", "week": "2026-02-02", "month": "2026-02-01"}
    for size, start in starts.items():
        await place.monitors.set(place.ctx, place.create(window=size))
        (window,) = (await look(place)).windows
        assert window.start.date().isoformat() == start
        assert (window.end - window.start).days == {"day": 1, "week": 7, "month": 28}[size]


async def test_only_the_features_that_are_asked_for(place: Place) -> None:
    """In the order of their drift; none named means all that there are on both sides."""
    await place.predict(1, 50)
    assert {d.feature for d in month(await look(place), 1).drift} == {"x", "hour", "carrier"}
    await place.monitors.set(place.ctx, place.create(features=["x"]))
    assert [d.feature for d in month(await look(place), 1).drift] == ["x"]


class TestSet:
    """What a monitor is made of must be there."""

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"endpoint": "nothing"}, NotFound),
            ({"reference": "dataset:none@v1"}, NotFound),
            ({"baseline": "dataset:ring/baseline@v9"}, NotFound),
            ({"reference": "model:ring/model@v1"}, BadInput),
            ({"label": "missing"}, BadInput),
            ({"features": ["x", "missing"]}, BadInput),
            ({"slug": "Watch"}, BadInput),
            ({"level": 1.0}, BadInput),
            ({"level": 0.5}, BadInput),
            ({"least_drift": 0.0}, BadInput),
            ({"least_drift": 1.0}, BadInput),
        ],
    )
    async def test_what_does_not_fit_is_refused(
        self, place: Place, change: dict[str, Any], error: type[Exception]
    ) -> None:
        """When it is set, not at six in the morning when it looks."""
        with pytest.raises(error):
            await place.monitors.set(place.ctx, place.create(**{"slug": "other", **change}))
        assert [m.slug for m in await place.monitors.all(place.ctx)] == ["watch"]

    async def test_set_again_and_removed(self, place: Place, ctx: Context) -> None:
        """The reports stay when it is set anew and go when it is removed; projects are kept apart."""
        await place.predict(1, 20)
        first = await look(place)
        await place.monitors.set(ctx, place.create(level=0.9))
        assert (await place.monitors.get(ctx, "watch")).level == 0.9
        assert [r.id for r in (await place.monitors.reports(ctx, "watch")).items] == [first.id]
        elsewhere = Context(ctx.services, ctx.principal, "flights")
        assert await place.monitors.all(elsewhere) == []
        with pytest.raises(NotFound):
            await place.monitors.reports(elsewhere, "watch")
        await place.monitors.remove(ctx, "watch")
        with pytest.raises(NotFound):
            await place.monitors.get(ctx, "watch")
        with pytest.raises(NotFound):
            await place.monitors.remove(ctx, "watch")
        await place.monitors.set(ctx, place.create())
        assert await place.monitors.latest(ctx, "watch") is None

    async def test_set_by_two_at_once(self, place: Place, ctx: Context) -> None:
        """One of the two is left."""
        bodies = [place.create(slug="both", level=level) for level in (0.9, 0.95, 0.99)]
        await asyncio.gather(*(place.monitors.set(ctx, body) for body in bodies))
        assert (await place.monitors.get(ctx, "both")).level in {0.9, 0.95, 0.99}


async def test_without_predictions_there_is_nothing_to_see(place: Place) -> None:
    """Not ready, with what to do; no report is stored."""
    with pytest.raises(NotReady, match="recorded no predictions"):
        await look(place)
    assert await place.monitors.latest(place.ctx, "watch") is None


async def test_reports_are_paged(place: Place) -> None:
    """Newest first, each once; a cursor that is forged is refused."""
    await place.predict(1, 20)
    ids = [(await look(place)).id for _ in range(5)][::-1]
    found: list[str] = []
    cursor = None
    while True:
        page = await place.monitors.reports(place.ctx, "watch", cursor=cursor, limit=2)
        found += [r.id for r in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == ids
    for forged in ("zzz", encode_cursor({}), encode_cursor({"id": 7}), encode_cursor({"id": None}), "\0", "é"):
        with pytest.raises(BadInput) as told:
            await place.monitors.reports(place.ctx, "watch", cursor=forged)
        assert told.value.where == "cursor"
    with pytest.raises(BadInput):
        await place.monitors.reports(place.ctx, "watch", limit=0)


async def test_a_worse_window_is_told_once_per_job(place: Place, ctx: Context) -> None:
    """A job that is tried again stores no second report and tells nobody twice."""
    told: list[GotWorse] = []

    async def listen(event: GotWorse) -> None:
        told.append(event)

    ctx.get(EventBus).subscribe(GotWorse, listen)
    await place.label(await place.predict(1, 400, noise=1.0))
    jobs = Jobs(ctx.get(Catalog), ctx.get(Clock))
    ctx.services.register(Jobs, jobs)
    row = await jobs.enqueue(ctx, "monitors.run", RunMonitor(monitor="watch"))

    async def nothing(*_: Any) -> None:
        return None

    reports = []
    for _ in range(2):
        jc = JobContext(ctx.services, row, ctx.principal, tell=nothing, checkpoint=nothing)
        reports.append(await run_monitor(jc, RunMonitor(monitor="watch")))
    assert reports[0] == reports[1]
    assert [r.id for r in (await place.monitors.reports(ctx, "watch")).items] == [row.id]
    assert [event.report.id for event in told] == [row.id]
    assert told[0].monitor == "watch"


async def test_the_job_runs_in_a_worker(place: Place, ctx: Context) -> None:
    """Enqueued, carried out, its report is the result."""
    await place.predict(1, 20)
    jobs = Jobs(ctx.get(Catalog), ctx.get(Clock))
    ctx.services.register(Jobs, jobs)
    row = await jobs.enqueue(ctx, "monitors.run", RunMonitor(monitor="watch"))
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker(ctx.services, name="test").run(stop))
    async with asyncio.timeout(60):
        while (done := await jobs.get(ctx, row.id)).status in {"queued", "running"}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await worker
    assert done.status == "succeeded", done.error
    latest = await place.monitors.latest(ctx, "watch")
    assert latest is not None
    assert latest.id == row.id
    assert np.isclose(latest.windows[0].predictions, 20)
