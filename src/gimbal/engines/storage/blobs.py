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
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import obstore
from blake3 import blake3

from gimbal.kernel.errors import BadInput, ConfigurationError, CorruptUpload, DiskFull, NotFound, Unavailable

PREFIX = "b3:"
_KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}")
_CHUNK = 1 << 20
_IN_MEMORY = 8 << 20
# A blob in an object store that is put again after so long is written again: that it is wanted is told by its date.
_RENEW_S = 3600.0


class BlobRef(msgspec.Struct, frozen=True, kw_only=True):
    """What a put answers."""

    digest: str
    """`b3:` and 64 hex digits."""
    size: int
    """Bytes."""


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


async def _chunks(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    async for chunk in content:
        yield chunk


class Blobs:
    """A content-addressed store; made by `Blobs.open`."""

    def __init__(self, store: Any, folder: Path | None) -> None:
        self._store = store
        self._folder = folder

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
        hasher, size = blake3(), 0
        with tempfile.SpooledTemporaryFile(
            _IN_MEMORY, dir=str(self._folder / "tmp") if self._folder else None
        ) as spool:
            async for chunk in _chunks(content):
                hasher.update(chunk)
                size += len(chunk)
                await asyncio.to_thread(spool.write, chunk) if len(chunk) > 65_536 else spool.write(chunk)
            digest = PREFIX + hasher.hexdigest()
            if expect is not None and digest != expect:
                raise CorruptUpload(
                    f"The bytes have the digest {digest}, not {expect}.",
                    where="body",
                    kept="nothing",
                    todo="Send again.",
                )
            if not await self._renewed(digest):
                spool.seek(0)
                await self._keep(key_of(digest), spool)
        return BlobRef(digest=digest, size=size)

    async def _keep(self, key: str, spool: IO[bytes]) -> None:
        if self._folder is not None:
            try:
                await asyncio.to_thread(_write_durably, self._folder, key, spool)
            except OSError as problem:
                raise DiskFull(
                    f"The blob could not be stored: {problem.strerror}.", kept="nothing of it", todo="Make room."
                ) from problem
            return
        with _mapped():
            await obstore.put_async(self._store, key, spool)

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
            try:
                os.utime(self._folder / key_of(digest))
            except FileNotFoundError:
                return False
            return True
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
            raise Unavailable(
                "The stored bytes do not have their digest any more.",
                where=digest,
                todo="Restore this blob from a backup; see that the disk is sound.",
            )
        return content

    async def stream(self, digest: str) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks; raise NotFound."""
        with _mapped(digest):
            result = await obstore.get_async(self._store, key_of(digest))
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
        content = await self.get(digest)

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

        await asyncio.to_thread(write)

    async def ping(self) -> None:
        """Raise Unavailable when the store does not answer."""
        await self.exists(digest_of(b""))


def _write_durably(folder: Path, key: str, spool: IO[bytes]) -> None:
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder / "tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            while chunk := spool.read(_CHUNK):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    for parent in (target.parent, target.parent.parent, folder):
        entry = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


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
    entry = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
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
