"""Processes that open a new catalog together: SQLite gives the change to its log up at once, and the catalog waits."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.kernel.errors import Unavailable


def held(path: Path) -> sqlite3.Connection:
    """Return a connection that is in the middle of writing to a file that has no write-ahead log yet."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE theirs (id INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_a_file_that_another_opens_just_now_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    other = held(path)
    asyncio.get_running_loop().call_later(0.2, other.commit)
    catalog = Catalog.open(sqlite_url(path))
    async with catalog.write() as tx:
        await tx.execute(sa.text("INSERT INTO theirs VALUES (1)"))
    async with catalog.read() as tx:
        assert (await tx.execute(sa.text("PRAGMA journal_mode"))).scalar_one() == "wal"
    await catalog.close()
    other.close()


async def test_a_file_that_another_keeps_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    other = held(path)
    catalog = Catalog.open(sqlite_url(path), busy_timeout_ms=100)
    with pytest.raises(Unavailable):
        async with catalog.write():
            pass
    await catalog.close()
    other.close()
