"""How connections are kept, replaced, shared and given up."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from gimbal.engines.http.model import Broken, Client, TooSlow
from gimbal.engines.http.pool import Limits
from gimbal.kernel.errors import Upstream
from gimbal.testing.http_client.server import (
    OK,
    PATIENT,
    OpenClient,
    Peer,
    Server,
    always,
    asked,
    fetched,
    opened,
    serving,
    sockets,
    until,
)  # fmt: skip
from gimbal.testing.promise import promise, refuses

_ONE = Limits(connections=1)
_EXPECTED = (Upstream, TooSlow, asyncio.CancelledError)
# Connections that the caller has closed and the server not yet.
_CLOSING = 5
_ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"


async def check_reuse(open_client: OpenClient) -> None:
    """Check that requests one after the other go over one connection; one that has been idle too long is not used again."""
    async with serving(always(OK)) as server:
        async with opened(open_client) as client:
            for _ in range(20):
                promise(await fetched(client, server, method=b"POST", body=b"{}") == b"ok", "Each is answered.")
            promise(server.connections == 1, f"One connection carries them all, not {server.connections}.")
        await until(lambda: server.open == 0, "It is closed with the client.")
    async with serving(always(OK)) as server, opened(open_client, Limits(idle_s=0.1)) as client:
        await fetched(client, server)
        await asyncio.sleep(0.3)
        await fetched(client, server)
        promise(server.connections == 2, "A connection that was idle too long is not used again.")


async def check_stale(open_client: OpenClient) -> None:
    """Check that a kept connection that turns out to be closed is replaced once, where that can do no harm."""
    async with serving(_closes_on(2)) as server, opened(open_client) as client:
        for _ in range(6):
            promise(await fetched(client, server, method=b"POST", body=b"{}") == b"ok", "The caller does not notice.")
        promise(await fetched(client, server, method=b"POST", body=bytes(3_000_000)) == b"ok", "Nor with a large body.")
        promise(server.connections > 1, "The connections had been closed.")
    async with serving(_closes_at_once) as server, opened(open_client) as client:
        promise(await fetched(client, server) == b"ok", "The first request is answered.")
        await until(lambda: server.open == 0, "The server closes a connection that it kept open.")
        promise(await fetched(client, server) == b"ok", "So is the next one.")
    async with serving(_closes_on(2, afterwards=False)) as server, opened(open_client) as client:
        await fetched(client, server)
        with refuses(Broken, "A connection is replaced once, not for ever."):
            await fetched(client, server)
        promise(len(server.requests) == 3, f"One request is sent twice at most: {len(server.requests)} came.")
    async with serving(_closes_on(2, said=b"HTTP/1.1 2")) as server, opened(open_client) as client:
        await fetched(client, server)
        with refuses(Broken, "Where an answer had begun, the request is not sent again."):
            await fetched(client, server)
        promise(len(server.requests) == 2, "It was sent once.")
    async with serving(_closes_on(2)) as server, opened(open_client) as client:
        await fetched(client, server)
        server.stop()
        with refuses(Broken, "What was sent once is not said to be unsent because a second attempt found nobody."):
            await fetched(client, server)

    async def stream() -> AsyncIterator[bytes]:
        yield b"{}"

    async with serving(_closes_on(2)) as server, opened(open_client) as client:
        await fetched(client, server)
        with refuses(Broken, "A body that was a stream is gone, and is not sent again."):
            await fetched(client, server, method=b"POST", body=stream())


async def check_surplus(open_client: OpenClient) -> None:
    """Check that what comes after the end of an answer is never given to the next request."""
    for surplus in (OK, OK + OK, b"HTTP/1.1 204 No\r\n\r\n", OK[:-1], OK[:9], b"nonsense", b"\0"):

        async def script(peer: Peer, surplus: bytes = surplus) -> None:
            while True:
                await peer.request()
                await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst" + surplus)

        async with serving(script) as server, opened(open_client) as client:
            for _ in range(4):
                try:
                    got = await fetched(client, server)
                except Broken:
                    continue
                promise(got == b"first", f"An answer that was not asked for is not given to anybody: {got!r}.")


async def check_limits_of_a_pool(open_client: OpenClient) -> None:
    """Check that no more connections than the limit; who waits is served in order, until the connect deadline."""

    async def answers(peer: Peer) -> None:
        while True:
            body = (await peer.request()).body
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with serving(answers) as server, opened(open_client, Limits(connections=16)) as client:
        numbers = [b"%d" % n for n in range(1000)]
        got = await asyncio.gather(*(fetched(client, server, method=b"POST", body=number) for number in numbers))
        promise(got == numbers, "Of a thousand requests at once each gets its own answer.")
        promise(server.open_at_most <= 16, f"Sixteen connections are the limit, and {server.open_at_most} were open.")
    async with serving(answers) as server, opened(open_client, _ONE) as client:
        ended: list[int] = []

        async def one(number: int) -> None:
            await fetched(client, server, method=b"POST", body=b"x")
            ended.append(number)

        tasks: list[asyncio.Task[None]] = []
        for number in range(30):
            tasks.append(asyncio.ensure_future(one(number)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        promise(ended == list(range(30)), f"Who waits longest is next: {ended}.")
    async with serving(_answers_when(server_waits := asyncio.Event())) as server, opened(open_client, _ONE) as client:
        first = asyncio.ensure_future(fetched(client, server))
        await until(lambda: len(server.requests) == 1, "The first request goes out.")
        try:
            await fetched(client, server, deadlines=PATIENT._replace(connect_s=0.1))
        except TooSlow as problem:
            promise(problem.phase == "connect", "It was a connection that was waited for.")
        else:
            raise AssertionError("Who waits for a connection waits as long as the connect deadline allows.")
        server_waits.set()
        promise(await first == b"ok" and await fetched(client, server) == b"ok", "The others are not harmed.")


async def check_cancelling(open_client: OpenClient) -> None:
    """Check that who is cancelled closes the connection, wherever that happens, and leaves its place to the next."""
    before = sockets()
    async with serving(_silent_then(OK)) as server, opened(open_client, _ONE) as client:
        for _ in range(5):
            # While it waits for the head, with another one waiting for the connection.
            first = asyncio.ensure_future(fetched(client, server))
            second = asyncio.ensure_future(fetched(client, server))
            sent = len(server.requests)
            await until(lambda sent=sent: len(server.requests) > sent, "A request goes out.")
            second.cancel()
            first.cancel()
            await asyncio.wait({first, second})
            promise(first.cancelled() and second.cancelled(), "Cancelling is not swallowed.")
            await until(lambda: server.open == 0, "A request that is cancelled closes its connection.")
    async with serving(always(_ENDLESS)) as server, opened(open_client, _ONE) as client:
        for leave in (_cancelled_in_the_middle, _closed_in_the_middle, _cancelled_while_reading):
            await leave(client, server)
            await until(lambda: server.open == 0, "An answer that is left in the middle closes its connection.")
        promise(server.connections == 3, "Each had a connection of its own.")
    async with serving(always(OK)) as server, opened(open_client, Limits(connections=2)) as client:
        # At every moment of a request's life.
        for turns in range(40):
            tasks = [asyncio.ensure_future(fetched(client, server)) for _ in range(5)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        async with asyncio.timeout(20):
            got = await asyncio.gather(*(fetched(client, server) for _ in range(20)))
        promise(got == [b"ok"] * 20, "After many that were cancelled all places are there.")
    await until(lambda: sockets() <= before, f"No socket is left: {sockets()} are open, and {before} were.")


async def check_confusion(open_client: OpenClient, *, seed: int = 7, requests: int = 300) -> None:
    """Check that whatever servers and callers do, by turns and at once, every place comes back and no socket is left."""
    before = sockets()
    chance = random.Random(seed)  # noqa: S311 - what happens shall be the same each time
    deadlines = PATIENT._replace(first_byte_s=0.1, between_s=0.1, total_s=2)
    ways = (OK, OK, OK, b"", b"HTTP/1.1 2", b"garbage\r\n\r\n", _ENDLESS, OK + OK, b"HTTP/1.1 204 No\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")  # fmt: skip

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(chance.choice(ways))
            what = chance.random()
            if what < 0.1:
                peer.reset()
            if what < 0.2:
                return

    async def body() -> AsyncIterator[bytes]:
        for _ in range(chance.randint(0, 5)):
            await asyncio.sleep(0)
            yield bytes(chance.randint(1, 50_000))

    async def one(client: Client, server: Server) -> None:
        given = chance.choice([b"", b"{}", bytes(200_000), body()])
        async with asked(client, server, method=b"POST", body=given, deadlines=deadlines) as answer:
            way = chance.random()
            if way < 0.6:
                await answer.read(1000)
            elif way < 0.9:
                async for _ in answer.chunks():
                    if chance.random() < 0.3:
                        break

    async with serving(script) as server, opened(open_client, Limits(connections=5)) as client:
        tasks = [asyncio.ensure_future(one(client, server)) for _ in range(requests)]
        for task in tasks:
            if chance.random() < 0.2:
                task.get_loop().call_later(chance.random(), task.cancel)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        strange = [one for one in ended if one is not None and not isinstance(one, _EXPECTED)]
        promise(not strange, f"Nothing but what is promised is raised: {strange[:3]!r}.")
        promise(server.open_at_most <= 5 + _CLOSING, f"Five connections are the limit, not {server.open_at_most}.")
        ways = (OK,)
        got = await asyncio.gather(*(fetched(client, server) for _ in range(50)), return_exceptions=True)
        promise(got.count(b"ok") >= 45, f"After all that every place is there: {got!r}.")
    await until(lambda: sockets() <= before, f"No socket is left: {sockets()} are open, and {before} were.")


async def _cancelled_in_the_middle(client: Client, server: Server) -> None:
    async def read() -> None:
        async with asked(client, server) as answer:
            async for _ in answer.chunks():
                came.set()

    came = asyncio.Event()
    task = asyncio.ensure_future(read())
    await came.wait()
    task.cancel()
    await asyncio.wait({task})
    promise(task.cancelled(), "Cancelling is not swallowed.")


async def _closed_in_the_middle(client: Client, server: Server) -> None:
    async with asked(client, server) as answer:
        async for chunk in answer.chunks():
            promise(chunk == b"x", "What has come is there at once.")
            break
        await answer.aclose()
        await answer.aclose()
        with refuses(Broken, "What was closed is not read on."):
            await answer.read(1 << 20)


async def _cancelled_while_reading(client: Client, server: Server) -> None:
    async with asked(client, server) as answer:
        task = asyncio.ensure_future(answer.read(1 << 20))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})
        promise(task.cancelled(), "Cancelling is not swallowed.")


def _closes_on(number: int, *, afterwards: bool = True, said: bytes = b"") -> Callable[[Peer], Awaitable[None]]:
    """Read the request of that number on each connection, and close; `afterwards`: answer those on later connections."""

    async def script(peer: Peer) -> None:
        later = peer.server.connections > 1
        while True:
            await peer.request()
            if peer.asked == number or (later and not afterwards):
                await peer.say(said)
                return
            await peer.say(OK)

    return script


async def _closes_at_once(peer: Peer) -> None:
    await peer.request()
    await peer.say(OK)


def _answers_when(event: asyncio.Event) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await event.wait()
            await peer.say(OK)

    return script


def _silent_then(_answer: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    return script
