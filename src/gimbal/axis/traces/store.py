"""The column table of spans: what is asked of it.

A span may be stored several times: sent again, or completed later. Its newest version (`written_us`) counts, and every
question here sees only that one; one with the weight 0 hides a span that sampling left out. `is_root` marks heads: spans
whose parent was not stored with them.
"""

import asyncio
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.traces.counting import CALL, IS_CALL, NEWEST, REPEATED, WASTED, repeats
from gimbal.axis.traces.filters import OF_ANY_SPAN, TraceFilter, conditions_of, of_any_span
from gimbal.axis.traces.measures import LIMITED
from gimbal.axis.traces.model import WASTED as PAID_IN_VAIN
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import COLUMNS, from_row
from gimbal.engines.storage.columns import Columns

_HEAD = ("span_id", "name", "kind", "start_us", "end_us", "status")
_SUMMED = ("trace_id", "span_id", "parent_id", "is_root", "name", "kind", "start_us", "end_us", "status", "billable",
           "input_tokens", "output_tokens", "cost", "saved", "unpriced", "response_id", "weight", *OF_ANY_SPAN)  # fmt: skip
# What the head says, else the first span that says something.
# Columns are `s.…` because sums bear their names.
_SAID = ", ".join(
    f"argMinIf(s.{name}, tuple(s.is_root = 0, s.parent_id != '', s.start_us), s.{name} != '') AS {name}"
    for name in OF_ANY_SPAN
)

_SINCE = "project = {project:String} AND start_us >= {since:Int64}"
# What stands for others counts for them; what stands only for itself keeps its exact cost.
_COUNTED = (
    f"sumIf(s.weight, {IS_CALL}) AS calls, sumIf(s.cost, s.billable = 1 AND s.weight = 1) AS cost, "
    "sumIf(toFloat64(s.cost) * s.weight, s.billable = 1 AND s.weight != 1) AS weighted, "
    "sumIf(s.weight, s.billable = 1 AND isNotNull(s.cost)) AS priced, "
    "sumIf(s.weight, s.billable = 1 AND s.unpriced != '') AS unpriced"
)
# A trace counts as the span of it that was likeliest to be kept: it is seen whenever that one is.
_OF_TRACE = (
    "minIf(s.weight, s.weight > 0) AS least, sumIf(s.weight, s.status = 'error') AS errors, "
    "ifNull(sumIf(toFloat64(s.cost), s.billable = 1 AND s.weight > 0), 0) AS spent"
)
# Traces are kept or not each by itself, so the variance of a sum of w·y is estimated by the sum of w(w - 1)y² over those
# kept (Horvitz and Thompson).
_OF_ALL = (
    "countIf(least > 0) AS stored, sum(least) AS traces, sqrt(sum(least * (least - 1))) AS traces_error, "
    "sqrt(sum(least * (least - 1) * spent * spent)) AS cost_error, sum(errors) AS errors, sum(calls) AS calls, "
    "sum(cost) AS cost, sum(weighted) AS weighted, sum(priced) AS priced, sum(unpriced) AS unpriced"
)

# Two spans of different traces with the same id only make the longer way be taken.
_STATE = (
    "SELECT count() != uniqExact(sipHash64(span_id)) AS twice, countIf(is_root = 1 AND parent_id != '') > 0 AS parts "
    f"FROM spans WHERE {_SINCE}"
)
# What repeats nothing.
_NOTHING: dict[str, Any] = {"calls": 0, "cost": None, "weighted": None, "priced": 0, "unpriced": 0}


def _activity(newest: str) -> str:
    return (
        f"SELECT {_OF_ALL} FROM (SELECT {_OF_TRACE}, {_COUNTED} FROM (SELECT sipHash128(trace_id) AS trace, status, "
        f"billable, input_tokens, cost, unpriced, weight FROM spans WHERE {_SINCE} {newest}) AS s GROUP BY s.trace)"
    )


class Place(msgspec.Struct, frozen=True):
    """Where a list of heads goes on: behind this one."""

    start_us: int
    trace_id: str
    span_id: str = ""


_CALLS = (*CALL, "kind", "status", "saved")
# How many of the latest heads are looked through first where many traces fit, and filters that few fit.
_LATEST = 4096
_FREQUENT = ("model", "feature", "provider", "endpoint")
_RARE = ("user_id", "session_id", "key_id", "tags", "ref", "unpriced", "attributes", "search", "judged", "among")
ALWAYS = -(2**62), 2**62
"""Between any moments."""


class SpanStore:
    """Questions to the table."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    async def spans(self, project: str, trace_id: str, most: int) -> list[Span]:
        """Return the spans of a trace by start, at most `most`."""
        names = ", ".join(COLUMNS)
        rows = await self._columns.query(
            f"SELECT {names} FROM (SELECT {names} FROM spans "
            "WHERE project = {project:String} AND trace_id = {id:String} ORDER BY written_us DESC LIMIT 1 BY span_id) "
            "WHERE weight > 0 ORDER BY start_us, span_id LIMIT {most:UInt32}",
            {"project": project, "id": trace_id, "most": most},
        )
        return [from_row(row) for row in rows]

    async def some(self, project: str, trace_id: str, span_ids: Sequence[str]) -> list[Span]:
        """Return those spans of a trace that there are, by start."""
        names = ", ".join(COLUMNS)
        rows = await self._columns.query(
            f"SELECT {names} FROM (SELECT {names} FROM spans WHERE project = {{project:String}} AND trace_id = {{id:String}} "
            "AND span_id IN {spans:Array(String)} ORDER BY written_us DESC LIMIT 1 BY span_id) "
            "WHERE weight > 0 ORDER BY start_us, span_id",
            {"project": project, "id": trace_id, "spans": list(span_ids)},
        )
        return [from_row(row) for row in rows]

    async def root(self, project: str, trace_id: str) -> tuple[Span, int] | None:
        """Return the span of a trace that has no parent, with the number of its version; None where it is not there."""
        names = ", ".join((*COLUMNS, "written_us"))
        rows = await self._columns.query(
            f"SELECT {names} FROM (SELECT {names} FROM spans WHERE project = {{project:String}} AND trace_id = {{id:String}} "
            "AND parent_id = '' ORDER BY written_us DESC LIMIT 1 BY span_id) "
            "WHERE weight > 0 ORDER BY start_us, span_id LIMIT 1",
            {"project": project, "id": trace_id},
        )
        return (from_row(rows[0]), rows[0]["written_us"]) if rows else None

    async def may_repeat(self, project: str, span: Span) -> bool:
        """Tell whether another span of its trace may count the call of this one: one beneath it, or with its answer."""
        rows = await self._columns.query(
            "SELECT count() > 0 AS may FROM spans WHERE project = {project:String} AND trace_id = {id:String} "
            "AND span_id != {span:String} AND (parent_id = {span:String} OR (response_id != '' "
            "AND response_id = {answer:String}))",
            {"project": project, "id": span.trace_id, "span": span.span_id, "answer": span.response_id},
        )
        return bool(rows[0]["may"])

    async def known(self, project: str, column: str, ids: Sequence[str]) -> dict[str, str]:
        """Return of those span, trace or session ids that there are the trace of their newest span."""
        rows = await self._columns.query(
            f"SELECT {column} AS id, argMax(s.trace_id, s.start_us) AS trace FROM spans AS s "
            f"WHERE project = {{project:String}} AND {column} IN {{ids:Array(String)}} GROUP BY {column}",
            {"project": project, "ids": list(ids)},
        )
        return {row["id"]: row["trace"] for row in rows}

    async def answered(self, project: str, response_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return the trace and span that had those of the providers' answers that are known; the one that is billed."""
        rows = await self._columns.query(
            "SELECT s.response_id AS id, argMax((s.trace_id, s.span_id), (s.billable, s.start_us)) AS place "
            "FROM spans AS s WHERE project = {project:String} AND s.response_id IN {ids:Array(String)} GROUP BY id",
            {"project": project, "ids": list(response_ids)},
        )
        return {row["id"]: tuple(row["place"]) for row in rows}

    async def sizes(self, project: str, between: tuple[int, int], after: str, most: int) -> list[tuple[str, int]]:
        """Return the traces with a span that starts in `between` by their ids, behind `after`, with their stored rows."""
        values = {"project": project, "low": between[0], "high": between[1], "after": after, "most": most}
        rows = await self._columns.query(
            "SELECT trace_id, count() AS rows FROM spans WHERE project = {project:String} AND trace_id IN ("
            "SELECT DISTINCT trace_id FROM spans WHERE project = {project:String} AND start_us >= {low:Int64} "
            "AND start_us < {high:Int64} AND trace_id > {after:String} ORDER BY trace_id LIMIT {most:UInt32}) "
            "GROUP BY trace_id ORDER BY trace_id",
            values,
        )
        return [(row["trace_id"], row["rows"]) for row in rows]

    async def whole(self, project: str, trace_ids: Sequence[str]) -> list[tuple[Span, int]]:
        """Return every span of some traces with the number of its version, trace by trace."""
        names = ", ".join((*COLUMNS, "written_us"))
        rows = await self._columns.query(
            f"SELECT {names} FROM (SELECT {names} FROM spans WHERE project = {{project:String}} "
            "AND trace_id IN {ids:Array(String)} ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) WHERE weight > 0",
            {"project": project, "ids": list(trace_ids)},
        )
        found = [(from_row(row), row["written_us"]) for row in rows]
        return sorted(found, key=lambda one: (one[0].trace_id, one[0].start_us, one[0].span_id))

    async def heads(self, project: str, narrowed: TraceFilter, after: Place | None, most: int) -> list[dict[str, Any]]:
        """Return what may be the heads of the traces asked for, newest first; `totals` tells which of them are."""
        if _is_frequent(narrowed):
            since = await self._lately(project, narrowed, after)
            if narrowed.since_us is None or since > narrowed.since_us:
                found = await self._heads(project, msgspec.structs.replace(narrowed, since_us=since), after, most)
                if len(found) == most:
                    return found
        return await self._heads(project, narrowed, after, most)

    async def _lately(self, project: str, narrowed: TraceFilter, after: Place | None) -> int:
        """Return when the latest heads began among which enough of those asked for may be."""
        until = [one for one in (narrowed.until_us, after and after.start_us + 1) if one is not None]
        rows = await self._columns.query(
            "SELECT min(start_us) AS since FROM (SELECT start_us FROM spans WHERE project = {project:String} AND is_root = 1 "
            f"AND start_us < {{until:Int64}} ORDER BY start_us DESC LIMIT {_LATEST})",
            {"project": project, "until": min(until, default=ALWAYS[1])},
        )
        return rows[0]["since"]

    async def _heads(self, project: str, narrowed: TraceFilter, after: Place | None, most: int) -> list[dict[str, Any]]:
        conditions, values = conditions_of(narrowed)
        if after is not None:
            conditions.append("(start_us, trace_id, span_id) < ({at:Int64}, {id:String}, {span:String})")
            values |= {"at": after.start_us, "id": after.trace_id, "span": after.span_id}
        where = " AND ".join(["project = {project:String}", "is_root = 1", *conditions])
        return await self._columns.query(
            f"SELECT trace_id, {', '.join(_HEAD)} FROM spans WHERE {where} "
            "ORDER BY start_us DESC, trace_id DESC, span_id DESC, written_us DESC "
            "LIMIT 1 BY start_us, trace_id, span_id LIMIT {most:UInt32}" + LIMITED,
            {**values, "project": project, "most": most},
        )

    async def totals(
        self, project: str, trace_ids: Sequence[str], between: tuple[int, int], narrowed: TraceFilter
    ) -> dict[str, dict[str, Any]]:
        """Return the sums over the spans of each trace, its head, and whether its spans fit what is asked of any."""
        wanted = of_any_span(narrowed)
        fits = [f"countIf({one.sql}) > 0" for one in wanted]
        reads = dict.fromkeys([*_SUMMED, *(name for one in wanted for name in one.reads)])
        values = {name: value for one in wanted for name, value in one.values.items()}
        rows = await self._columns.query(
            "SELECT trace_id, count() AS spans, countIf(s.status = 'error') AS errors, "
            "min(s.weight) AS weight, sumIf(s.input_tokens, s.billable = 1) AS input_tokens, "
            "sumIf(s.output_tokens, s.billable = 1) AS output_tokens, "
            "sumIf(s.cost, s.billable = 1) AS cost, countIf(s.billable = 1 AND s.unpriced != '') AS unpriced, "
            f"sumIf(s.saved, s.billable = 1) AS saved, sumIf(s.cost, {WASTED}) AS wasted, "
            f"{_SAID}, "
            # A caller's own root stands before the head of another process's part of the trace.
            f"argMinIf(tuple({', '.join(f's.{n}' for n in _HEAD)}), tuple(s.parent_id != '', s.start_us, s.span_id), "
            "s.is_root = 1) AS head, "
            "notEmpty(arrayIntersect(groupArrayIf(s.span_id, s.billable = 1 AND (isNotNull(s.input_tokens) OR "
            "s.unpriced != '')), groupUniqArray(s.parent_id))) "
            f"OR countIf({IS_CALL} AND s.response_id != '') > uniqExactIf(s.response_id, {IS_CALL} AND s.response_id != '') "
            "AS repeats, "
            f"{' AND '.join(fits) or '1'} AS fits "
            f"FROM ({_current(tuple(reads))}) AS s GROUP BY trace_id{LIMITED}",
            {**_values(project, trace_ids, between), **values},
        )
        for row in rows:
            row["head"] = dict(zip(_HEAD, row["head"], strict=True))
        return {row["trace_id"]: row for row in rows}

    async def activity(self, project: str, since_us: int) -> dict[str, Any]:
        """Return the traces, failed spans, model calls, known cost and unpriced calls since a moment, of all traces.

        What only repeats a call one or two spans beneath it, or one with the same answer, because it came in another
        request, is not counted.
        """
        values = {"project": project, "since": since_us}
        # What is stored once needs no looking for the newest: both are asked at once, and mostly that is all.
        ((state,), (found,)) = await asyncio.gather(
            self._columns.query(_STATE, values), self._columns.query(_activity("") + LIMITED, values)
        )
        if state["twice"]:
            (found,) = await self._columns.query(_activity(NEWEST) + LIMITED, values)
        less = _NOTHING
        if state["parts"]:
            (less,) = await self._columns.query(
                f"WITH {repeats(_SINCE)} SELECT {_COUNTED} FROM spans_there AS s WHERE {REPEATED}", values
            )
        priced = found["priced"] - less["priced"]
        cost = (found["cost"] or Decimal(0)) - (less["cost"] or 0)
        # Both are None where no span has a cost.
        weighted = (found.pop("weighted") or 0.0) - (less["weighted"] or 0.0)
        found["cost"] = cost + round(Decimal(weighted), 12) if priced else None
        found["cost_error"] = round(Decimal(found["cost_error"]), 6)
        found["traces_error"] = round(found["traces_error"], 6)
        for name in ("calls", "priced", "unpriced"):
            found[name] -= less[name]
        return found | {name: round(found[name]) for name in ("traces", "errors", "calls", "priced", "unpriced")}

    async def counted(self, project: str, trace_ids: Sequence[str], between: tuple[int, int]) -> list[dict[str, Any]]:
        """Return of every span of the traces whose child it is and what it counts."""
        rows = await self._columns.query(_current(_CALLS), _values(project, trace_ids, between))
        for row in rows:
            row["wasted"] = row["cost"] if row["status"] in PAID_IN_VAIN else None
        return rows

    async def counted_of(self, traces: Collection[tuple[str, str]]) -> dict[str, list[dict[str, Any]]]:
        """Return the same by project for traces of several, each told as project and id."""
        rows = await self._columns.query(
            _current(("project", *_CALLS), "project IN {projects:Array(String)}"),
            {"projects": sorted({project for project, _ in traces}), **_values("", [one for _, one in traces], ALWAYS)},
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if (row["project"], row["trace_id"]) in traces:
                found.setdefault(row["project"], []).append(row)
        return found


def _is_frequent(narrowed: TraceFilter) -> bool:
    """Tell whether spans of the traces are looked for that are rather many."""
    asked = narrowed.status == "error" or any(getattr(narrowed, name) for name in _FREQUENT)
    return asked and not any(getattr(narrowed, name) for name in _RARE)


def _current(names: Sequence[str], where: str = "project = {project:String}") -> str:
    """Return the statement that reads the newest version of each span of some traces."""
    return (
        f"SELECT {', '.join(names)} FROM (SELECT {', '.join(dict.fromkeys([*names, 'weight']))} FROM spans "
        f"WHERE {where} AND trace_id IN {{ids:Array(String)}} "
        "AND start_us BETWEEN {low:Int64} AND {high:Int64} ORDER BY written_us DESC LIMIT 1 BY project, trace_id, span_id) "
        "WHERE weight > 0"
    )


def _values(project: str, trace_ids: Sequence[str], between: tuple[int, int]) -> dict[str, Any]:
    return {"project": project, "ids": list(trace_ids), "low": between[0], "high": between[1]}
