"""What our own client does beyond what both promise, and its parser fed with answers that are cut anywhere."""

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.engines.http.connection import Connection
from gimbal.engines.http.model import Broken, Deadlines, Origin, TooSlow, Unreachable
from gimbal.engines.http.pool import Limits
from gimbal.engines.http.raw import RawClient
from gimbal.kernel.errors import GimbalError
from gimbal.testing.http_client.server import OK, PATIENT, Peer, always, asked, deaf, fetched, opened, serving, until


@pytest.mark.parametrize(
    "more", [OK, b"HTTP/1.1 2", b"nonsense", b"\0"], ids=["an answer", "half a one", "words", "a zero"]
)
async def test_bytes_after_an_answer_are_never_the_next_one(more: bytes) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst" + more)

    async with serving(script) as server, opened(RawClient) as client:
        assert [await fetched(client, server) for _ in range(3)] == [b"first"] * 3
        assert server.connections == 3


async def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await asyncio.sleep(0.05)
        await peer.say(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await peer.gone()

    async with serving(script) as server, opened(RawClient) as client:
        assert await fetched(client, server) == b"ok"
        await until(lambda: server.open == 0, "closed")
        assert await fetched(client, server) == b"ok"


async def test_a_body_of_head_is_not_read() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nlevel")
        await peer.gone()

    async with serving(script) as server, opened(RawClient) as client:
        assert await fetched(client, server, method=b"HEAD") == b""
        assert await fetched(client, server, method=b"HEAD") == b""
        assert server.connections == 2


async def test_a_head_that_came_with_nonsense_is_told_all_the_same() -> None:
    sent = b"HTTP/1.1 429 Slow\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n"
    async with serving(always(sent)) as server, opened(RawClient) as client, asked(client, server) as answer:
        chunks = answer.chunks()
        assert (answer.status, await anext(chunks)) == (429, b"ab")
        with pytest.raises(Broken):
            await anext(chunks)


async def test_two_framings_at_once_are_refused() -> None:
    """Who reads the one and who reads the other would not agree on where the next answer begins."""
    sent = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nlevel\r\n0\r\n\r\n"
    async with serving(always(sent)) as server, opened(RawClient) as client:
        with pytest.raises(Broken, match="Transfer-Encoding"):
            await fetched(client, server)


async def test_an_idle_connection_closes_by_itself() -> None:
    async with serving(always(OK)) as server, opened(RawClient, Limits(idle_s=0.1)) as client:
        await asyncio.gather(*(fetched(client, server) for _ in range(5)))
        assert server.open == 5
        await until(lambda: server.open == 0, "closed")
        assert client._pools == {}


async def test_an_answer_stops_a_body_that_nobody_reads() -> None:
    """Neither a source that hangs nor a server that takes no more keeps the answer from its caller."""

    async def hangs() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        await asyncio.Event().wait()

    for body in (hangs(), bytes(100_000_000)):
        async with serving(script) as server, opened(RawClient) as client:
            async with asked(client, server, method=b"POST", body=body) as answer:
                assert (answer.status, await answer.read(10)) == (413, b"large")
            await until(lambda: client._pools == {}, "a connection with half a request on it is not kept")


async def test_a_server_that_takes_no_more_of_a_body_is_too_slow() -> None:
    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()
        await asyncio.Event().wait()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)

    for body in (bytes(100_000_000), endless()):
        async with serving(script) as server, opened(RawClient) as client:
            with pytest.raises(TooSlow) as slow:
                await fetched(client, server, method=b"POST", body=body, deadlines=PATIENT._replace(first_byte_s=0.2))
            assert slow.value.phase == "first_byte"


async def test_a_body_whose_source_fails_closes_the_connection() -> None:
    async def fails() -> AsyncIterator[bytes]:
        yield b"{"
        raise ZeroDivisionError

    async with serving(always(OK)) as server, opened(RawClient) as client:
        with pytest.raises(ZeroDivisionError):
            await fetched(client, server, method=b"POST", body=fails())
        assert server.requests == []
        assert await fetched(client, server) == b"ok"


async def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that swallows packets costs a quarter of a second, one that refuses costs nothing."""
    loop = asyncio.get_running_loop()
    with deaf() as silent:
        async with serving(always(OK)) as server, opened(RawClient) as client:
            good = ("127.0.0.1", server.origin.port)

            async def resolve(*_: Any, **__: Any) -> list[Any]:
                return [(2, 1, 6, "", place) for place in (("127.0.0.1", silent), ("127.0.0.1", 1), good)]

            monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
            async with asyncio.timeout(2):
                assert await fetched(client, server) == b"ok"


async def test_all_addresses_refusing_is_unreachable() -> None:
    async with opened(RawClient) as client:
        with pytest.raises(Unreachable, match="refused"):
            await client.send(b"GET", Origin("http", "localhost", 1), b"/", (), deadlines=PATIENT)


async def test_an_answer_that_is_forgotten_gives_its_place_back_by_its_deadline() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        await peer.gone()

    async with serving(script) as server, opened(RawClient, Limits(connections=1)) as client:
        for _ in range(3):
            await client.send(b"GET", server.origin, b"/", (), deadlines=PATIENT._replace(between_s=0.1))
        assert server.open_at_most <= 2
        await until(lambda: server.open == 0 and client._pools == {}, "closed")


async def test_a_host_may_be_an_address_of_version_six() -> None:
    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    heads: list[bytes] = []
    try:
        server = await asyncio.start_server(answered, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = server.sockets[0].getsockname()[1]
    async with server, opened(RawClient) as client:
        for host in ("::1", "[::1]"):
            answer = await client.send(b"GET", Origin("http", host, port), b"/", (), deadlines=PATIENT)
            assert await answer.read(10) == b"ok"
            await answer.aclose()
    assert all(f"host: [::1]:{port}\r\n".encode() in head for head in heads)


async def test_one_reader_at_a_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        await peer.gone()

    async with serving(script) as server, opened(RawClient) as client, asked(client, server) as answer:
        first = asyncio.ensure_future(answer.read(10))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one at a time"):
            await answer.read(10)
        first.cancel()


# The parser, driven as the event loop drives it.


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    closing = False
    reading = True

    def write(self, data: Any) -> None:
        """Take bytes."""

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.closing = True


class Pooled:
    """Counts what a connection tells its owner."""

    freed = lost_ones = 0

    def free(self, connection: Connection) -> None:
        self.freed += 1

    def lost(self, connection: Connection) -> None:
        self.lost_ones += 1


def outcome(
    pieces: list[bytes], *, method: bytes = b"GET", ends: bool, before: tuple[bytes, ...] = ()
) -> tuple[Any, ...]:
    """Return all that can be seen of an answer that comes in these pieces, after whole ones `before` it."""
    loop = asyncio.new_event_loop()
    try:
        wire, owner = Wire(), Pooled()
        connection = Connection(loop, owner, "here", 30)
        connection.connection_made(wire)
        for whole in before:
            connection.begin(b"GET", b"", Deadlines(), loop.time() + 60, loop.time())
            connection.data_received(whole)
        owner.freed -= len(before)
        answer = connection.begin(method, b"", Deadlines(), loop.time() + 60, loop.time())
        for piece in pieces:
            if not connection.closed:
                connection.data_received(piece)
        if ends and not connection.closed:
            connection.eof_received()
        broken = type(answer.error).__name__ if answer.error else ""
        done = answer.ended or answer.error is not None
        assert owner.freed == done, "A connection is given back once, when the answer has ended."
        assert not done or connection.closed == (wire.closing or not connection.used)
        body = b"".join(answer.parts)
        if not answer.ended and answer.error is None:
            answer.close()
        return answer.status, answer.headers, body, answer.ended, broken, connection.closed
    finally:
        loop.close()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut at these places."""
    marks = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(marks) if a != b]


NAMES = st.from_regex(rb"X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True)
VALUES = st.from_regex(rb"[!-~\x80-\xff]([ -~\x80-\xff]{0,30}[!-~\x80-\xff])?", fullmatch=True)
BODIES = st.lists(st.binary(min_size=1, max_size=300), max_size=6)
STATUSES = st.sampled_from([200, 201, 400, 404, 429, 500, 503])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str]:
    """Give an answer that is right, and what it says."""
    status, pieces = draw(STATUSES), draw(BODIES)
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    body = b"".join(pieces)
    lines = [b"%b: %b\r\n" % header for header in headers]
    told: list[tuple[bytes, bytes]] = []
    if framing == "length":
        told = [(b"content-length", b"%d" % len(body))]
        sent = body
    elif framing == "chunked":
        told = [(b"transfer-encoding", b"chunked")]
        extension = draw(st.sampled_from([b"", b";a=b", b';q="1 2"']))
        trailer = draw(st.sampled_from([b"", b"x-sum: 1\r\n", b"x-a: 1\r\nx-b: 2\r\n"]))
        sent = b"".join(b"%x%b\r\n%b\r\n" % (len(one), extension, one) for one in pieces) + b"0\r\n" + trailer + b"\r\n"
    else:
        sent = body
    lines += [b"%b: %b\r\n" % header for header in told]
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" * 2])
    )
    head = interim + b"HTTP/1.1 %d %b\r\n" % (status, draw(st.sampled_from([b"OK", b"", b"I am a teapot"])))
    lowered = [(name.lower(), value) for name, value in [*headers, *told]]
    return head + b"".join(lines) + b"\r\n" + sent, status, lowered, body, framing


@given(answers(), st.lists(st.integers(0, 10_000), max_size=30))
def test_a_right_answer_is_the_same_however_it_is_cut(
    answer: tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str], places: list[int]
) -> None:
    sent, status, headers, body, framing = answer
    ends = framing == "close"

    assert outcome(cut(sent, places), ends=ends) == (status, headers, body, True, "", ends)


@given(answers(), st.lists(st.integers(0, 10_000), max_size=10), st.integers(0, 10_000))
def test_an_answer_that_is_cut_short_is_broken_or_ends_with_its_connection(
    answer: tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str], places: list[int], at: int
) -> None:
    sent, _, _, body, framing = answer
    short = sent[: at % len(sent)]
    _, _, came, ended, broken, closed = outcome(cut(short, places), ends=True)

    assert closed
    assert ended != bool(broken)
    assert not ended or framing == "close"
    assert body.startswith(came)


@given(answers(), st.lists(st.integers(0, 10_000), max_size=10), st.data())
def test_what_is_wrong_is_never_more_than_broken(
    answer: tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str], places: list[int], data: st.DataObject
) -> None:
    """Bytes that are changed, left out or put in raise nothing of their own, and give the connection back once."""
    sent = bytearray(answer[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if not sent:
            break
    *_, ended, broken, closed = outcome(cut(bytes(sent), places), ends=True)

    assert closed or ended
    assert broken in {"", "Broken"}


AGAIN = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: %d\r\nX-Last: 1\r\n\r\n%b"
"""A head that comes again, and is not parsed again."""


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@given(st.binary(max_size=120), st.lists(st.integers(0, 10_000), max_size=2), st.integers(0, 4), st.data())
def test_an_answer_after_others_like_it_is_read_as_the_first_one(
    method: bytes, body: bytes, places: list[int], changes: int, data: st.DataObject
) -> None:
    """Whole or cut, right or spoilt, with bytes too many or too few."""
    sent = bytearray(AGAIN % (len(body), body))
    if data.draw(st.booleans()):
        sent[:0] = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n"
    for _ in range(max(0, changes - 2)):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    pieces = cut(bytes(sent), places)

    alone = outcome(pieces, method=method, ends=True)
    assert outcome(pieces, method=method, ends=True, before=(AGAIN % (3, b"abc"), AGAIN % (0, b""))) == alone


@given(st.binary(max_size=3000), st.lists(st.integers(0, 10_000), max_size=10))
def test_noise_is_broken(noise: bytes, places: list[int]) -> None:
    assert outcome(cut(noise, places), ends=True)[4] == "Broken"


def test_a_packed_answer_can_be_cut_at_every_byte() -> None:
    text = b"Gimbal keeps both rings level. " * 9
    packed = gzip.compress(text)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            for start in range(len(packed)):
                await peer.say((b"" if start else head) + packed[start : start + 1])
                await asyncio.sleep(0)

    async def read() -> tuple[bytes, bytes]:
        async with serving(script) as server, opened(RawClient) as client:
            async with asked(client, server) as answer:
                streamed = b"".join([chunk async for chunk in answer.chunks()])
            return streamed, await fetched(client, server)

    assert asyncio.run(read()) == (text, text)


def test_every_error_is_one_of_ours() -> None:
    """The gateway turns them into answers of the caller's wire."""
    assert all(issubclass(kind, GimbalError) for kind in (Broken, TooSlow, Unreachable))
