"""The writer: all telemetry passes one bounded queue with group commit; acknowledged means durable.

A sender's batch joins those of others for the same table; a group is committed at `eager_rows` or `max_wait_ms` after
the last one, whichever is first, and every sender in it is answered only after the insert has been synced to disk.
When too much waits, `write` raises Busy with Retry-After: nothing is ever dropped in silence.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import pyarrow as pa

from gimbal.kernel.errors import Busy, GimbalError, Unavailable
from gimbal.kernel.settings import WriterSettings


class Sink(Protocol):
    """Where groups are committed; `Columns` is one."""

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Store the rows durably before returning."""
        ...


class WriterState(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the start, for /metrics and the console."""

    queued_rows: int
    queued_bytes: int
    committed_rows: int
    committed_groups: int
    failed_rows: int
    """Rows whose senders were told that they are not stored."""
    refused_rows: int
    """Rows of senders that were told to come again (Busy)."""
    last_commit_ms: float
    oldest_wait_ms: float
    """How long the longest-waiting batch has been in the queue."""


class Rows(NamedTuple):
    """Rows that become an Arrow table when they are committed, in one piece with those of others.

    For senders of few rows: a table of one row and many columns costs more than all the rest of its way.
    """

    fields: pa.StructType
    """Names and types of the columns."""
    values: list[tuple[Any, ...]]
    """A tuple for each row, in the order of `fields`."""
    bytes: int
    """About how much memory they take."""

    def table(self) -> pa.Table:
        """Return the table; raise pyarrow's errors for values that do not fit their columns."""
        return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array(self.values, self.fields))])


class _Batch:
    """What one sender handed in."""

    __slots__ = ("bytes", "count", "done", "queued_at", "rows", "table")

    def __init__(self, table: str, rows: pa.Table | Rows, count: int, size: int, done: "asyncio.Future[None]") -> None:
        self.table, self.rows, self.count, self.bytes, self.done = table, rows, count, size, done
        self.queued_at = time.monotonic()


def _joined(batches: Sequence[_Batch]) -> pa.Table:
    """Return one table of the rows of several batches for the same table."""
    tables = [batch.rows for batch in batches if isinstance(batch.rows, pa.Table)]
    loose = [batch.rows for batch in batches if isinstance(batch.rows, Rows)]
    if loose:
        values = [row for rows in loose for row in rows.values]
        tables.append(Rows(loose[0].fields, values, 0).table())
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables)


class Writer:
    """Group commit over a Sink. `start` before the first write, `close` drains."""

    def __init__(self, sink: Sink, settings: WriterSettings) -> None:
        self._sink = sink
        self._settings = settings
        self._queue: deque[_Batch] = deque()
        self._rows = 0
        self._bytes = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._committed = self._groups = self._failed = self._refused = 0
        self._last_ms = 0.0
        self._begun = 0.0

    def start(self) -> None:
        """Start the committing task on the running loop."""
        self._task = asyncio.create_task(self._run(), name="writer")

    async def write(self, table: str, rows: pa.Table | pa.RecordBatch | Rows) -> None:
        """Store rows durably; return only then.

        Raise Busy when the queue is full and Unavailable when the store failed; in both cases nothing of this call
        is stored.
        """
        if isinstance(rows, pa.RecordBatch):
            rows = pa.Table.from_batches([rows])
        count = len(rows.values) if isinstance(rows, Rows) else rows.num_rows
        if not count:
            return
        if self._closing:
            raise Unavailable(
                "Gimbal is stopping.", kept="nothing of this request", todo="Send it again.", retry_after=2
            )
        # Of the buffers, not `nbytes`: that looks at every column by itself, and a lone span has forty.
        size = rows.bytes if isinstance(rows, Rows) else rows.get_total_buffer_size()
        try:
            self.check_room(count, size)
        except Busy:
            self._refused += count
            raise
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Batch(table, rows, count, size, done))
        self._rows += count
        self._bytes += size
        self._wake.set()
        if self._rows >= min(self._settings.eager_rows, self._settings.max_batch_rows):
            self._full.set()
        await asyncio.shield(done)

    def check_room(self, rows: int = 1, size: int = 0) -> None:
        """Raise Busy when the queue has no room for so many rows of so many bytes; an empty one has it for any."""
        too_many = self._rows + rows > self._settings.max_queued_rows
        if self._queue and (too_many or self._bytes + size > self._settings.max_queued_bytes):
            # Exporters come again some six times, or for ten seconds: too soon would use that up.
            wait = max(2.0, round(self._rows / max(self._settings.max_batch_rows, 1) * self._last_ms / 1000, 1))
            raise Busy(
                f"{self._rows} rows wait to be stored already.",
                kept="nothing of this request",
                todo="Send the same again after the time in Retry-After.",
                retry_after=wait,
            )

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            # Few rows wait for company, so that lone spans do not make a commit each; but whoever comes after a pause
            # goes at once, and nobody waits once there is a full group or Gimbal stops.
            wait = self._begun + self._settings.max_wait_ms / 1000 - time.monotonic() if self._queue else 0
            few = self._rows < min(self._settings.eager_rows, self._settings.max_batch_rows)
            if wait > 0 and few and not self._closing:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), wait)
            group = self._take()
            if group:
                await self._commit(group)
            if not self._queue:
                self._wake.clear()
                if self._closing:
                    return

    def _take(self) -> dict[str, list[_Batch]]:
        """Take a full group off the queue, whole batches only, by table."""
        group: dict[str, list[_Batch]] = {}
        rows = 0
        while self._queue and (not rows or rows + self._queue[0].count <= self._settings.max_batch_rows):
            batch = self._queue.popleft()
            rows += batch.count
            self._rows -= batch.count
            self._bytes -= batch.bytes
            group.setdefault(batch.table, []).append(batch)
        if self._rows < min(self._settings.eager_rows, self._settings.max_batch_rows):
            self._full.clear()
        return group

    async def _commit(self, group: dict[str, list[_Batch]]) -> None:
        self._begun = time.monotonic()
        for table, batches in group.items():
            started = time.monotonic()
            try:
                await self._sink.insert(table, _joined(batches))
            except Exception as problem:  # noqa: BLE001 - each sender must hear what became of its rows
                await self._alone(table, batches, problem)
            else:
                for batch in batches:
                    self._answer(batch, None)
            self._last_ms = (time.monotonic() - started) * 1000
            self._groups += 1

    async def _alone(self, table: str, batches: list[_Batch], problem: Exception) -> None:
        """Try the batches of a failed group one by one, so that one bad sender does not fail the others."""
        for batch in batches:
            error: Exception | None = problem
            if len(batches) > 1:
                try:
                    await self._sink.insert(table, _joined([batch]))
                    error = None
                except Exception as own:  # noqa: BLE001 - as above
                    error = own
            self._answer(batch, error)

    def _answer(self, batch: _Batch, error: Exception | None) -> None:
        if error is None:
            self._committed += batch.count
        else:
            self._failed += batch.count
        if batch.done.done():
            return
        if error is None:
            batch.done.set_result(None)
        elif isinstance(error, GimbalError):
            batch.done.set_exception(error)
        else:
            failure = Unavailable(
                f"The rows could not be stored: {str(error)[:200]}.",
                kept="nothing of this request",
                todo="Send the same again; it is stored once however often it comes.",
                retry_after=1.0,
            )
            failure.__cause__ = error
            batch.done.set_exception(failure)

    def state(self) -> WriterState:
        """Return the counters as they stand."""
        oldest = (time.monotonic() - self._queue[0].queued_at) * 1000 if self._queue else 0.0
        return WriterState(
            queued_rows=self._rows,
            queued_bytes=self._bytes,
            committed_rows=self._committed,
            committed_groups=self._groups,
            failed_rows=self._failed,
            refused_rows=self._refused,
            last_commit_ms=self._last_ms,
            oldest_wait_ms=oldest,
        )

    async def close(self) -> None:
        """Refuse new rows, commit what waits, and return when all of it is answered."""
        self._closing = True
        self._wake.set()
        self._full.set()
        if self._task is not None:
            await self._task
