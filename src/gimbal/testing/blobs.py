"""Conformance of blob stores: what assets and backups rely on, whichever store `gimbal.engines.storage.blobs` opened."""

from collections.abc import AsyncIterator

from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.kernel.errors import BadInput, CorruptUpload, NotFound
from gimbal.testing.promise import promise, refuses

_CONTENT = bytes(range(256)) * 5_000
_NO_DIGESTS = ("", "b3:12", "b3:" + "g" * 64, "../../etc/passwd", "b3:" + "../" * 20 + "aaaa", "b3:" + "A" * 64)


async def check_blobs(blobs: Blobs) -> None:
    """Check a store; what the check stores is removed at the end.

    A blob is found by its content, a put is idempotent, an upload that is not what was announced leaves nothing, a
    missing blob is NotFound, and what is no digest never becomes a path.
    """
    first, second = await blobs.put(_CONTENT), await blobs.put(_pieces(_CONTENT))
    digest = first.digest
    promise(first == second, "The same bytes are the same blob, put at once or in chunks.")
    promise(digest == digest_of(_CONTENT) and first.size == len(_CONTENT), "A blob is named by its BLAKE3 digest.")
    promise(await blobs.exists(digest) and await blobs.size(digest) == len(_CONTENT), "A stored blob is there.")
    promise(await blobs.get(digest) == _CONTENT, "A blob comes back as it went in.")
    promise(b"".join([chunk async for chunk in blobs.stream(digest)]) == _CONTENT, "It streams as it went in.")

    with refuses(CorruptUpload, "Bytes that do not have the announced digest are refused."):
        await blobs.put(b"these", expect=digest_of(b"those"))
    promise(not await blobs.exists(digest_of(b"these")), "A refused upload leaves nothing.")

    await blobs.delete(digest)
    await blobs.delete(digest)
    promise(not await blobs.exists(digest), "A deleted blob is gone, and deleting it again is fine.")
    for ask in (blobs.get, blobs.size):
        with refuses(NotFound, "A blob that is not there is NotFound."):
            await ask(digest)
    for text in _NO_DIGESTS:
        with refuses(BadInput, f"{text!r} is no digest."):
            await blobs.get(text)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]
