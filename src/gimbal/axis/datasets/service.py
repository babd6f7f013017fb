"""The verbs of datasets: take a snapshot of a table or an uploaded Parquet file, and read it back."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from gimbal.axis.assets.model import FileEntry, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets import parquet
from gimbal.axis.datasets.model import DATA_FILE, MEDIA_TYPE, DatasetManifest, DatasetView, manifest_of
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.http import Upload
from gimbal.kernel.refs import Ref, ResolvedRef, check_name

_CHUNK = 1 << 20


class Datasets:
    """Snapshots over `assets` and the blobs. `spool` is a folder for files on their way in; None means the system's."""

    def __init__(self, assets: Assets, blobs: Blobs, *, spool: Path | None = None) -> None:
        self._assets = assets
        self._blobs = blobs
        self._spool = spool

    async def snapshot(
        self,
        ctx: Context,
        name: str,
        content: pa.Table | bytes | Upload,
        *,
        inputs: Sequence[ResolvedRef] = (),
        run_id: str | None = None,
        note: str = "",
    ) -> Version:
        """Store a table (Arrow, or the bytes of a Parquet file) as a version; the same data is the same version.

        Row order is kept. Raise CorruptUpload when the bytes are not Parquet, BadInput for an empty table or
        duplicate column names; then nothing is stored.
        """
        check_name(name)
        with self._folder() as folder:
            plain = folder / DATA_FILE
            if isinstance(content, pa.Table):
                manifest = await asyncio.to_thread(_from_table, content, plain)
            else:
                upload = folder / "upload"
                await _receive(content, upload)
                manifest = await asyncio.to_thread(_from_upload, upload, plain)
            stored = await self._blobs.put(_read_chunks(plain))
        entry = FileEntry(path=DATA_FILE, digest=stored.digest, size=stored.size, media_type=MEDIA_TYPE)
        return await self._assets.add_version(
            ctx,
            kind="dataset",
            name=name,
            manifest=msgspec.to_builtins(manifest),
            files=[entry],
            inputs=inputs,
            run_id=run_id,
            note=note,
        )

    async def show(self, ctx: Context, ref: Ref | str) -> DatasetView:
        """Return a version with its schema and profile."""
        version = await self._assets.show(ctx, _dataset_ref(ref))
        size = _data(version).size
        return DatasetView(
            ref=str(version.ref), digest=version.digest, bytes=size, version=version, manifest=manifest_of(version)
        )

    async def read(self, ctx: Context, ref: Ref | str | ResolvedRef, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of a snapshot in their order, all columns or those named; raise NotFound for one it lacks."""
        version = await self._assets.resolve(ctx, _dataset_ref(ref))
        known = [column.name for column in manifest_of(version).schema]
        wanted = list(columns) if columns is not None else known
        for name in wanted:
            if name not in known:
                raise NotFound(
                    f"{version.ref} has no column {name!r}.", where="columns", todo=f"It has: {', '.join(known[:50])}."
                )
        return await self._read(_data(version), lambda path: pq.read_table(path, columns=wanted, memory_map=True))

    async def head(self, ctx: Context, ref: Ref | str, rows: int = 20) -> pa.Table:
        """Return the first rows of a snapshot."""
        version = await self._assets.resolve(ctx, _dataset_ref(ref))

        def first(path: Path) -> pa.Table:
            file = pq.ParquetFile(path, memory_map=True)
            batch = next(file.iter_batches(batch_size=rows), None)
            return pa.Table.from_batches([batch] if batch is not None else [], schema=file.schema_arrow)

        return await self._read(_data(version), first)

    async def _read(self, entry: FileEntry, read: Callable[[Path], pa.Table]) -> pa.Table:
        path = self._blobs.local_path(entry.digest)
        with parquet.readable(f"The blob {entry.digest}"):
            if path is not None:
                return await asyncio.to_thread(read, path)
            with self._folder() as folder:
                copy = folder / DATA_FILE
                await self._blobs.save(entry.digest, copy)
                # Memory-mapped pages stay readable after the file's name is gone.
                return await asyncio.to_thread(read, copy)

    def _folder(self) -> "_Folder":
        if self._spool is not None:
            self._spool.mkdir(parents=True, exist_ok=True)
        return _Folder(self._spool)


class _Folder:
    """A temporary folder as a Path."""

    def __init__(self, parent: Path | None) -> None:
        self._held = tempfile.TemporaryDirectory(dir=parent, prefix="dataset-")

    def __enter__(self) -> Path:
        return Path(self._held.name)

    def __exit__(self, *_: object) -> None:
        self._held.cleanup()


def _dataset_ref(ref: Ref | str | ResolvedRef) -> Ref:
    if isinstance(ref, Ref):
        return ref
    return Ref.parse(str(ref), kind="dataset")


def _data(version: Version) -> FileEntry:
    entry = version.file(DATA_FILE)
    if entry is None:
        raise NotFound(
            f"{version.ref} has no data.", where="ref", todo="Give a dataset, like dataset:flights/train@v1."
        )
    return entry


async def _receive(content: bytes | Upload, path: Path) -> None:
    with path.open("wb") as file:
        if isinstance(content, bytes):
            file.write(content)
            return
        async for chunk in content:
            await asyncio.to_thread(file.write, chunk)


def _from_table(table: pa.Table, target: Path) -> DatasetManifest:
    parquet.check_schema(table.schema, table.num_rows)
    parquet.write_plain(iter(table.to_batches()), table.schema, target)
    return parquet.describe(target)


def _from_upload(upload: Path, target: Path) -> DatasetManifest:
    file = parquet.check_parquet(upload)

    parquet.write_plain(parquet.read_batches(file), file.schema_arrow, target)
    return parquet.describe(target)


async def _read_chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
