"""The calls of the last hour as the traces have them: by minute and model, and which went on to another model.

Of one project and of all processes, as long as their records are stored.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.traces.measures import Measure
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context

LOOKED_BACK = timedelta(hours=1)
MINUTE_US = 60_000_000
_MOST_ROWS, _MOST_GROUPS = 500, 10_000
# What the pipeline records: nobody else names spans of this dialect so.
_CALLS = (
    "project = {project:String} AND start_us >= {since:Int64} AND start_us < {until:Int64} AND dialect = 'gimbal' "
    "AND kind IN ('llm', 'embedding') AND (startsWith(name, 'chat ') OR startsWith(name, 'embeddings '))"
)
# Two calls of different traces with the same id only make the other way be taken.
_ID = "cityHash64(span_id)"
_NEWEST = "ORDER BY written_us DESC LIMIT 1 BY sipHash128(trace_id, span_id)"
_MODEL = "substring(name, position(name, ' ') + 1) AS called"
_FIGURES = (
    Measure("calls", "sum", "s.weight"),
    Measure("errors", "sumIf", "s.weight, s.status = 'error'"),
    Measure("stopped", "sumIf", "s.weight, s.status = 'cancelled'"),
    Measure("input_tokens", "sum", "s.input_tokens * s.weight"),
    Measure("output_tokens", "sum", "s.output_tokens * s.weight"),
    Measure("cost", "sum", "s.cost * toDecimal64(s.weight, 6)"),
    Measure("unpriced", "sumIf", "s.weight, isNull(s.cost) AND s.status != 'error'"),
    Measure("took", "quantilesExact", "s.end_us - s.start_us", "(0.5, 0.95)"),
    Measure("first", "quantilesExactIf", "assumeNotNull(s.first_token_us), isNotNull(s.first_token_us)", "(0.5, 0.95)"),
    Measure("streamed", "count", "s.first_token_us"),
    Measure("last", "max", "s.start_us"),
    Measure("reached", "max", "s.provider != ''"),
    Measure("stored", "count", ""),
    Measure("different", "uniqExact", "s.id"),
)
_READ = "weight, status, provider, input_tokens, output_tokens, cost, start_us, end_us, first_token_us"
_LIMITED = " SETTINGS max_execution_time = 10"
_MINUTES = f"intDiv(start_us, {MINUTE_US})"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What calls come to. Unknown is None, never zero."""

    called: str = ""
    """`provider/model`, or what was asked for where no provider was reached; empty for all together."""
    reached: bool = True
    """Whether a provider was asked; a call whose whole route failed belongs to none."""
    at: datetime | None = None
    """Where its minute begins; None for the whole time."""
    calls: int
    errors: int
    stopped: int
    """Calls that ended before the answer: the caller went away, or another attempt was faster."""
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    unpriced: int
    """Calls without a known cost that did not fail."""
    p50_ms: float
    p95_ms: float
    first_p50_ms: float | None
    """Time to the first token; None where nothing was told of it."""
    first_p95_ms: float | None
    last: datetime
    """When the newest of them came."""

    @property
    def error_rate(self) -> float:
        """Share of the calls that failed."""
        return self.errors / self.calls if self.calls else 0.0


class Rerouted(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that a model did not answer."""

    model: str
    """Whom they were sent to, or would have been."""
    to: str
    """Who answered instead; empty where nobody did."""
    calls: int
    why: tuple[str, ...]
    """What came of the attempts: refused, unreachable, too_slow, breaker_open …"""
    last: datetime
    trace_id: str
    """Trace of the newest of them."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of a stretch of time."""

    since: datetime
    until: datetime
    total: Figures | None
    """None where there was no call."""
    models: tuple[Figures, ...]
    """The most called first."""
    minutes: tuple[Figures, ...]
    """By model and minute."""
    rerouted: tuple[Rerouted, ...]


async def traffic(ctx: Context) -> Traffic:
    """Return the calls of the last hour, up to now; raise DeadlineExceeded."""
    until = ctx.now()
    since = until - LOOKED_BACK
    asked = {"project": ctx.project or "default", "since": to_us(since), "until": to_us(until)}
    columns = ctx.get(Columns)
    rows, rerouted = await asyncio.gather(columns.query(_counted(""), asked), _rerouted(columns, asked))
    if any(row["stored"] != row["different"] for row in rows if row["all_models"]):
        # Mostly each call is stored once: only otherwise is it worth while to look for the newest.
        rows = await columns.query(_counted(_NEWEST), asked)
    found = [(row, _figures(row)) for row in rows if row["calls"]]
    total = next((one for row, one in found if row["all_models"]), None)
    return Traffic(
        since=since,
        until=until,
        total=total,
        models=tuple(one for row, one in found if row["all_times"] and not row["all_models"]),
        minutes=tuple(one for row, one in found if not row["all_times"]),
        rerouted=rerouted,
    )


def _counted(newest: str) -> str:
    """Return the statement that counts calls by model and minute, by model, and all: each is read once."""
    states, merged = (", ".join(found) for found in zip(*((one.state, one.merged) for one in _FIGURES), strict=True))
    return (
        f"SELECT grouping(called) AS all_models, grouping(at) AS all_times, called, at, {merged} FROM ("
        f"SELECT called, at, {states} FROM (SELECT {_READ}, {_ID} AS id, {_MODEL}, {_MINUTES} AS at FROM spans "
        f"WHERE {_CALLS} {newest}) AS s GROUP BY called, at) GROUP BY GROUPING SETS ((called, at), (called), ()) "
        # Names come from callers: where there are too many of them, those with few calls by minute are left out.
        f"ORDER BY all_models DESC, all_times DESC, calls DESC, called, at LIMIT {_MOST_GROUPS}{_LIMITED}"
    )


async def _rerouted(columns: Columns, asked: dict[str, Any]) -> tuple[Rerouted, ...]:
    """Return the calls that a model did not answer, by the attempts that their records tell of."""
    rows = await columns.query(
        "SELECT s.whom AS model, if(s.status = 'error', '', s.called) AS to, uniqExact(s.span_id) AS calls, "
        "arraySort(groupUniqArray(s.outcome)) AS why, max(s.start_us) AS last, argMax(s.trace_id, s.start_us) AS trace FROM ("
        f"SELECT trace_id, span_id, start_us, status, called, "
        "arrayJoin(JSONExtractArrayRaw(attributes, 'gimbal.attempts')) AS attempt, "
        "JSONExtractString(attempt, 'model') AS whom, JSONExtractString(attempt, 'outcome') AS outcome "
        f"FROM (SELECT trace_id, span_id, start_us, status, attributes, {_MODEL} FROM spans WHERE {_CALLS} AND position(attributes, '\"gimbal.attempts\"') > 0 {_NEWEST})) AS s "
        "WHERE s.outcome NOT IN ('ok', 'wasted', 'cancelled') AND (s.whom != s.called OR s.status = 'error') "
        f"GROUP BY model, to ORDER BY calls DESC, model, to LIMIT {_MOST_ROWS}{_LIMITED}",
        asked,
    )
    return tuple(
        Rerouted(
            model=row["model"],
            to=row["to"],
            calls=row["calls"],
            why=tuple(row["why"]),
            last=from_us(row["last"]),
            trace_id=row["trace"],
        )
        for row in rows
    )


def _figures(row: dict[str, Any]) -> Figures:
    took: Sequence[float] = row["took"]
    first: Sequence[float] | None = row["first"] if row["streamed"] else None
    return Figures(
        called="" if row["all_models"] else row["called"],
        reached=bool(row["reached"]),
        at=None if row["all_times"] else from_us(row["at"] * MINUTE_US),
        calls=round(row["calls"]),
        errors=round(row["errors"]),
        stopped=round(row["stopped"]),
        input_tokens=_whole(row["input_tokens"]),
        output_tokens=_whole(row["output_tokens"]),
        cost=None if row["cost"] is None else row["cost"].normalize() + 0,
        unpriced=round(row["unpriced"]),
        p50_ms=took[0] / 1000,
        p95_ms=took[1] / 1000,
        first_p50_ms=None if first is None else first[0] / 1000,
        first_p95_ms=None if first is None else first[1] / 1000,
        last=from_us(row["last"]),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
