"""Brings schemas up to date: the catalog by alembic's numbered scripts, the columns by numbered SQL files.

The catalog changes in one transaction, alone: a script that fails leaves everything as it was, and of processes that
start at once one does the work. A columns file that was cut off is run again. Both do nothing when there is nothing to
do; a schema that is newer than this code is refused. The scripts belong to the assembly (`faces/server/migrations`), which alone knows every room's tables.
"""

import hashlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gimbal.engines.storage import tables
from gimbal.engines.storage.catalog import metadata
from gimbal.engines.storage.columns import TABLE_SETTINGS, Columns
from gimbal.kernel.errors import ConfigurationError

# Any number will do that nothing else locks with in the same database.
_LOCK = 0x67696D62616C
# How long a catalog that several processes open for the first time may take to let each in.
_MODE_S = 10.0
_NEWER = "Use a Gimbal at least as new as the one that wrote it, or restore a backup of before."


def sync_url(url: str) -> sa.URL:
    """Return the address for a synchronous engine."""
    target = make_url(url)
    return target.set(drivername="postgresql+psycopg") if target.get_backend_name() == "postgresql" else target


def catalog(url: str, scripts: Path) -> str:
    """Bring the catalog to the newest revision of `scripts`; return it.

    Raise ConfigurationError when it is newer, cannot be opened, or a script fails; then it is as it was.
    """
    head = newest_revision(scripts)
    known = {path.stem.partition("_")[0] for path in scripts.glob("versions/[0-9]*.py")}
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            current = _revision(connection)
            if current is not None and current not in known:
                raise ConfigurationError(
                    f"The catalog has the revision {current}, which this Gimbal does not know.",
                    where="catalog",
                    kept="the catalog as it was",
                    todo=_NEWER,
                )
            if current != head:
                _upgrade(connection, scripts, current, head)
            tables.protect(connection)
    except DBAPIError as problem:
        raise ConfigurationError(
            f"The catalog cannot be used: {_first_line(problem.orig)}.",
            where=engine.url.render_as_string(hide_password=True),
            kept="the catalog as it was",
            todo="See that this is the right address, that it answers, and that its disk has room.",
        ) from problem
    finally:
        engine.dispose()
    return head


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(sync_url(url))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _: Any) -> None:
            # The driver would commit before each change of a table; we begin ourselves, and alone.
            connection.isolation_level = None
            connection.execute("PRAGMA busy_timeout=10000")
            _to_wal(connection)

        @event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _to_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side, which the file remembers."""
    deadline = time.monotonic() + _MODE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as problem:
            # While another process does the same, SQLite gives up at once, whatever its timeout is.
            if "locked" not in str(problem) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def _first_line(problem: BaseException | None) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0].rstrip(".")[:300]


def newest_revision(scripts: Path) -> str:
    """Return the number of the newest script; scripts are `versions/0001_name.py`."""
    return max(path.stem.partition("_")[0] for path in scripts.glob("versions/[0-9]*.py"))


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: sa.Connection, scripts: Path, current: str | None, head: str) -> None:
    # Alembic is slow to import and most starts have nothing to upgrade.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = connection
    config.attributes["target_metadata"] = metadata
    try:
        command.upgrade(config, "head")
    except Exception as problem:
        cause = problem.orig if isinstance(problem, DBAPIError) else problem
        raise ConfigurationError(
            f"The catalog could not be brought from revision {current or 'nothing'} to {head}: {_first_line(cause)}.",
            where="catalog",
            kept="the catalog as it was",
            todo="Use the Gimbal that ran here before, and report this.",
        ) from problem


async def columns(store: Columns, scripts: Path) -> int:
    """Run the SQL files that have not run yet, in the order of their numbers; return the last number.

    Each file's statements must be repeatable (`IF NOT EXISTS`): one that was cut off half-way is simply run again.
    """
    await store.command(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number UInt32, name String, digest String, "
        f"at DateTime64(6, 'UTC') DEFAULT now64(6)) ENGINE = MergeTree ORDER BY number SETTINGS {TABLE_SETTINGS}"
    )
    rows = await store.query("SELECT number, name, digest FROM schema_migrations ORDER BY number")
    done = {int(row["number"]): row for row in rows}
    files = {int(path.name.partition("_")[0]): path for path in sorted(scripts.glob("[0-9]*.sql"))}
    unknown = sorted(set(done) - set(files))
    if unknown:
        raise ConfigurationError(
            f"The columns have the migration {unknown[-1]}, which this Gimbal does not know.",
            where="columns",
            kept="the columns as they were",
            todo=_NEWER,
        )
    for number, path in files.items():
        text = path.read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if number in done:
            if done[number]["digest"] != digest:
                raise ConfigurationError(
                    f"The migration {path.name} was changed after it ran here.",
                    where="columns",
                    kept="the columns as they were",
                    todo="Install an unchanged Gimbal; a change of schema is a migration of its own.",
                )
            continue
        try:
            await store.script(text)
        except ClickHouseError as problem:
            raise ConfigurationError(
                f"The migration {path.name} failed: {_first_line(problem)}.",
                where="columns",
                kept="the rows as they were; the next start runs it again",
                todo="See that the columns have room and rights, then start again.",
            ) from problem
        await store.command(
            "INSERT INTO schema_migrations (number, name, digest) VALUES ({n:UInt32}, {name:String}, {d:String})",
            {"n": number, "name": path.name, "d": digest},
        )
    return max(files, default=0)
