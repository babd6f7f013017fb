"""Taking backups: what comes back is what was there, half a backup has no name, and only an admin takes one."""

import asyncio
import errno
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.engines.storage.conftest import AT, LABEL, Installation

from gimbal.engines.compute.store import schedules
from gimbal.engines.storage import backup, migrate
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server import safekeeping
from gimbal.faces.server.safekeeping import TakeBackup
from gimbal.faces.server.stores import MIGRATIONS
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import BadInput, Conflict, DiskFull, Forbidden
from gimbal.kernel.operations import AuditEntry, AuditTrail, find, invoke
from gimbal.kernel.settings import CatalogSettings, Settings

NOTHING_STRANGE = 'it\'s a "name" with `ticks`'


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
    # What the engine makes by itself of a row it makes again.
    assert await fresh.query(
        "SELECT count() AS n, countIf(bits = reinterpretAsUInt64(value)) AS m FROM metric_points"
    ) == [{"n": 3, "m": 3}]
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
