"""Values in memory that are a moment old at most, each read by one caller at a time."""

import asyncio

import pytest

from gimbal.kernel.fresh import Fresh


class Source:
    """Counts how often it is asked, and answers when it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.value = "first"
        self.open = asyncio.Event()
        self.open.set()
        self.fresh: Fresh[str, str] = Fresh(1.0, most=3, clock=lambda: self.now)

    async def read(self, key: str) -> str:
        self.asked += 1
        value = self.value
        await self.open.wait()
        if value == "broken":
            raise ValueError(key)
        return f"{key} {value}"

    async def get(self, key: str = "a") -> str:
        return await self.fresh.get(key, self.read)


async def test_many_who_ask_at_once_ask_the_source_once() -> None:
    source = Source()
    assert set(await asyncio.gather(*(source.get() for _ in range(20)))) == {"a first"}
    assert source.asked == 1


async def test_a_value_is_asked_for_anew_when_it_is_old() -> None:
    source = Source()
    await source.get()
    source.value, source.now = "second", 0.9
    assert await source.get() == "a first"
    source.now = 1.1
    assert await source.get() == "a second"


async def test_those_who_come_while_it_is_read_again_go_by_what_was_known() -> None:
    """But not by what is older than twice as much."""
    source = Source()
    await source.get()
    source.value, source.now = "second", 1.1
    source.open.clear()
    reading = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await source.get() == "a first"
    source.now = 2.1
    late = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    assert not late.done()
    source.open.set()
    assert await reading == await late == "a second"
    assert source.asked == 2


async def test_what_is_forgotten_is_not_brought_back_by_who_was_reading_it() -> None:
    source = Source()
    source.open.clear()
    reading = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    source.fresh.forget("a")
    source.value = "second"
    source.open.set()
    assert await reading == "a first"
    assert await source.get() == "a second"


async def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    source = Source()
    source.value = "broken"
    found = await asyncio.gather(source.get(), source.get(), return_exceptions=True)
    assert [type(one) for one in found] == [ValueError, ValueError]
    source.value = "mended"
    assert await source.get() == "a mended"


async def test_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    source = Source()
    source.open.clear()
    first, second = asyncio.create_task(source.get()), asyncio.create_task(source.get())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    source.open.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "a first"
    assert source.asked == 1


async def test_memory_is_bounded() -> None:
    source = Source()
    for number in range(20):
        await source.get(str(number))
    assert len(source.fresh._known) <= 3
