"""Points on their way in: put into a journal and brought to the disk before they are acknowledged, stored right after.

Whoever logs waits for one sync of the disk that all who log share, not for a commit of the columns. A process that is killed
and power that fails lose no point that was acknowledged. Both stores take a point twice as if it came once, so that what
was not noted as carried is carried again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.points.latest import Newest
from gimbal.axis.runs.points.model import PointBatch
from gimbal.axis.runs.points.records import Ready, packed, ready
from gimbal.axis.runs.points.waiting import Underway
from gimbal.engines.storage.carrier import Carrier
from gimbal.engines.storage.journal import Journal, settled
from gimbal.kernel.counters import Sample
from gimbal.kernel.ids import new_id

FOLDER = "journal-runs"
_MOMENT_S = 2.0
_LOOK_S = 0.05
_MOST_RUNS = 10_000

Keep = Callable[[Ready], Awaitable[None]]
Show = Callable[[Sequence[Newest]], Awaitable[None]]


class Keeping:
    """The journal of points of one process, and who carries all journals of its folder to the stores."""

    def __init__(self, folder: Path, keep: Keep, show: Show, *, most_bytes: int) -> None:
        """Journals of all processes are in `folder`; `keep` stores what is in them, `show` the newest points of it."""
        self._folder = folder
        self._keep = keep
        self._show = show
        self._showing = asyncio.Lock()
        self._underway = Underway()
        self._name = new_id()
        self._carrier = Carrier(folder, self._carry)
        self._journal = Journal(folder, most_bytes=most_bytes, woken=self._carrier.wake)
        self._put = self._durable = self._stored = 0
        self._of_run: dict[str, int] = {}
        """By run its last record that may not be stored yet."""
        self._news = asyncio.Event()

    def open(self) -> None:
        """Make the journal; raise DiskFull when that cannot be done."""
        self._journal.open()

    async def put(self, run: RunRow, batch: PointBatch) -> None:
        """Put points down; on disk when this returns. Raise Busy when too many wait, DiskFull when there is no room."""
        number = self._put + 1
        raw = packed(run, batch, journal=self._name, number=number)
        self._journal.append(raw)
        self._put = number
        self._underway.add(number, run, raw)
        if len(self._of_run) >= _MOST_RUNS:
            self._of_run = {run_id: last for run_id, last in self._of_run.items() if last > self._stored}
        self._of_run[run.id] = number
        await self._journal.durable()
        self._durable = max(self._durable, number)

    async def newest(self, project: str, run_ids: Collection[str] | None = None) -> None:
        """See to it that the catalog has the newest of what was acknowledged until now, of a project or some of its runs.

        Nobody waits for the columns: the catalog takes the same points twice as if they came once. Only where far too many
        wait, it is waited until the stores have them.
        """
        upto = self._durable
        async with self._showing:
            if some := self._underway.of(project, run_ids, upto):
                made = await asyncio.to_thread(ready, [one.raw for one in some])
                await self._show(made.newest)
                for one in some:
                    one.shown = True
        if self._underway.lost > self._stored:
            await self.arrived(run_ids)

    async def arrived(self, run_ids: Collection[str] | None = None, seconds: float = _MOMENT_S) -> None:
        """Wait until what was put down until now, of some runs or of all, is in the stores; for a moment at most."""
        last = self._of_run
        wanted = self._put if run_ids is None else max((last.get(run_id, 0) for run_id in run_ids), default=0)
        if wanted <= self._stored:
            return
        self._carrier.hurry()
        until = time.monotonic() + seconds
        while wanted > self._stored and (left := until - time.monotonic()) > 0:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), min(left, _LOOK_S))
            except TimeoutError:
                # Another process of this folder may have carried it, which tells nobody.
                put = self._put
                if await settled(self._folder, 0):
                    self._stored = max(self._stored, put)
                    self._underway.stored(self._stored)

    async def settled(self, seconds: float) -> bool:
        """Wait until all journals of the folder are carried, so many seconds at most; return whether they are."""
        self._carrier.hurry()
        return await settled(self._folder, seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Store what was put down, until stopped."""
        await self._carrier.run(stop)

    async def sync(self, stop: asyncio.Event) -> None:
        """Keep the journal in order, until stopped."""
        await self._journal.run(stop)

    async def carry_rest(self) -> None:
        """Store what is left; what the stores do not take waits for the next process."""
        await self._carrier.close()

    def close(self) -> None:
        """End the journal."""
        self._journal.close()

    async def _carry(self, batch: Sequence[bytes]) -> None:
        made = await asyncio.to_thread(ready, batch)
        await self._keep(made)
        self._stored = max(self._stored, made.stored.get(self._name, 0))
        self._underway.stored(self._stored)
        self._news.set()

    def samples(self) -> list[Sample]:
        """Return the figures for /metrics."""
        journal, carrier = self._journal, self._carrier
        rows = [
            ("gimbal_runs_journal_bytes", journal.waiting(), "Points that wait for the stores.", "gauge"),
            ("gimbal_runs_refused_total", journal.refused, "Requests with points there was no room for.", "counter"),
            ("gimbal_runs_recorded_total", carrier.carried, "Requests with points that were stored.", "counter"),
            ("gimbal_runs_rejected_total", carrier.rejected, "Those that the stores would not take.", "counter"),
        ]
        return [Sample(name=name, value=float(v), help=text, kind=kind) for name, v, text, kind in rows]
