"""Many blobs put at once: what single puts promise holds for each, and a put that fails leaves no half of any."""

import os
from pathlib import Path

import pytest

from gimbal.engines.storage import placing
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.kernel.errors import DiskFull

CONTENTS = [f"text {number}".encode() for number in range(40)] + [b"", b"text 1", bytes(range(256)) * 4_000]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_many_are_told_in_their_order_and_come_back(store: Blobs):
    """Also those that are given twice, empty, or there already."""
    single = await store.put(b"text 3")
    told = await store.put_many(CONTENTS)
    again = await store.put_many(CONTENTS)

    assert [(blob.digest, blob.size) for blob in told] == [(digest_of(c), len(c)) for c in CONTENTS]
    assert told == again
    assert single in told
    for content in CONTENTS:
        assert await store.get(digest_of(content)) == content
    assert await store.put_many([]) == []


async def test_what_is_there_counts_as_put_just_now(blobs: Blobs, tmp_path: Path):
    """The collector leaves it alone for its grace, as after a single put."""
    (blob,) = await blobs.put_many([b"old"])
    path = blobs.local_path(blob.digest)
    assert path is not None
    os.utime(path, (1, 1))

    await blobs.put_many([b"old", b"new"])

    assert path.stat().st_mtime > 1
    assert not await blobs.delete_unwanted(blob.digest, before_us=2_000_000)
    assert len(files(tmp_path / "blobs")) == 2


async def test_each_file_is_synced_before_it_has_its_name_and_each_folder_once(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So a loss of power leaves whole blobs or none, and what was answered is there."""
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        synced.append((os.fstat(file).st_ino, any(one.parent.name != "tmp" for one in files(root))))
        fsync(file)

    root = tmp_path / "blobs"
    monkeypatch.setattr(os, "fsync", noted)
    await blobs.put_many(CONTENTS)

    named = files(root)
    folders = {root, *(up for path in named for up in (path.parent, path.parent.parent))}
    assert len(named) == len(set(CONTENTS))
    assert sorted(file for file, there in synced if not there) == sorted(path.stat().st_ino for path in named)
    assert sorted(file for file, there in synced if there) == sorted(path.stat().st_ino for path in folders)


async def test_a_full_disk_is_told_and_leaves_nothing_half_done(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No temporary file stays, and a second attempt stores all."""
    write, calls = placing.write_at, iter(range(1_000))

    def full(file: int, pieces: list[bytes], offset: int) -> int:
        if next(calls) == 20:
            raise OSError(28, "No space left on device")
        return write(file, pieces, offset)

    with monkeypatch.context() as patch:
        patch.setattr(placing, "write_at", full)
        with pytest.raises(DiskFull, match="No space left"):
            await blobs.put_many(CONTENTS)

    assert files(tmp_path / "blobs") == []
    await blobs.put_many(CONTENTS)
    assert len(files(tmp_path / "blobs")) == len(set(CONTENTS))
