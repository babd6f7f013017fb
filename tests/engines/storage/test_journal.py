"""What a journal took survives its process and comes to its store, in order, whatever happens between."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gimbal.engines.storage.journal import Journal
from gimbal.kernel.errors import BadInput, Busy, Unavailable

MOST = 1_000_000


class Store:
    """Takes records, and fails as it is told."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.failures: list[Exception] = []
        self.poison = b""
        self.changed = asyncio.Condition()

    async def take(self, batch: Sequence[bytes]) -> None:
        async with self.changed:
            self.changed.notify_all()
            if self.failures:
                raise self.failures.pop(0)
            if self.poison and self.poison in batch:
                raise BadInput("not that one")
            self.records += batch

    async def until(self, found: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(found)


@asynccontextmanager
async def running(folder: Path, store: Store, most: int = MOST) -> AsyncIterator[Journal]:
    journal = Journal(folder, store.take, most_bytes=most)
    journal.open()
    stop = asyncio.Event()
    task = asyncio.create_task(journal.run(stop))
    try:
        yield journal
    finally:
        stop.set()
        await task
        await journal.close()


async def test_records_come_to_the_store_in_order(tmp_path: Path) -> None:
    """However large, and also those that come while others are carried."""
    store = Store()
    records = [bytes([n % 251]) * (n * 37 % 5000) for n in range(500)] + [b"x" * 500_000]
    async with running(tmp_path, store) as journal:
        for place, record in enumerate(records):
            while True:
                try:
                    journal.append(record)
                    break
                except Busy:
                    await asyncio.sleep(0)
            if place % 50 == 0:
                await asyncio.sleep(0)
        await store.until(lambda: len(store.records) == len(records))
    assert store.records == records
    assert list(tmp_path.iterdir()) == [], "an empty journal leaves nothing behind"


async def test_a_store_that_is_away_is_tried_until_it_is_back(tmp_path: Path) -> None:
    """In order, and nothing twice as far as the store said."""
    store = Store()
    store.failures = [Unavailable("away", retry_after=0.01), Busy("full", retry_after=0.01)]
    async with running(tmp_path, store) as journal:
        for name in (b"1", b"2", b"3"):
            journal.append(name)
        await store.until(lambda: len(store.records) == 3)
    assert store.records == [b"1", b"2", b"3"]


async def test_a_record_that_the_store_will_not_take_is_put_aside(tmp_path: Path) -> None:
    """And those around it are stored."""
    store = Store()
    store.poison = b"bad"
    async with running(tmp_path, store) as journal:
        for name in (b"1", b"bad", b"3"):
            journal.append(name)
        await store.until(lambda: len(store.records) == 2)
        state = journal.state()
    assert store.records == [b"1", b"3"]
    assert state.rejected == 1
    assert b"bad" in (tmp_path / "rejected").read_bytes()


async def test_what_there_is_no_room_for_is_refused(tmp_path: Path) -> None:
    """Rather than filling the disk; what was taken before stays."""
    store = Store()
    store.failures = [Unavailable("away", retry_after=0.01)] * 2
    async with running(tmp_path, store, most=2000) as journal:
        journal.append(b"a" * 1500)
        with pytest.raises(Busy):
            journal.append(b"b" * 1500)
        await store.until(lambda: bool(store.records))
        journal.append(b"c" * 1500)
        await store.until(lambda: len(store.records) == 2)
    assert [record[:1] for record in store.records] == [b"a", b"c"]


async def test_what_cannot_be_carried_before_the_end_waits_for_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that closes while its store is away keeps its records."""
    monkeypatch.setattr("gimbal.engines.storage.journal._MOST_AGAIN_S", 0.05)
    store = Store()
    store.failures = [Unavailable("away", retry_after=0.01)] * 100_000
    async with running(tmp_path, store) as journal:
        journal.append(b"kept")
    store.failures = []
    async with running(tmp_path, store):
        await store.until(lambda: bool(store.records))
    assert store.records == [b"kept"]


_DIES = """
import sys
from pathlib import Path
from gimbal.engines.storage.journal import Journal
async def never(batch): raise AssertionError
journal = Journal(Path(sys.argv[1]), never, most_bytes=10**9)
journal.open()
number = 0
while True:
    journal.append(b"%d " % number + b"." * (number % 700))
    number += 1
    if number % 100 == 0:
        print(number, flush=True)
"""


async def test_a_killed_process_loses_nothing_that_it_put_down(tmp_path: Path) -> None:
    """It is killed in the middle of writing, its file cut off at an odd place, and another one takes over."""
    command = [sys.executable, "-c", _DIES, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220 - nothing else runs meanwhile
    assert process.stdout is not None
    said = 0
    while said < 3000:
        said = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = Store()
    (records,) = tmp_path.glob("*/records")
    with records.open("ab") as file:
        file.write(b"\x10\x00\x00\x00half")
    async with running(tmp_path, store):
        await store.until(lambda: len(store.records) >= said)
    numbers = [int(record.split()[0]) for record in store.records]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= said


async def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    """Two processes write beside each other."""
    one, two = Store(), Store()
    async with running(tmp_path, one) as first:
        one.failures = [Unavailable("away", retry_after=0.01)] * 5
        first.append(b"of the first")
        async with running(tmp_path, two) as second:
            second.append(b"of the second")
            await two.until(lambda: bool(two.records))
        await one.until(lambda: bool(one.records))
    assert (one.records, two.records) == ([b"of the first"], [b"of the second"])


async def test_a_damaged_journal_is_kept(tmp_path: Path) -> None:
    """What can be read before the damage is stored; nothing is thrown away that somebody might still read."""
    store = Store()
    left = Journal(tmp_path, store.take, most_bytes=MOST)
    left.open()
    for name in (b"good", b"damaged", b"behind"):
        left.append(name)
    (records,) = tmp_path.glob("*/records")
    raw = records.read_bytes()
    folder = tmp_path / "00-dead"
    folder.mkdir()
    (folder / "records").write_bytes(raw.replace(b"damaged", b"DAMAGED"))
    await left.close()
    store.records.clear()
    async with running(tmp_path, store):
        await store.until(lambda: bool(store.records))
    assert store.records == [b"good"]
    assert (folder / "records").exists()


async def test_the_disk_is_given_back_when_all_is_carried(tmp_path: Path) -> None:
    """A journal of an idle process is empty."""
    store = Store()
    async with running(tmp_path, store) as journal:
        journal.append(b"x" * 10_000)
        await store.until(lambda: bool(store.records))
        (records,) = tmp_path.glob("*/records")
        async with asyncio.timeout(20):
            while records.stat().st_size:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.01)
        journal.append(b"after")
        await store.until(lambda: len(store.records) == 2)
    assert store.records[1] == b"after"


async def test_whoever_waits_hears_when_what_was_put_down_has_arrived(tmp_path: Path) -> None:
    """And does not wait longer than asked for a store that is away."""
    store = Store()
    async with running(tmp_path, store) as journal:
        assert await journal.settled(1)
        for number in range(300):
            journal.append(b"%d" % number)
        assert await journal.settled(20)
        assert len(store.records) == 300
        store.failures = [Unavailable("away", retry_after=0.2)] * 3
        journal.append(b"late")
        assert not await journal.settled(0.05)
        assert await journal.settled(20)
    assert store.records[-1] == b"late"
