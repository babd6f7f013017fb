"""The verbs of artifacts: put, list, open, delete, and uploads in parts."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.artifacts.paths import safe_folder, safe_path
from gimbal.axis.runs.model import Artifact
from gimbal.axis.runs.store import artifact_files, uploads
from gimbal.engines.storage.blob_ref import BlobRef
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.parts import PartFiles
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.http import Download, Upload

GIVEN_UP = timedelta(days=1)
"""An upload in parts that was not completed by then is over."""


class Owner(msgspec.Struct, frozen=True):
    """To what files belong."""

    kind: str
    """`run`, `model`, `trace` or `free`."""
    id: str


def owner_in(ctx: Context, kind: str, own_id: str = "") -> Owner:
    """Return the owner of files that is not a run: ids of models and traces are unique in their project only."""
    project = ctx.project or "default"
    return Owner(kind, f"{project}/{own_id}" if own_id else project)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder in a folder."""

    path: str
    is_folder: bool
    size: int
    """Bytes; of a folder those of all files in it."""


class Artifacts:
    """Files by owner and path; whoever calls has checked that the owner is of the context's project."""

    def __init__(self, catalog: Catalog, blobs: Blobs) -> None:
        self._catalog = catalog
        self._blobs = blobs

    async def put(self, ctx: Context, owner: Owner, path: str, body: Upload) -> Artifact:
        """Keep a file; the same path again replaces it. Raise Conflict where a folder is, or a file above it."""
        safe_path(path)
        async with self._catalog.read() as tx:
            await _must_fit(tx, owner, path)
        blob = await self._blobs.put(body)
        return await self._keep(ctx, owner, path, blob, body.media_type)

    async def refer(self, ctx: Context, owner: Owner, path: str, digest: str, media_type: str = "") -> Artifact:
        """Keep a file whose bytes are in the blobs already; raise NotFound when they are not."""
        safe_path(path)
        return await self._keep(
            ctx, owner, path, BlobRef(digest=digest, size=await self._blobs.renew(digest)), media_type
        )

    async def _keep(self, ctx: Context, owner: Owner, path: str, blob: BlobRef, media_type: str) -> Artifact:
        artifact = Artifact(
            path=path,
            digest=blob.digest,
            size=blob.size,
            media_type=media_type or "application/octet-stream",
            at=ctx.now(),
        )
        values = msgspec.structs.asdict(artifact)
        async with self._catalog.write(ctx) as tx:
            await _must_fit(tx, owner, path)
            if not await insert_missing(tx, artifact_files, {"owner": owner.kind, "owner_id": owner.id, **values}):
                same = (*_of(owner), artifact_files.c.path == path)
                await tx.execute(artifact_files.update().where(*same).values(values))
        return artifact

    async def listing(self, owner: Owner, folder: str = "") -> list[Artifact]:
        """Return the files of an owner in a folder and those below it, by path."""
        query = sa.select(artifact_files).where(*_of(owner), *_in(safe_folder(folder)))
        async with self._catalog.read() as tx:
            rows = (await tx.execute(query.order_by(artifact_files.c.path))).mappings()
            return [_artifact(row) for row in rows]

    async def entries(self, owner: Owner, folder: str = "") -> list[Entry]:
        """Return the files and folders right in a folder by path; none for a folder that is not there, or a file."""
        folder = safe_folder(folder)
        start = len(folder) + 1 if folder else 0
        query = sa.select(artifact_files.c.path, artifact_files.c.size).where(*_of(owner), *_in(folder))
        files, folders = dict[str, int](), dict[str, int]()
        async with self._catalog.read() as tx:
            rows = await tx.stream(query)
            async for path, size in rows:
                name, below, _ = path[start:].partition("/")
                into = folders if below else files
                into[name] = into.get(name, 0) + size
        inside = f"{folder}/" if folder else ""
        found = [
            Entry(path=inside + name, is_folder=kind is folders, size=size)
            for kind in (files, folders)
            for name, size in kind.items()
        ]
        return sorted(found, key=lambda one: one.path)

    async def find(self, owner: Owner, path: str) -> Artifact:
        """Return what is known of one file; raise NotFound."""
        query = sa.select(artifact_files).where(*_of(owner), artifact_files.c.path == safe_path(path))
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"There is no artifact {path!r}.", where="path", todo="`gimbal runs artifacts`.")
        return _artifact(row)

    async def open(self, owner: Owner, path: str) -> Download:
        """Return one file, of which parts can be had too; raise NotFound."""
        found = await self.find(owner, path)
        return Download(
            chunks=self._blobs.stream(found.digest),
            media_type=found.media_type,
            filename=path.rpartition("/")[2],
            size=found.size,
            etag=found.digest,
            between=lambda start, end: self._blobs.stream(found.digest, start=start, end=end),
        )

    async def delete(self, ctx: Context, owner: Owner, path: str) -> int:
        """Remove a file, or a folder with all in it; return how many files. Raise NotFound when there is none.

        Their bytes go when nothing else refers to them.
        """
        path = safe_folder(path)
        which = sa.or_(artifact_files.c.path == path, *_in(path)) if path else sa.true()
        async with self._catalog.write(ctx) as tx:
            gone = (await tx.execute(artifact_files.delete().where(*_of(owner), which))).rowcount
            if not gone and path:
                raise NotFound(f"There is no artifact {path!r}.", where="path", todo="`gimbal runs artifacts`.")
        return gone

    @property
    def takes_parts(self) -> bool:
        """Tell whether files can come in parts."""
        return self._blobs.parts is not None

    async def begin(self, ctx: Context, owner: Owner, path: str, parts: int) -> str:
        """Begin an upload of so many parts; return the id with which they are sent. It is known to nobody else."""
        files = self._parts()
        safe_path(path)
        upload = secrets.token_urlsafe(32)
        values = {
            "id": _kept_id(upload),
            "project": ctx.project or "default",
            "owner": owner.kind,
            "owner_id": owner.id,
            "path": path,
            "parts": parts,
            "created_at": ctx.now(),
        }
        async with self._catalog.read() as tx:
            await _must_fit(tx, owner, path)
        await files.begin(_kept_id(upload), parts)
        async with self._catalog.write(ctx) as tx:
            await tx.execute(uploads.insert().values(values))
            await tx.execute(uploads.delete().where(uploads.c.created_at < ctx.now() - GIVEN_UP))
        return upload

    async def put_part(self, ctx: Context, upload: str, number: int, body: Upload) -> str:
        """Keep a part; return its digest. The same part again replaces it. Raise NotFound for an upload that is over."""
        await self._upload(ctx, upload)
        return await self._parts().put(_kept_id(upload), number, body, body.announced)

    async def complete(
        self, ctx: Context, upload: str, digests: Mapping[int, str], *, to: tuple[Owner, str], media_type: str = ""
    ) -> Artifact:
        """Keep the file whose parts have come; raise BadInput when one is missing or is another one than is named."""
        row = await self._upload(ctx, upload)
        owner, path = Owner(row["owner"], row["owner_id"]), row["path"]
        if to != (owner, path):
            raise BadInput("The upload was begun for another file.", where="path", todo="Complete it as it was begun.")
        blob = await self._blobs.complete(_kept_id(upload), digests)
        artifact = await self._keep(ctx, owner, path, blob, media_type)
        async with self._catalog.write(ctx) as tx:
            await tx.execute(uploads.delete().where(uploads.c.id == row["id"]))
        return artifact

    async def abort(self, ctx: Context, upload: str) -> None:
        """Give an upload up; raise NotFound when there is none."""
        row = await self._upload(ctx, upload)
        await self._parts().abort(row["id"])
        async with self._catalog.write(ctx) as tx:
            await tx.execute(uploads.delete().where(uploads.c.id == row["id"]))

    def _parts(self) -> PartFiles:
        if self._blobs.parts is None:
            raise NotFound("Files are not taken in parts here.", where="upload_id", todo="Send the file as a whole.")
        return self._blobs.parts

    async def _upload(self, ctx: Context, upload: str) -> Any:
        query = sa.select(uploads).where(
            uploads.c.id == _kept_id(upload), uploads.c.project == (ctx.project or "default")
        )
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None or row["created_at"] < ctx.now() - GIVEN_UP:
            raise NotFound("There is no such upload.", where="upload_id", todo="Begin it again.")
        return row


def _kept_id(upload: str) -> str:
    """Return what is kept of an upload's id: who reads the catalog or a folder cannot send parts by that."""
    return hashlib.sha256(upload.encode(errors="replace")).hexdigest()


def _artifact(row: Any) -> Artifact:
    return Artifact(**{str(name): value for name, value in row.items() if name not in {"owner", "owner_id"}})


def _of(owner: Owner) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return artifact_files.c.owner == owner.kind, artifact_files.c.owner_id == owner.id


def _in(folder: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition for what is below a folder. LIKE would do it too, but takes no account of case in SQLite."""
    return (sa.func.substr(artifact_files.c.path, 1, len(folder) + 1) == f"{folder}/",) if folder else ()


async def _must_fit(tx: AsyncConnection, owner: Owner, path: str) -> None:
    """Raise Conflict where a path would be a file and a folder."""
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    clashes = sa.or_(artifact_files.c.path.in_(above), *_in(path)) if above else _in(path)[0]
    query = sa.select(artifact_files.c.path).where(*_of(owner), clashes).limit(1)
    found = (await tx.execute(query)).scalar()
    if found is not None:
        raise Conflict(
            f"{path!r} cannot be a file beside {found!r}: one would be a folder and a file.",
            where="path",
            kept="what was there",
            todo="Take another name, or delete what is there first.",
        )
