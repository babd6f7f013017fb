"""Backup of a running installation, as an operation, and restore into a new data folder, as a command."""

import asyncio
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from gimbal.axis.retention.model import Proof, Tombstone
from gimbal.axis.retention.service import Retaining
from gimbal.axis.runs.points.service import Points
from gimbal.engines.storage import backup, migrate
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server import capabilities, preflight
from gimbal.faces.server.stores import MIGRATIONS, blobs_url, catalog_url, columns_folder
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, Unavailable
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.settings import Settings

_MOST_S = 60.0

describe("backups", "Copies of the whole embedded installation.")


class TakeBackup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a backup goes."""

    target: str
    """Absolute path of a folder on the server's machine that does not exist yet."""


@operation(
    "POST",
    "/backups",
    name="backups.take",
    allow=Permission.ADMIN,
    audited=True,
    absent={"cli": "`gimbal backup` is it, with a path relative to where you are"},
)
async def take_backup(ctx: Context, body: TakeBackup) -> dict[str, Any]:
    """Copy catalog, columns and blobs of the embedded set into a new folder, while everything runs."""
    settings = ctx.get(Settings)
    _check_embedded(settings)
    target = Path(body.target)
    if not target.is_absolute() or "\0" in body.target:
        raise BadInput("The target is not an absolute path.", where="target", todo="Start it with a slash.")
    ctx.audit(target=str(target))
    # Points that are acknowledged and on their way are in it, too.
    if ctx.services.has(Points) and not await ctx.get(Points).settled(_MOST_S):
        raise Unavailable(
            f"Points that were acknowledged are still on their way to the columns after {_MOST_S:g} s.",
            kept="everything as it was; no backup was taken",
            todo="See in the server's log why the columns do not take them, then take the backup.",
        )
    manifest = await backup.backup(
        catalog=settings.folder / backup.CATALOG,
        columns=ctx.get(Columns),
        blobs=settings.folder / "blobs",
        target=target,
        version=version("gimbal-ops"),
        at=ctx.now(),
    )
    return {"target": str(target), "files": len(manifest.files), "at": manifest.at}


class ScrubBackup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which backup is to be scrubbed."""

    path: str
    """Absolute path of a folder on the server's machine that a backup wrote."""


@operation("POST", "/backups/scrub", name="backups.scrub", allow=Permission.ADMIN, audited=True)
async def scrub_backup(ctx: Context, body: ScrubBackup) -> Proof:
    """Write a backup anew without the data of users that were erased, in the place of the old one; return the proof.

    Every digest is checked before, and the new backup is sealed like any other. Where it fails the old one stays.
    """
    _check_embedded(ctx.get(Settings))
    path = Path(body.path)
    if not path.is_absolute() or "\0" in body.path:
        raise BadInput("The path is not absolute.", where="path", todo="Start it with a slash.")
    ctx.audit(path=str(path))
    return await ctx.get(Retaining).scrub(ctx, path)


@operation("GET", "/backups/erasures", name="backups.erasures", allow=Permission.ADMIN)
async def list_tombstones(ctx: Context) -> list[Tombstone]:
    """List what is known of all erasures, for `gimbal restore --erasures` of a backup that lay elsewhere.

    A tombstone has salted hashes and moments, and no user id. Backups that still lie where they were written have them.
    """
    return await ctx.get(Retaining).tombstones()


def _check_embedded(settings: Settings) -> None:
    remote = [n for n in ("catalog", "columns", "blobs") if getattr(settings, n).url]
    if remote:
        raise BadInput(
            f"{', '.join(remote)} are not embedded.",
            where="settings",
            kept="everything as it was",
            todo="Back those up and restore them with their own tools.",
        )


def restore(source: Path, settings: Settings, erasures: Path | None = None) -> dict[str, int]:
    """Restore a backup into the data folder of the settings, which must be new; return the rows per table.

    It is built beside that folder and gets its name when it is whole: no start can find half of one. What was erased since
    the backup, as noted in it or in the file `erasures`, is erased again before that.
    """
    _check_embedded(settings)
    folder = settings.folder
    backup.check_empty(folder)
    manifest = backup.check(source)
    noted = [*manifest.erasures, *_read_tombstones(erasures)]
    building = msgspec.structs.replace(settings, data=folder.with_name(folder.name + ".restoring"))
    with preflight.folder_lock(building) as partial:
        try:
            _clear(partial)
            partial.chmod(0o700)
            backup.lay(source, partial)
            counts = asyncio.run(_load(source, building, noted))
            os.sync()
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return {"files": len(manifest.files), **counts}


def _clear(partial: Path) -> None:
    """Remove what an earlier restore left that was killed; the lock stays."""
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _read_tombstones(path: Path | None) -> list[dict[str, Any]]:
    """Return the tombstones of a file that `gimbal backups erasures --json` wrote; raise BadInput when it is none."""
    if path is None:
        return []
    try:
        stones = msgspec.json.decode(path.read_bytes(), type=list[Tombstone])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise BadInput(
            f"{path} has no erasures: {problem}.",
            where="erasures",
            todo="Write it by `gimbal backups erasures --json`.",
        ) from None
    return [msgspec.to_builtins(stone) for stone in stones]


async def _load(source: Path, settings: Settings, noted: list[dict[str, Any]]) -> dict[str, int]:
    await asyncio.to_thread(migrate.catalog, catalog_url(settings), MIGRATIONS / "catalog")
    columns = await Columns.open(f"chdb://{columns_folder(settings)}")
    try:
        await migrate.columns(columns, MIGRATIONS / "columns")
        counts = await backup.load(source, columns)
        erased = await _erase_again(settings, columns, noted)
        return counts | {f"{table}_erased": rows for table, rows in erased.items()}
    finally:
        await columns.close()


async def _erase_again(settings: Settings, columns: Columns, noted: list[dict[str, Any]]) -> dict[str, int]:
    # Rooms say there what they keep of people: a restore is no server, and has not loaded them.
    await asyncio.to_thread(capabilities.load_work)
    catalog = Catalog.open(catalog_url(settings))
    try:
        blobs = Blobs.open(blobs_url(settings))
        # Nobody else is at work here: no upload can be in flight.
        return await Retaining(catalog, columns, blobs, SystemClock(), grace_s=0).apply_again(noted)
    finally:
        await catalog.close()
