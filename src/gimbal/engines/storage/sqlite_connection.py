"""A connection to SQLite that goes to its thread once for each statement, for the engines of `catalog`.

The driver, `aiosqlite`, goes there four times: for a cursor, the statement, the rows and the end of the cursor. Each way
there and back wakes two sleeping threads, which costs more than most statements of a catalog do.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Self

import aiosqlite

_FIRST = 1_000
"""Rows that come with a statement; the rest of more of them is fetched when it is asked for."""


class Cursor:
    """What SQLAlchemy takes for a cursor of the driver."""

    __slots__ = ("_connection", "_open", "_rows", "arraysize", "description", "lastrowid", "rowcount")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._open: sqlite3.Cursor | None = None
        self._rows: list[Any] = []
        self.arraysize = 1
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        """Return itself: there is nothing to open."""
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Self:
        """Run a statement."""
        await self._connection.run(self._taken, sql, parameters, many=False)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Self:
        """Run a statement for each of the parameters."""
        await self._connection.run(self._taken, sql, parameters, many=True)
        return self

    async def fetchall(self) -> Sequence[Any]:
        """Return all rows that are left."""
        rows, self._rows = self._rows, []
        if self._open is not None:
            rows += await self._connection.do(self._open.fetchall)
            await self.close()
        return rows

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """Return the next rows."""
        size = size or self.arraysize
        if len(self._rows) < size and self._open is not None:
            self._rows += await self._connection.do(self._open.fetchmany, max(size - len(self._rows), _FIRST))
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    async def fetchone(self) -> Any:
        """Return the next row; None behind the last."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def close(self) -> None:
        """Let go of what was not fetched."""
        left, self._open = self._open, None
        if left is not None:
            await self._connection.do(left.close)

    def _taken(self, cursor: sqlite3.Cursor) -> None:
        """Take in the thread what a statement left in its cursor."""
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        self._rows = cursor.fetchmany(_FIRST) if cursor.description else []
        if len(self._rows) < _FIRST:
            cursor.close()
        else:
            self._open = cursor


class Connection(aiosqlite.Connection):
    """The driver's connection, with cursors of one way and transactions that begin with their first statement."""

    def __init__(self, database: str, *, write: bool, **options: Any) -> None:
        """Connect to a file, `options` as of `sqlite3.connect`; `write` tells whether its transactions write."""
        super().__init__(lambda: sqlite3.connect(database, **options), 64)
        # The program may end while a pool still holds it.
        self._thread.daemon = True
        self._write = write
        self._waiting = self._begun = False

    def begin(self) -> None:
        """Open a transaction on the way to its first statement."""
        self._waiting = True

    def cursor(self) -> Any:
        """Return a cursor; nothing is asked of the thread for it."""
        return Cursor(self)

    async def do(self, function: Any, *words: Any) -> Any:
        """Call a function in the thread."""
        return await self._execute(function, *words)

    async def run(self, taken: Any, sql: str, parameters: Any, *, many: bool) -> None:
        """Run one statement in the thread, and there give its cursor away."""
        begin = ""
        if self._waiting:
            # A failure, or whoever stops waiting, leaves it to `rollback`.
            begin = "BEGIN IMMEDIATE" if self._write else "BEGIN"
            self._waiting, self._begun = False, True
        await self._execute(_run, self._conn, begin, sql, parameters, many, taken)

    async def commit(self) -> None:
        """Make durable what was written since `begin`."""
        self._waiting = False
        if self._begun:
            await super().commit()
            self._begun = False

    async def rollback(self) -> None:
        """Undo what was written since `begin`. The end of a read is not waited for: the next statement comes behind it."""
        self._waiting = False
        if not self._begun:
            return
        self._begun = False
        if self._write:
            await super().rollback()
        else:
            self._tx.put_nowait((None, self._conn.rollback))


def _run(connection: sqlite3.Connection, begin: str, sql: str, parameters: Any, many: bool, taken: Any) -> None:
    if begin:
        connection.execute(begin)
    cursor = connection.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(sql, parameters)
        taken(cursor)
    except BaseException:
        cursor.close()
        raise
