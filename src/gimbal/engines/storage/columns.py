"""The columns: spans, metric points, predictions and scores, in ClickHouse's dialect through `clickhouse-connect`.

`chdb:///folder` is ClickHouse in this process; `http://…` a server, a cluster, or the embedded columns of our own
server process (`dialect`). A handle serialises its calls, so reads and writes have handles of their own. An insert
has reached the disk when `insert` returns.
"""

import asyncio
import contextlib
import queue
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from gimbal.kernel.errors import BadInput, DeadlineExceeded, Unavailable

DATABASE = "gimbal"
# Acknowledged means durable: parts and their folder entries are synced before the insert returns.
TABLE_SETTINGS = "fsync_after_insert = 1, fsync_part_directory = 1"
_READERS = 3
_MEMORY_EXCEEDED, _TIMEOUT, _DUPLICATE = 241, 159, 57
_MAXIMUM = re.compile(r"maximum: ([\d.]+) (ms|[KMG]iB)")
_FOR_NOW = frozenset({_TIMEOUT, _MEMORY_EXCEEDED, 202, 243, 252})
"""Of an insert: too long, too much memory, too many at once, no room on the disk, too many parts."""
_SEMICOLON = re.compile(r";\s*(?:\n|$)")

# An index of words takes most of the time in which few rows are stored: there it is made when the small parts of many
# commits are merged, and until then they are read as they are. Such indexes are named here.
_FEW = 5000
_INSERTED_FEW = {"exclude_materialize_skip_indexes_on_insert": "late_by_text"}


def server_version(url: str) -> str:
    """Return the version of the ClickHouse server at an address; nothing is made there. Raise Unavailable."""
    with _mapped():
        client = clickhouse_connect.get_client(dsn=url)
        try:
            return str(client.command("SELECT version()"))
        finally:
            client.close()


class Columns:
    """Runs statements off the event loop; made by `Columns.open`."""

    def __init__(self, url: str, *, max_memory_bytes: int = 2 << 30, password: str = "") -> None:
        self.url = url
        self.embedded = url.startswith("chdb:")
        self._password = password
        self._max_memory = max_memory_bytes
        self._handles: list[Client] = []
        self._writer = self._connect()
        self._readers: queue.SimpleQueue[Client] = queue.SimpleQueue()
        for _ in range(_READERS):
            self._readers.put(self._connect())
        self._read_pool = ThreadPoolExecutor(_READERS, "columns-read")
        self._write_pool = ThreadPoolExecutor(1, "columns-write")

    @classmethod
    async def open(cls, url: str, *, max_memory_bytes: int = 2 << 30, password: str = "") -> "Columns":
        """Open the address; create the database when it is missing; raise Unavailable when nothing answers."""
        with _mapped():
            return await asyncio.to_thread(lambda: cls(url, max_memory_bytes=max_memory_bytes, password=password))

    def _connect(self) -> Client:
        if self.embedded:
            folder = self.url.removeprefix("chdb://")
            Path(folder).mkdir(parents=True, exist_ok=True)
            client = clickhouse_connect.get_client(dsn=f"chdb://{folder}")
        else:
            client = self.client()
        if not self._handles and (self.embedded or not self._password):
            client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        client.database = DATABASE
        client.set_client_setting("max_memory_usage", self._max_memory)
        self._handles.append(client)
        return client

    def client(self) -> Client:
        """Return a connection of its own to the server; it blocks, and whoever asked closes it."""
        extra: dict[str, Any] = {"password": self._password} if self._password else {}
        return clickhouse_connect.get_client(dsn=self.url, autogenerate_session_id=False, **extra)

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Client]:
        handle = self._readers.get()
        try:
            yield handle
        finally:
            self._readers.put(handle)

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows as dicts; `{name:Type}` in the text is bound to `parameters`."""

        def run() -> list[dict[str, Any]]:
            with self._reader() as client, _mapped():
                result = client.query(sql, parameters=dict(parameters or {}))
                names = result.column_names
                return [dict(zip(names, row, strict=True)) for row in result.result_rows]

        return await asyncio.get_running_loop().run_in_executor(self._read_pool, run)

    async def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the rows as an Arrow table: for anything wide or long."""

        def run() -> pa.Table:
            with self._reader() as client, _mapped():
                return client.query_arrow(sql, parameters=dict(parameters or {}), use_strings=True)

        return await asyncio.get_running_loop().run_in_executor(self._read_pool, run)

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Insert an Arrow table; on disk when this returns. Columns that are left out take their defaults."""
        settings = _INSERTED_FEW if rows.num_rows < _FEW else None

        def run() -> None:
            with _mapped(_FOR_NOW):
                self._writer.insert_arrow(table, rows, database=DATABASE, settings=settings)

        await asyncio.get_running_loop().run_in_executor(self._write_pool, run)

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Run a statement that returns nothing or one value (DDL, mutations)."""

        def run() -> Any:
            with _mapped():
                return self._writer.command(sql, parameters=dict(parameters or {}))

        return await asyncio.get_running_loop().run_in_executor(self._write_pool, run)

    async def command_aside(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement as `command` does, by a reading handle: inserts do not wait for it."""

        def run() -> None:
            with self._reader() as client, _mapped():
                client.command(sql, parameters=dict(parameters or {}))

        await asyncio.get_running_loop().run_in_executor(self._read_pool, run)

    async def script(self, text: str) -> None:
        """Run statements that end with a semicolon at a line's end, one after the other."""
        for statement in _SEMICOLON.split(text):
            if statement.strip():
                await self.command(statement)

    async def ping(self) -> None:
        """Raise Unavailable when the columns do not answer."""
        await self.query("SELECT 1")

    async def close(self) -> None:
        """Close every handle; the embedded engine is gone with the last one."""
        self._read_pool.shutdown(wait=True)
        self._write_pool.shutdown(wait=True)
        for handle in self._handles:
            await asyncio.to_thread(handle.close)


def _limit(problem: Exception) -> str:
    """Return the limit that the engine says was passed; empty where it does not say."""
    found = _MAXIMUM.search(str(problem))
    if found is None:
        return ""
    return f"{float(found[1]) / 1000:g} s" if found[2] == "ms" else f"{found[1]} {found[2]}"


@contextlib.contextmanager
def _mapped(for_now: frozenset[int] = frozenset()) -> Iterator[None]:
    """Turn the engine's errors into ours; a statement that is wrong stays the engine's own error (our bug).

    Those `for_now` say nothing of what was asked: the same may go well later.
    """
    try:
        yield
    except ClickHouseError as problem:
        code = getattr(problem, "code", None)
        if code in for_now:
            raise Unavailable(
                f"The rows could not be stored: {str(problem)[:200]}.",
                kept="nothing of this request",
                todo="Send the same again; it is stored once however often it comes.",
                retry_after=1.0,
            ) from problem
        if code == _MEMORY_EXCEEDED:
            raise BadInput(
                f"The question needs more memory than the {_limit(problem) or 'most'} that one query may use.",
                todo="Narrow the time range or filters, or raise columns.max_memory_bytes.",
            ) from problem
        if code == _TIMEOUT:
            raise DeadlineExceeded(
                f"The question takes longer than the {_limit(problem) or 'time'} that it may.",
                todo="Narrow the time range or filters.",
            ) from problem
        if code is None:
            raise Unavailable(
                f"The columns do not answer: {str(problem)[:200]}.", todo="Try again; `gimbal doctor` checks them."
            ) from problem
        raise
