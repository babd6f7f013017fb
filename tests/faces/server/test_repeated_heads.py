"""Requests whose heads come again are served as if each had been parsed, however their bytes are cut."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from gimbal.engines.http.repeated import Repeated
from gimbal.faces.server.exchange import HEADERS, decoded
from gimbal.faces.server.patience import PatientProtocol

Message = dict[str, Any]
LENGTHS = (0, 1, 9, 10, 100)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Note that."""
        self.closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know addresses."""
        return {"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 5)}.get(name, default)

    def pause_reading(self) -> None:
        """Read on all the same."""

    def resume_reading(self) -> None:
        """Read on."""

    def set_write_buffer_limits(self, *_: Any, **__: Any) -> None:
        """Have none."""


class Seen:
    """An application that keeps what it was asked, and spoils what it was given."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer with the body."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        told = scope.get(HEADERS) or decoded(scope["headers"])
        what = {name: scope[name] for name in ("method", "path", "query_string", "http_version", "client", "scheme")}
        self.requests.append((what, list(scope["headers"]), dict(told), scope["state"].copy(), body))
        scope["headers"].clear()
        told.clear()
        scope["state"]["spoilt"] = True
        scope["client"] = scope["path"] = None
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


async def served(pieces: list[bytes], *, remembers: bool) -> tuple[list[Any], bytes, bool]:
    """Return what the application saw, what went out, and whether the connection was closed."""
    app, wire = Seen(), Wire()
    config = uvicorn.Config(app, http=PatientProtocol, lifespan="off", log_config=None, ws="none", access_log=False)
    config.load()
    loop = asyncio.get_running_loop()
    protocol = PatientProtocol(config, ServerState(), {}, _loop=loop)
    if not remembers:
        protocol._tries = 0  # every head is parsed then
    protocol.connection_made(wire)  # type: ignore[arg-type]
    for piece in pieces:
        if wire.closed:
            break
        protocol.data_received(piece)
        for _ in range(4):
            await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    closed = wire.closed
    protocol.connection_lost(None)
    return app.requests, wire.written, closed


def request(start: bytes, length: int, more: bytes = b"") -> bytes:
    """Return a request with a body."""
    return b"%b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\nX-Last: 1\r\n\r\n%b" % (
        start,
        more,
        length,
        b"b" * length,
    )


PLAIN = st.sampled_from(LENGTHS).map(lambda length: request(b"POST /v1/chat?a=%20", length))
ODD = st.sampled_from(
    [
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: y\r\n\r\n",
        request(b"PUT /other", 3),
        request(b"POST /v1/chat?a=%20", 4, b"Expect: 100-continue\r\n"),
        request(b"POST /v1/chat?a=%20", 4, b"Connection: close\r\n"),
        request(b"POST /v1/chat?a=%20", 2, b"X-Two: 2\r\n"),
        request(b"POST /v1/chat?a=%20", 2, b"Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        b"POST /v1/chat HTTP/1.0\r\nContent-Length: 1\r\n\r\nb",
        b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"\r\n" + request(b"POST /v1/chat?a=%20", 4),
        request(b"POST /v1/chat?a=%20", 4).replace(b"Content-Length: 4", b"Content-Length: nine"),
        b"nonsense\r\n\r\n",
    ]
)


@settings(max_examples=300)
@given(st.lists(st.one_of(PLAIN, PLAIN, PLAIN, ODD), min_size=3, max_size=9), st.data())
def test_as_if_each_had_been_parsed(requests: list[bytes], data: st.DataObject) -> None:
    """In pieces that begin and end anywhere, several requests in one piece, one in many."""
    said = b"".join(requests)
    ends = [len(b"".join(requests[:number])) for number in range(1, len(requests))]
    joined = data.draw(st.sets(st.sampled_from(ends), max_size=2))
    cuts = data.draw(st.sets(st.integers(1, len(said) - 1), max_size=3))
    places = [0, *sorted({*ends} - joined | cuts), len(said)]
    pieces = [said[a:b] for a, b in itertools.pairwise(places)]

    again, parsed = (asyncio.run(served(pieces, remembers=remembers)) for remembers in (True, False))

    assert again == parsed


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "head and body apart"])
async def test_a_head_that_comes_again_is_not_parsed(apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would prove nothing."""
    met: list[Any] = []
    meet = Repeated.met

    def noted(self: Repeated, data: bytes) -> Any:
        met.append(meet(self, data))
        return met[-1]

    monkeypatch.setattr(Repeated, "met", noted)
    pieces: list[bytes] = []
    for length in (5, 3, 9, 120):
        said = request(b"POST /v1/chat", length)
        pieces += [said[:-length], said[-length:]] if apart else [said]

    seen, _, _ = await served(pieces, remembers=True)

    assert [row[-1] for row in seen] == [b"b" * length for length in (5, 3, 9, 120)]
    assert [length for _, length in met] == [9, 120], "the first is not kept, the second is"


async def test_who_says_another_head_each_time_is_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    of = Repeated.of
    monkeypatch.setattr(Repeated, "of", lambda data, headers: (kept.append(1), of(data, headers))[1])
    seen, _, _ = await served([request(b"POST /%d" % number, 1) for number in range(20)], remembers=True)

    assert len(seen) == 20
    assert len(kept) == 3
