"""The blobs: files by what is in them (BLAKE3), in a folder or an object store, through obstore.

A digest never means two contents, so a put is idempotent and a blob never changes. In a folder the bytes are synced
in a temporary file, renamed into place, and the folder entry synced: a crash leaves a whole blob or none.
"""

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import obstore
from blake3 import blake3

from gimbal.engines.storage.blob_ref import BlobRef
from gimbal.engines.storage.parts import PartFiles, sweep
from gimbal.engines.storage.placing import place_all, touched
from gimbal.engines.storage.ranges import read_between
from gimbal.engines.storage.uploads import Kept, Spool, gather, sync_folder
from gimbal.kernel.errors import BadInput, ConfigurationError, CorruptUpload, NotFound, Unavailable

PREFIX = "b3:"
_KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}")
_CHUNK = 1 << 20
# A blob in an object store that is put again after so long is written again: that it is wanted is told by its date.
_RENEW_S = 3600.0
_SENDS = 16


class StoredBlob(msgspec.Struct, frozen=True, kw_only=True):
    """One blob of a listing."""

    digest: str
    size: int
    touched_us: int
    """When it was last put, in microseconds since 1970."""


def digest_of(content: bytes) -> str:
    """Return the digest of bytes at hand."""
    return PREFIX + blake3(content).hexdigest()


def key_of(digest: str) -> str:
    """Return the path of a blob in its store; raise BadInput when the digest is malformed."""
    hexes = digest.removeprefix(PREFIX)
    if not digest.startswith(PREFIX) or len(hexes) != 64 or not set(hexes) <= set("0123456789abcdef"):
        raise BadInput(f"{digest!r} is not a digest.", where="digest", todo="Digests are b3: and 64 hex digits.")
    return f"{hexes[:2]}/{hexes[2:4]}/{hexes}"


class Blobs:
    """A content-addressed store; made by `Blobs.open`."""

    def __init__(self, store: Any, folder: Path | None) -> None:
        self._store = store
        self._folder = folder
        self.parts = PartFiles(folder / "tmp", folder) if folder else None
        """Uploads in parts; None where the store is no folder, and takes a file only as a whole."""

    @classmethod
    def open(cls, url: str, *, endpoint: str = "") -> "Blobs":
        """Open `file:///folder`, `s3://bucket/prefix`, `gs://…` or `az://…`; create the folder when missing."""
        scheme, mark, rest = url.partition("://")
        if not mark or scheme not in {"file", "s3", "gs", "az"}:
            raise ConfigurationError(
                f"{url!r} is not an address of a blob store.",
                where="blobs.url",
                todo="Give s3://bucket/prefix, gs://bucket/prefix or az://container/prefix, or leave it empty.",
            )
        if scheme == "file":
            folder = Path(rest)
            (folder / "tmp").mkdir(parents=True, exist_ok=True)
            return cls(obstore.store.LocalStore(prefix=folder), folder)
        config: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
        client: dict[str, Any] = {"allow_http": True} if endpoint.startswith("http:") else {}
        # Which keys there are depends on the scheme, which only obstore knows.
        from_url: Any = obstore.store.from_url
        return cls(from_url(url, config=config, client_options=client), None)

    async def put(self, content: bytes | AsyncIterable[bytes], *, expect: str | None = None) -> BlobRef:
        """Store bytes or chunks; durable when this returns. `expect` is the digest announced by the sender.

        Raise CorruptUpload when the bytes have another digest; then nothing is kept.
        """
        spool = Spool(self._folder / "tmp" if self._folder else Path(tempfile.gettempdir()))
        try:
            pieces = [content] if isinstance(content, bytes) else await gather(content, spool.take)
            kept = await asyncio.to_thread(spool.sealed, pieces)
            digest = PREFIX + kept.hexes
            if expect is not None and digest != expect:
                raise CorruptUpload(
                    f"The bytes have the digest {digest}, not {expect}.",
                    where="body",
                    kept="nothing",
                    todo="Send again.",
                )
            if not await self._renewed(digest):
                await self._keep(key_of(digest), spool, pieces)
        finally:
            # In a thread of its own, after whichever writes to it still; also when the caller went away.
            await asyncio.shield(asyncio.to_thread(spool.discard))
        return BlobRef(digest=digest, size=kept.size)

    async def _keep(self, key: str, spool: Spool, pieces: list[bytes]) -> None:
        if self._folder is not None:
            return await asyncio.to_thread(spool.move, self._folder / key, pieces, root=self._folder)
        path = spool.path()
        with _mapped():
            await obstore.put_async(self._store, key, b"".join(pieces) if path is None else path)
        return None

    async def put_many(self, contents: Sequence[bytes]) -> list[BlobRef]:
        """Store many small blobs; when this returns, each is as durable as after `put`. A failure may leave some of them."""
        digests = await asyncio.to_thread(lambda: [digest_of(content) for content in contents])
        by_digest = dict(zip(digests, contents, strict=True))
        if self._folder is not None:
            by_key = {key_of(digest): content for digest, content in by_digest.items()}
            await asyncio.to_thread(place_all, self._folder, by_key)
        else:
            gate = asyncio.Semaphore(_SENDS)
            await asyncio.gather(*(self._send(digest, content, gate) for digest, content in by_digest.items()))
        return [BlobRef(digest=digest, size=len(content)) for digest, content in zip(digests, contents, strict=True)]

    async def _send(self, digest: str, content: bytes, gate: asyncio.Semaphore) -> None:
        async with gate:
            if not await self._renewed(digest):
                with _mapped():
                    await obstore.put_async(self._store, key_of(digest), content)

    async def complete(self, upload: str, digests: Mapping[int, str]) -> BlobRef:
        """Store what came in parts (`parts.begin`, `parts.put`); raise BadInput when one is missing or is another one."""
        folder, parts = self._folder, self.parts
        if folder is None or parts is None:
            raise NotFound("This store takes no uploads in parts.", where="upload_id", todo="Send the file as a whole.")

        def target_of(kept: Kept) -> Path | None:
            path = folder / key_of(PREFIX + kept.hexes)
            return None if touched(path) else path

        kept = await parts.complete(upload, digests, target_of)
        return BlobRef(digest=PREFIX + kept.hexes, size=kept.size)

    async def sweep(self, age_s: float) -> int:
        """Remove what uploads left that ended long ago without being complete; return how many files that were."""
        return await asyncio.to_thread(sweep, self._folder / "tmp", age_s) if self._folder else 0

    async def exists(self, digest: str) -> bool:
        """Tell whether the blob is here."""
        if self._folder is not None:
            return (self._folder / key_of(digest)).exists()
        try:
            await self.size(digest)
        except NotFound:
            return False
        return True

    async def _renewed(self, digest: str) -> bool:
        """Tell whether a blob is here that counts as put just now: the collector leaves it alone for its grace."""
        if self._folder is not None:
            return touched(self._folder / key_of(digest))
        try:
            with _mapped(digest):
                found = await obstore.head_async(self._store, key_of(digest))
        except NotFound:
            return False
        return time.time() - found["last_modified"].timestamp() < _RENEW_S

    async def renew(self, digest: str) -> int:
        """Return the size of a blob that is about to be referred to, as if it was put just now; raise NotFound."""
        size = await self.size(digest)
        if not await self._renewed(digest):
            await self.put(self.stream(digest), expect=digest)
        return size

    async def listing(self) -> AsyncIterator[list[StoredBlob]]:
        """Yield all blobs, some at a time."""
        with _mapped():
            async for found in obstore.list(self._store, chunk_size=1000):
                yield [
                    StoredBlob(
                        digest=PREFIX + one["path"].rpartition("/")[2],
                        size=one["size"],
                        touched_us=int(one["last_modified"].timestamp() * 1_000_000),
                    )
                    for one in found
                    if _KEY.fullmatch(one["path"])
                ]

    async def delete_unwanted(self, digest: str, before_us: int) -> bool:
        """Remove a blob unless it was put again at or after a moment; tell whether it was removed.

        In a folder it is moved aside first: whoever puts it meanwhile finds none and writes it anew.
        """
        if self._folder is None:
            found = await self._touched_us(digest)
            if found is None or found >= before_us:
                return False
            await self.delete(digest)
            return True
        return await asyncio.to_thread(_remove_unwanted, self._folder, key_of(digest), before_us)

    async def _touched_us(self, digest: str) -> int | None:
        try:
            with _mapped(digest):
                found = await obstore.head_async(self._store, key_of(digest))
        except NotFound:
            return None
        return int(found["last_modified"].timestamp() * 1_000_000)

    async def get(self, digest: str) -> bytes:
        """Return all bytes, checked against the digest; raise NotFound, or Unavailable when they were damaged."""
        with _mapped(digest):
            result = await obstore.get_async(self._store, key_of(digest))
            content = bytes(await result.bytes_async())
        if digest_of(content) != digest:
            raise _damaged(digest)
        return content

    async def stream(self, digest: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to before `end` in chunks, for the caller alone; raise NotFound."""
        if self._folder is not None:
            with _mapped(digest):
                file = await asyncio.to_thread(os.open, self._folder / key_of(digest), os.O_RDONLY)
            async for chunk in read_between(file, start, end):
                yield chunk
            return
        if end is not None and end <= start:
            return
        options: Any = (
            {} if end is None and not start else {"range": {"offset": start} if end is None else (start, end)}
        )
        with _mapped(digest):
            result = await obstore.get_async(self._store, key_of(digest), options=options)
            async for chunk in result.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)

    async def size(self, digest: str) -> int:
        """Return the size in bytes; raise NotFound."""
        with _mapped(digest):
            return int((await obstore.head_async(self._store, key_of(digest)))["size"])

    async def delete(self, digest: str) -> None:
        """Remove a blob; one that is not here is fine."""
        with contextlib.suppress(NotFound), _mapped(digest):
            await obstore.delete_async(self._store, key_of(digest))

    def local_path(self, digest: str) -> Path | None:
        """Return the file of a blob when the store is a folder and has it."""
        path = self._folder / key_of(digest) if self._folder else None
        return path if path and path.exists() else None

    async def save(self, digest: str, path: Path) -> None:
        """Write a blob to a file of its own, checked; raise NotFound or Unavailable."""
        path.parent.mkdir(parents=True, exist_ok=True)
        spool = Spool(path.parent)
        try:
            pieces = await gather(self.stream(digest), spool.take)
            kept = await asyncio.to_thread(spool.sealed, pieces)
            if PREFIX + kept.hexes != digest:
                raise _damaged(digest)
            await asyncio.to_thread(spool.move, path, pieces, root=path.parent)
        finally:
            await asyncio.shield(asyncio.to_thread(spool.discard))

    async def ping(self) -> None:
        """Raise Unavailable when the store does not answer."""
        await self.exists(digest_of(b""))


def _damaged(digest: str) -> Unavailable:
    return Unavailable(
        "The stored bytes do not have their digest any more.",
        where=digest,
        todo="Restore this blob from a backup; see that the disk is sound.",
    )


def _remove_unwanted(folder: Path, key: str, before_us: int) -> bool:
    path, aside = folder / key, folder / "tmp" / f"{key.rpartition('/')[2]}.unwanted"
    try:
        if path.stat().st_mtime_ns // 1000 >= before_us:
            return False
        path.rename(aside)
    except FileNotFoundError:
        return False
    if aside.stat().st_mtime_ns // 1000 >= before_us:
        # It was put between the look and the move.
        aside.rename(path)
        return False
    aside.unlink()
    sync_folder(path.parent)
    return True


def _first(problem: Exception) -> str:
    """Return the first line of what obstore says, short enough to be read."""
    return str(problem).strip().partition("\n")[0][:160]


@contextlib.contextmanager
def _mapped(digest: str = "") -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"There is no blob {digest}.", where=digest, todo="Upload it again.") from None
    except obstore.exceptions.BaseError as problem:
        raise Unavailable(
            f"The blob store does not answer: {_first(problem)}.", todo="Check blobs.url and its credentials."
        ) from problem
