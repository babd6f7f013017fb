"""Exports of what the list of traces shows: page by page, so that an export of any length takes the memory of a page."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Literal

import pyarrow as pa

from gimbal.axis.sql import formats, views
from gimbal.axis.sql.model import MEDIA_TYPES, Format
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.finding import listed
from gimbal.axis.traces.model import TraceSummary
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.http import Download
from gimbal.kernel.pages import Page

Rows = Literal["traces", "spans"]
_PAGE = 500
_TRACES = pa.schema(
    [
        *[(name, pa.string()) for name in ("trace_id", "name", "kind", "status")],
        ("start", pa.timestamp("us", tz="UTC")),
        ("duration_us", pa.int64()),
        *[(name, pa.int64()) for name in ("spans", "errors")],
        *[(name, pa.string()) for name in ("model", "feature", "user_id", "session_id")],
        *[(name, pa.int64()) for name in ("input_tokens", "output_tokens")],
        *[(name, pa.decimal128(38, 12)) for name in ("cost", "saved", "wasted")],
        ("unpriced", pa.int64()),
        ("weight", pa.float64()),
    ]
)


async def traces(ctx: Context, narrowed: TraceFilter, rows: Rows, format_: Format) -> Download:
    """Return a file of traces or of their spans."""
    # What is wrong with the filter is told before the file begins.
    first = await _page(ctx, narrowed, None)

    async def chunks() -> AsyncIterator[bytes]:
        schema = _TRACES if rows == "traces" else (await _spans(ctx, [])).schema
        async with contextlib.aclosing(_batches(ctx, narrowed, first, rows)) as batches:
            async for chunk in formats.encode(format_, schema, batches):
                if chunk:
                    yield chunk

    return Download(chunks=chunks(), media_type=MEDIA_TYPES[format_], filename=f"{rows}.{format_}")


async def _page(ctx: Context, narrowed: TraceFilter, cursor: str | None) -> Page[TraceSummary]:
    return await listed(ctx, narrowed, "start", cursor=cursor, limit=_PAGE)


async def _batches(
    ctx: Context, narrowed: TraceFilter, first: Page[TraceSummary], rows: Rows
) -> AsyncGenerator[pa.RecordBatch]:
    page = first
    while True:
        if rows == "traces":
            columns = [pa.array([getattr(one, field.name) for one in page.items], field.type) for field in _TRACES]
            yield pa.RecordBatch.from_arrays(columns, schema=_TRACES)
        elif page.items:
            found = await _spans(ctx, [one.trace_id for one in page.items])
            for batch in found.to_batches():
                yield batch
        if page.next is None:
            return
        page = await _page(ctx, narrowed, page.next)


async def _spans(ctx: Context, trace_ids: list[str]) -> pa.Table:
    """Return the spans of some traces, trace by trace in that order, with the columns of the view."""
    view = views.select(views.SPANS, "trace_id IN {ids:Array(String)}", views.State())
    return await ctx.get(Columns).arrow(
        f"SELECT * FROM ({view}) ORDER BY indexOf({{ids:Array(String)}}, trace_id), start_time, span_id",
        {"project": ctx.project or "default", "ids": trace_ids},
    )
