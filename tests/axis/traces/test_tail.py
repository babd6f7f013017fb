"""The live tail: what comes is told once to whoever watches, whichever process took it in, and after any gap."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pyarrow as pa
import pytest
from tests.axis.traces.test_aggregate import call, keep, step

from gimbal.axis.traces.finding_model import TailAnswer
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.tail import Tails
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy
from gimbal.kernel.operations import find, invoke

EVERY_S, QUIET_S, PATIENCE_S = 0.03, 0.15, 20.0


class Counting(Columns):
    """The columns of a process of its own over the same tables, and how much they were asked."""

    def __init__(self, columns: Columns) -> None:
        self._inner = columns
        self.asked = 0

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.asked += 1
        return await self._inner.query(sql, parameters)


def tails_over(columns: Columns) -> Tails:
    return Tails(columns, every_s=EVERY_S, quiet_s=QUIET_S)


@pytest.fixture
def tails(traces: Traces, here: Context) -> Tails:
    """Give the tail of one server process."""
    found = tails_over(here.get(Columns))
    here.services.register(Tails, found)
    return found


async def tail(here: Context, cursor: str | None = None, **asked: Any) -> TailAnswer:
    return await invoke(find("traces.tail"), here, {"project": here.project, "cursor": cursor, **asked})


class Watcher:
    """Follows the tail, as programs do: by the cursor, and leaving out news that it had."""

    def __init__(self, here: Context, **asked: Any) -> None:
        self.here, self.asked = here, asked
        self.names: list[str] = []
        self.had: set[tuple[str, Any]] = set()
        self.cursor: str | None = None
        self.more = False

    async def start(self) -> "Watcher":
        self.cursor = (await tail(self.here, **self.asked)).cursor
        return self

    async def until(self, *names: str) -> None:
        """Watch until so many were told; fail when they do not come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.names) < len(names):
                await self.once(1)
        assert sorted(self.names) == sorted(names)

    async def once(self, wait: float = 0) -> None:
        answer = await tail(self.here, self.cursor, wait=wait, **self.asked)
        self.cursor = answer.cursor
        self.more = self.more or answer.more
        for one in answer.items:
            news = (one.trace.trace_id, one.stored)
            if news not in self.had:
                self.had.add(news)
                self.names.append(one.trace.name)


async def store(here: Context, span: Span, *, written_us: int) -> None:
    """Store a row as a process with a clock of its own would."""
    table = to_rows(str(here.project), [span]).table()
    await here.get(Writer).write("spans", table.append_column("written_us", pa.array([written_us], pa.int64())))


def now_us() -> int:
    return time.time_ns() // 1000


async def test_what_comes_is_told_once_and_what_was_there_is_not(tails: Tails, here: Context) -> None:
    await keep(here, step(1, trace=1, name="before"))
    watcher = await Watcher(here).start()
    await keep(here, step(2, trace=2, name="a"))
    await watcher.until("a")
    await keep(here, step(3, trace=3, name="b"), step(4, trace=4, name="c"))
    await watcher.until("a", "b", "c")
    await watcher.once(QUIET_S)
    assert sorted(watcher.names) == ["a", "b", "c"]


async def test_a_trace_in_parts_waits_for_its_root_and_comes_again_when_it_changes(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    child = call(2, trace=2, name="child", parent_id=f"{1:016x}", at_us=now_us())
    await keep(here, child)
    await keep(here, step(1, trace=2, name="root", at_us=now_us() - 1000))
    await watcher.until("root")
    await keep(here, call(3, trace=2, name="late", parent_id=f"{1:016x}", at_us=now_us()))
    await watcher.until("root", "root")


async def test_a_trace_whose_root_never_comes_is_told_when_it_is_quiet(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    await keep(here, call(2, trace=2, name="part", parent_id=f"{1:016x}"))
    await watcher.until("part")


@pytest.mark.parametrize("ahead_s", [-15, 15])
async def test_a_process_with_another_clock_is_seen(tails: Tails, here: Context, ahead_s: int) -> None:
    watcher = await Watcher(here).start()
    await keep(here, step(1, trace=1, name="ours"))
    await watcher.until("ours")
    await store(here, step(2, trace=2, name="theirs"), written_us=now_us() + ahead_s * 1_000_000)
    await watcher.until("ours", "theirs")


async def test_filters_are_of_each_watcher(tails: Tails, here: Context) -> None:
    slow = await Watcher(here, min_ms=500).start()
    paid = await Watcher(here, min_usd=None, model="m1").start()
    every = await Watcher(here).start()
    await keep(
        here, step(1, trace=1, name="slow", ms=900), step(2, trace=2, name="fast", ms=1), call(3, trace=3, name="paid")
    )
    await every.until("slow", "fast", "paid")
    await slow.until("slow")
    await paid.until("paid")


async def test_who_was_away_goes_on_where_they_were(tails: Tails, here: Context) -> None:
    watcher, other = await Watcher(here).start(), await Watcher(here).start()
    for number in range(1, 6):
        await keep(here, step(number, trace=number, name=f"n{number}"))
        await other.until(*(f"n{place}" for place in range(1, number + 1)))
    # Everything that came meanwhile, in one answer.
    await watcher.once()
    assert watcher.names == [f"n{number}" for number in range(1, 6)]


async def test_another_process_goes_on_with_the_cursor(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    await keep(here, step(1, trace=1, name="a"))
    await watcher.until("a")
    await keep(here, step(2, trace=2, name="b"))
    # The server was started anew, or another one answers: nothing is lost, and what repeats has the moment it had.
    here.services.register(Tails, tails_over(here.get(Columns)))
    await watcher.until("a", "b")
    await keep(here, step(3, trace=3, name="c"))
    await watcher.until("a", "b", "c")


async def test_a_tail_that_nobody_watched_for_long_tells_what_came(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    await keep(here, step(1, trace=1, name="a"))
    feed = tails._feeds[str(here.project)]
    # As if the last question had been a minute ago.
    assert feed._looked is not None
    feed._looked -= 60
    await watcher.until("a")


async def test_many_watchers_ask_the_columns_as_often_as_one(traces: Traces, here: Context) -> None:
    counting = Counting(here.get(Columns))
    here.services.register(Tails, Tails(counting, every_s=0.2, quiet_s=1))
    watchers = [await Watcher(here).start() for _ in range(50)]
    counting.asked = 0
    begun = time.monotonic()
    await asyncio.gather(*(watcher.once(1) for watcher in watchers))
    looked = (time.monotonic() - begun) / 0.2
    # One watcher would ask so often, and some times more where the machine stood still; fifty would ask 250 times and more.
    assert counting.asked <= 2 * looked + 50
    await keep(here, step(1, trace=1, name="a"))
    await asyncio.gather(*(watcher.until("a") for watcher in watchers))


async def test_a_watcher_that_goes_leaves_the_others_watching(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    gone = [asyncio.create_task(tail(here, watcher.cursor, wait=20)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    assert tails._watchers == 0
    await keep(here, step(1, trace=1, name="a"))
    await watcher.until("a")


async def test_too_many_watchers_are_asked_to_come_again(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    tails._watchers = 10_000
    with pytest.raises(Busy) as refused:
        await watcher.once()
    assert refused.value.retry_after


async def test_nothing_of_another_project_is_told(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    there = here.within(f"{here.project}x")
    await keep(there, step(1, trace=1, name="theirs"))
    await keep(here, step(2, trace=2, name="ours"))
    await watcher.until("ours")


async def test_a_burst_is_told_up_to_a_bound_and_says_so(tails: Tails, here: Context) -> None:
    watcher = await Watcher(here).start()
    await keep(here, *(step(n, trace=n, name=f"n{n}") for n in range(1, 701)))
    async with asyncio.timeout(PATIENCE_S):
        while not watcher.names:
            await watcher.once(1)
    assert len(watcher.names) == 500
    assert watcher.more
    await keep(here, step(999, trace=999, name="after"))
    watcher.names.clear()
    await watcher.until("after")


@pytest.mark.parametrize(
    "asked",
    [{"cursor": "eA"}, {"cursor": "!"}, {"cursor": None, "wait": -1}, {"cursor": None, "wait": 31}, {"score": [":"]}],
)
async def test_bad_questions_are_refused(tails: Tails, here: Context, asked: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        await tail(here, **asked)


@pytest.fixture(autouse=True)
async def _no_tasks_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
