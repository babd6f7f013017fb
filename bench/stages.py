"""The path of a span in one process: the CPU of decoding, normalising, tabling and writing; and chDB with ready rows."""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from bench import load
from gimbal.axis.traces import otlp
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span, SpansStored
from gimbal.axis.traces.rows import to_rows
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server import stores
from gimbal.faces.server.wiring import build_services
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.events import EventBus
from gimbal.kernel.settings import Settings, WriterSettings

BATCH, BATCHES, MANY, ROUNDS = 500, 20, 5000, 3
OWNER = Principal(kind="owner", id="owner", name="owner", everywhere=Role.ADMIN)


class Alone(NamedTuple):
    """What one process does with spans that nobody sends."""

    few: float
    """Rows per second of chDB with ready rows, 500 a commit, each synced."""
    many: float
    """The same with 5,000 a commit."""
    cpu_us: dict[str, float]
    """CPU microseconds a span by stage, of all threads."""


class _Kept:
    """A sink that stores nothing and keeps the tables: the ready rows."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Keep the rows."""
        assert table == "spans", table
        self.tables.append(rows)


@contextlib.asynccontextmanager
async def _opened(sink: _Kept) -> AsyncGenerator[tuple[Services, Columns]]:
    """Yield the services of a server process over stores in a fresh folder, with a writer into `sink`, and columns."""
    with tempfile.TemporaryDirectory(prefix="gimbal-bench-") as folder:
        settings = Settings(data=str(Path(folder) / "data"))
        async with stores.open_stores(settings, owner=True, link=None) as found:
            writer = Writer(sink, WriterSettings(eager_rows=1, max_wait_ms=1))
            writer.start()
            yield build_services(settings, msgspec.structs.replace(found, writer=writer)), found.columns
            await writer.close()


async def alone() -> Alone:
    """Measure each stage by itself; the stages that cannot be called alone are the difference of two that can."""
    kept, spans = _Kept(), list[Span]()

    async def keep(event: SpansStored) -> None:
        spans.extend(event.spans)

    bodies = [load.batch(BATCH).body for _ in range(BATCHES)]
    async with _opened(kept) as (services, columns):
        services.get(EventBus).subscribe(SpansStored, keep)
        rounds: list[dict[str, float]] = []
        for _ in range(ROUNDS + 1):
            kept.tables.clear()
            spans.clear()
            rounds.append(await _round(services, columns, bodies, kept, spans))
        many = pa.concat_tables(kept.tables).combine_chunks()
        few = statistics.median([await _rate(columns, kept.tables) for _ in range(ROUNDS)])
        slices = [many.slice(at, MANY) for at in range(0, many.num_rows, MANY)] * 4
        most = statistics.median([await _rate(columns, slices) for _ in range(ROUNDS)])
    # The first round warms up.
    return Alone(few, most, {stage: statistics.median(r[stage] for r in rounds[1:]) for stage in rounds[0]})


async def _round(
    services: Services, columns: Columns, bodies: list[bytes], kept: _Kept, spans: list[Span]
) -> dict[str, float]:
    """Return the CPU microseconds a span of each stage, once over all bodies."""
    per_span = 1e6 / (len(bodies) * BATCH)
    begun = time.process_time()
    for body in bodies:
        assert len(list(otlp.spans(otlp.parse(body, otlp.PROTOBUF)))) == BATCH
    decoded = time.process_time()
    for body in bodies:
        ctx = Context(services, OWNER, "default")
        await ingest(ctx, otlp.parse(body, otlp.PROTOBUF))
        await ctx.settle()
    taken_in = time.process_time()
    for at in range(0, len(spans), BATCH):
        to_rows("default", spans[at : at + BATCH], written_us=at).table()
    tabled = time.process_time()
    for rows in kept.tables:
        await columns.insert("spans", rows)
    written = time.process_time()
    table = tabled - taken_in
    return {
        "decode": (decoded - begun) * per_span,
        "normalise": (taken_in - decoded - (decoded - begun) - table) * per_span,
        "Arrow table": table * per_span,
        "write": (written - tabled) * per_span,
    }


async def _rate(columns: Columns, tables: list[pa.Table]) -> float:
    started = time.perf_counter()
    for rows in tables:
        await columns.insert("spans", rows)
    return sum(rows.num_rows for rows in tables) / (time.perf_counter() - started)


def measure() -> Alone:
    """Run `alone` on a loop of its own."""
    return asyncio.run(alone())
