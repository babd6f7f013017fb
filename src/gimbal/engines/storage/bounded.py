"""Statements of others, within bounds: read-only, each table filtered, limited in time and memory, streamed, cancellable.

Each has a handle of its own, whose session is made read-only before the statement comes: from then on nothing in it can
change a setting. What is read is handed over in record batches, so that memory is bounded whatever the answer's size.
"""

import asyncio
import contextlib
import io
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import msgspec
import pyarrow as pa
from clickhouse_connect.driver.binding import format_bind_value
from clickhouse_connect.driver.exceptions import ClickHouseError

from gimbal.engines.storage.columns import DATABASE, Columns
from gimbal.engines.storage.embedded import connected

T = TypeVar("T")
_BATCH_ROWS = 65_536
# Where names without a database are looked up; it has no tables.
_NOWHERE = "default"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one statement may take."""

    seconds: float
    memory_bytes: int
    rows_read: int
    rows: int = 0
    """Rows of the answer, after which the engine stops; 0 for all."""
    threads: int = 1


class Refused(Exception):
    """The engine did not go on: its number for why, and its words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Reading:
    """One statement that runs: its columns, then its batches."""

    def __init__(self, source: "_Source", run: Callable[[Callable[[], Any]], Any]) -> None:
        self._source = source
        self._run = run
        self.schema = pa.schema([])

    async def open(self) -> None:
        """Begin; raise Refused."""
        self.schema = await self._run(self._source.open)

    async def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        """Yield the batches; raise Refused."""
        while (batch := await self._run(self._source.next)) is not None:
            yield batch


class BoundedReads:
    """Runs statements beside everything else, so many at a time."""

    def __init__(self, columns: Columns, *, most: int) -> None:
        self._columns = columns
        self._pool = ThreadPoolExecutor(most, "columns-bounded")

    async def tables(self) -> dict[str, bool]:
        """Return every table that there is, and whether it is one of a project."""
        rows = await self._columns.query(
            "SELECT concat(t.database, '.', t.name) AS name, c.table != '' AS ours FROM system.tables AS t LEFT JOIN ("
            f"SELECT table FROM system.columns WHERE database = '{DATABASE}' AND name = 'project') AS c "
            f"ON t.name = c.table AND t.database = '{DATABASE}'"
        )
        return {row["name"]: bool(row["ours"]) for row in rows}

    @contextlib.asynccontextmanager
    async def read(
        self, sql: str, parameters: Mapping[str, Any], bounds: Bounds, filters: Mapping[str, str]
    ) -> AsyncIterator[Reading]:
        """Run a statement; whoever leaves the block, for whatever reason, ends it. Raise Refused."""
        mark = uuid.uuid4().hex
        settings = {
            "max_execution_time": bounds.seconds,
            "timeout_overflow_mode": "throw",
            "max_memory_usage": bounds.memory_bytes,
            "max_rows_to_read": bounds.rows_read,
            "read_overflow_mode": "throw",
            "max_threads": bounds.threads,
            "max_temporary_data_on_disk_size_for_query": 1,
            "limit": bounds.rows,
            "allow_ddl": 0,
            "allow_introspection_functions": 0,
            "date_time_input_format": "best_effort",
            "output_format_arrow_string_as_string": 1,
            "output_format_arrow_low_cardinality_as_dictionary": 0,
            "additional_table_filters": _map(filters),
            # The filters come before any condition of the statement: else its errors tell of rows that they hold back.
            "optimize_move_to_prewhere": 0,
            "query_plan_merge_filters": 0,
            "log_comment": mark,
            "readonly": 1,
        }
        made = _Embedded if self._columns.embedded else _Remote
        source = made(self._columns, sql, dict(parameters), settings)
        step: asyncio.Future[Any] | None = None

        async def run(work: Callable[[], T]) -> T:
            nonlocal step
            step = asyncio.get_running_loop().run_in_executor(self._pool, work)
            return await asyncio.shield(step)

        reading = Reading(source, run)
        try:
            await reading.open()
            yield reading
        finally:
            await asyncio.shield(self._end(source, step, mark))

    async def _end(self, source: "_Source", step: "asyncio.Future[Any] | None", mark: str) -> None:
        """Stop what still runs, then close."""
        while step is not None and not step.done():
            # One that has only just been sent may not be there yet to be ended.
            with contextlib.suppress(Exception):
                await self._columns.command_aside(
                    "KILL QUERY WHERE Settings['log_comment'] = {mark:String} ASYNC", {"mark": mark}
                )
            await asyncio.wait({step}, timeout=1)
        if step is not None and not step.cancelled():
            # Whoever left does not ask for it.
            step.exception()
        await asyncio.get_running_loop().run_in_executor(self._pool, source.close)

    def close(self) -> None:
        """Wait for what runs, then take no more."""
        self._pool.shutdown()


class _Source:
    """What blocks: made, opened, read and closed in threads, one call at a time."""

    def __init__(self, columns: Columns, sql: str, parameters: dict[str, Any], settings: dict[str, Any]) -> None:
        self._columns = columns
        self._sql = sql
        self._parameters = parameters
        self._settings = settings
        self._batches: Any = None
        self._close: list[Callable[[], None]] = []

    def open(self) -> pa.Schema:
        with _told():
            return self._open()

    def _open(self) -> pa.Schema:
        raise NotImplementedError

    def next(self) -> pa.RecordBatch | None:
        with _told():
            try:
                return cast("pa.RecordBatch", self._batches.read_next_batch())
            except StopIteration:
                return None

    def close(self) -> None:
        for close in reversed(self._close):
            # What was cancelled cannot always be closed in good order; the handle goes in any case.
            with contextlib.suppress(Exception):
                close()


class _Embedded(_Source):
    """In this process."""

    def _open(self) -> pa.Schema:
        handle = connected(self._columns.url.removeprefix("chdb://"))
        self._close.append(handle.close)
        handle.query(f"USE {_NOWHERE}")
        handle.query("SET " + ", ".join(f"{name} = {_literal(value)}" for name, value in self._settings.items()))
        values = {name: format_bind_value(value) for name, value in self._parameters.items()}
        stream: Any = handle.send_query(self._sql, "Arrow", params=values)
        self._close.append(stream.close)
        self._batches = stream.record_batch(_BATCH_ROWS)
        if self._batches.schema:
            return self._batches.schema
        # A stream without rows does not tell its columns.
        whole = handle.query(f"SELECT * FROM ({self._sql}) LIMIT 0", "ArrowStream", params=values).bytes()
        return pa.ipc.open_stream(whole).schema


class _Remote(_Source):
    """On a server."""

    def _open(self) -> pa.Schema:
        client = self._columns.client()
        self._close.append(client.close)
        stream: Any = client.raw_stream(
            self._sql, parameters=self._parameters, settings=self._settings, fmt="ArrowStream", use_database=False
        )
        self._close.append(stream.close)
        self._batches = pa.ipc.open_stream(io.BufferedReader(stream))
        return self._batches.schema


def _literal(value: Any) -> str:
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    # A map cannot be set from a text.
    return text if text.startswith("{") else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _map(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{_literal(name)}: {_literal(value)}" for name, value in values.items()) + "}"


@contextlib.contextmanager
def _told() -> Any:
    """Turn what the engine raises into Refused."""
    try:
        yield
    except (RuntimeError, OSError, pa.ArrowException, ClickHouseError) as problem:
        text = str(problem)
        start = text.rfind("Code: ")
        number = text[start + 6 :].split(".", 1)[0] if start >= 0 else ""
        raise Refused(int(number) if number.isdecimal() else 0, text[max(start, 0) :]) from problem
