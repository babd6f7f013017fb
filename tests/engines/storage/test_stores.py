"""Columns, writer and blobs: what they answer is on disk, what they refuse is not, and nothing is lost in silence."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest
import uvicorn

from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.columns import TABLE_SETTINGS, Columns
from gimbal.engines.storage.dialect import ColumnsEndpoint
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.errors import Busy, Unavailable
from gimbal.kernel.ids import new_id
from gimbal.kernel.settings import WriterSettings
from gimbal.testing.blobs import check_blobs
from gimbal.testing.columns import check_columns

TOKEN = "for the test"


def rows(n: int, start: int = 0) -> pa.Table:
    return pa.table({"a": list(range(start, start + n)), "b": [f"row {i}" for i in range(start, start + n)]})


@pytest.fixture
async def table(columns: Columns) -> AsyncIterator[str]:
    """Give a fresh table of two columns."""
    name = "t_" + new_id().replace("-", "")
    await columns.command(
        f"CREATE TABLE {name} (a Int64, b String) ENGINE = MergeTree ORDER BY a SETTINGS {TABLE_SETTINGS}"
    )
    yield name
    await columns.command(f"DROP TABLE {name}")


@pytest.fixture
async def lent(columns: Columns) -> AsyncIterator[Columns]:
    """Give the same columns as a worker process has them: by ClickHouse's HTTP dialect on loopback."""
    endpoint = ColumnsEndpoint(Path(columns.url.removeprefix("chdb://")), TOKEN)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(endpoint, host="127.0.0.1", port=port, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - the server has no event to wait on
            await asyncio.sleep(0)
    store = await Columns.open(f"http://gimbal@127.0.0.1:{port}", password=TOKEN)
    yield store
    await store.close()
    server.should_exit = True
    await task
    await endpoint.close()


@pytest.mark.parametrize("way", ["direct", "lent"])
async def test_columns_conform(way: str, columns: Columns, lent: Columns) -> None:
    """The embedded engine, in its process and over the dialect, keeps the same promises."""
    await check_columns(columns if way == "direct" else lent, f"conformance_{way}")


async def test_the_dialect_needs_its_token(lent: Columns) -> None:
    """Another process on the machine gets nothing without the token."""
    with pytest.raises(Exception, match=r"516|not answer"):
        await Columns.open(lent.url, password="wrong")


@pytest.mark.parametrize("way", ["direct", "lent"])
async def test_parameters_may_be_long(way: str, columns: Columns, lent: Columns) -> None:
    """Longer than an address can be: the client then sends them as a form."""
    store = columns if way == "direct" else lent
    given = {"all": [f"text {i} — 'quoted' \\ \n" for i in range(20_000)], "one": "text 7 — 'quoted' \\ \n", "n": 3}
    asked = (
        "SELECT length({all:Array(String)}) AS n, has({all:Array(String)}, {one:String}) AS there, {n:Int32} AS three"
    )

    assert await store.query(asked, given) == [{"n": 20_000, "there": 1, "three": 3}]
    assert (await store.arrow(asked, given)).to_pylist() == [{"n": 20_000, "there": 1, "three": 3}]


async def test_senders_share_commits_and_all_rows_arrive(columns: Columns, table: str) -> None:
    """Forty senders at once: every row is there once, in fewer commits than batches."""
    writer = Writer(columns, WriterSettings())
    writer.start()
    await asyncio.gather(*(writer.write(table, rows(50, 50 * i)) for i in range(40)))
    state = writer.state()
    await writer.close()

    assert await columns.query(f"SELECT count() AS n, uniqExact(a) AS u FROM {table}") == [{"n": 2000, "u": 2000}]
    assert state.committed_rows == 2000
    assert state.committed_groups < 40


class Gate:
    """A sink that holds every insert until it is opened, over a real one."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.open = asyncio.Event()
        self.entered = asyncio.Event()

    async def insert(self, table: str, some: pa.Table) -> None:
        self.entered.set()
        await self.open.wait()
        await self.columns.insert(table, some)


async def test_a_full_queue_refuses_and_keeps_what_it_took(columns: Columns, table: str) -> None:
    """Beyond the limit senders are told to come again; what was taken is stored."""
    gate = Gate(columns)
    writer = Writer(gate, WriterSettings(max_queued_rows=100, max_batch_rows=50, max_wait_ms=1))
    writer.start()
    first = asyncio.create_task(writer.write(table, rows(50)))
    await asyncio.wait_for(gate.entered.wait(), 10)
    waiting = [asyncio.create_task(writer.write(table, rows(50, 100 + 50 * i))) for i in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as told:
        await writer.write(table, rows(10, 900))
    gate.open.set()
    await asyncio.gather(first, *waiting)
    await writer.close()

    assert told.value.retry_after
    assert writer.state().refused_rows == 10
    assert await columns.query(f"SELECT count() AS n FROM {table}") == [{"n": 150}]


async def test_lone_rows_wait_only_behind_other_commits(columns: Columns, table: str) -> None:
    """After a pause a row goes at once; those that come soon after it share a commit."""
    writer = Writer(columns, WriterSettings(max_wait_ms=3_600_000))
    writer.start()
    async with asyncio.timeout(60):
        await writer.write(table, rows(1))
    waiting = asyncio.gather(*(writer.write(table, rows(1, 10 + i)) for i in range(5)))
    await asyncio.sleep(0)
    assert writer.state().queued_rows == 5
    await writer.close()
    await waiting

    assert (writer.state().committed_rows, writer.state().committed_groups) == (6, 2)


async def test_one_bad_batch_does_not_fail_the_others(columns: Columns, table: str) -> None:
    """A sender whose rows do not fit hears so; its neighbours in the same group are stored."""
    writer = Writer(columns, WriterSettings())
    writer.start()
    good = [asyncio.create_task(writer.write(table, rows(5, 10 * i))) for i in range(3)]
    bad = asyncio.create_task(writer.write(table, pa.table({"a": ["no number"], "b": ["x"]})))
    await asyncio.gather(*good)
    with pytest.raises(Unavailable):
        await bad
    await writer.close()

    assert await columns.query(f"SELECT count() AS n FROM {table}") == [{"n": 15}]


async def test_closing_answers_everyone_and_takes_no_more(columns: Columns, table: str) -> None:
    """A stop drains the queue; what comes later is refused, not dropped."""
    writer = Writer(columns, WriterSettings(max_wait_ms=10_000, eager_rows=10_000))
    writer.start()
    waiting = asyncio.create_task(writer.write(table, rows(5)))
    await asyncio.sleep(0)
    await writer.close()
    await waiting
    with pytest.raises(Unavailable):
        await writer.write(table, rows(1))

    assert await columns.query(f"SELECT count() AS n FROM {table}") == [{"n": 5}]


async def test_blob_stores_conform(store: Blobs) -> None:
    """A folder and S3 keep the same promises."""
    await check_blobs(store)


async def test_a_damaged_blob_is_noticed(tmp_path: Path) -> None:
    """Bytes that changed on disk are not handed out."""
    store = Blobs.open(f"file://{tmp_path}")
    blob = await store.put(b"whole")
    path = store.local_path(blob.digest)
    assert path is not None
    path.write_bytes(b"holed")

    with pytest.raises(Unavailable, match="digest"):
        await store.get(blob.digest)
