"""How far apart a carrier's rounds are: by what the last one took, unless somebody waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gimbal.engines.storage import carrier as carriers
from gimbal.engines.storage.carrier import Carrier
from gimbal.engines.storage.journal import Journal, settled


@asynccontextmanager
async def carrying(folder: Path, *, took: float, ago: float) -> AsyncIterator[tuple[Journal, Carrier, asyncio.Event]]:
    """Run a carrier whose last round took so long and ended so long ago; the event is set by the next one."""
    carried, stop = asyncio.Event(), asyncio.Event()

    async def take(batch: Sequence[bytes]) -> None:
        carried.set()

    carrier = Carrier(folder, take)
    carrier._took, carrier._last = took, time.monotonic() - ago
    journal = Journal(folder, most_bytes=1_000_000, woken=carrier.wake)
    journal.open()
    tasks = [asyncio.create_task(carrier.run(stop)), asyncio.create_task(journal.run(stop))]
    yield journal, carrier, carried
    stop.set()
    await asyncio.gather(*tasks)
    journal.close()


async def test_what_comes_after_a_pause_is_carried_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "_MOST_COMPANY_S", 1000)
    async with carrying(tmp_path, took=900.0, ago=1001) as (journal, _, carried):
        journal.append(b"one")
        async with asyncio.timeout(20):
            await carried.wait()


async def test_what_comes_soon_after_a_round_waits_for_company_or_for_somebody_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carriers, "_MOST_COMPANY_S", 1000)
    async with carrying(tmp_path, took=900.0, ago=0) as (journal, carrier, carried):
        journal.append(b"one")
        await asyncio.sleep(0.3)
        assert not carried.is_set()
        carrier.hurry()
        assert await settled(tmp_path, 20)
        assert carried.is_set()
