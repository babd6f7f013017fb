"""Backup of a running installation, as an operation, and restore into a new data folder, as a command."""

import asyncio
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from gimbal.engines.storage import backup, migrate
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server import preflight
from gimbal.faces.server.stores import MIGRATIONS, catalog_url, columns_folder
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.settings import Settings

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
    manifest = await backup.backup(
        catalog=settings.folder / backup.CATALOG,
        columns=ctx.get(Columns),
        blobs=settings.folder / "blobs",
        target=target,
        version=version("gimbal-ops"),
        at=ctx.now(),
    )
    return {"target": str(target), "files": len(manifest.files), "at": manifest.at}


def _check_embedded(settings: Settings) -> None:
    remote = [n for n in ("catalog", "columns", "blobs") if getattr(settings, n).url]
    if remote:
        raise BadInput(
            f"{', '.join(remote)} are not embedded.",
            where="settings",
            kept="everything as it was",
            todo="Back those up and restore them with their own tools.",
        )


def restore(source: Path, settings: Settings) -> dict[str, int]:
    """Restore a backup into the data folder of the settings, which must be new; return the rows per table.

    It is built beside that folder and gets its name when it is whole: no start can find half of one.
    """
    _check_embedded(settings)
    folder = settings.folder
    backup.check_empty(folder)
    manifest = backup.check(source)
    building = msgspec.structs.replace(settings, data=folder.with_name(folder.name + ".restoring"))
    with preflight.folder_lock(building) as partial:
        try:
            _clear(partial)
            partial.chmod(0o700)
            backup.lay(source, partial)
            counts = asyncio.run(_load(source, building))
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


async def _load(source: Path, settings: Settings) -> dict[str, int]:
    await asyncio.to_thread(migrate.catalog, catalog_url(settings), MIGRATIONS / "catalog")
    columns = await Columns.open(f"chdb://{columns_folder(settings)}")
    try:
        await migrate.columns(columns, MIGRATIONS / "columns")
        return await backup.load(source, columns)
    finally:
        await columns.close()
