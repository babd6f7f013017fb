"""The catalog: nouns, aliases, audit and jobs, on SQLite (WAL) or PostgreSQL through one SQLAlchemy Core dialect.

`read` sees a snapshot, `write` is one transaction; on SQLite writers queue on one connection, because the engine has
one writer anyway and waiting in order is fairer than retrying on a lock. A commit is durable when `write` returns.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from gimbal.engines.storage.commits import Commits
from gimbal.engines.storage.sqlite_connection import Connection
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.errors import BadInput, ConfigurationError, Unavailable

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole microseconds: exact and sortable on both engines."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        """Store microseconds."""
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:
        """Return the aware datetime."""
        return None if value is None else from_us(value)


class Json(sa.types.TypeDecorator[Any]):
    """Any JSON value, as its text. Structs are encoded; plain values come back exactly as they were.

    Not JSONB: that turns 1e30 into an integer and refuses U+0000, so digests and hashes would not hold.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Encode."""
        return None if value is None else msgspec.json.encode(value, enc_hook=str).decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Decode."""
        return None if value is None else msgspec.json.decode(value)


class DecimalText(sa.types.TypeDecorator[Decimal]):
    """An exact Decimal, stored as text: SQLite would turn it into a float."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> str | None:
        """Store its text."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Decimal | None:
        """Return the Decimal."""
        return None if value is None else Decimal(value)


class WritingContext(Protocol):
    """What `write` needs of a kernel Context."""

    before_commit: list[Callable[[Any], Awaitable[None]]]
    after_commit: list[Callable[[], Awaitable[None]]]


def is_unique_violation(error: BaseException) -> bool:
    """Tell whether a statement failed because the key is taken."""
    if not isinstance(error, IntegrityError):
        return False
    cause = error.orig
    return getattr(cause, "sqlstate", None) == "23505" or "UNIQUE constraint failed" in str(cause)


def sqlite_url(path: Path) -> str:
    """Return the catalog address of a SQLite file."""
    return f"sqlite:///{path}"


class Catalog:
    """Opens transactions; made by `Catalog.open`."""

    def __init__(self, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self._reader = reader
        self._writer = writer
        self._one_writer = asyncio.Lock() if writer.dialect.name == "sqlite" else None
        path = reader.url.database if writer.dialect.name == "sqlite" else None
        self._commits = Commits(path) if path else None

    @classmethod
    def open(cls, url: str, *, pool_size: int = 8, busy_timeout_ms: int = 10_000) -> "Catalog":
        """Open `sqlite:///path` or `postgresql://…`; nothing is connected before the first transaction."""
        target = make_url(url)
        if target.get_backend_name() == "sqlite":
            target = target.set(drivername="sqlite+aiosqlite")
            return cls(
                _sqlite_engine(str(target), 4, busy_timeout_ms, write=False),
                _sqlite_engine(str(target), 1, busy_timeout_ms, write=True),
            )
        if target.get_backend_name() == "postgresql":
            engine = create_async_engine(
                target.set(drivername="postgresql+psycopg"),
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_pre_ping=True,
            )
            # As SQLite gives it: every statement of one read sees the same moment.
            return cls(engine.execution_options(isolation_level="REPEATABLE READ"), engine)
        raise ConfigurationError(
            f"{target.get_backend_name()!r} is not a catalog engine.",
            where="catalog.url",
            todo="Give postgresql://user:password@host/db, or leave it empty for SQLite.",
        )

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer.dialect.name

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a read transaction; several run at once, none waits for a writer."""
        with _mapped():
            async with self._reader.connect() as tx:
                yield tx

    @contextlib.asynccontextmanager
    async def write(self, ctx: WritingContext | None = None) -> AsyncGenerator[AsyncConnection]:
        """Open a write transaction; it commits when the block ends well, durably, and rolls back when it raises.

        `ctx` lends its hooks: `before_commit` run inside the transaction (the audit), `after_commit` once it is
        durable (events). Raise Unavailable when the database is locked, full or away.
        """
        before = list(ctx.before_commit) if ctx else []
        told = len(ctx.after_commit) if ctx else 0
        try:
            async with self._one_writer or contextlib.nullcontext():
                with _mapped():
                    async with self._writer.begin() as tx:
                        yield tx
                        if ctx is not None:
                            before, ctx.before_commit = ctx.before_commit, []
                            for hook in before:
                                await hook(tx)
        except BaseException:
            # Nothing of it happened: a second attempt runs the hooks again, and no event tells of the first.
            if ctx is not None:
                ctx.before_commit = before
                del ctx.after_commit[told:]
            raise
        if ctx is not None:
            after, ctx.after_commit = ctx.after_commit, []
            for done in after:
                await done()

    def commits(self) -> int | None:
        """Return a number that is another one after each commit, of any process, without reading anything.

        None where that cannot be told: with PostgreSQL, and while a file does not answer. Of two numbers only whether they
        are the same means something.
        """
        return None if self._commits is None else self._commits.seen()

    async def create_all(self) -> None:
        """Create every table of `metadata` that is missing; migrations do this in production."""
        async with self.write() as tx:
            await tx.run_sync(metadata.create_all)

    async def ping(self) -> None:
        """Raise Unavailable when the database does not answer."""
        async with self.read() as tx:
            await tx.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        if self._commits is not None:
            # First: who closes last tidies up the log, and this one must not write.
            self._commits.close()
        await self._reader.dispose()
        if self._writer is not self._reader:
            await self._writer.dispose()


def _sqlite_engine(url: str, size: int, busy_timeout_ms: int, *, write: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={
            "timeout": busy_timeout_ms / 1000,
            "async_creator_fn": lambda database, **options: Connection(database, write=write, **options),
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        # The driver must not open transactions by itself: BEGIN below decides between reading and writing.
        connection.isolation_level = None
        connection.run_async(lambda driver: _into_wal(driver, busy_timeout_ms / 1000))
        cursor = connection.cursor()
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={busy_timeout_ms}",
            "cache_size=-16000",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def _let_go(connection: Any, _: Any, __: Any) -> None:
        # A cancelled statement may still run, and SQLite closes a connection with one only in name: without this its
        # transaction would keep every other writer out until the cursor is collected.
        with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
            connection.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.begin()

    return engine


async def _into_wal(driver: aiosqlite.Connection, timeout_s: float) -> None:
    """Put a file into the mode of the write-ahead log, which SQLite gives up at once while another opens the file.

    Its busy timeout does not cover this change, so processes that open a new catalog together would fail one another.
    """
    until = time.monotonic() + timeout_s
    while True:
        try:
            await (await driver.execute("PRAGMA journal_mode=WAL")).close()
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            await asyncio.sleep(0.01)
        else:
            return


@contextlib.contextmanager
def _mapped() -> Generator[None]:
    """Turn failures of the engine itself into Unavailable; violations of constraints stay as they are."""
    try:
        yield
    except IntegrityError:
        raise
    except DataError as problem:
        if "NUL" in str(problem.orig):
            raise BadInput(
                "A text holds the character U+0000, which the catalog cannot store.", todo="Take it out."
            ) from None
        raise
    except (OperationalError, DBAPIError) as problem:
        text = str(problem.orig)
        if "disk is full" in text or "No space left" in text:
            todo = "Make room where the data folder is; nothing of this request was stored."
        elif "locked" in text or "busy" in text:
            todo = "Try again; another process holds the database for long."
        elif isinstance(problem, OperationalError) or isinstance(problem.orig, sqlite3.OperationalError):
            todo = "See that the database is up and its address right; `gimbal doctor` checks it."
        else:
            raise
        raise Unavailable(f"The catalog cannot do this now: {text}.", todo=todo, retry_after=1.0) from problem
