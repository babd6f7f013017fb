"""Backups: what comes back is what was there, what was tampered with is named, and half a backup has no name."""

import asyncio
import errno
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
import sqlalchemy as sa

import gimbal.engines.storage.columns as columns_module
from gimbal.engines.compute.store import schedules
from gimbal.engines.storage import backup, migrate
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server import safekeeping
from gimbal.faces.server.safekeeping import TakeBackup
from gimbal.faces.server.stores import MIGRATIONS
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import BadInput, ConfigurationError, Conflict, DataFolderLocked, DiskFull, Forbidden
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import AuditEntry, AuditTrail, find, invoke
from gimbal.kernel.settings import CatalogSettings, Settings

AT = datetime(2026, 1, 1, tzinfo=UTC)
METRICS = {
    "project": ["default"] * 3, "run_id": ["r"] * 3, "name": ["auc", "auc", "loss"], "step": [1, 2, 1],
    "at_us": [1, 2, 3], "value": [0.5, float("nan"), float("inf")],
}  # fmt: skip
LABEL = "INSERT INTO labels (project, endpoint, prediction_id, value, at_us, author) VALUES "
NOTHING_STRANGE = 'it\'s a "name" with `ticks`'


class Installation:
    """A data folder with a catalog, a database of columns and blobs, all with something in them."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        self.folder, self.columns = folder, columns
        self.blobs = Blobs.open(f"file://{folder / 'blobs'}")
        self.digests: list[str] = []

    async def fill(self) -> None:
        migrate.catalog(sqlite_url(self.folder / "catalog.sqlite"), MIGRATIONS / "catalog")
        await migrate.columns(self.columns, MIGRATIONS / "columns")
        await self.columns.insert("run_metrics", pa.table(METRICS))
        await self.columns.command(f"{LABEL} ('default', 'delay', 'p1', 1, 7, 'é\n\\0')")
        for content in (b"", b"a blob", bytes(range(256)) * 5000):
            self.digests.append((await self.blobs.put(content)).digest)
        await self.note("first")

    async def note(self, slug: str) -> None:
        catalog = Catalog.open(sqlite_url(self.folder / "catalog.sqlite"))
        async with catalog.write() as tx:
            await tx.execute(
                schedules.insert().values(
                    project="default", slug=slug, cron="* * * * *", job="x", payload={"a": [1.5, None, "é"]},
                    principal=Principal(kind="owner", id="o", name="o"), enabled=True, next_at=AT, missed=0,
                )
            )  # fmt: skip
        await catalog.close()

    async def backup(self, target: Path) -> backup.Manifest:
        return await backup.backup(
            catalog=self.folder / "catalog.sqlite", columns=self.columns, blobs=self.folder / "blobs",
            target=target, version="9.9", at=AT,
        )  # fmt: skip


@pytest.fixture
async def database(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], object]]:
    """Make databases in the one engine that a process can have; each stands for one data folder's columns."""
    made: list[tuple[str, Columns]] = []

    async def make() -> Columns:
        name = "b_" + new_id().replace("-", "")
        monkeypatch.setattr(columns_module, "DATABASE", name)
        store = await Columns.open(columns.url)
        made.append((name, store))
        return store

    yield make
    for name, store in made:
        await store.command(f"DROP DATABASE {name}")
        await store.close()


@pytest.fixture
async def there(database: Callable[[], object], tmp_path: Path) -> Installation:
    """Give an installation with something in every store."""
    folder = tmp_path / "data"
    folder.mkdir()
    found = Installation(folder, await database())  # pyright: ignore[reportGeneralTypeIssues]
    await found.fill()
    return found


@pytest.fixture
async def taken(there: Installation, tmp_path: Path) -> Path:
    """Give a backup of it."""
    await there.backup(tmp_path / "backup")
    return tmp_path / "backup"


async def test_what_comes_back_is_what_was_there(
    there: Installation, database: Callable[[], object], tmp_path: Path
) -> None:
    """Rows of the catalog, points with NaN and text with U+0000, blobs of every size; also over a name with quotes."""
    source = tmp_path / NOTHING_STRANGE / "backup"
    manifest = await there.backup(source)
    await there.note("too late")
    await there.columns.command(f"{LABEL} ('default', 'delay', 'too late', 1, 7, '')")
    shutil.rmtree(there.folder / "blobs")
    assert (backup.check(source), manifest.version, manifest.at) == (manifest, "9.9", AT)
    data = tmp_path / "restored"
    data.mkdir()
    backup.check_empty(data)
    backup.lay(source, data)
    fresh: Columns = await database()  # pyright: ignore[reportGeneralTypeIssues]
    await migrate.columns(fresh, MIGRATIONS / "columns")
    counts = await backup.load(source, fresh)

    assert (counts["run_metrics"], counts["labels"], counts["spans"]) == (3, 1, 0)
    everything = "SELECT * EXCEPT written_us FROM labels"
    assert await fresh.query(everything) == (await there.columns.query(f"{everything} WHERE prediction_id = 'p1'"))
    rows = await fresh.query("SELECT name, step, toString(value) AS v FROM run_metrics ORDER BY name, step")
    assert [tuple(row.values()) for row in rows] == [("auc", 1, "0.5"), ("auc", 2, "nan"), ("loss", 1, "inf")]
    # What a view feeds is filled once, by its source.
    newest = "SELECT name, argMaxMerge(latest).2 AS step FROM run_metrics_latest GROUP BY name ORDER BY name"
    assert await fresh.query(newest) == [{"name": "auc", "step": 2}, {"name": "loss", "step": 1}]
    blobs = Blobs.open(f"file://{data / 'blobs'}")
    assert [await blobs.get(digest) for digest in there.digests] == [b"", b"a blob", bytes(range(256)) * 5000]
    catalog = Catalog.open(sqlite_url(data / "catalog.sqlite"))
    async with catalog.read() as tx:
        (row,) = (await tx.execute(sa.select(schedules))).all()
    await catalog.close()
    assert (row.slug, row.payload, row.next_at) == ("first", {"a": [1.5, None, "é"]}, AT)
    assert migrate.catalog(sqlite_url(data / "catalog.sqlite"), MIGRATIONS / "catalog") == migrate.newest_revision(
        MIGRATIONS / "catalog"
    )


async def test_a_backup_is_one_whole_copy(taken: Path) -> None:
    """The catalog is one sound file with nothing beside it, and every file is in the manifest."""
    names = {path.relative_to(taken).as_posix() for path in taken.rglob("*") if path.is_file()}
    manifest = backup.check(taken)

    assert names == {*manifest.files, "manifest.json"}
    assert {"catalog.sqlite", "columns/labels.native", "columns/run_metrics.native"} <= names
    assert not any("latest" in name or "schema_migrations" in name or "-wal" in name for name in names)
    with sqlite3.connect(f"file:{taken}/catalog.sqlite?mode=ro", uri=True) as catalog:
        assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not taken.with_name("backup.part").exists()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1])


HARM: dict[str, Callable[[Path], None]] = {"changed": _flip, "cut": _cut, "gone": Path.unlink}


async def test_a_damaged_file_is_found_and_named(taken: Path, tmp_path: Path) -> None:
    """One bit, one byte or the whole file; nothing is restored."""
    blob = max((p for p in (taken / "blobs").rglob("*") if p.is_file()), key=lambda path: path.stat().st_size)
    settings = Settings(data=str(tmp_path / "new"))
    for name in ("catalog.sqlite", "columns/labels.native", blob.relative_to(taken).as_posix()):
        for kind, harm in HARM.items():
            copy = Path(shutil.copytree(taken, tmp_path / "copies" / kind / Path(name).name))
            backup.check(copy)
            harm(copy / name)
            with pytest.raises(ConfigurationError) as caught:
                await asyncio.to_thread(safekeeping.restore, copy, settings)
            assert caught.value.message == f"{name} is missing or was changed."
            assert caught.value.kept == "nothing was restored"
    assert not (tmp_path / "new").exists()


async def test_what_was_slipped_in_is_found_and_named(taken: Path) -> None:
    """A file that the manifest does not know, and a file that has become a link."""
    extra = taken / "columns" / "scores2.native"
    extra.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"scores2\.native does not belong"):
        backup.check(taken)
    extra.unlink()
    catalog = taken / "catalog.sqlite"
    catalog.rename(taken.parent / "elsewhere")
    catalog.symlink_to(taken.parent / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"catalog\.sqlite is missing or was changed"):
        backup.check(taken)


async def test_a_manifest_that_says_less_is_no_way_round(taken: Path) -> None:
    """Without its lines the files are strangers; without files there is no catalog."""
    manifest = msgspec.json.decode((taken / "manifest.json").read_bytes(), type=backup.Manifest)
    bare = msgspec.structs.replace(manifest, files={})
    (taken / "manifest.json").write_bytes(msgspec.json.encode(bare))
    with pytest.raises(ConfigurationError, match="does not belong"):
        backup.check(taken)
    for path in taken.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "manifest.json":
            path.unlink()
    with pytest.raises(ConfigurationError, match=r"catalog\.sqlite is missing"):
        backup.check(taken)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"format": 2}', b"\xff\xfe"])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A folder without a manifest, or with something else by that name."""
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a backup"):
        backup.check(tmp_path)


async def test_a_backup_in_another_format_is_refused(taken: Path) -> None:
    """With the version that wrote it."""
    manifest = msgspec.json.decode((taken / "manifest.json").read_bytes(), type=backup.Manifest)
    (taken / "manifest.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, format=1)))
    with pytest.raises(ConfigurationError, match="format 1") as caught:
        backup.check(taken)

    assert "9.9" in caught.value.todo


async def test_nothing_is_restored_over_something(taken: Path, tmp_path: Path) -> None:
    """A data folder in use stays as it is; so does a file where the folder should be."""
    data = tmp_path / "used"
    data.mkdir()
    (data / "catalog.sqlite").write_bytes(b"mine")
    with pytest.raises(BadInput, match="not empty"):
        await asyncio.to_thread(safekeeping.restore, taken, Settings(data=str(data)))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput):
        await asyncio.to_thread(safekeeping.restore, taken, Settings(data=str(tmp_path / "file")))

    assert [path.name for path in data.iterdir()] == ["catalog.sqlite"]
    assert (tmp_path / "file").read_text() == "mine"


async def test_an_existing_target_is_not_touched(there: Installation, taken: Path) -> None:
    """A backup is never written over another one, or into a folder of anything else."""
    before = (taken / "manifest.json").read_bytes()
    with pytest.raises(BadInput, match="exists already"):
        await there.backup(taken)

    assert (taken / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("fails", ["catalog", "columns", "blobs", "manifest"])
async def test_a_backup_that_breaks_off_leaves_nothing_by_its_name(
    there: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Wherever the disk gets full; once there is room it works."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a file")

    async def full_too(*_: object) -> None:
        full()

    stage = {"catalog": "_copy_catalog", "columns": "_dump", "blobs": "_copy_blobs", "manifest": "_digest"}[fails]
    with monkeypatch.context() as patch:
        patch.setattr(backup, stage, full_too if fails == "columns" else full)
        with pytest.raises(DiskFull, match="No space left") as caught:
            await there.backup(tmp_path / "backup")
    assert caught.value.where == "target"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    await there.backup(tmp_path / "backup")
    backup.check(tmp_path / "backup")


async def test_a_cancelled_backup_leaves_nothing_and_a_killed_one_is_in_nobodys_way(
    there: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two into the same target do not mix; what a killed server left is cleared away."""
    reached, free = asyncio.Event(), asyncio.Event()
    dump = backup._dump

    async def slow(columns: Columns, folder: Path) -> None:
        reached.set()
        await free.wait()
        await dump(columns, folder)

    monkeypatch.setattr(backup, "_dump", slow)
    first = asyncio.create_task(there.backup(tmp_path / "backup"))
    await reached.wait()
    with pytest.raises(Conflict, match="under way"):
        await there.backup(tmp_path / "backup")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    free.set()
    (tmp_path / "backup.part" / "columns").mkdir(parents=True)
    (tmp_path / "backup.part" / "columns" / "left.native").write_bytes(b"half")
    await there.backup(tmp_path / "backup")

    assert "columns/left.native" not in backup.check(tmp_path / "backup").files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data"]


async def test_a_missing_catalog_is_not_backed_up_as_an_empty_one(there: Installation, tmp_path: Path) -> None:
    """The backup fails instead, and no catalog appears where none was."""
    for path in there.folder.glob("catalog.sqlite*"):
        path.unlink()
    with pytest.raises(sqlite3.OperationalError):
        await there.backup(tmp_path / "backup")

    assert not (tmp_path / "backup").exists()
    assert not (there.folder / "catalog.sqlite").exists()


class Trail:
    """Keeps what would be audited."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def append(self, tx: object, entry: AuditEntry) -> None:
        self.entries.append(entry)

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@pytest.fixture
def trail(ctx: Context, there: Installation) -> Trail:
    """Put the installation at hand, with a record of what is audited."""
    found = Trail()
    ctx.services.register(AuditTrail, found)
    ctx.services.register(Settings, Settings(data=str(there.folder)))
    ctx.services.register(Columns, there.columns)
    ctx.project = None
    return found


async def test_an_admin_takes_a_backup_and_it_is_audited(ctx: Context, trail: Trail, tmp_path: Path) -> None:
    """With its target; somebody who is admin of one project only may not."""
    body = TakeBackup(target=str(tmp_path / "b"))
    done = await invoke(find("backups.take"), ctx, {"body": body})
    assert done["files"] == len(backup.check(tmp_path / "b").files)
    assert [(e.action, e.outcome, e.details) for e in trail.entries] == [
        ("backups.take", "done", {"target": str(tmp_path / "b")})
    ]
    someone = Principal(kind="key", id="k", name="k", roles={"default": Role.ADMIN})
    with pytest.raises(Forbidden):
        await invoke(find("backups.take"), Context(ctx.services, someone), {"body": body})


@pytest.mark.parametrize("target", ["relative", "", "/proc/nowhere/b", "/dev/null/b", "/\0"])
async def test_a_target_that_cannot_be_is_refused(ctx: Context, trail: Trail, target: str) -> None:
    """As the caller's mistake, with the place."""
    with pytest.raises(BadInput) as caught:
        await invoke(find("backups.take"), ctx, {"body": TakeBackup(target=target)})

    assert caught.value.where == "target"


async def test_only_embedded_stores_are_backed_up_and_restored(ctx: Context, trail: Trail, taken: Path) -> None:
    """A PostgreSQL elsewhere is neither left out in silence nor written over."""
    remote = Settings(data=str(taken.parent / "new"), catalog=CatalogSettings(url="postgresql://somewhere/gimbal"))
    ctx.services.register(Settings, remote)
    with pytest.raises(BadInput, match="catalog are not embedded"):
        await invoke(find("backups.take"), ctx, {"body": TakeBackup(target=str(taken.parent / "c"))})
    with pytest.raises(BadInput, match="catalog are not embedded"):
        await asyncio.to_thread(safekeeping.restore, taken, remote)
    assert not (taken.parent / "new").exists()


async def test_a_restore_that_breaks_off_leaves_no_data_folder(
    taken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody starts on half of one; a killed restore's leavings are cleared, and another one's are not touched."""
    settings = Settings(data=str(tmp_path / "new"))
    building = tmp_path / "new.restoring"

    async def breaks(*_: object) -> dict[str, int]:
        message = "half-way"
        raise RuntimeError(message)

    async def fine(*_: object) -> dict[str, int]:
        return {}

    monkeypatch.setattr(safekeeping, "_load", breaks)
    with pytest.raises(RuntimeError, match="half-way"):
        await asyncio.to_thread(safekeeping.restore, taken, settings)
    assert not (tmp_path / "new").exists()
    assert not building.exists()
    (building / "columns").mkdir(parents=True)
    (building / "catalog.sqlite").write_bytes(b"half")
    monkeypatch.setattr(safekeeping, "_load", fine)
    with safekeeping.preflight.folder_lock(Settings(data=str(building))), pytest.raises(DataFolderLocked):
        await asyncio.to_thread(safekeeping.restore, taken, settings)
    await asyncio.to_thread(safekeeping.restore, taken, settings)

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["blobs", "catalog.sqlite", "lock"]
    assert (tmp_path / "new" / "catalog.sqlite").read_bytes() == (taken / "catalog.sqlite").read_bytes()
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


# A process has one engine of columns, so what was restored is looked at by another one.
LOOK = """
import asyncio, sys
from gimbal.engines.storage.columns import Columns
async def look():
    store = await Columns.open("chdb://" + sys.argv[1])
    print((await store.query("SELECT count() AS n, max(step) AS step FROM run_metrics"))[0])
    print((await store.query("SELECT uniqMerge(n) AS n FROM (SELECT uniqState(name) AS n FROM run_metrics_latest)"))[0])
    await store.close()
asyncio.run(look())
"""


async def test_the_command_restores_into_a_new_folder_and_never_twice(taken: Path, tmp_path: Path) -> None:
    """Everything is under the final name, in the engine's own files; a second time the folder is in use."""
    command = [sys.executable, "-m", "gimbal.faces.cli.main", "restore", str(taken), "--data", str(tmp_path / "new")]
    done, again = [
        await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
        for _ in range(2)
    ]
    assert (done.returncode, done.stderr) == (0, "")
    assert "run metrics   3" in done.stdout
    assert not (tmp_path / "new.restoring").exists()
    look = [sys.executable, "-c", LOOK, str(tmp_path / "new" / "columns")]
    seen = await asyncio.to_thread(subprocess.run, look, capture_output=True, text=True, check=True, timeout=60)
    assert seen.stdout.splitlines() == ["{'n': 3, 'step': 2}", "{'n': 2}"]
    assert again.returncode == 1
    assert "is not empty" in " ".join(again.stderr.split())
