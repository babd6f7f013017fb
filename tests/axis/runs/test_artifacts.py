"""Artifacts of runs: kept by path, read back byte for byte, never outside their run."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gimbal.axis.runs.artifacts.service import Artifacts, Owner
from gimbal.axis.runs.model import CreateRun
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput, Conflict, NotFound, NotReady, TooLarge
from gimbal.kernel.http import Upload
from gimbal.testing.clock import FrozenClock


def upload(*chunks: bytes, limit: int = 1 << 20, media_type: str = "image/png") -> Upload:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return Upload(stream(), limit=limit, media_type=media_type)


async def test_an_artifact_is_read_back_as_it_was(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    await runs.put_artifact(ctx, run.id, "plots/roc.png", upload(b"abc", b"def"))
    await runs.put_artifact(ctx, run.id, "notes.txt", upload(b"", media_type=""))

    listed = await runs.artifacts(ctx, run.id)
    download = await runs.artifact(ctx, run.id, "plots/roc.png")

    assert [(a.path, a.size, a.media_type) for a in listed] == [
        ("notes.txt", 0, "application/octet-stream"),
        ("plots/roc.png", 6, "image/png"),
    ]
    assert b"".join([chunk async for chunk in download.chunks]) == b"abcdef"
    assert (download.filename, download.size, download.etag) == ("roc.png", 6, listed[1].digest)
    assert download.between is not None
    assert b"".join([chunk async for chunk in download.between(2, 5)]) == b"cde"


async def test_the_same_path_again_replaces(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    await runs.put_artifact(ctx, run.id, "a.txt", upload(b"one"))
    await runs.put_artifact(ctx, run.id, "a.txt", upload(b"three"))

    assert [a.size for a in await runs.artifacts(ctx, run.id)] == [5]


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "a/../../b", "a//b", ".", "a\\b", "a\nb", "x" * 1_001, "a/", "%2e%2e/b", "a/%252e%252e/b",
        "%5cb", "%2fetc", "a\0b", "a%00b", "a\x7fb", "C:/b", "c%3a/b", f"%{'25' * 12}2e/b",
    ],
)  # fmt: skip
async def test_a_path_stays_inside_the_run(runs: Runs, ctx: Context, path: str) -> None:
    run = await runs.create(ctx, CreateRun())

    with pytest.raises(BadInput):
        await runs.put_artifact(ctx, run.id, path, upload(b"x"))


async def test_too_large_leaves_nothing(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())

    with pytest.raises(TooLarge):
        await runs.put_artifact(ctx, run.id, "big", upload(b"x" * 6, b"x" * 6, limit=10))

    assert await runs.artifacts(ctx, run.id) == []
    with pytest.raises(NotFound):
        await runs.artifact(ctx, run.id, "big")
    with pytest.raises(NotFound):
        await runs.artifact(ctx.within("flights"), run.id, "big")


async def test_folders_are_listed_with_what_is_in_them(runs: Runs, axis: Services, ctx: Context) -> None:
    artifacts, owner = axis.get(Artifacts), Owner("run", (await runs.create(ctx, CreateRun())).id)
    for path, size in (("a.txt", 1), ("plots/x.png", 2), ("plots/deep/y.png", 3), ("Plots/z.png", 4), ("plots2/w", 5)):
        await artifacts.put(ctx, owner, path, upload(b"x" * size))

    async def entries(folder: str) -> list[tuple[str, bool, int]]:
        return [(one.path, one.is_folder, one.size) for one in await artifacts.entries(owner, folder)]

    assert await entries("") == [
        ("Plots", True, 4), ("a.txt", False, 1), ("plots", True, 5), ("plots2", True, 5),
    ]  # fmt: skip
    assert await entries("plots") == [("plots/deep", True, 3), ("plots/x.png", False, 2)]
    assert await entries("plots/") == await entries("plots")
    assert await entries("a.txt") == await entries("nowhere") == await entries("plot_") == await entries("p%") == []
    assert [one.path for one in await runs.artifacts(ctx, owner.id, "plots")] == ["plots/deep/y.png", "plots/x.png"]
    with pytest.raises(BadInput):
        await artifacts.entries(owner, "..")


async def test_a_file_or_a_folder_is_removed(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    for path in ("a", "b/c", "b/d/e", "bb"):
        await runs.put_artifact(ctx, run.id, path, upload(b"x"))

    assert await runs.delete_artifact(ctx, run.id, "a") == 1
    assert await runs.delete_artifact(ctx, run.id, "b") == 2
    assert [one.path for one in await runs.artifacts(ctx, run.id)] == ["bb"]
    for path in ("a", "b", "nowhere"):
        with pytest.raises(NotFound):
            await runs.delete_artifact(ctx, run.id, path)
    for path in ("", "..", "b%2f%2e%2e"):
        with pytest.raises(BadInput):
            await runs.delete_artifact(ctx, run.id, path)
    await runs.set_stage(ctx, run.id, "deleted")
    with pytest.raises(NotReady):
        await runs.delete_artifact(ctx, run.id, "bb")


async def test_a_name_is_a_file_or_a_folder(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    await runs.put_artifact(ctx, run.id, "a/b", upload(b"x"))

    for path in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(Conflict):
            await runs.put_artifact(ctx, run.id, path, upload(b"y"))
    await runs.put_artifact(ctx, run.id, "a/c", upload(b"z"))
    await runs.put_artifact(ctx, run.id, "A", upload(b"z"))


async def test_two_clients_may_put_one_file(runs: Runs, ctx: Context) -> None:
    """One of them wins, whole."""
    run = await runs.create(ctx, CreateRun())
    contents = [bytes([at]) * 100_000 for at in range(6)]

    await asyncio.gather(*(runs.put_artifact(ctx, run.id, "same", upload(one)) for one in contents))

    [only] = await runs.artifacts(ctx, run.id)
    download = await runs.artifact(ctx, run.id, "same")
    assert b"".join([chunk async for chunk in download.chunks]) in contents
    assert only.size == 100_000


async def test_an_upload_in_parts_is_of_its_project_and_ends(
    runs: Runs, axis: Services, ctx: Context, clock: FrozenClock
) -> None:
    artifacts, owner = axis.get(Artifacts), Owner("run", (await runs.create(ctx, CreateRun())).id)
    to = (owner, "big.bin")
    begun = await artifacts.begin(ctx, owner, "big.bin", 2)

    def part(content: bytes) -> Upload:
        async def stream() -> AsyncIterator[bytes]:
            yield content

        return Upload(stream(), limit=1 << 20, announced=len(content))

    tags = {
        1: await artifacts.put_part(ctx, begun, 1, part(b"abc")),
        2: await artifacts.put_part(ctx, begun, 2, part(b"d")),
    }
    with pytest.raises(NotFound):
        await artifacts.put_part(ctx.within("flights"), begun, 1, part(b"xyz"))
    with pytest.raises(NotFound):
        await artifacts.complete(ctx.within("flights"), begun, tags, to=to)
    with pytest.raises(BadInput):
        await artifacts.complete(ctx, begun, tags, to=(owner, "other.bin"))
    with pytest.raises(TooLarge):
        await artifacts.put_part(ctx, begun, 1, Upload(part(b"").__aiter__(), limit=2, announced=3))
    kept = await artifacts.complete(ctx, begun, tags, to=to)

    download = await artifacts.open(owner, "big.bin")
    assert (kept.size, b"".join([chunk async for chunk in download.chunks])) == (4, b"abcd")
    late = await artifacts.begin(ctx, owner, "late.bin", 1)
    clock.advance(days=1, seconds=1)
    with pytest.raises(NotFound):
        await artifacts.put_part(ctx, late, 1, part(b"x"))


async def test_what_is_in_the_blobs_already_is_referred_to(runs: Runs, axis: Services, ctx: Context) -> None:
    artifacts, owner = axis.get(Artifacts), Owner("run", (await runs.create(ctx, CreateRun())).id)
    blob = await axis.get(Blobs).put(b"content")

    kept = await artifacts.refer(ctx, owner, "a/b", blob.digest)

    assert (kept.digest, kept.size) == (blob.digest, 7)
    with pytest.raises(NotFound):
        await artifacts.refer(ctx, owner, "c", digest_of(b"not there"))
