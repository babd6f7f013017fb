"""Backup of a running installation, as an operation, and restore into a new data folder, as a command."""

import asyncio
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
from gimbal.kernel.operations import operation
from gimbal.kernel.settings import Settings


class TakeBackup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a backup goes."""

    target: str
    """Absolute path of a folder on the server's machine that does not exist yet."""


@operation("POST", "/backups", name="backups.take", allow=Permission.ADMIN, audited=True)
async def take_backup(ctx: Context, body: TakeBackup) -> dict[str, Any]:
    """Copy catalog, columns and blobs of the embedded set into a new folder, while everything runs."""
    settings = ctx.get(Settings)
    remote = [n for n in ("catalog", "columns", "blobs") if getattr(settings, n).url]
    if remote:
        raise BadInput(
            f"{', '.join(remote)} are not embedded.", where="settings", todo="Back those up with their own tools."
        )
    target = Path(body.target)
    if not target.is_absolute():
        raise BadInput("The target is not an absolute path.", where="target", todo="Start it with a slash.")
    ctx.audit(target=str(target))
    manifest = await backup.backup(
        catalog=settings.folder / "catalog.sqlite",
        columns=ctx.get(Columns),
        blobs=settings.folder / "blobs",
        target=target,
        version=version("gimbal-ops"),
        at=ctx.now(),
    )
    return {"target": str(target), "files": len(manifest.files), "at": manifest.at}


def restore(source: Path, settings: Settings) -> dict[str, int]:
    """Restore a backup into the data folder of the settings, which must be new; return the rows per table."""
    manifest = backup.restore_files(source, settings.folder)
    with preflight.folder_lock(settings):
        counts = asyncio.run(_load(source, settings))
    return {"files": len(manifest.files), **counts}


async def _load(source: Path, settings: Settings) -> dict[str, int]:
    await asyncio.to_thread(migrate.catalog, catalog_url(settings), MIGRATIONS / "catalog")
    columns = await Columns.open(f"chdb://{columns_folder(settings)}")
    try:
        await migrate.columns(columns, MIGRATIONS / "columns")
        return await backup.load(source, columns)
    finally:
        await columns.close()
