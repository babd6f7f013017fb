"""When a journal brings to the disk what was put down."""

import asyncio
from pathlib import Path

import pytest

from gimbal.engines.storage import journal


async def test_the_disk_gets_what_nobody_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after it was put down, also when nothing had been for a while; and without it the disk is left alone."""
    real, times = journal._sync_data, []

    def counted(file: int) -> None:
        times.append(file)
        real(file)

    async def until(number: int) -> None:
        async with asyncio.timeout(10):
            while len(times) < number:  # noqa: ASYNC110 - a thread counts
                await asyncio.sleep(0.005)

    monkeypatch.setattr(journal, "_sync_data", counted)
    made = journal.Journal(tmp_path, most_bytes=1_000_000)
    made.open()
    stop = asyncio.Event()
    task = asyncio.create_task(made.run(stop))
    try:
        await asyncio.sleep(0.2)
        assert times == []
        for number in (1, 2):
            made.append(b"x")
            await until(number)
            await asyncio.sleep(0.3)
            assert len(times) == number
    finally:
        stop.set()
        await task
        made.close()
