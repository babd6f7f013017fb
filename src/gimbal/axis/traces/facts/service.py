"""Writing and reading facts: durable through the writer, and seen on the root span of their trace."""

import asyncio
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gimbal.axis.traces.facts import roots
from gimbal.axis.traces.facts.model import (
    CLIENT_ID,
    INFO,
    METADATA,
    MODEL_ID,
    REQUEST,
    RESPONSE,
    SESSION,
    SOURCE_RUN,
    TAG,
    USER,
    Fact,
    Facts,
    TraceRow,
)
from gimbal.axis.traces.facts.search import TraceQuery, rows_of, statement
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.redaction import model as redaction
from gimbal.axis.traces.redaction.policies import redactor_of
from gimbal.axis.traces.sampling import kept
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context

TABLE = "trace_facts"
_IDENTITIES = {SESSION: redaction.SESSION, USER: redaction.USER}


class TraceFacts:
    """Facts in the columns."""

    def __init__(self, columns: Columns, writer: Writer) -> None:
        self._columns = columns
        self._writer = writer
        self._written_us = 0
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def put(self, ctx: Context, said: Mapping[str, Sequence[Fact]]) -> None:
        """Store facts of traces durably and write them on their roots, where those are there."""
        await self.store(ctx, said)
        for trace_id in said:
            await self.show(ctx, trace_id)

    async def store(self, ctx: Context, said: Mapping[str, Sequence[Fact]]) -> None:
        """Store facts durably; raise Busy or Unavailable, then none is stored."""
        rows = [(trace_id, fact) for trace_id, facts in said.items() for fact in facts]
        if not rows:
            return
        values = await _redacted(ctx, [fact for _, fact in rows])
        self._written_us = first = max(time.time_ns() // 1000, self._written_us + 1)
        table = pa.table(
            {
                "project": [ctx.project or "default"] * len(rows),
                "trace_id": [trace_id for trace_id, _ in rows],
                "kind": [fact.kind for _, fact in rows],
                "name": [fact.name for _, fact in rows],
                "value": values,
                "gone": pa.array([int(fact.gone) for _, fact in rows], pa.uint8()),
                "written_us": pa.array([first] * len(rows), pa.int64()),
            }
        )
        await self._writer.write(TABLE, table)

    async def of(self, ctx: Context, trace_ids: Sequence[str]) -> dict[str, dict[str, dict[str, str]]]:
        """Return the facts of those traces of which there are any."""
        rows = await self._columns.query(
            f"SELECT trace_id, kind, name, value FROM {TABLE} FINAL WHERE project = {{project:String}} "
            "AND trace_id IN {ids:Array(String)} AND gone = 0 ORDER BY trace_id, kind, name",
            {"project": ctx.project or "default", "ids": list(trace_ids)},
        )
        found: dict[str, dict[str, dict[str, str]]] = {}
        for row in rows:
            found.setdefault(row["trace_id"], {}).setdefault(row["kind"], {})[row["name"]] = row["value"]
        return found

    async def rows(self, ctx: Context, trace_ids: Sequence[str]) -> dict[str, TraceRow]:
        """Return those of the traces that there are."""
        if not trace_ids:
            return {}
        return {row.trace_id: row for row in (await self.search(ctx, rows_of(trace_ids)))[0]}

    async def search(self, ctx: Context, query: TraceQuery) -> tuple[list[TraceRow], Sequence[Any] | None]:
        """Return the traces that fit, in the order that was asked for, and where a page behind them begins, if it is full."""
        if query.experiments is not None and not query.experiments:
            return [], None
        found = await self._columns.query(*statement(ctx.project or "default", query))
        places = [row.pop("place") for row in found]
        return [TraceRow(**row) for row in found], places[-1] if len(found) == query.limit else None

    async def takes(self, ctx: Context, trace_id: str) -> bool:
        """Tell whether the project's sampling keeps such a trace when it comes in."""
        least = await ctx.get(SamplingPolicies).least(ctx.project or "default")
        return kept(trace_id, "", least) is not None

    async def arrived(self, ctx: Context, trace_ids: Sequence[str]) -> None:
        """Write facts on the roots of traces that have just been stored: what is said of a trace may come before it."""
        known = await self.of(ctx, trace_ids) if trace_ids else {}
        for trace_id, facts in known.items():
            if roots.any_shown(facts):
                await self.show(ctx, trace_id)

    async def show(self, ctx: Context, trace_id: str) -> None:
        """Write the facts of a trace on its root; nothing happens where there is none yet."""
        # Whoever reads later has all that was stored before, and must write later, too.
        lock = self._locks.setdefault(f"{ctx.project} {trace_id}", asyncio.Lock())
        async with lock:
            facts: Facts = (await self.of(ctx, [trace_id])).get(trace_id, {})
            await ctx.get(Traces).amend_root(ctx, trace_id, lambda span: roots.marked(span, facts))


async def _redacted(ctx: Context, facts: Sequence[Fact]) -> list[str]:
    """Return the values of facts as the project's redaction lets them be stored."""
    plain = [fact.value for fact in facts]
    redactor = await redactor_of(ctx)
    if redactor is None:
        return plain
    named: dict[str, Any] = {}
    for place, fact in enumerate(facts):
        kind = _IDENTITIES.get(fact.name) if fact.kind == METADATA else None
        if kind is not None and fact.value:
            plain[place] = redactor.identity(kind, fact.value)
        elif _is_text(fact):
            named[str(place)] = fact.value
    for place, value in (await redactor.values(ctx, named, "attributes")).items():
        plain[int(place)] = value
    return plain


def _is_text(fact: Fact) -> bool:
    """Tell whether somebody wrote what a fact says; numbers and ids of ours are none of it."""
    if fact.kind == METADATA:
        return fact.name not in {SOURCE_RUN, MODEL_ID}
    return fact.kind == TAG or (fact.kind == INFO and fact.name in {REQUEST, RESPONSE, CLIENT_ID})
