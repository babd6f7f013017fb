"""Charts over runs from real points: extremes stay, bands are intervals of means, and other projects' runs are not there."""

import csv
import io
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats
from tests.axis.runs.test_artifacts import upload

import gimbal.axis.runs.charts.operations  # noqa: F401 - fills the operation table
from gimbal.axis.runs.charts import previews
from gimbal.axis.runs.charts.bands import band
from gimbal.axis.runs.charts.model import AskChart, AskComparison, Chart, Comparison
from gimbal.axis.runs.model import CreateRun, LogMetric, LogRun, UpdateRun
from gimbal.axis.runs.plotting import Plot
from gimbal.axis.runs.service import Runs
from gimbal.engines.console.run_charts import Curve, lines
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.operations import find, invoke

START = datetime(2026, 5, 1, tzinfo=UTC)


async def logged(runs: Runs, ctx: Context, values: list[Any], name: str = "loss", **more: Any) -> str:
    run = await runs.create(ctx, CreateRun(started_at=START, **more))
    points = [
        LogMetric(name=name, value=value, step=step, at=START + timedelta(seconds=2 * step))
        for step, value in enumerate(values)
    ]
    await runs.log(ctx, run.id, LogRun(metrics=points))
    return run.id


async def chart(ctx: Context, **asked: Any) -> Chart:
    return await invoke(find("runs.chart"), ctx, {"project": ctx.project, "body": AskChart(**asked)})


def series(found: Chart) -> dict[str, list[tuple[float, Any]]]:
    rows: dict[str, list[tuple[float, Any]]] = {}
    for row in found.spec["data"]["values"]:
        rows.setdefault(row["series"], []).append((row["x"], row["y"]))
    return rows


async def test_a_chart_keeps_the_extremes_and_both_ends(runs: Runs, ctx: Context) -> None:
    """One spike among twenty thousand points is drawn, and so are the first and the last."""
    values = [1.0] * 20_000
    values[7_777], values[12_345] = 50.0, -40.0
    run = await logged(runs, ctx, values, name="loss")
    found = await chart(ctx, metric="loss", runs=[run])
    points = next(iter(series(found).values()))

    assert len(points) <= 1_200
    assert (7_777, 50.0) in points
    assert (12_345, -40.0) in points
    assert (points[0][0], points[-1][0]) == (0, 19_999)


async def test_a_chart_goes_over_steps_time_or_since_the_start(runs: Runs, ctx: Context) -> None:
    run = await logged(runs, ctx, [3.0, 2.0, 1.0])

    assert [x for x, _ in next(iter(series(await chart(ctx, metric="loss", runs=[run])).values()))] == [0, 1, 2]
    relative = await chart(ctx, metric="loss", runs=[run], x="relative")
    assert [x for x, _ in next(iter(series(relative).values()))] == [0, 2, 4]
    clock = await chart(ctx, metric="loss", runs=[run], x="time")
    assert next(iter(series(clock).values()))[0][0] == START.timestamp() * 1000


async def test_what_is_no_number_is_a_gap(runs: Runs, ctx: Context) -> None:
    run = await logged(runs, ctx, [1.0, "NaN", "Infinity", 0.5])
    found = await chart(ctx, metric="loss", runs=[run])

    assert next(iter(series(found).values())) == [(0, 1.0), (1, None), (2, None), (3, 0.5)]


async def test_runs_of_one_name_are_told_apart_and_those_without_points_are_counted(runs: Runs, ctx: Context) -> None:
    ids = [await logged(runs, ctx, [1.0, 2.0], params={"n": n}) for n in range(2)]
    for one in ids:
        await runs.update(ctx, one, UpdateRun(name="same"))
    other = await logged(runs, ctx, [1.0], name="auc")
    found = await chart(ctx, metric="loss", runs=[*ids, other])

    assert (found.runs, found.without) == (2, 1)
    assert set(series(found)) == {f"same · {one[-6:]}" for one in ids}


async def test_a_band_is_the_interval_of_the_mean_over_seeds(runs: Runs, ctx: Context) -> None:
    """Three seeds of one setting: the mean of each step, and t with two degrees of freedom around it."""
    ids = [await logged(runs, ctx, [v, v + 1], params={"lr": 0.1, "seed": n}) for n, v in enumerate([1.0, 2.0, 3.0])]
    ids.append(await logged(runs, ctx, [9.0, 9.0], params={"lr": 0.5, "seed": 0}))
    found = await chart(ctx, metric="loss", runs=ids, band="params.lr")
    rows = {(row["series"], row["x"]): row for row in found.spec["data"]["values"]}
    half = stats.t.ppf(0.975, 2) * 1.0 / math.sqrt(3)

    assert rows["lr 0.1", 0]["y"] == 2.0
    assert rows["lr 0.1", 0]["low"] == pytest.approx(2.0 - half, rel=1e-5)
    assert rows["lr 0.1", 1]["high"] == pytest.approx(3.0 + half, rel=1e-5)
    assert rows["lr 0.5", 0]["y"] == 9.0
    assert rows["lr 0.5", 0]["low"] is None


def test_a_curve_that_ended_leaves_the_mean_of_the_others() -> None:
    found = band("b", [Curve(name="a", xs=[0, 1], ys=[1.0, 1.0]), Curve(name="c", xs=[0, 1, 2], ys=[3.0, 3.0, 5.0])])

    assert found.ys == [2.0, 2.0, 5.0]
    assert found.low is not None
    assert found.low[2] is None


async def test_charts_of_columns(runs: Runs, ctx: Context) -> None:
    """Scatter, contour, parallel and importance read parameters also where they came as text."""
    ids = [
        await logged(runs, ctx, [n / 10], name="auc", params={"lr": str(0.1 + n % 3), "depth": n, "kind": "ab"[n % 2]})
        for n in range(12)
    ]
    scatter = await chart(ctx, kind="scatter", metric="auc", runs=ids, by=["params.lr", "metrics.auc"])
    assert {type(row["x"]) for row in scatter.spec["data"]["values"]} == {float}
    assert scatter.runs == 12
    for kind, by in (("contour", ["params.lr", "params.depth"]), ("parallel", ["params.kind", "params.lr"])):
        assert (await chart(ctx, kind=kind, metric="auc", runs=ids, by=by)).runs == 12
    importance = await chart(ctx, kind="importance", metric="auc", runs=ids)
    assert {row["name"] for row in importance.spec["data"]["values"]} == {"lr", "depth", "kind"}


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"metric": ""}, BadInput, "needs a metric"),
        ({"metric": "nope"}, NotFound, "points of 'nope'"),
        ({"metric": "loss", "band": "lr"}, BadInput, "not a column"),
        ({"metric": "loss", "kind": "scatter", "by": ["params.lr"]}, BadInput, "two columns"),
        ({"metric": "loss", "kind": "parallel", "by": ["params."]}, BadInput, "not a column"),
        ({"metric": "loss", "kind": "parallel", "by": []}, BadInput, "axes"),
        ({"metric": "loss", "kind": "contour", "by": ["params.a", "params.b"]}, BadInput, "four runs"),
        ({"metric": "loss", "kind": "importance"}, BadInput, "10 runs"),
    ],
)
async def test_a_chart_that_cannot_be_is_refused(
    runs: Runs, ctx: Context, asked: dict[str, Any], error: type[Exception], words: str
) -> None:
    run = await logged(runs, ctx, [1.0, 2.0])

    with pytest.raises(error, match=words):
        await chart(ctx, runs=[run], **asked)


async def test_runs_of_other_projects_are_not_there(runs: Runs, ctx: Context) -> None:
    run = await logged(runs, ctx, [1.0])
    elsewhere = ctx.within("elsewhere")

    with pytest.raises(NotFound):
        await runs.some(elsewhere, [run])
    with pytest.raises(NotFound):
        await runs.rows(elsewhere, [run])
    with pytest.raises(BadInput):
        await chart(ctx, metric="loss", runs=["' OR 1=1"])


async def test_a_comparison_says_what_differs(runs: Runs, ctx: Context) -> None:
    ids = [await logged(runs, ctx, [v], params={"lr": 0.1, "n": {"a": v}}, tags={"team": "x"}) for v in (1.0, 2.0)]
    ids.append((await runs.create(ctx, CreateRun(params={"lr": 0.1}))).id)
    asked = {"project": ctx.project, "body": AskComparison(runs=ids)}
    found: Comparison = await invoke(find("runs.compare"), ctx, asked)
    rows = {row.column: row for row in found.rows}

    assert [run.id for run in found.runs] == ids
    assert list(rows) == ["params.lr", "params.n", "tags.team", "metrics.loss"]
    assert rows["params.lr"].same
    assert rows["params.n"].values == [{"a": 1.0}, {"a": 2.0}, None]
    assert not rows["params.n"].same
    assert rows["metrics.loss"].values == [1.0, 2.0, None]


PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40


@pytest.mark.parametrize(
    ("path", "content", "shape"),
    [
        ("a.txt", b"words", "text"),
        ("a.json", b'{"a":[1,2]}', "json"),
        ("broken.json", b'{"a":', "text"),
        ("a.csv", b"x,y\n1,2\n", "table"),
        ("a.tsv", b"x\ty\n1\t2\n", "table"),
        ("a.html", b"<script>alert(1)</script>", "text"),
        ("a.svg", b"<svg onload='alert(1)'/>", "text"),
        ("page.html", PNG, "image"),
        ("liar.png", b"<html>", "text"),
        ("a.wav", b"RIFF0000WAVEfmt ", "audio"),
        ("a.bin", b"\0\1\2", "none"),
        ("empty.csv", b"", "none"),
        ("broken.parquet", b"PAR1" + b"\0" * 50, "none"),
    ],
)
async def test_a_preview_goes_by_the_first_bytes(
    runs: Runs, ctx: Context, path: str, content: bytes, shape: str
) -> None:
    run = await runs.create(ctx, CreateRun())
    file = await runs.put_artifact(ctx, run.id, path, upload(content))

    assert (await previews.preview(ctx, run.id, file)).shape == shape


async def test_media_are_images_and_sounds_only(runs: Runs, ctx: Context) -> None:
    """What is called an image and is a page stays a download; what is one comes with its own type, whole."""
    run = await runs.create(ctx, CreateRun())
    await runs.put_artifact(ctx, run.id, "a.html", upload(PNG[:10], PNG[10:], media_type="text/html"))
    await runs.put_artifact(ctx, run.id, "b.png", upload(b"<script>", media_type="image/png"))
    asked = {"project": ctx.project, "id": run.id}
    found = await invoke(find("runs.media"), ctx, {**asked, "path": "a.html"})

    assert found.media_type == "image/png"
    assert b"".join([chunk async for chunk in found.chunks]) == PNG
    with pytest.raises(BadInput, match="neither an image nor a sound"):
        await invoke(find("runs.media"), ctx, {**asked, "path": "b.png"})


async def test_a_table_shows_its_first_hundred_rows(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    words = io.StringIO()
    csv.writer(words).writerows([["n", "text"], *([n, "a,b\nc"] for n in range(50_000))])
    table = io.BytesIO()
    pq.write_table(pa.table({"n": list(range(300)), "none": pa.nulls(300)}), table)
    for path, content, first in (("a.csv", words.getvalue().encode(), "a,b\nc"), ("a.parquet", table.getvalue(), "")):
        file = await runs.put_artifact(ctx, run.id, path, upload(content, limit=1 << 22))
        found = await previews.preview(ctx, run.id, file)
        assert (len(found.rows), found.cut) == (100, True)
        assert (found.rows[0], found.rows[99][0]) == (["0", first], "99")


async def test_a_parquet_bomb_is_not_unpacked(runs: Runs, ctx: Context) -> None:
    """A few kilobytes that say they unpack into hundreds of megabytes are told about, not opened."""
    table = io.BytesIO()
    zeros = pa.array([b"\0" * 1_000_000] * 200, pa.large_binary())
    pq.write_table(pa.table({"n": zeros}), table, compression="zstd", use_dictionary=False)
    run = await runs.create(ctx, CreateRun())
    file = await runs.put_artifact(ctx, run.id, "bomb.parquet", upload(table.getvalue(), limit=1 << 22))
    found = await previews.preview(ctx, run.id, file)

    assert file.size < 1_000_000
    assert found.shape == "none"
    assert "unpacks into" in found.why


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("json", b"{")])
def test_a_plot_is_saved_as_its_ending_says(tmp_path: Path, ending: str, start: bytes) -> None:
    plot = Plot(lines([Curve(name="a", xs=[0, 1], ys=[1.0, 2.0])]))

    assert plot.save(tmp_path / f"loss.{ending}").read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [f"loss.{ending}"]


def test_a_plot_shows_itself_in_a_notebook_and_refuses_other_endings(tmp_path: Path) -> None:
    plot = Plot(lines([Curve(name="a", xs=[0, 1], ys=[1.0, 2.0])]), "dark")
    bundle = plot._repr_mimebundle_()  # what notebooks call

    assert bundle["application/vnd.vegalite.v6+json"]["data"]["values"][1]["y"] == 2.0
    assert bundle["image/svg+xml"].startswith("<svg")
    with pytest.raises(BadInput, match="no kind of picture"):
        plot.save(tmp_path / "loss.gif")
