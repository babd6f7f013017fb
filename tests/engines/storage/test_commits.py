"""Whether a catalog was committed to is told without reading it: by whoever did it, and only then."""

import asyncio
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.commits import Commits

ROWS = sa.table("rows", sa.column("n", sa.Integer))
ELSEWHERE = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO rows VALUES (7)'); c.commit()"
)


async def table(path: Path) -> Catalog:
    catalog = Catalog.open(sqlite_url(path))
    async with catalog.write() as tx:
        await tx.execute(sa.text("CREATE TABLE rows (n INTEGER)"))
    return catalog


async def roll_back(catalog: Catalog) -> None:
    async with catalog.write() as tx:
        await tx.execute(sa.insert(ROWS).values(n=1))
        raise KeyError


async def test_each_commit_is_another_number(tmp_path: Path) -> None:
    """Of this process and of others; what is read or rolled back is none."""
    path = tmp_path / "c.sqlite"
    catalog = await table(path)
    seen = [catalog.commits()]
    async with catalog.read() as tx:
        await tx.execute(sa.select(ROWS))
    seen.append(catalog.commits())
    with pytest.raises(KeyError):
        await roll_back(catalog)
    seen.append(catalog.commits())
    assert seen[0] is not None
    assert len(set(seen)) == 1

    for _ in range(3):
        async with catalog.write() as tx:
            await tx.execute(sa.insert(ROWS).values(n=1))
        seen.append(catalog.commits())
    elsewhere = await asyncio.create_subprocess_exec(sys.executable, "-c", ELSEWHERE, path)
    assert await elsewhere.wait() == 0
    seen.append(catalog.commits())
    assert len(set(seen[2:])) == 5
    await catalog.close()
    assert [one.name for one in tmp_path.iterdir()] == ["c.sqlite"], "who closes last has tidied up the log"


async def test_a_commit_is_seen_beside_a_write_that_goes_on(tmp_path: Path) -> None:
    """And asking never waits for it."""
    catalog = await table(tmp_path / "c.sqlite")
    before = catalog.commits()
    async with catalog.write() as tx:
        await tx.execute(sa.insert(ROWS).values(n=1))
        assert catalog.commits() == before
    assert catalog.commits() != before
    await catalog.close()


async def test_where_it_cannot_be_told_somebody_has_to_look(tmp_path: Path, postgres: sa.URL) -> None:
    """With PostgreSQL, and of a file that is not there, or no catalog; once it is there it can."""
    path = tmp_path / "later.sqlite"
    commits = Commits(str(path))
    assert commits.seen() is None
    assert not path.exists()
    path.write_bytes(b"no database" * 100)
    assert commits.seen() is None
    path.unlink()
    catalog = await table(path)
    assert commits.seen() is not None
    commits.close()
    await catalog.close()
    far = Catalog.open(postgres.render_as_string(hide_password=False))
    assert far.commits() is None
    await far.close()
