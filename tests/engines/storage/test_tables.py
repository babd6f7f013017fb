"""Tables whose rows never change, inserts that may find one there, and hooks of a transaction that fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

import gimbal.faces.server
from gimbal.axis.projects.store import audit_head, projects
from gimbal.engines.storage import migrate, tables
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.testing.clock import FrozenClock

SCRIPTS = Path(gimbal.faces.server.__file__).parent / "migrations" / "catalog"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a catalog that no migration has seen."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "empty.sqlite")
        return
    admin: sa.Engine = request.getfixturevalue("postgres_admin")
    url: sa.URL = request.getfixturevalue("postgres")
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE never_migrated")
    yield url.set(database="never_migrated").render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE never_migrated WITH (FORCE)")


def test_migrations_put_the_rules_in_force(empty_address: str) -> None:
    """Once; a trigger that somebody dropped is back after the next start."""
    migrate.catalog(empty_address, SCRIPTS)
    engine = sa.create_engine(migrate.sync_url(empty_address))
    with engine.begin() as connection:
        again = tables.protect(connection)
        on_table = " ON audit" if engine.dialect.name == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER audit_no_update{on_table}")
        mended = tables.protect(connection)
    engine.dispose()

    assert again == []
    assert mended == ["audit_no_update"]


async def test_truncation_is_refused_as_well(catalog: Catalog) -> None:
    """Where the engine has it; it would pass by the triggers on rows."""
    if catalog.dialect != "postgresql":
        return  # SQLite has no such statement
    with pytest.raises(IntegrityError, match="append-only"):
        async with catalog.write() as tx:
            await tx.exec_driver_sql("TRUNCATE audit")


async def test_a_row_is_inserted_once(catalog: Catalog, clock: FrozenClock) -> None:
    """By the first of ten at once; the others learn that it was there."""
    row = {"slug": "a", "title": "A", "created_at": clock.now(), "archived": False}

    async def insert() -> bool:
        async with catalog.write() as tx:
            return await tables.insert_missing(tx, projects, row)

    assert sorted(await asyncio.gather(*(insert() for _ in range(10)))) == [False] * 9 + [True]


async def test_a_second_attempt_runs_the_hooks_again(catalog: Catalog, ctx: Context) -> None:
    """And nothing that the first one wanted to tell is told."""
    told: list[str] = []

    async def hook(tx: object) -> None:
        told.append("in the transaction")

    async def after(word: str) -> None:
        told.append(word)

    async def attempt(word: str, times: int) -> None:
        async with catalog.write(ctx) as tx:
            ctx.after_commit.append(lambda: after(word))
            for _ in range(times):
                await tx.execute(audit_head.insert().values(id=1, sequence=0, hash="x"))

    ctx.before_commit.append(hook)
    with pytest.raises(IntegrityError):
        await attempt("first", 2)
    await attempt("second", 1)

    assert told == ["in the transaction", "second"]


async def test_reads_see_one_moment(catalog: Catalog, clock: FrozenClock) -> None:
    """What is committed while a read goes on is not in it."""
    count = sa.select(sa.func.count()).select_from(projects)
    async with catalog.read() as tx:
        before = (await tx.execute(count)).scalar_one()
        async with catalog.write() as writing:
            row = {"slug": "a", "title": "A", "created_at": clock.now(), "archived": False}
            await writing.execute(projects.insert().values(row))
        during = (await tx.execute(count)).scalar_one()
    async with catalog.read() as tx:
        after = (await tx.execute(count)).scalar_one()

    assert (before, during, after) == (0, 0, 1)


async def test_a_text_that_the_engine_cannot_hold_is_bad_input(catalog: Catalog, clock: FrozenClock) -> None:
    """PostgreSQL has no U+0000 in texts; that is the caller's mistake and no accident of ours."""
    row = {"slug": "a", "title": "A\0", "created_at": clock.now(), "archived": False}
    if catalog.dialect == "postgresql":
        with pytest.raises(BadInput, match=r"U\+0000"):
            async with catalog.write() as tx:
                await tx.execute(projects.insert().values(row))
