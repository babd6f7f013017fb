"""What a journal took survives its process and comes to its store, in order, whatever happens between."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gimbal.engines.storage.carrier import Carrier, _Left
from gimbal.engines.storage.journal import SEGMENT_BYTES, START, Journal, end_of, settled, waiting
from gimbal.kernel.errors import BadInput, Busy, DeadlineExceeded, Unavailable

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


class Both:
    """A journal and whoever carries it, in one process."""

    def __init__(self, folder: Path, store: Store, most: int, segment_bytes: int) -> None:
        self.folder = folder
        self.carrier = Carrier(folder, store.take)
        self.journal = Journal(folder, most_bytes=most, segment_bytes=segment_bytes, woken=self.carrier.wake)
        self.append = self.journal.append

    async def settled(self, seconds: float) -> bool:
        self.carrier.hurry()
        return await settled(self.folder, seconds)


@asynccontextmanager
async def running(
    folder: Path, store: Store, most: int = MOST, *, segment_bytes: int = SEGMENT_BYTES
) -> AsyncIterator[Both]:
    both = Both(folder, store, most, segment_bytes)
    both.journal.open()
    stop = asyncio.Event()
    tasks = [asyncio.create_task(part.run(stop)) for part in (both.journal, both.carrier)]
    try:
        yield both
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        both.journal.close()
        await both.carrier.close()


@asynccontextmanager
async def carrying(folder: Path, store: Store) -> AsyncIterator[Carrier]:
    carrier, stop = Carrier(folder, store.take), asyncio.Event()
    task = asyncio.create_task(carrier.run(stop))
    try:
        yield carrier
    finally:
        stop.set()
        await task
        await carrier.close()


async def test_a_store_under_steady_load_gets_few_large_batches(tmp_path: Path) -> None:
    """What comes while a batch is stored waits for company: it is not stored at once, however little it is."""
    sizes: list[int] = []

    async def take(batch: Sequence[bytes]) -> None:
        sizes.append(len(batch))
        await asyncio.sleep(0.02)

    store = Store()
    store.take = take
    async with running(tmp_path, store) as both:
        for number in range(1000):
            both.append(b"%d" % number)
            await asyncio.sleep(0.001)

    assert sum(sizes) == 1000
    # Stored one after the other without a pause there would be one for each twenty records.
    assert len(sizes) < 25, sizes


async def test_records_come_to_the_store_in_order(tmp_path: Path) -> None:
    """However large, over many segments, and also those that come while others are carried."""
    store = Store()
    records = [bytes([n % 251]) * (n * 37 % 5000) for n in range(500)] + [b"x" * 500_000]
    async with running(tmp_path, store, segment_bytes=40_000) as journal:
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
    assert sorted(store.records) == [b"1", b"3"]
    assert journal.carrier.rejected == 1
    assert b"bad" in (tmp_path / "rejected").read_bytes()


@pytest.mark.parametrize("problem", [DeadlineExceeded("too slow"), OSError("no room"), RuntimeError("too many parts")])
async def test_a_store_in_trouble_is_no_reason_to_put_records_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    """It is waited for, whatever it says: what takes none of many records is not well."""
    monkeypatch.setattr("gimbal.engines.storage.carrier._AGAIN_S", 0.01)
    monkeypatch.setattr("gimbal.engines.storage.carrier._MOST_AGAIN_S", 0.01)
    store = Store()
    store.failures = [problem] * 60
    records = [b"%d" % number for number in range(100)]
    async with running(tmp_path, store) as both:
        for record in records:
            both.append(record)
        await store.until(lambda: len(store.records) >= 100)
    assert sorted(store.records) == sorted(records)
    assert both.carrier.rejected == 0


async def test_what_is_there_is_carried_without_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it does not wait for company between the batches."""
    monkeypatch.setattr("gimbal.engines.storage.carrier._COMPANY_S", 1000)
    monkeypatch.setattr("gimbal.engines.storage.carrier._MOST_COMPANY_S", 1000)
    store = Store()
    async with running(tmp_path, store) as both:
        for number in range(9000):
            both.append(b"%d" % number)
        assert await both.settled(20)
    assert len(store.records) == 9000


async def test_a_folder_that_was_removed_by_half_keeps_nobody(tmp_path: Path) -> None:
    """As a process leaves it that is killed while it removes the journal of another; it goes with the next round."""
    half = tmp_path / "00000000-0000-7000-8000-000000000000"
    half.mkdir()
    (half / "carrier").touch()
    store = Store()
    async with running(tmp_path, store) as both:
        both.append(b"kept")
        await store.until(lambda: bool(store.records))
    assert not half.exists()


async def test_a_disk_that_fails_once_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the disk is told; who does not wait is brought there by the next turn."""
    failures = [OSError(5, "Input/output error")]

    def sync(_: int) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr("gimbal.engines.storage.journal._sync_data", sync)
    async with running(tmp_path, Store()) as both:
        both.append(b"kept")
        while failures:  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.01)
        await both.journal.durable()


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
    monkeypatch.setattr("gimbal.engines.storage.carrier._MOST_AGAIN_S", 0.05)
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
journal = Journal(Path(sys.argv[1]), most_bytes=10**9, segment_bytes=100_000)
journal.open()
number = 0
while True:
    journal.append(b"%d " % number + b"." * (number % 700))
    number += 1
    if number % 100 == 0:
        print(number, flush=True)
"""


@asynccontextmanager
async def other_process(folder: Path) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run a process that writes a journal until it is killed."""
    command = [sys.executable, "-c", _DIES, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220 - waited for at the end
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def said_by(process: "subprocess.Popen[bytes]", least: int) -> int:
    """Return a number of records, at least so many, that a process says it has put down."""
    assert process.stdout is not None
    said = 0
    while said < least:
        said = int(process.stdout.readline())
    return said


async def test_a_killed_process_loses_nothing_that_it_put_down(tmp_path: Path) -> None:
    """It is killed in the middle of writing, half a record behind the last, and another one takes over."""
    async with other_process(tmp_path) as process:
        said = said_by(process, 3000)
    store = Store()
    newest = max(tmp_path.glob("*/*.records"))
    with newest.open("r+b") as file:
        # It was killed while it wrote the next one.
        end = end_of(newest)
        file.seek(end)
        file.write(b"\x10\x00\x00\x00half")
    async with running(tmp_path, store):
        await store.until(lambda: len(store.records) >= said)
    numbers = [int(record.split()[0]) for record in store.records]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= said
    assert list(tmp_path.iterdir()) == []


async def test_what_a_living_process_puts_down_is_carried_by_another(tmp_path: Path) -> None:
    """While it goes on writing, over many segments; those that are carried are given back to the disk."""
    store = Store()
    async with carrying(tmp_path, store), other_process(tmp_path) as process:
        said = await asyncio.to_thread(said_by, process, 5000)
        await store.until(lambda: len(store.records) >= said)
        numbers = [int(record.split()[0]) for record in store.records]
        assert numbers == list(range(len(numbers)))
        assert not (next(tmp_path.glob("*/lock")).parent / "00000001.records").exists()
    # How much the other was ahead depends on the machine.
    left = sum(file.stat().st_size for file in tmp_path.rglob("*"))
    async with carrying(tmp_path, store):
        async with asyncio.timeout(60 + left / 1e6):
            while list(tmp_path.iterdir()):  # noqa: ASYNC110 - a folder tells nobody
                await asyncio.sleep(0.01)
    numbers = [int(record.split()[0]) for record in store.records]
    assert numbers == list(range(len(numbers)))


async def test_of_two_carriers_one_carries_a_journal(tmp_path: Path) -> None:
    """So that its records come in order; the other takes over when the first has gone."""
    one, two = Store(), Store()
    async with carrying(tmp_path, two) as second:
        async with running(tmp_path, one) as first:
            for number in range(50):
                first.append(b"%d" % number)
            await asyncio.gather(first.settled(20))
        assert sorted(one.records + two.records, key=int) == [b"%d" % number for number in range(50)]
        assert not one.records or not two.records
        left = Journal(tmp_path, most_bytes=MOST, woken=second.wake)
        left.open()
        left.append(b"50")
        await two.until(lambda: b"50" in two.records)
        left.close()


async def test_a_damaged_journal_is_kept(tmp_path: Path) -> None:
    """What can be read before the damage is stored; nothing is thrown away that somebody might still read."""
    store = Store()
    left = Journal(tmp_path, most_bytes=MOST)
    left.open()
    for name in (b"good", b"damaged", b"behind"):
        left.append(name)
    left.close()
    (records,) = tmp_path.glob("*/*.records")
    records.write_bytes(records.read_bytes().replace(b"damaged", b"DAMAGED"))
    async with carrying(tmp_path, store):
        await store.until(lambda: bool(store.records))
    assert store.records == [b"good"]
    assert b"behind" in records.with_suffix(".damaged").read_bytes()


async def test_the_disk_is_given_back_when_all_is_carried(tmp_path: Path) -> None:
    """A journal of an idle process is empty."""
    store = Store()
    async with running(tmp_path, store) as journal:
        journal.append(b"x" * 10_000)
        await store.until(lambda: bool(store.records))
        async with asyncio.timeout(20):
            while sum(end_of(path) - START for path in tmp_path.glob("*/*.records")):  # noqa: ASYNC110 - a file tells nobody
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
        assert journal.journal.waiting() > 0
        assert not await journal.settled(0.05)
        assert await journal.settled(20)
        assert sum(waiting(path.parent) for path in tmp_path.glob("*/lock")) == 0
    assert store.records[-1] == b"late"


async def test_a_disk_that_is_full_for_a_while_does_not_end_the_carrier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be noted as carried is carried once more, and what comes then as well."""
    store, marked = Store(), _Left.mark
    full = [True]

    def mark(left: _Left, place: int) -> int:
        if full.pop() if full else False:
            raise OSError(28, "No space left on device")
        return marked(left, place)

    monkeypatch.setattr(_Left, "mark", mark)
    async with running(tmp_path, store) as journal:
        journal.append(b"1")
        await store.until(lambda: store.records == [b"1", b"1"])
        journal.append(b"2")
        await store.until(lambda: store.records[-1] == b"2")
    assert store.records == [b"1", b"1", b"2"]
