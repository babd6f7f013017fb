"""The tail: traces of which nothing came any more for a while are kept, or stand for others, or go.

Spans are stored as they come, each for as many as the head's rate says. A round takes the traces of which something
came in the stretch of time after the last one, and notes a verdict for each that has been quiet since. What goes and
what stands for it change in one insert: newer versions of the rows, those that go with the weight 0 and without what
they held. No reader ever sees one without the other, so weighted sums are right at any moment. `clear` then deletes
rows that no reader sees.

A round that was cut off anywhere is done again and finds the verdicts that it had noted; spans that come late find the
verdict on their trace. Nothing of a trace is in this process's memory.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.traces import dialects
from gimbal.axis.traces.policies import SamplingPolicies, Turn
from gimbal.axis.traces.sampling import SAMPLED, SAMPLED_HELP, threshold, weight
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import GimbalError

_log = logging.getLogger(__name__)
# A round reads at most so many new spans, and about so many bytes of them.
_MOST_SPANS, _MOST_BYTES = 20_000, 64 << 20
_PAUSE_S, _CLEAR_EVERY_S = 2.0, 600.0
# Spans of one trace lie near each other in time.
_NEAR_US = 86_400_000_000
# What nothing reaches.
_NEVER, _NO_COST = 2**62, 10**15

_HERE = "project = {project:String}"
_NEAR = f"{_HERE} AND start_us BETWEEN {{low:Int64}} AND {{high:Int64}}"
# Traces that Gimbal itself recorded, such as an evaluation's, are referred to from elsewhere: those are kept.
_CAME = (
    f"{_HERE} AND written_us > {{after:Int64}} AND written_us <= {{upto:Int64}} AND weight > 0 "
    "AND dialect IN {dialects:Array(String)}"
)
_IDS = f"SELECT trace_id FROM spans WHERE {_CAME}"
_NEWEST = "ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id"
# The bits of `sampling.randomness`.
_DRAWN = "ifNull(max(s.randomness), reinterpretAsUInt64(reverse(unhex(substring(s.trace_id, 19)))))"
_WHY = (
    "multiIf(any(k.seen) = 1, any(k.why), countIf(s.status = 'error') > 0, 'error', "
    "maxIf(s.end_us - s.start_us, s.is_root = 1) >= {slow_us:Int64}, 'slow', "
    "sumIf(s.cost, s.billable = 1) >= toDecimal128({costly:String}, 12), 'costly', "
    f"{_DRAWN} >= {{least:UInt64}}, 'chance', 'dropped')"
)
# What noting verdicts and carrying them out have in common: the newest versions of the rows of a round's traces.
_ROUND = f"FROM trace_verdicts WHERE {_HERE} AND round = {{round:Int64}}"
_VERDICTS = f"SELECT trace_id, max(weight) AS weight, max(again) AS again {_ROUND} GROUP BY trace_id"
_JUDGED = f"SELECT trace_id {_ROUND}"
# A span that a sender kept by a smaller share still stands for more.
_TARGET = "if(v.weight = 0, 0, greatest(s.weight, v.weight))"
_EMPTIED = ("status_message", "input", "output", "documents", "attributes", "events")
# Two later, because reading spans anew writes versions that are one later: of both at once, the verdict counts.
_REPLACED = ", ".join(
    [f"{_TARGET} AS weight", "s.written_us + 2 AS written_us"]
    + [f"if(v.weight = 0, '', s.{name}) AS {name}" for name in _EMPTIED]
)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one round."""

    upto_us: int
    """Everything that came in up to here is decided on, where it has been quiet."""
    traces: dict[str, int]
    """Traces by why they stay (`error`, `slow`, `costly`, `chance`) or go (`dropped`), those of before among them."""
    spans: int
    """Spans that go now."""


class Deciding:
    """Rounds over the columns, and the task of the server that runs them.

    Every statement goes by a reading handle, so that what comes in does not wait for it.
    """

    def __init__(self, columns: Columns, policies: SamplingPolicies, counters: Counters) -> None:
        self._columns = columns
        self._policies = policies
        self._counters = counters
        self._last = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Decide for every project with a tail rate, every few seconds, until stopped; failures are tried again."""
        cleared = time.monotonic()
        while not stop.is_set():
            try:
                clear = time.monotonic() - cleared >= _CLEAR_EVERY_S
                for project in await self._policies.waiting():
                    await self.project(project, time.time_ns() // 1000, clear=clear)
                cleared = time.monotonic() if clear else cleared
            except GimbalError as problem:
                _log.warning("traces could not be decided on, which is tried again: %s", problem)
            except Exception:  # noqa: BLE001 - the next try may go well, and nobody else sees to it
                _log.exception("traces could not be decided on, which is tried again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_S)

    async def project(self, project: str, now_us: int, *, clear: bool = False) -> list[Round]:
        """Decide on what has been quiet by a moment; return the rounds, none when it is another process's turn."""
        done: list[Round] = []
        while turn := await self._policies.take(project):
            quiet = now_us - turn.policy.wait_s * 1_000_000
            if turn.decided_us >= quiet:
                if clear:
                    await self.clear(project, turn.decided_us)
                await self._policies.give_back(project)
                break
            one = await self.round(turn, quiet)
            await self._policies.advance(project, one.upto_us)
            done.append(one)
        return done

    async def round(self, turn: Turn, quiet: int) -> Round:
        """Decide on a stretch of time behind what is decided, as long as one round takes, up to `quiet` at most."""
        found = await self.stretch(turn, quiet)
        if found is None:
            return Round(upto_us=quiet, traces={}, spans=0)
        await self.judge(turn, found)
        traces, spans = await self.carry_out(found)
        return Round(upto_us=found["upto"], traces=traces, spans=spans)

    async def stretch(self, turn: Turn, quiet: int) -> dict[str, Any] | None:
        """Return the stretch of time of a round, as statements take it; None when nothing came in."""
        values: dict[str, Any] = {
            "project": turn.project, "after": turn.decided_us, "upto": quiet, "dialects": sorted(dialects.NAMES),
        }  # fmt: skip
        found = (await self._columns.query(_STRETCH, values | {"most": _MOST_SPANS, "bytes": _MOST_BYTES}))[0]
        if not found["spans"]:
            return None
        more = found["spans"] < found["waiting"] or found["waiting"] == _MOST_SPANS
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return values | {
            "upto": found["upto"] if more else quiet,
            "low": found["low"] - _NEAR_US,
            "high": found["high"] + _NEAR_US,
            "quiet": quiet,
            "round": self._last,
        }

    async def judge(self, turn: Turn, values: dict[str, Any]) -> None:
        """Note a verdict for each trace of a stretch of time that is quiet; one that has a verdict keeps it."""
        policy = turn.policy
        least = threshold(policy.tail_rate if policy.tail_rate is not None else 1.0)
        rule = {
            "least": least,
            "chance": weight(least),
            "slow_us": _NEVER if policy.slow_ms is None else policy.slow_ms * 1000,
            "costly": str(_NO_COST if policy.costly_usd is None else min(policy.costly_usd, _NO_COST)),
        }
        await self._columns.command_aside(_JUDGE, values | rule)

    async def carry_out(self, values: dict[str, Any]) -> tuple[dict[str, int], int]:
        """Change the rows of a round's traces as its verdicts say, all at once.

        Return the traces by why they stay or go, and how many spans went.
        """
        counted = f"SELECT why, uniqExact(trace_id) AS traces {_ROUND} GROUP BY why ORDER BY why"
        whys = await self._columns.query(counted, values)
        todo = (await self._columns.query(_TODO, values))[0]
        if todo["rows"]:
            await self._columns.command_aside(_CARRY_OUT, values)
        for reason in ("tail", "late"):
            if todo[reason]:
                self._counters.add(SAMPLED, SAMPLED_HELP, todo[reason], reason=reason)
        return {row["why"]: row["traces"] for row in whys}, todo["tail"] + todo["late"]

    async def clear(self, project: str, decided_us: int) -> None:
        """Delete the rows that went: first their old versions, then what hides those; in that order none comes back."""
        values = {"project": project, "upto": decided_us, "hidden": decided_us + 2}
        if await self._columns.query(f"SELECT 1 FROM spans WHERE {_HERE} AND weight = 0 LIMIT 1", values):
            for statement in _CLEAR:
                await self._columns.command_aside(statement, values)


_STRETCH = (
    "SELECT count() AS spans, max(written_us) AS upto, min(start_us) AS low, max(start_us) AS high, "
    "max(waiting) AS waiting FROM (SELECT written_us, start_us, count() OVER () AS waiting, "
    "row_number() OVER (ORDER BY written_us) AS number, "
    "sum(size) OVER (ORDER BY written_us ROWS UNBOUNDED PRECEDING) AS bytes FROM (SELECT written_us, start_us, "
    "1000 + length(input) + length(output) + length(attributes) + length(events) AS size "
    f"FROM spans WHERE {_CAME} ORDER BY written_us LIMIT {{most:UInt64}})) "
    "WHERE number = 1 OR bytes <= {bytes:UInt64}"
)
_JUDGE = (
    "INSERT INTO trace_verdicts (project, trace_id, round, weight, why, again) "
    "SELECT {project:String}, s.trace_id, {round:Int64}, multiIf(any(k.seen) = 1, any(k.weight), "
    f"reason = 'dropped', 0., reason = 'chance', {{chance:Float64}}, 1.), {_WHY} AS reason, any(k.seen) "
    "FROM (SELECT trace_id, status, is_root, start_us, end_us, cost, billable, randomness, written_us FROM spans "
    f"WHERE {_NEAR} AND trace_id IN ({_IDS}) {_NEWEST}) AS s "
    "LEFT JOIN (SELECT trace_id, max(weight) AS weight, any(why) AS why, toUInt8(1) AS seen FROM trace_verdicts "
    f"WHERE {_HERE} AND trace_id IN ({_IDS}) GROUP BY trace_id) AS k ON s.trace_id = k.trace_id "
    "GROUP BY s.trace_id HAVING max(s.written_us) <= {quiet:Int64}"
)
_ROWS = (
    f"FROM (SELECT {{names}} FROM spans WHERE {_NEAR} AND trace_id IN ({_JUDGED}) {_NEWEST}) AS s "
    f"INNER JOIN ({_VERDICTS}) AS v ON s.trace_id = v.trace_id WHERE s.weight != {_TARGET}"
)
_TODO = (
    "SELECT count() AS rows, countIf(v.weight = 0 AND v.again = 0) AS tail, "
    "countIf(v.weight = 0 AND v.again = 1) AS late " + _ROWS.replace("{names}", "trace_id, span_id, weight")
)
# One part whatever its size: readers see all of it or nothing.
_CARRY_OUT = (
    f"INSERT INTO spans SELECT s.* REPLACE ({_REPLACED}) "
    + _ROWS.replace("{names}", "*")
    + " SETTINGS max_insert_threads = 1, min_insert_block_size_rows = 10000000, min_insert_block_size_bytes = 0"
)
_GONE = f"SELECT trace_id, span_id FROM spans WHERE {_HERE} AND weight = 0"
_OLD = f"{_HERE} AND weight > 0 AND (trace_id, span_id) IN ({_GONE})"
_DROPPED = (
    f"SELECT trace_id FROM trace_verdicts WHERE {_HERE} AND weight = 0 AND trace_id IN (SELECT trace_id FROM ({_GONE}))"
)
_CLEAR: Sequence[str] = (
    f"DELETE FROM spans WHERE {_OLD} AND written_us <= {{upto:Int64}}",
    f"DELETE FROM span_events WHERE {_HERE} AND trace_id IN ({_DROPPED})",
    f"DELETE FROM trace_facts WHERE {_HERE} AND trace_id IN ({_DROPPED})",
    f"DELETE FROM spans WHERE {_HERE} AND weight = 0 AND written_us <= {{hidden:Int64}}",
)
