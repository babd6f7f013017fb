"""Artifacts of runs: kept by path, read back byte for byte, never outside their run."""

from collections.abc import AsyncIterator

import pytest

from gimbal.axis.runs.model import CreateRun
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, TooLarge
from gimbal.kernel.http import Upload


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
    assert (download.filename, download.size) == ("roc.png", 6)


async def test_the_same_path_again_replaces(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    await runs.put_artifact(ctx, run.id, "a.txt", upload(b"one"))
    await runs.put_artifact(ctx, run.id, "a.txt", upload(b"three"))

    assert [a.size for a in await runs.artifacts(ctx, run.id)] == [5]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a/../../b", "a//b", ".", "a\\b", "a\nb", "x" * 1_001])
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
