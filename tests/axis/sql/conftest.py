"""SQL over chDB: a project that asks, and one whose rows must never be seen."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from tests.axis.sql import filled
from tests.served import serve
from tests.sqlite import catalog_address  # noqa: F401 - a fixture: nothing here is in the catalog

import gimbal.axis.sql.operations
import gimbal.axis.sql.pages
import gimbal.axis.traces.operations  # noqa: F401 - fill the tables
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.sql.service import Sql
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.dialect import ColumnsEndpoint
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Services
from gimbal.kernel.ids import new_id
from gimbal.kernel.settings import SqlSettings


@pytest.fixture
def sql(axis: Services) -> Sql:
    """Give the questions in SQL of an installation."""
    found = Sql(axis.get(Columns), SqlSettings())
    axis.register(Sql, found)
    axis.register(Traces, Traces(axis.get(Columns), axis.get(Writer), PriceBook.read()))
    return found


@pytest.fixture
async def here(axis: Services, ctx: Context, sql: Sql) -> Context:
    """Give a context in a project that no other test writes to."""
    slug = f"q{new_id()[-12:]}"
    await axis.get(Projects).create(ctx.within(None), CreateProject(slug=slug))
    return ctx.within(slug)


@pytest.fixture
async def beside(axis: Services, here: Context) -> str:
    """Fill `here`, and another project whose texts are all canaries; return the slug of that one."""
    columns = axis.get(Columns)
    other = f"z{new_id()[-12:]}"
    await filled.spans(columns, here.project or "", 100)
    await filled.others(columns, here.project or "", "plain")
    await filled.spans(columns, other, 100, word=filled.CANARY)
    await filled.others(columns, other, filled.CANARY)
    # As merges leave them sooner or later: rows of both beside each other in one part, read and sifted together.
    for table in ("spans", "scores", "predictions", "metric_points", "labels", "span_events"):
        await columns.command(f"OPTIMIZE TABLE {table} FINAL")
    return other


@pytest.fixture
async def site(here: Context, beside: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the real application over both projects."""
    async with (
        serve(here.services, tmp_path / "cache") as url,
        httpx.AsyncClient(base_url=url, headers={"x-gimbal-project": str(here.project)}, timeout=30) as client,
    ):
        yield client


@pytest.fixture
async def remote(columns: Columns) -> AsyncIterator[Columns]:
    """Give the same columns as ClickHouse's HTTP dialect has them."""
    endpoint = ColumnsEndpoint(Path(columns.url.removeprefix("chdb://")), "token")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(endpoint, host="127.0.0.1", port=port, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - the server has no event to wait on
            await asyncio.sleep(0)
    store = await Columns.open(f"http://gimbal@127.0.0.1:{port}", password="token")
    yield store
    await store.close()
    server.should_exit = True
    await task
    await endpoint.close()
