"""What is written in one turn of the event loop leaves at its end, in order; much of it at once."""

import asyncio

from gimbal.engines.http.wave import Wave, wave_of


class Line:
    """A transport that notes what it is given, together with others."""

    def __init__(self, name: str, noted: list[tuple[str, bytes]]) -> None:
        self.name = name
        self.noted = noted
        self.closing = False

    def write(self, data: bytes) -> None:
        """Note it."""
        assert not self.closing, "nobody writes to what is closing"
        self.noted.append((self.name, data))

    def is_closing(self) -> bool:
        """Tell whether it is."""
        return self.closing


async def busy() -> Wave:
    """Return a wave with several packets in the turn before."""
    wave = Wave(asyncio.get_running_loop())
    wave.write(Line("", []), b"1")
    wave.write(Line("", []), b"2")
    await asyncio.sleep(0)
    return wave


async def test_a_packet_that_is_alone_goes_at_once() -> None:
    """Nothing is gained by waiting; what follows it in the same turn goes together, and so does the turn after that."""
    noted: list[tuple[str, bytes]] = []
    wave, line = Wave(asyncio.get_running_loop()), Line("a", noted)
    for data in (b"1", b"2"):
        wave.write(line, data)
        assert noted[-1] == ("a", data)
        await asyncio.sleep(0)
    wave.write(line, b"3")
    wave.write(line, b"4")
    assert noted[-1] == ("a", b"3")
    await asyncio.sleep(0)
    assert noted[-1] == ("a", b"4")
    wave.write(line, b"5")
    assert noted[-1] == ("a", b"4")
    await asyncio.sleep(0)
    assert noted[-1] == ("a", b"5")


async def test_packets_of_a_turn_leave_together_and_in_order() -> None:
    """Not before the turn has ended, and without anybody asking."""
    noted: list[tuple[str, bytes]] = []
    wave, a, b = await busy(), Line("a", noted), Line("b", noted)
    for data in (b"1", b"2", b"3"):
        wave.write(a, data)
        wave.write(b, data)
    assert noted == []
    await asyncio.sleep(0)
    assert noted == [("a", b"1"), ("b", b"1"), ("a", b"2"), ("b", b"2"), ("a", b"3"), ("b", b"3")]
    wave.write(a, b"4")
    await asyncio.sleep(0)
    assert noted[-1] == ("a", b"4")


async def test_much_goes_at_once() -> None:
    """So that whoever sends without ever waiting learns that the network is full."""
    noted: list[tuple[str, bytes]] = []
    wave, line = await busy(), Line("a", noted)
    for _ in range(100):
        wave.write(line, b"x" * 1024)
    assert 60 <= len(noted) <= 70
    await asyncio.sleep(0)
    assert len(noted) == 100


async def test_what_is_flushed_goes_now_and_once() -> None:
    """Before a connection is closed, say."""
    noted: list[tuple[str, bytes]] = []
    wave, line = await busy(), Line("a", noted)
    wave.write(line, b"1")
    wave.flush()
    assert noted == [("a", b"1")]
    wave.write(line, b"2")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert noted == [("a", b"1"), ("a", b"2")]


async def test_a_connection_that_has_gone_meanwhile_keeps_nobody_else_waiting() -> None:
    """What was for it is for nobody."""
    noted: list[tuple[str, bytes]] = []
    wave, a, b = await busy(), Line("a", noted), Line("b", noted)
    wave.write(a, b"1")
    wave.write(b, b"2")
    a.closing = True
    await asyncio.sleep(0)
    assert noted == [("b", b"2")]


async def test_a_transport_that_fails_keeps_nobody_else_waiting() -> None:
    """Its own connection learns of it by itself."""

    class Broken(Line):
        def write(self, data: bytes) -> None:
            raise RuntimeError("the handle is closed")

    noted: list[tuple[str, bytes]] = []
    wave = await busy()
    wave.write(Broken("a", noted), b"1")
    wave.write(Line("b", noted), b"2")
    wave.flush()
    assert noted == [("b", b"2")]


def test_each_loop_has_one() -> None:
    """All connections of a loop share it."""

    async def mine() -> Wave:
        loop = asyncio.get_running_loop()
        assert wave_of(loop) is wave_of(loop)
        return wave_of(loop)

    assert asyncio.run(mine()) is not asyncio.run(mine())
