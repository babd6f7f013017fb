"""The prediction log: stored once with all inputs, read back by windows of event time."""

import uuid
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

from gimbal.axis.endpoints.predictions import PredictionBatch, Predictions
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.pages import encode_cursor

DAY = 86_400_000_000
START = 20_000 * DAY  # 2024-10-04


@pytest.fixture
def slug() -> str:
    """Give an endpoint of the test's own: all tests share one chDB."""
    return f"e{uuid.uuid4().hex[:12]}"


def batch(slug: str, n: int = 3, **change: Any) -> PredictionBatch:
    """Return a batch of a row a day."""
    values: dict[str, Any] = {
        "endpoint": slug, "version": "model:a@v1", "ids": [f"{slug}-{i}" for i in range(n)], "at_us": START,
        "event_us": [START + i * DAY for i in range(n)], "entities": [f"N{i}" for i in range(n)],
        "inputs": pa.table({
            "x": pa.array([float(i) for i in range(n)]),
            "gap": pa.array([None, float("nan"), *([1.0] * n)][:n], pa.float64()),
            "n": pa.array(range(n), pa.int64()),
            "flag": pa.array([i % 2 == 0 for i in range(n)]),
            "name": pa.array([None, "<b>", *(["c"] * n)][:n], pa.string()),
        }),
        "predicted": ["true"] * n, "scores": [0.25] * n, "trace_id": "t",
    }  # fmt: skip
    return PredictionBatch(**{**values, **change})


async def test_a_window_gives_back_what_was_recorded(predictions: Predictions, ctx: Context, slug: str) -> None:
    """From its start up to but without its end; features by kind, gaps as NaN and None."""
    await predictions.record(ctx, batch(slug, 4))
    found = await predictions.window(ctx, slug, START, START + 3 * DAY)
    assert found.ids == [f"{slug}-{i}" for i in range(3)]
    assert found.scores.tolist() == [0.25] * 3
    assert {k: v.tolist() for k, v in found.numbers.items() if k != "gap"} == {
        "flag": [1.0, 0.0, 1.0], "n": [0.0, 1.0, 2.0], "x": [0.0, 1.0, 2.0],
    }  # fmt: skip
    assert np.isnan(found.numbers["gap"]).tolist() == [True, True, False]
    assert found.texts == {"name": [None, "<b>", "c"]}
    assert found.versions == ["model:a@v1"]
    some = await predictions.window(ctx, slug, START, START + DAY, ["x", "name", "nothing"])
    assert (list(some.numbers), list(some.texts)) == (["x"], ["name"])


async def test_an_empty_window_is_empty(predictions: Predictions, ctx: Context, slug: str) -> None:
    """No rows, no features, no versions."""
    found = await predictions.window(ctx, slug, START, START + DAY)
    assert (found.ids, found.scores.size, found.numbers, found.texts, found.versions) == ([], 0, {}, {}, [])
    assert await predictions.days(ctx, slug) == []
    assert await predictions.traffic(ctx, slug) == []


async def test_a_batch_that_is_sent_again_counts_once(predictions: Predictions, ctx: Context, slug: str) -> None:
    """By its ids: in windows, in the traffic and in the newest."""
    for _ in range(2):
        await predictions.record(ctx, batch(slug))
    assert len((await predictions.window(ctx, slug, START, START + 9 * DAY)).ids) == 3
    assert [day.predictions for day in await predictions.traffic(ctx, slug)] == [1, 1, 1]
    assert len((await predictions.page(ctx, slug)).items) == 3


async def test_versions_of_other_signatures_stand_beside_each_other(
    predictions: Predictions, ctx: Context, slug: str
) -> None:
    """A feature that only one of them takes is missing in the rows of the other, not 0."""
    await predictions.record(ctx, batch(slug, 1, inputs=pa.table({"x": [1.0], "old": ["o"]})))
    new = pa.table({"fresh": [5.0], "x": [2.0]})
    await predictions.record(
        ctx, batch(slug, 1, ids=[f"{slug}-n"], version="model:a@v2", inputs=new, event_us=[START + 1])
    )
    found = await predictions.window(ctx, slug, START, START + DAY)
    assert found.numbers["x"].tolist() == [1.0, 2.0]
    assert np.isnan(found.numbers["fresh"][0])
    assert found.numbers["fresh"][1] == 5.0
    assert found.texts["old"] == ["o", None]
    assert found.versions == ["model:a@v1", "model:a@v2"]


async def test_odd_values_are_recorded(predictions: Predictions, ctx: Context, slug: str) -> None:
    """Whole numbers past 53 bits, infinities, empty and hostile text, no score, a model without text."""
    inputs = pa.table(
        {
            "id": pa.array([2**60 + 1, -(2**63)], pa.int64()),
            "x": [float("inf"), -0.0],
            "t": ["", "'); DROP TABLE predictions; --\0\u2028😀"],
        }
    )
    await predictions.record(ctx, batch(slug, 2, inputs=inputs, scores=[None, None], event_us=[START, START]))
    found = await predictions.window(ctx, slug, START, START + 1)
    assert found.numbers["id"].tolist() == [float(2**60), float(-(2**63))]
    assert found.numbers["x"].tolist() == [float("inf"), 0.0]
    assert found.texts["t"] == inputs["t"].to_pylist()
    assert np.isnan(found.scores).all()
    (day,) = await predictions.traffic(ctx, slug)
    assert (day.predictions, day.mean_score) == (2, None)
    await predictions.record(ctx, batch(f"{slug}x", 1, inputs=pa.table({"x": [1.0]})))
    assert (await predictions.page(ctx, f"{slug}x")).items[0].inputs == {"x": 1.0}
    raw = msgspec.to_builtins(await predictions.page(ctx, slug))["items"]
    assert [row["inputs"]["x"] for row in raw] == [0.0, "inf"]


async def test_traffic_and_days_go_by_the_time_of_the_event(predictions: Predictions, ctx: Context, slug: str) -> None:
    """Days of UTC, oldest first, with how many and the mean score; before 1970 too."""
    at = [START + 5, START + DAY - 1, START + 2 * DAY, -1, -DAY - 1]
    await predictions.record(ctx, batch(slug, 5, event_us=at, scores=[0.2, 0.4, 0.9, 0.5, 0.5]))
    assert await predictions.days(ctx, slug) == [-2, -1, 20_000, 20_002]
    found = await predictions.traffic(ctx, slug)
    assert [d.start for d in found] == [from_us(day * DAY) for day in (-2, -1, 20_000, 20_002)]
    assert [d.predictions for d in found] == [1, 1, 2, 1]
    assert found[2].mean_score == pytest.approx(0.3)


async def test_predictions_are_listed_newest_first_page_by_page(
    predictions: Predictions, ctx: Context, slug: str
) -> None:
    """By event time, with their inputs; what comes in meanwhile makes no page skip or repeat."""
    await predictions.record(ctx, batch(slug, 5))
    first = await predictions.page(ctx, slug, limit=2)
    assert [row.id for row in first.items] == [f"{slug}-4", f"{slug}-3"]
    newest = first.items[0]
    assert newest.inputs == {"name": "c", "x": 4.0, "gap": 1.0, "n": 4.0, "flag": 1.0}
    assert (newest.at, newest.entity, newest.version) == (from_us(START + 4 * DAY), "N4", "model:a@v1")

    late = batch(slug, 1, ids=[f"{slug}-late"], event_us=[START + 9 * DAY])
    await predictions.record(ctx, late)
    second = await predictions.page(ctx, slug, cursor=first.next, limit=2)
    third = await predictions.page(ctx, slug, cursor=second.next, limit=2)
    assert [row.id for row in (*second.items, *third.items)] == [f"{slug}-2", f"{slug}-1", f"{slug}-0"]
    assert third.next is None


async def test_predictions_are_narrowed_by_time_and_entity(predictions: Predictions, ctx: Context, slug: str) -> None:
    """From a moment on, before another, about one thing."""
    await predictions.record(ctx, batch(slug, 5))
    since, until = from_us(START + DAY), from_us(START + 3 * DAY)

    assert [r.id for r in (await predictions.page(ctx, slug, since=since, until=until)).items] == [
        f"{slug}-2",
        f"{slug}-1",
    ]
    assert [r.id for r in (await predictions.page(ctx, slug, entity="N3")).items] == [f"{slug}-3"]


@pytest.mark.parametrize("cursor", ["", "x", encode_cursor({}), encode_cursor({"at": "1", "id": "a"})])
async def test_a_cursor_of_somebody_elses_is_refused(
    predictions: Predictions, ctx: Context, slug: str, cursor: str
) -> None:
    with pytest.raises(BadInput, match="cursor"):
        await predictions.page(ctx, slug, cursor=cursor)


async def test_projects_and_endpoints_are_kept_apart(predictions: Predictions, ctx: Context, slug: str) -> None:
    """Neither by project nor by endpoint does anything leak."""
    elsewhere = Context(ctx.services, ctx.principal, "flights")
    await predictions.record(ctx, batch(slug))
    await predictions.record(elsewhere, batch(slug, 1, ids=["theirs"]))
    assert (await predictions.window(elsewhere, slug, START, START + 9 * DAY)).ids == ["theirs"]
    assert [row.id for row in (await predictions.page(elsewhere, slug)).items] == ["theirs"]
    assert len(await predictions.traffic(elsewhere, slug)) == 1
    assert (await predictions.window(ctx, f"{slug}x", START, START + 9 * DAY)).ids == []
    with pytest.raises(NotFound, match="no endpoint"):
        await invoke(find("endpoints.traffic"), ctx, {"project": "default", "slug": slug})


async def test_a_recorded_prediction_is_durable(
    predictions: Predictions, ctx: Context, slug: str, columns: Columns, writer: Writer
) -> None:
    """When `record` returns it is in the columns, whatever becomes of the writer."""
    await predictions.record(ctx, batch(slug))
    rows = await columns.query(
        "SELECT count() AS n FROM predictions WHERE endpoint = {endpoint:String}", {"endpoint": slug}
    )
    assert rows[0]["n"] == 3
    await writer.close()
    assert len((await predictions.window(ctx, slug, START, START + 9 * DAY)).ids) == 3
