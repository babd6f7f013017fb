"""Blobs that come and go in pieces: written once, whole or not at all, in bounded memory, and had in part."""

import asyncio
import os
import resource
import sys
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.engines.storage import ranges, uploads
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.engines.storage.ranges import Part, Unsatisfiable, asked_part, is_among
from gimbal.engines.storage.uploads import GATHERED
from gimbal.kernel.errors import BadInput, CorruptUpload, DiskFull, NotFound, Unavailable

MIB = 1 << 20
UPLOAD = "ab" * 32


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def broken(content: bytes) -> AsyncIterator[bytes]:
    async for piece in pieces(content):
        yield piece
    raise BadInput("The caller went away.")


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give where blobs are."""
    return tmp_path / "blobs"


@pytest.fixture
def blobs(folder: Path) -> Blobs:
    """Give blobs in a folder."""
    return Blobs.open(f"file://{folder}")


@pytest.mark.parametrize("size", [0, 1, GATHERED - 1, GATHERED, GATHERED + 1, 3 * GATHERED + 12_345])
@pytest.mark.parametrize("step", [1000, 65_536, 5 * MIB])
async def test_any_pieces_make_the_same_blob(blobs: Blobs, folder: Path, size: int, step: int) -> None:
    content = os.urandom(size)

    found = await blobs.put(pieces(content, step))

    assert (found.digest, found.size) == (digest_of(content), size)
    assert await blobs.get(found.digest) == content
    assert left(folder) == [found.digest.removeprefix("b3:")]


@pytest.mark.parametrize("size", [1000, 3 * GATHERED])
async def test_what_breaks_off_leaves_nothing(blobs: Blobs, folder: Path, size: int) -> None:
    content = os.urandom(size)

    with pytest.raises(BadInput):
        await blobs.put(broken(content))
    with pytest.raises(CorruptUpload):
        await blobs.put(pieces(content), expect=digest_of(b"other"))

    assert left(folder) == []


async def test_a_caller_that_is_cancelled_leaves_nothing(blobs: Blobs, folder: Path) -> None:
    begun, content = asyncio.Event(), os.urandom(3 * GATHERED)

    async def endless() -> AsyncIterator[bytes]:
        async for piece in pieces(content):
            yield piece
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(blobs.put(endless()))
    await begun.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting

    assert left(folder) == []


async def test_a_full_disk_is_told_and_leaves_nothing(blobs: Blobs, folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6 * MIB, hard))
    try:
        with pytest.raises(DiskFull, match="could not be stored"):
            await blobs.put(pieces(os.urandom(4 * GATHERED)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert left(folder) == []
    assert (await blobs.put(b"room again")).size == 10


async def test_many_at_once_of_the_same_are_one(blobs: Blobs, folder: Path) -> None:
    content = os.urandom(2 * GATHERED)

    found = await asyncio.gather(*(blobs.put(pieces(content)) for _ in range(8)))

    assert {one.digest for one in found} == {digest_of(content)}
    assert left(folder) == [digest_of(content).removeprefix("b3:")]


async def test_memory_stays_the_same_however_much_comes_and_goes(blobs: Blobs, tmp_path: Path) -> None:
    chunk = os.urandom(MIB)

    async def much() -> AsyncIterator[bytes]:
        for number in range(200):
            yield number.to_bytes(4, sys.byteorder) + chunk[4:]

    tracemalloc.start()
    try:
        blob = await blobs.put(much())
        sent = sum([len(piece) async for piece in blobs.stream(blob.digest)])
        await blobs.save(blob.digest, tmp_path / "saved")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (blob.size, sent, (tmp_path / "saved").stat().st_size) == (200 * MIB, 200 * MIB, 200 * MIB)
    assert most < 8 * GATHERED


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="nothing can be told to this system")
async def test_what_comes_and_goes_does_not_fill_the_memory_of_the_system(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the newest bytes are given up, so that a small file stays where it can be read at once."""
    kept, told = 8 * MIB, list[tuple[int, int]]()
    for module in (uploads, ranges):
        monkeypatch.setattr(module, "REMEMBERED", kept)

    def listen(_: int, start: int, length: int, advice: int) -> None:
        assert (start >= 0, length > 0, advice) == (True, True, os.POSIX_FADV_DONTNEED)
        told.append((start, start + length))

    monkeypatch.setattr(os, "posix_fadvise", listen)
    content = os.urandom(24 * MIB)
    ref = await blobs.put(pieces(content))
    written = told.copy()
    told.clear()
    read = b"".join([piece async for piece in blobs.stream(ref.digest)])
    whole = told.copy()
    told.clear()
    part = b"".join([piece async for piece in blobs.stream(ref.digest, start=4 * MIB, end=20 * MIB)])

    # Each byte is told of twice while it is written: to begin with its way to the disk, and when it is far behind.
    assert sum(end - start for start, end in written) == len(content) + len(content) - kept
    assert (whole[0][0], whole[-1][1]) == (0, len(content) - kept)
    assert (read == content, part == content[4 * MIB : 20 * MIB]) == (True, True)
    assert (min(start for start, _ in told), max(end for _, end in told)) == (4 * MIB, 20 * MIB - kept)


async def test_a_part_of_a_blob_is_had(store: Blobs) -> None:
    content = os.urandom(5 * MIB + 17)
    digest = (await store.put(content)).digest

    for start, end in ((0, 1), (0, len(content)), (5 * MIB, None), (1000, 4_500_000), (7, 7), (len(content) - 1, None)):
        found = b"".join([piece async for piece in store.stream(digest, start=start, end=end)])
        assert found == content[start:end], (start, end)
    with pytest.raises(NotFound):
        [piece async for piece in store.stream(digest_of(b"none"), start=1, end=2)]


async def test_a_blob_that_lost_its_end_is_not_passed_on_as_whole(blobs: Blobs) -> None:
    digest = (await blobs.put(os.urandom(MIB))).digest
    path = blobs.local_path(digest)
    assert path is not None
    os.truncate(path, 1000)

    with pytest.raises(Unavailable):
        [piece async for piece in blobs.stream(digest, start=0, end=MIB)]
    with pytest.raises(Unavailable):
        await blobs.save(digest, path.with_name("saved"))


@given(header=st.text("bytes=-, 0123456789", max_size=20), size=st.integers(0, 1000))
def test_a_range_is_inside_or_refused(header: str, size: int) -> None:
    found = asked_part(header, size)

    assert found is None or isinstance(found, Unsatisfiable) or 0 <= found.start < found.end <= size


def test_ranges_mean_what_the_rfc_says() -> None:
    assert asked_part("bytes=0-499", 10_000) == Part(start=0, end=500)
    assert asked_part("bytes=9500-", 10_000) == asked_part("bytes=-500", 10_000) == Part(start=9500, end=10_000)
    assert asked_part("bytes=0-0", 10_000) == Part(start=0, end=1)
    assert asked_part("bytes=-20000", 10_000) == Part(start=0, end=10_000)
    assert asked_part("bytes=10000-", 10_000) == asked_part("bytes=-0", 10_000) == Unsatisfiable()
    for whole in ("bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=-", ""):
        assert asked_part(whole, 10_000) is None
    assert is_among('"a"', 'W/"a", "b"')
    assert is_among('"a"', "*")
    assert not is_among('"a"', 'W/"a"', weak=False)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
async def test_parts_make_the_whole_in_any_order(blobs: Blobs, folder: Path, order: tuple[int, ...]) -> None:
    content, size = os.urandom(2 * 5 * MIB + 77), 5 * MIB
    parts = {number: content[(number - 1) * size : number * size] for number in (1, 2, 3)}
    assert blobs.parts is not None
    await blobs.parts.begin(UPLOAD, 3)

    async def put(number: int) -> str:
        assert blobs.parts is not None
        return await blobs.parts.put(UPLOAD, number, pieces(parts[number]), len(parts[number]))

    digests = {number: await put(number) for number in order}
    digests[2] = await put(2)
    found = await blobs.complete(UPLOAD, digests)

    assert (found.digest, found.size) == (digest_of(content), len(content))
    assert await blobs.get(found.digest) == content
    assert left(folder) == [found.digest.removeprefix("b3:")]
    with pytest.raises(NotFound):
        await blobs.complete(UPLOAD, digests)


async def test_parts_at_once_and_the_same_file_again(blobs: Blobs, folder: Path) -> None:
    content, size = os.urandom(10 * 300_000), 300_000
    already = await blobs.put(content)
    assert blobs.parts is not None
    await blobs.parts.begin(UPLOAD, 10)
    tags = await asyncio.gather(
        *(blobs.parts.put(UPLOAD, at + 1, pieces(content[at * size : (at + 1) * size]), size) for at in range(10))
    )

    assert await blobs.complete(UPLOAD, dict(enumerate(tags, start=1))) == already
    assert left(folder) == [already.digest.removeprefix("b3:")]


async def test_wrong_parts_are_refused_and_right_ones_still_do(blobs: Blobs, folder: Path) -> None:
    assert blobs.parts is not None
    parts = blobs.parts
    for count in (0, 10_001):
        with pytest.raises(BadInput):
            await parts.begin(UPLOAD, count)
    with pytest.raises(NotFound):
        await parts.put(UPLOAD, 1, pieces(b"x"), 1)
    with pytest.raises(NotFound):
        await parts.put("../../etc/passwd", 1, pieces(b"x"), 1)
    await parts.begin(UPLOAD, 2)
    for number, content, size in ((0, b"x", 1), (3, b"x", 1), (1, b"x", None), (1, b"xy", 3), (1, b"xyz!", 3)):
        with pytest.raises(BadInput):
            await parts.put(UPLOAD, number, pieces(content), size)
    with pytest.raises(BadInput, match="has 2 bytes"):
        await parts.put(UPLOAD, 1, pieces(b"xy"), 2)
    first = await parts.put(UPLOAD, 1, pieces(b"xyz"), 3)
    with pytest.raises(BadInput, match="Part 2 has not come"):
        await blobs.complete(UPLOAD, {1: first})
    second = await parts.put(UPLOAD, 2, pieces(b"!"), 1)
    for digests in ({1: first, 2: first}, {1: first}, {1: first, 2: second, 3: second}):
        with pytest.raises(BadInput):
            await blobs.complete(UPLOAD, digests)
    # What was noted and then lost, as after a loss of power, is found.
    (folder / "tmp" / f"{UPLOAD}.whole").write_bytes(b"xy\0")
    with pytest.raises(BadInput, match="damaged"):
        await blobs.complete(UPLOAD, {1: first, 2: second})
    await parts.put(UPLOAD, 1, pieces(b"xyz"), 3)

    assert await blobs.get((await blobs.complete(UPLOAD, {})).digest) == b"xyz!"


async def test_what_was_given_up_goes(blobs: Blobs, folder: Path) -> None:
    assert blobs.parts is not None
    for upload in (UPLOAD, "cd" * 32):
        await blobs.parts.begin(upload, 3)
        await blobs.parts.put(upload, 1, pieces(b"xyz"), 3)
    await blobs.parts.abort("cd" * 32)
    assert len(left(folder)) == 2
    assert await blobs.sweep(60) == 0
    for name in left(folder):
        os.utime(folder / "tmp" / name, (0, 0))

    assert await blobs.sweep(60) == 2
    assert left(folder) == []
