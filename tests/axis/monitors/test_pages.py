"""The pages of endpoints and monitors over HTTP: empty and full, with whatever people and data call things escaped."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
from tests.axis.endpoints.conftest import AddModel
from tests.axis.monitors.conftest import Place
from tests.served import serve

import gimbal.axis.assets.pages
import gimbal.axis.endpoints.pages
import gimbal.axis.monitors.pages  # noqa: F401 - fill the table of pages
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.endpoints.model import SetEndpoint, Target
from gimbal.axis.endpoints.predictions import PredictionBatch, Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.monitors.model import Label
from gimbal.axis.monitors.service import Monitors
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Services
from gimbal.kernel.refs import AtVersion
from gimbal.testing.clock import FrozenClock

HOSTILE = '</td><script>alert("x")</script><img src=x onerror=alert(1)>'
MARKS = ("<script>alert", "<img src=x")


@pytest.fixture
async def site(monitors: Monitors, services: Services, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the console over the test's services."""
    async with (
        serve(services, tmp_path / "cache") as url,
        httpx.AsyncClient(base_url=f"{url}/p/default", follow_redirects=True) as client,
    ):
        yield client


async def text(site: httpx.AsyncClient, path: str, status: int = 200) -> str:
    reply = await site.get(path)
    assert reply.status_code == status, reply.text
    assert "text/html" in reply.headers["content-type"]
    for mark in MARKS:
        assert mark not in reply.text
    return reply.text


async def test_empty_lists_say_what_to_do(site: httpx.AsyncClient) -> None:
    """No endpoint, no monitor: a command that makes one."""
    assert "gimbal endpoints set" in await text(site, "/endpoints")
    assert "No monitors yet" in await text(site, "/monitors")


@pytest.mark.parametrize("path", ["/endpoints/nothing", "/monitors/nothing", "/monitors/%3Cscript%3Ealert(1)"])
async def test_what_is_not_there_is_a_page_too(site: httpx.AsyncClient, path: str) -> None:
    """Not found, as a page, with the name escaped."""
    assert "There is no" in await text(site, path, 404)


async def test_an_endpoint_without_calls_and_a_monitor_that_has_not_looked(
    site: httpx.AsyncClient, place: Place
) -> None:
    """Missing is a dash and a word, never 0."""
    assert place.slug in await text(site, "/endpoints")
    assert "No predictions yet" in await text(site, f"/endpoints/{place.slug}")
    assert "has not looked" in await text(site, "/monitors")
    assert "It has not looked yet" in await text(site, "/monitors/watch")


async def test_an_endpoint_whose_alias_is_gone(
    site: httpx.AsyncClient, ctx: Context, add_model: AddModel, monitors: Monitors
) -> None:
    """It serves nothing, and the pages say so."""
    await add_model("gone")
    assets = ctx.get(Assets)
    await assets.move_alias(ctx, "model", "gone", "production", AtVersion(1))
    await ctx.get(Endpoints).set(ctx, SetEndpoint(slug="gone", targets=[Target(ref="model:gone@production")]))
    await assets.move_alias(ctx, "model", "gone", "production", None)
    assert "nothing" in await text(site, "/endpoints")
    assert "nothing" in await text(site, "/endpoints/gone")


async def test_full_pages(site: httpx.AsyncClient, place: Place) -> None:
    """Verdicts, numbers with their intervals, drift and reports; one can look from the page."""
    await place.label(await place.predict(1, 400))
    await place.label(await place.predict(2, 400, noise=1.0, shift=1.5))
    await place.predict(3, 40)  # labels will come
    looked = await site.post("/monitors/watch/run", data={"look": "now"})
    assert looked.status_code == 200
    assert "worse than its baseline in 1: 2026-02" in looked.text
    listed = await text(site, "/monitors")
    assert "worse in 1 of 3" in listed
    detail = await text(site, "/monitors/watch")
    for word in ("Feb 2026", "it ranks worse", "Drift", "hour", "carrier", "of 400", "unlabelled"):
        assert word in detail, word
    endpoint = await text(site, f"/endpoints/{place.slug}")
    for word in ("840", "&lt;UA&gt;", "Newest predictions", "model:ring/model@v1"):
        assert word in endpoint, word
    first = await place.monitors.latest(place.ctx, "watch")
    assert first is not None
    await site.post("/monitors/watch/run", data={"look": "now"})
    assert "Feb 2026" in await text(site, f"/monitors/watch?report={first.id}")
    await text(site, "/monitors/watch?report=nothing")


async def test_hostile_names_and_values_are_escaped(
    site: httpx.AsyncClient, place: Place, ctx: Context, clock: FrozenClock
) -> None:
    """In features, values, entities and predicted classes, in tables, charts and sentences."""
    n = 60
    x = np.random.default_rng(0).normal(0, 1, n)
    rows = pa.table({"x": x, HOSTILE: x, "t": [HOSTILE] * n})
    labelled = rows.append_column("late", pa.array((x > 0).astype(float)))
    await ctx.get(Datasets).snapshot(ctx, "hostile", labelled)
    body = place.create(slug="hostile", reference="dataset:hostile@v1", baseline="dataset:hostile@v1")
    await place.monitors.set(ctx, body)
    moved = pa.table({"x": x, HOSTILE: x + 9, "t": [HOSTILE] * n})
    ids = [uuid.uuid4().hex for _ in range(n)]
    batch = PredictionBatch(
        endpoint=place.slug, version="model:ring/model@v1", ids=ids, at_us=to_us(clock.now()),
        event_us=[to_us(clock.now())] * n, entities=[HOSTILE] * n, inputs=moved, predicted=[HOSTILE] * n,
        scores=[None, *([0.5] * (n - 1))], trace_id=HOSTILE,
    )  # fmt: skip
    await ctx.get(Predictions).record(ctx, batch)
    await place.label([Label(prediction_id=i, value=float(k % 2)) for k, i in enumerate(ids)])
    report = await place.monitors.run(ctx, "hostile")
    assert report.drifted == [HOSTILE]
    for path in ("/endpoints", f"/endpoints/{place.slug}", "/monitors", "/monitors/hostile"):
        found = await text(site, path)
        assert path in {"/endpoints", "/monitors"} or "&lt;script&gt;alert" in found
