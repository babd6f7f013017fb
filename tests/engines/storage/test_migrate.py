"""Migrations: from nothing or from before to now, once, whole or not at all, and never backwards."""

import itertools
import re
import shutil
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import gimbal.engines.storage.columns as columns_module
from gimbal.engines.storage import migrate
from gimbal.engines.storage.catalog import Catalog, metadata, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server import capabilities
from gimbal.faces.server.stores import MIGRATIONS
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.ids import new_id

SCRIPTS = MIGRATIONS / "catalog"
HEAD = migrate.newest_revision(SCRIPTS)
_numbers = itertools.count(1)
SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{number}", "{before}", None, None


def upgrade():
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    with op.batch_alter_table("projects") as batch:
        batch.add_column(sa.Column("later", sa.Text()))
    op.execute("INSERT INTO later (id) VALUES (7)")
    {then}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a catalog without a table."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "catalog.sqlite")
        return
    admin: sa.Engine = request.getfixturevalue("postgres_admin")
    name = f"migrate_{next(_numbers)}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url: sa.URL = request.getfixturevalue("postgres")
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Copy of the catalog's scripts that a test may add to."""
    return Path(shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__")))


def add(scripts: Path, then: str = "") -> str:
    """Add a revision that makes a table, changes one and writes a row, then does `then`; return its number."""
    number = f"{int(HEAD) + 1:04d}"
    text = SECOND.format(number=number, before=HEAD, then=then)
    (scripts / "versions" / f"{number}_later.py").write_text(text)
    return number


def shape(url: str) -> dict[str, list[str]]:
    """Return the columns of every table, and what the engine has besides tables."""
    engine = sa.create_engine(migrate.sync_url(url))
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        found = {t: sorted(c["name"] for c in inspector.get_columns(t)) for t in inspector.get_table_names()}
        query = (
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
            if engine.dialect.name == "postgresql"
            else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        )
        found[" triggers"] = sorted(connection.execute(sa.text(query)).scalars())
        if "alembic_version" in found:
            found[" revision"] = list(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars())
    engine.dispose()
    return found


def run(url: str, statement: str) -> None:
    engine = sa.create_engine(migrate.sync_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def ours() -> list[sa.Table]:
    """Return the tables that the rooms of gimbal declare; other tests declare some that no installation has."""
    capabilities.load_operations()
    modules = [module for name, module in sys.modules.items() if name.startswith("gimbal.")]
    return [value for module in modules for value in vars(module).values() if isinstance(value, sa.Table)]


def differences(url: str) -> list[object]:
    """Return in what a catalog differs from the tables as declared."""
    engine = sa.create_engine(migrate.sync_url(url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        names = {table.name for table in ours()} | set(sa.inspect(connection).get_table_names())
        found = [d for d in compare_metadata(context, metadata) if _table_of(d) in names]
    engine.dispose()
    return found


def test_a_fresh_catalog_has_what_the_code_says(empty: str) -> None:
    """Every table, index, constraint and type: comparing with the tables as declared finds no difference."""
    declared = {table.name for table in ours()}
    assert migrate.catalog(empty, SCRIPTS) == HEAD

    assert differences(empty) == []
    assert set(shape(empty)[" triggers"]) >= {"audit_no_update", "audit_no_delete"}
    assert declared <= set(shape(empty))


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE jobs ADD COLUMN extra INTEGER", "DROP INDEX ix_jobs_project_id", "DROP TABLE job_steps",
     "CREATE TABLE extra (id INTEGER)"],
)  # fmt: skip
def test_a_difference_would_be_found(empty: str, change: str) -> None:
    """So that finding none means something."""
    migrate.catalog(empty, SCRIPTS)
    run(empty, change)

    assert len(differences(empty)) >= 1


def _table_of(difference: object) -> str:
    first = difference[0] if isinstance(difference, list) else difference
    assert isinstance(first, tuple)
    for part in first[1:]:
        if isinstance(part, sa.Table):
            return part.name
        table = getattr(part, "table", None)
        if isinstance(table, sa.Table):
            return table.name
    return next(str(part) for part in first[1:] if isinstance(part, str) and part in metadata.tables)


def test_doing_it_again_changes_nothing(empty: str) -> None:
    """Rows stay, and so does every table."""
    migrate.catalog(empty, SCRIPTS)
    before = shape(empty)
    run(empty, "INSERT INTO audit_head (id, sequence, hash) VALUES (9, 0, 'x')")
    assert migrate.catalog(empty, SCRIPTS) == HEAD

    assert shape(empty) == before
    engine = sa.create_engine(migrate.sync_url(empty))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT hash FROM audit_head WHERE id = 9")).scalar() == "x"
    engine.dispose()


def test_a_rule_that_was_taken_out_of_force_is_put_back(empty: str) -> None:
    """What must never change is protected again at the next start."""
    ours()
    migrate.catalog(empty, SCRIPTS)
    on = " ON audit" if empty.startswith("postgresql") else ""
    run(empty, f"DROP TRIGGER audit_no_update{on}")
    assert "audit_no_update" not in shape(empty)[" triggers"]
    migrate.catalog(empty, SCRIPTS)

    assert "audit_no_update" in shape(empty)[" triggers"]


def test_a_catalog_from_before_is_brought_up(empty: str, scripts: Path) -> None:
    """With its rows."""
    migrate.catalog(empty, SCRIPTS)
    run(empty, "INSERT INTO audit_head (id, sequence, hash) VALUES (9, 0, 'x')")
    number = add(scripts)

    assert migrate.catalog(empty, scripts) == number
    found = shape(empty)
    assert (found["later"], found[" revision"]) == (["id"], [number])
    assert "later" in found["projects"]


def test_a_catalog_of_a_newer_gimbal_is_refused(empty: str, scripts: Path) -> None:
    """By its revision and with what to do; nothing is changed."""
    number = add(scripts)
    migrate.catalog(empty, scripts)
    before = shape(empty)
    with pytest.raises(ConfigurationError, match=f"revision {number}") as caught:
        migrate.catalog(empty, SCRIPTS)

    assert "at least as new" in caught.value.todo
    assert caught.value.kept == "the catalog as it was"
    assert shape(empty) == before


@pytest.mark.parametrize("existing", [False, True])
def test_a_script_that_fails_half_way_leaves_nothing(empty: str, scripts: Path, existing: bool) -> None:
    """Neither its tables nor its columns nor its rows; the message names the step; mended, it runs."""
    if existing:
        migrate.catalog(empty, SCRIPTS)
    before = shape(empty)
    add(scripts, then='op.execute("SELECT * FROM nowhere")')
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="nowhere") as caught:
            migrate.catalog(empty, scripts)
        assert f"from revision {HEAD if existing else 'nothing'} to" in caught.value.message
        assert caught.value.kept == "the catalog as it was"
        assert shape(empty) == before
    number = add(scripts)

    assert migrate.catalog(empty, scripts) == number
    assert shape(empty)["later"] == ["id"]


def test_a_script_that_breaks_off_in_python_leaves_nothing_either(empty: str, scripts: Path) -> None:
    """Whatever it raises."""
    before = shape(empty)
    add(scripts, then='raise KeyError("half-way")')
    with pytest.raises(ConfigurationError, match="half-way"):
        migrate.catalog(empty, scripts)

    assert shape(empty) == before


def test_of_several_that_start_at_once_one_migrates(empty: str) -> None:
    """The others find it done."""
    with ThreadPoolExecutor(4) as pool:
        revisions = list(pool.map(lambda _: migrate.catalog(empty, SCRIPTS), range(4)))

    assert revisions == [HEAD] * 4
    assert shape(empty)[" revision"] == [HEAD]


def test_of_several_that_open_a_new_file_at_once_none_is_turned_away(tmp_path: Path) -> None:
    """SQLite does not wait for another that changes a file's mode; each of many rounds has a good chance of that."""
    together = threading.Barrier(4)

    def opened(number: int) -> str:
        with sqlite3.connect(tmp_path / f"{number}.sqlite", isolation_level=None) as connection:
            connection.execute("PRAGMA busy_timeout=10000")
            together.wait(20)
            migrate._to_wal(connection)
            return connection.execute("PRAGMA journal_mode").fetchone()[0]

    with ThreadPoolExecutor(4) as pool:
        for number in range(400):
            assert list(pool.map(opened, [number] * 4)) == ["wal"] * 4


async def test_the_application_works_on_a_migrated_catalog(empty: str) -> None:
    """The same tables as the tests create without migrations."""
    migrate.catalog(empty, SCRIPTS)
    catalog = Catalog.open(empty)
    async with catalog.read() as tx:
        for table in ours():
            await tx.execute(sa.select(table))
    await catalog.close()


@pytest.mark.parametrize("content", [b"this is not a database, but long enough to be looked at" * 100, None])
def test_what_is_no_catalog_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A file of something else, or a folder where the file should be."""
    path = tmp_path / "catalog.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        migrate.catalog(sqlite_url(path), SCRIPTS)

    assert str(path) in caught.value.where
    assert content is None or path.read_bytes() == content


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    """So that the message can be shown to anybody."""
    with pytest.raises(ConfigurationError) as caught:
        migrate.catalog("postgresql://gimbal:secret@127.0.0.1:1/gimbal", SCRIPTS)

    assert "127.0.0.1" in caught.value.where
    assert "secret" not in str(caught.value)


def test_our_own_scripts_are_in_one_line() -> None:
    """Each catalog script follows the one before; no two files of the columns have the same number."""
    texts = [path.read_text() for path in sorted((SCRIPTS / "versions").glob("[0-9]*.py"))]
    found = [re.findall(r'^(?:down_)?revision = "?(\w+)"?$', text, re.MULTILINE) for text in texts]
    numbers = [path.name.partition("_")[0] for path in (MIGRATIONS / "columns").glob("[0-9]*.sql")]

    assert [after for after, _ in found] == [path.name[:4] for path in sorted((SCRIPTS / "versions").glob("[0-9]*.py"))]
    assert [before for _, before in found] == ["None", *(after for after, _ in found[:-1])]
    assert len(numbers) == len(set(numbers))


@pytest.fixture
async def store(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Columns]:
    """Give a database of its own in the one engine that a process can have."""
    name = "m_" + new_id().replace("-", "")
    monkeypatch.setattr(columns_module, "DATABASE", name)
    found = await Columns.open(columns.url)
    yield found
    await found.command(f"DROP DATABASE {name}")
    await found.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two numbered files."""
    folder = tmp_path / "columns"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("CREATE TABLE IF NOT EXISTS a (n Int64) ENGINE = MergeTree ORDER BY n;\n")
    (folder / "0020_second.sql").write_text("CREATE TABLE IF NOT EXISTS b (n Int64) ENGINE = MergeTree ORDER BY n;\n")
    return folder


async def applied(store: Columns) -> list[int]:
    rows = await store.query("SELECT number FROM schema_migrations ORDER BY number")
    return [int(row["number"]) for row in rows]


async def tables(store: Columns) -> set[str]:
    rows = await store.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
    return {str(row["name"]) for row in rows} - {"schema_migrations"}


async def test_column_files_run_once_in_order(store: Columns, files: Path) -> None:
    """Also one that comes later with a number between; rows stay."""
    assert await migrate.columns(store, files) == 20
    await store.command("INSERT INTO a VALUES (1)")
    (files / "0005_between.sql").write_text("ALTER TABLE a ADD COLUMN IF NOT EXISTS m Int64 DEFAULT 5;\n")
    assert await migrate.columns(store, files) == 20
    assert await migrate.columns(store, files) == 20

    assert await applied(store) == [1, 5, 20]
    assert await store.query("SELECT n, m FROM a") == [{"n": 1, "m": 5}]


async def test_a_column_file_that_was_changed_after_it_ran_is_refused(store: Columns, files: Path) -> None:
    """By its name; nothing runs, not even what is new."""
    await migrate.columns(store, files)
    with (files / "0001_first.sql").open("a") as file:
        file.write("-- harmless?\n")
    (files / "0021_third.sql").write_text("CREATE TABLE IF NOT EXISTS c (n Int64) ENGINE = MergeTree ORDER BY n;\n")
    with pytest.raises(ConfigurationError, match=r"0001_first\.sql was changed") as caught:
        await migrate.columns(store, files)

    assert caught.value.where == "columns"
    assert await tables(store) == {"a", "b"}


async def test_columns_of_a_newer_gimbal_are_refused(store: Columns, files: Path) -> None:
    """By the number that is not known."""
    await migrate.columns(store, files)
    (files / "0020_second.sql").unlink()
    with pytest.raises(ConfigurationError, match="migration 20") as caught:
        await migrate.columns(store, files)

    assert "at least as new" in caught.value.todo


async def test_a_column_file_that_fails_half_way_is_named_and_run_again(store: Columns, files: Path) -> None:
    """What ran of it does no harm; what comes after it waits."""
    path = files / "0010_broken.sql"
    good = "CREATE TABLE IF NOT EXISTS c (n Int64) ENGINE = MergeTree ORDER BY n;\n"
    path.write_text(good + "CREATE TABLE IF NOT EXISTS d (n Unknown) ENGINE = MergeTree ORDER BY n;\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"0010_broken\.sql failed") as caught:
            await migrate.columns(store, files)
        assert "runs it again" in caught.value.kept
        assert await applied(store) == [1]
        assert await tables(store) == {"a", "c"}
    path.write_text(good + good.replace(" c ", " d "))
    await migrate.columns(store, files)

    assert await applied(store) == [1, 10, 20]
    assert await tables(store) == {"a", "b", "c", "d"}


async def test_our_own_column_files_can_be_run_twice(store: Columns) -> None:
    """As they are after a crash between a file and the note that it ran."""
    await migrate.columns(store, MIGRATIONS / "columns")
    before = await tables(store)
    await store.command("TRUNCATE TABLE schema_migrations")
    await migrate.columns(store, MIGRATIONS / "columns")

    assert await tables(store) == before
    assert {"spans", "run_metrics", "predictions", "labels", "scores"} <= before
