"""Pages with a million spans stored: each answers within 150 ms."""

import asyncio
import statistics
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pyarrow as pa

from bench.bar import Figure, gimbal_up
from bench.columns import server_columns
from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows

SPANS, PER_TRACE, CHUNK = 1_000_000, 5, 50_000
BEGAN_US = int((time.time() - 2_592_000) * 1e6)
PATHS = ("/p/default/traces", "/p/default/traces?status=error", "/p/default/traces?feature=f7", "/p/default")


def chunk(number: int, size: int) -> pa.Table:
    """Return spans of the last month, newest last, five to a trace, as fast as Arrow can make them."""
    random = np.random.default_rng(number)
    base = Span(
        trace_id="0" * 32, span_id="0" * 16, name="chat gpt-4o", start_us=0, end_us=0, kind="llm", status="ok",
        provider="openai", model="gpt-4o", usage=Usage(input_tokens=900, output_tokens=120), unpriced="bench",
        input='[{"role":"user","content":"' + "why? " * 60 + '"}]', output='"because"',
    )  # fmt: skip
    one = to_rows("default", [base]).table()
    table = pa.table({name: pa.repeat(one[name][0], size) for name in one.column_names})
    ids = np.arange(number * size, (number + 1) * size)
    start = BEGAN_US + ids * 2_592_000 + random.integers(0, 1000, size)
    values = {
        "trace_id": pa.array([f"{i // PER_TRACE + 1:032x}" for i in ids]),
        "span_id": pa.array([f"{i + 1:016x}" for i in ids]),
        "parent_id": pa.array(["" if i % PER_TRACE == 0 else f"{i - i % PER_TRACE + 1:016x}" for i in ids]),
        "is_root": pa.array((ids % PER_TRACE == 0).astype(np.uint8)),
        "start_us": pa.array(start),
        "end_us": pa.array(start + random.integers(1_000, 3_000_000, size)),
        "status": pa.array(np.where(random.random(size) < 0.02, "error", "ok")),
        "feature": pa.array([f"f{i}" for i in random.integers(0, 20, size)]),
    }
    return pa.table({name: values.get(name, table[name]) for name in table.column_names})


def figures() -> Iterator[Figure]:
    """Fill a server through its own writer's table and time the pages."""
    with gimbal_up() as running:
        fill(running.url)
        with httpx.Client(base_url=running.url, timeout=60) as client:
            newest = client.get("/api/v1/projects/default/traces").json()["items"][0]["trace_id"]
            for path in (*PATHS, f"/p/default/traces/{newest}"):
                client.get(path).raise_for_status()
                times = []
                for _ in range(9):
                    started = time.perf_counter()
                    client.get(path).raise_for_status()
                    times.append(time.perf_counter() - started)
                shown = path.replace(newest, "{id}")
                yield Figure(f"{shown} with {SPANS:,} spans", statistics.median(times) * 1000, "ms", 150, "150 ms")


def fill(url: str) -> None:
    """Insert through the server's own loopback columns, which take Arrow."""

    async def run() -> None:
        columns = await server_columns(url)
        for number in range(SPANS // CHUNK):
            await columns.insert("spans", chunk(number, CHUNK))
        await columns.close()

    asyncio.run(run())
