"""The live tail: traces as they become readable, whichever process took them in.

One question a second finds the traces of a project that came or changed, however many watch it; each watcher's filter is
asked of those only, and once for all who ask the same. A process looks back over `OVERLAP_S` and knows what it told
already, so rows of a process whose clock differs by less, or that took longer to be written, are not missed. Nothing
runs while nobody watches.

A trace is told when the span without a parent is there, or when nothing more came for `QUIET_S`; again when it changes.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.finding_model import Arrived, TailAnswer
from gimbal.axis.traces.measures import LIMITED
from gimbal.axis.traces.model import TraceSummary
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import cursor_number, cursor_text, encode_cursor

EVERY_S, QUIET_S, OVERLAP_S = 1.0, 3.0, 20.0
MOST_WAIT_S = 30.0
# What a watcher that was away finds again; what is older is in the list.
_MOST_TOLD, _MOST_AT_ONCE, _MOST_ANSWERS = 2000, 500, 64
_MOST_WATCHERS, _MOST_FEEDS = 256, 64
_CAME = (
    "SELECT trace_id, max(written_us) AS stored, max(parent_id = '') AS rooted FROM spans WHERE project = {project:String} "
    "AND is_root = 1 AND written_us > {after:Int64} AND weight > 0 GROUP BY trace_id "
    "ORDER BY stored DESC, trace_id LIMIT {most:UInt32}" + LIMITED
)


class _News(NamedTuple):
    number: int
    trace_id: str
    stored_us: int


Find = Callable[[TraceFilter], Awaitable[dict[str, TraceSummary]]]


class Tails:
    """What is told to those who watch the traces of projects; one for the process."""

    def __init__(self, columns: Columns, *, every_s: float = EVERY_S, quiet_s: float = QUIET_S) -> None:
        self._columns = columns
        self._pace = (every_s, quiet_s)
        self._feeds: OrderedDict[str, _Feed] = OrderedDict()
        self._watchers = 0

    async def now(self, ctx: Context) -> str:
        """Return the cursor behind which is what comes from now on."""
        feed = self._feed(ctx)
        await feed.look()
        return feed.cursor()

    async def after(
        self, ctx: Context, narrowed: TraceFilter, find: Find, *, cursor: str | None, wait_s: float
    ) -> TailAnswer:
        """Return what fits and came behind `cursor`; wait for it up to `wait_s`. Raise BadInput, Busy.

        `find` returns of a filter's traces those that there are.
        """
        if not 0 <= wait_s <= MOST_WAIT_S:
            raise BadInput(f"{wait_s:g} s is no time to wait.", where="wait", todo=f"Give 0 to {MOST_WAIT_S:g}.")
        if cursor is None:
            return TailAnswer(items=[], cursor=await self.now(ctx))
        place = (cursor_text(cursor, "feed"), cursor_number(cursor, "number"), cursor_number(cursor, "at"))
        if self._watchers >= _MOST_WATCHERS:
            raise Busy(f"{self._watchers} watch already.", todo="Come again.", retry_after=5)
        self._watchers += 1
        try:
            return await self._follow(self._feed(ctx), narrowed, find, place, wait_s)
        finally:
            self._watchers -= 1

    async def _follow(
        self, feed: "_Feed", narrowed: TraceFilter, find: Find, place: tuple[str, int, int], wait_s: float
    ) -> TailAnswer:
        end = time.monotonic() + wait_s
        own, number, at_us = place
        while True:
            await feed.look()
            # All that is told belongs to one moment: what comes while the rest is asked is behind the cursor.
            upto, here, skipped = feed.cursor(), (feed.own, feed.number), feed.skipped_behind(number)
            news = feed.behind(number) if feed.knows(own, number) else None
            more = len(news or ()) > _MOST_AT_ONCE or (news is not None and skipped)
            if news is None:
                # Of another process, or of before this one forgot: what repeats has the moment it had.
                news, more = await feed.since(at_us)
            items = await feed.answer(narrowed, news[-_MOST_AT_ONCE:], find)
            if items or more or time.monotonic() >= end:
                return TailAnswer(items=items, cursor=upto, more=more)
            own, number = here
            await feed.come(number, end)

    def _feed(self, ctx: Context) -> "_Feed":
        project = ctx.project or "default"
        feed = self._feeds.pop(project, None) or _Feed(self._columns, project, *self._pace)
        self._feeds[project] = feed
        while len(self._feeds) > _MOST_FEEDS:
            self._feeds.popitem(last=False)
        return feed


class _Feed:
    """What came into one project, in the order in which this process saw it."""

    def __init__(self, columns: Columns, project: str, every_s: float, quiet_s: float) -> None:
        self.own = new_id()
        self.number = 0
        self._columns = columns
        self._project = project
        self._every_s = every_s
        self._quiet_s = quiet_s
        self._told: deque[_News] = deque(maxlen=_MOST_TOLD)
        self._seen: dict[str, int] = {}
        self._waiting: dict[str, tuple[int, float]] = {}
        self._looked: float | None = None
        self._looked_us = 0
        self._skipped = 0
        self._looking, self._answering = asyncio.Lock(), asyncio.Lock()
        self._answers: OrderedDict[tuple[Any, ...], list[Arrived]] = OrderedDict()

    def cursor(self) -> str:
        """Return the place behind all that was told."""
        return encode_cursor({"feed": self.own, "number": self.number, "at": self._looked_us})

    def knows(self, own: str, number: int) -> bool:
        """Tell whether everything behind a place is still here."""
        first = self._told[0].number if self._told else self.number + 1
        return own == self.own and first - 1 <= number <= self.number

    def behind(self, number: int) -> list[_News]:
        """Return what was told behind a place."""
        return [news for news in self._told if news.number > number]

    def skipped_behind(self, number: int) -> bool:
        """Tell whether so much came at once behind a place that some of it was not looked at."""
        return self._skipped > number

    async def look(self) -> None:
        """Look for what came, unless somebody just did."""
        async with self._looking:
            if self._looked is None or time.monotonic() - self._looked >= self._every_s:
                await self._look()

    async def come(self, number: int, end: float) -> None:
        """Wait until something is behind a place or `end` is there; one who waits looks for all."""
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + end - time.monotonic()):
                while self.number == number:
                    async with self._looking:
                        if self.number != number:
                            return
                        passed = self._every_s if self._looked is None else time.monotonic() - self._looked
                        if passed < self._every_s:
                            await asyncio.sleep(self._every_s - passed)
                        await self._look()
        except TimeoutError:
            return

    async def _look(self) -> None:
        now, now_us = time.monotonic(), time.time_ns() // 1000
        away = self._looked is not None and now - self._looked > OVERLAP_S / 2
        if away:
            # What came while nobody watched is nobody's news here: those who ask for it are answered from the columns.
            self.own, self.number, self._skipped = new_id(), 0, 0
            self._told.clear()
            self._seen.clear()
            self._waiting.clear()
        first = away or self._looked is None
        low = now_us - round(OVERLAP_S * 1e6)
        rows = await self._came(low, _MOST_TOLD)
        self._looked, self._looked_us = now, now_us
        fresh = [row for row in reversed(rows) if self._seen.get(row["trace_id"]) != row["stored"]]
        if first:
            self._seen = {row["trace_id"]: row["stored"] for row in rows}
            return
        for row in fresh:
            self._seen[row["trace_id"]] = row["stored"]
            if row["rooted"]:
                self._waiting.pop(row["trace_id"], None)
                self._tell(row["trace_id"], row["stored"])
            else:
                self._waiting[row["trace_id"]] = (row["stored"], now)
        for trace_id, (stored, since) in list(self._waiting.items()):
            if now - since >= self._quiet_s:
                del self._waiting[trace_id]
                self._tell(trace_id, stored)
        if len(fresh) == _MOST_TOLD:
            self._skipped = self.number
        self._seen = {trace_id: stored for trace_id, stored in self._seen.items() if stored > low}

    def _tell(self, trace_id: str, stored: int) -> None:
        self.number += 1
        self._told.append(_News(self.number, trace_id, stored))

    async def _came(self, after_us: int, most: int) -> list[dict[str, Any]]:
        return await self._columns.query(_CAME, {"project": self._project, "after": after_us, "most": most})

    async def since(self, at_us: int) -> tuple[list[_News], bool]:
        """Return what was stored since a moment, some of it before; and whether there was more."""
        rows = await self._came(at_us - round(OVERLAP_S * 1e6), _MOST_AT_ONCE + 1)
        # What is not whole yet will be told by and by.
        kept = [row for row in reversed(rows[:_MOST_AT_ONCE]) if row["trace_id"] not in self._waiting]
        return [_News(0, row["trace_id"], row["stored"]) for row in kept], len(rows) > _MOST_AT_ONCE

    async def answer(self, narrowed: TraceFilter, news: Sequence[_News], find: Find) -> list[Arrived]:
        """Return of what was told what fits a filter."""
        newest = {one.trace_id: one.stored_us for one in news}
        if not newest:
            return []
        key = (repr(narrowed), len(news), news[0], news[-1])
        async with self._answering:
            if key not in self._answers:
                found = await find(msgspec.structs.replace(narrowed, among=tuple(newest)))
                self._answers[key] = [
                    Arrived(trace=found[trace_id], stored=from_us(stored))
                    for trace_id, stored in sorted(newest.items(), key=lambda one: (one[1], one[0]))
                    if trace_id in found
                ]
                while len(self._answers) > _MOST_ANSWERS:
                    self._answers.popitem(last=False)
            return self._answers[key]
