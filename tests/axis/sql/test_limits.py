"""A statement takes no more than it may, says which limit it met, and is gone when nobody waits for it."""

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.axis.sql import filled

from gimbal.axis.sql.service import Sql
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy, DeadlineExceeded, TooLarge
from gimbal.kernel.settings import SqlSettings

ENDLESS = (
    "SELECT a.name AS n, b.name AS m, c.name AS k, d.name AS l FROM spans AS a, spans AS b, spans AS c, spans AS d"
)
HEAVY = f"SELECT sum(cityHash64(n, m, k, l)) FROM ({ENDLESS})"


def limited(ctx: Context, **limits: object) -> Sql:
    return Sql(ctx.get(Columns), SqlSettings(**limits))  # type: ignore[arg-type]


async def running(ctx: Context) -> int:
    rows = await ctx.get(Columns).query(
        "SELECT count() AS n FROM system.processes WHERE Settings['log_comment'] != '' AND query LIKE {some:String}",
        {"some": "%cityHash64(n, m%"},
    )
    return int(rows[0]["n"])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - the engine has no event to wait on
            await asyncio.sleep(0)


@pytest.fixture
async def many(here: Context) -> Context:
    await filled.spans(here.get(Columns), here.project or "", 400)
    return here


async def test_time(many: Context) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        await limited(many, max_seconds=0.5).query(many, HEAVY, {}, 10)
    assert time.monotonic() - began < 5
    assert caught.value.where == "sql.max_seconds"
    assert "start_time" in caught.value.todo


async def test_memory(many: Context) -> None:
    with pytest.raises(TooLarge) as caught:
        await limited(many, max_memory_bytes=40_000_000).query(
            many, "SELECT groupArray(concat(a.input, b.trace_id)) FROM spans AS a, spans AS b, spans AS c", {}, 10
        )
    assert caught.value.where == "sql.max_memory_bytes"


async def test_rows_read(many: Context) -> None:
    with pytest.raises(TooLarge) as caught:
        await limited(many, max_rows_read=100).query(many, "SELECT count() FROM spans", {}, 10)
    assert caught.value.where == "sql.max_rows_read"
    assert "range of time" in caught.value.todo


async def test_rows_of_an_answer(many: Context) -> None:
    with pytest.raises(BadInput, match="cannot have 20000 rows"):
        await many.get(Sql).query(many, "SELECT 1", {}, 20_000)


@contextlib.asynccontextmanager
async def heavy(ctx: Context, sql: Sql) -> AsyncIterator["asyncio.Task[object]"]:
    task: asyncio.Task[object] = asyncio.create_task(sql.query(ctx, HEAVY, {}, 10))

    async def begun() -> bool:
        return await running(ctx) > 0

    await until(begun)
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, DeadlineExceeded):
        await task


async def test_a_statement_ends_when_whoever_asked_goes_away(many: Context) -> None:
    sql = limited(many, max_seconds=300, per_project=1)
    async with heavy(many, sql):
        with pytest.raises(Busy) as caught:
            await sql.query(many, "SELECT 1", {}, 1)
        assert caught.value.retry_after
        assert await running(many) == 1
        # Another project has places of its own.
        assert (await sql.query(many.within("default"), "SELECT 1", {}, 1)).rows == [[1]]

    async def ended() -> bool:
        return await running(many) == 0

    await until(ended)
    assert (await sql.query(many, "SELECT 1", {}, 1)).rows == [[1]]


async def test_others_are_answered_while_a_heavy_statement_runs(many: Context) -> None:
    sql = limited(many, max_seconds=300)
    took: list[float] = []
    async with heavy(many, sql) as task:
        for _ in range(20):
            began = time.monotonic()
            await many.get(Columns).query(
                "SELECT trace_id FROM spans WHERE project = {p:String} ORDER BY start_us DESC LIMIT 50",
                {"p": many.project},
            )
            took.append(time.monotonic() - began)
        assert not task.done()
    assert sorted(took)[10] < 0.5


@pytest.mark.parametrize("format_", ["csv", "jsonl", "arrow", "parquet"])
async def test_an_export_that_is_left_leaves_nothing_running(many: Context, format_: str) -> None:
    sql = limited(many, export_max_seconds=300)
    text = f"SELECT n, m, k, l, cityHash64(n, m) AS h FROM ({ENDLESS})"
    found = await sql.export(many, text, {}, format_)  # type: ignore[arg-type]
    chunks = found.chunks.__aiter__()
    size = 0
    while size < 100_000:
        size += len(await anext(chunks))
    assert await running(many) == 1
    await chunks.aclose()  # type: ignore[attr-defined]

    async def ended() -> bool:
        return await running(many) == 0

    await until(ended)


@pytest.mark.parametrize("format_", ["csv", "jsonl", "arrow", "parquet"])
async def test_an_export_that_breaks_cannot_be_taken_for_a_whole_one(many: Context, format_: str) -> None:
    sql = limited(many, export_max_seconds=1.0)
    found = await sql.export(many, ENDLESS, {}, format_)  # type: ignore[arg-type]
    parts: list[bytes] = []

    async def take() -> None:
        async for chunk in found.chunks:
            parts.append(chunk)  # noqa: PERF401 - what came before it broke

    with pytest.raises(DeadlineExceeded):
        await take()
    whole = b"".join(parts)
    assert whole
    if format_ == "parquet":
        with pytest.raises(pa.ArrowInvalid):
            pq.read_table(io.BytesIO(whole))


async def test_an_export_of_millions_of_rows_takes_bounded_memory(many: Context) -> None:
    sql = limited(many, export_max_seconds=300)
    text = "SELECT a.trace_id, b.name, c.duration_ms FROM spans AS a, spans AS b, (SELECT * FROM spans LIMIT 13) AS c"
    found = await sql.export(many, text, {}, "arrow")
    reader, peak = 0, 0
    before = pa.total_allocated_bytes()
    async for chunk in found.chunks:
        reader += len(chunk)
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert reader > 100_000_000  # two million rows
    assert peak < 64_000_000
