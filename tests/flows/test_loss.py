"""Acknowledged means durable when the disk is full and when more comes than can be written."""

import itertools
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import load
from bench.bar import answers, gimbal_up
from bench.columns import server_columns

SPANS, DISK = 100, "384m"
LOAD_S = 8.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a file system of its own that is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as problem:
        pytest.skip(f"no small disk can be had here: {problem}")
    if mounted.returncode:
        pytest.skip(f"no small disk can be had here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def stored(url: str) -> list[tuple[str, str]]:
    """Return the ids of every row: nothing here was sent again once it was acknowledged, so each is there once."""
    columns = await server_columns(url)
    rows = await columns.query("SELECT trace_id, span_id FROM spans")
    await columns.close()
    return sorted((row["trace_id"], row["span_id"]) for row in rows)


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk."""
    weight = folder / "weight"
    with weight.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return weight


async def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk: Path) -> None:
    """What is refused says that it is not kept and when to come again; with room it is taken; what was taken is there."""
    with gimbal_up(small_disk / "data") as running:
        port = int(running.url.rpartition(":")[2])
        sender = load.Sender(port)
        acknowledged: list[tuple[str, str]] = []
        for seed in range(3):
            batch = load.batch(SPANS, seed=seed)
            assert sender.send(batch.body).status == 200
            acknowledged += batch.ids
        weight = fill(small_disk)
        refused = [load.batch(SPANS, seed=10 + i) for i in range(3)]
        for batch in refused:
            answer = sender.send(batch.body)
            assert answer.status == 503, answer
            assert int(answer.retry_after) >= 1
            assert "not be stored" in answer.text or "full" in answer.text
        assert await stored(running.url) == sorted(acknowledged)

        weight.unlink()
        deadline = time.monotonic() + 30
        for batch in refused:
            while sender.send(batch.body).status != 200:
                assert time.monotonic() < deadline, "it does not recover when there is room again"
            acknowledged += batch.ids
        assert await stored(running.url) == sorted(acknowledged)
        assert answers(running.url)


async def test_under_pressure_nothing_acknowledged_is_lost_or_doubled() -> None:
    """Many senders on a queue that is too small: they are refused with a time, come again, and each span is there once."""
    small = {"GIMBAL_WRITER_MAX_QUEUED_ROWS": "400", "GIMBAL_WRITER_MAX_BATCH_ROWS": "200"}
    with gimbal_up(**small) as running:
        port = int(running.url.rpartition(":")[2])
        batches = (load.batch(SPANS, seed=number) for number in itertools.count())
        done = load.drive(12, port, batches, until=time.monotonic() + LOAD_S)

        assert set(done.answers) == {200, 429}, done.answers
        assert done.without_retry_after == 0
        acknowledged = sorted(pair for batch in done.acknowledged for pair in batch)
        assert await stored(running.url) == acknowledged
        assert len(acknowledged) == len(set(acknowledged))
