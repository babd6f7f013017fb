"""What counts a call a second time is marked as that, once the trace is there: exact at any depth, in any order of arrival.

A span that reports usage is told from the call beneath it when both come in one request. Of those that came in requests of
their own, sums over many traces see through two levels by themselves (`counting`); this takes the traces of which something
came in, looks at the whole of each as its page does, and stores what only repeats without its cost. Whoever does it again
finds nothing left to do, so several servers may, and one that was stopped begins with the last hour.
"""

import asyncio
import contextlib
import logging
import time
from typing import Any

from gimbal.axis.traces import tree
from gimbal.axis.traces.counting import IS_CALL
from gimbal.axis.traces.filters import AFTER_US
from gimbal.axis.traces.store import SpanStore
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.errors import GimbalError

_log = logging.getLogger(__name__)
_PAUSE_S = 3.0
# A row has its stamp before it is stored: what was stamped so long ago may come into sight only now.
_BEHIND_US = 30_000_000
_BEGIN_US = 3_600_000_000
_MOST, _AT_ONCE = 2000, 200

_CAME = (
    "SELECT count() AS rows, min(start_us) AS low, max(start_us) AS high FROM spans WHERE written_us > {after:Int64}"
)
_NEAR = "start_us BETWEEN {low:Int64} AND {high:Int64}"
# Some of it came in a request of its own, and a call has a span beneath it, or another with the same answer.
_DOUBTFUL = (
    "SELECT project, trace_id FROM spans AS s WHERE (project, trace_id) IN (SELECT project, trace_id FROM spans "
    f"WHERE is_root = 1 AND parent_id != '' AND {_NEAR}) AND (project, trace_id) IN (SELECT project, trace_id FROM spans "
    f"WHERE written_us > {{after:Int64}}) AND {_NEAR} AND weight > 0 AND (project, trace_id) > ({{project:String}}, {{id:String}}) "
    "GROUP BY project, trace_id "
    f"HAVING notEmpty(arrayIntersect(groupUniqArrayIf(span_id, {IS_CALL}), groupUniqArray(parent_id))) OR "
    f"uniqExactIf(span_id, {IS_CALL} AND s.response_id != '') > uniqExactIf(s.response_id, {IS_CALL} AND s.response_id != '') "
    "ORDER BY project, trace_id LIMIT {most:UInt32}"
)
# As `charging.once` has it. Reading spans anew writes versions that are one later, too: it marks the same.
_ONCE = (
    "INSERT INTO spans SELECT s.* REPLACE (0 AS billable, NULL AS cost, mapFilter((name, part) -> 0, s.parts) AS parts, "
    "NULL AS saved, '' AS unpriced, s.written_us + 1 AS written_us) FROM (SELECT * FROM spans "
    "WHERE project IN {projects:Array(String)} AND trace_id IN {traces:Array(String)} AND span_id IN {spans:Array(String)} "
    "ORDER BY written_us DESC LIMIT 1 BY project, trace_id, span_id) AS s WHERE s.billable = 1 AND s.weight > 0 AND "
    "(s.project, s.trace_id, s.span_id) IN arrayZip({projects:Array(String)}, {traces:Array(String)}, {spans:Array(String)})"
)


class Settling:
    """Rounds over all projects, and the task of the server that runs them."""

    def __init__(self, columns: Columns, *, since_us: int | None = None) -> None:
        """Begin with what was stored since a moment; with the last hour where none is said."""
        self._columns = columns
        self._store = SpanStore(columns)
        self._after = time.time_ns() // 1000 - _BEGIN_US if since_us is None else since_us

    async def run(self, stop: asyncio.Event) -> None:
        """Settle what came in, every few seconds, until stopped; failures are tried again."""
        while not stop.is_set():
            try:
                await self.round(time.time_ns() // 1000)
            except GimbalError as problem:
                _log.warning("repeated calls could not be looked for, which is tried again: %s", problem)
            except Exception:  # noqa: BLE001 - the next try may go well, and nobody else sees to it
                _log.exception("repeated calls could not be looked for, which is tried again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_S)

    async def round(self, now_us: int) -> int:
        """Look at the traces of which something came in since the last round; return how many spans were marked."""
        values: dict[str, Any] = {"after": self._after, "most": _MOST, "project": "", "id": ""}
        came = (await self._columns.query(_CAME, values))[0]
        marked = 0
        if came["rows"]:
            values |= {"low": came["low"] - AFTER_US, "high": came["high"] + AFTER_US}
            while doubtful := await self._columns.query(_DOUBTFUL, values):
                traces = [(row["project"], row["trace_id"]) for row in doubtful]
                for first in range(0, len(traces), _AT_ONCE):
                    marked += await self._settle(set(traces[first : first + _AT_ONCE]))
                values |= {"project": doubtful[-1]["project"], "id": doubtful[-1]["trace_id"]}
        self._after = max(self._after, now_us - _BEHIND_US)
        return marked

    async def _settle(self, traces: set[tuple[str, str]]) -> int:
        again: list[tuple[str, str, str]] = []
        for project, rows in (await self._store.counted_of(traces)).items():
            repeated = tree.repeated_rows(rows)
            # Those between a wrapper and its call count nothing.
            counted = [row for row in rows if row["billable"] and (row["input_tokens"] is not None or row["unpriced"])]
            spans = [(row["trace_id"], row["span_id"]) for row in counted]
            again += [(project, *span) for span in spans if span in repeated]
        for place in range(0, len(again), _AT_ONCE):
            some = again[place : place + _AT_ONCE]
            projects, trace_ids, span_ids = (list(column) for column in zip(*some, strict=True))
            await self._columns.command_aside(_ONCE, {"projects": projects, "traces": trace_ids, "spans": span_ids})
        return len(again)
