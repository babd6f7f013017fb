"""uvicorn's HTTP, which gives up connections that never come to the point; `replying` has each request and its answer.

Who opens connections and sends a byte now and then would hold them all. One timer for each connection looks every few
seconds; a request sets none.
"""

import enum
from asyncio import TimerHandle, Transport
from typing import Any
from urllib.parse import unquote

from httptools import parse_url
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gimbal.engines.http.repeated import Repeated
from gimbal.engines.http.wave import Wave, wave_of
from gimbal.faces.server.exchange import HEADERS, WHOLE, Message, decoded
from gimbal.faces.server.replying import Cycle

HEAD_S = 20.0
"""Seconds from a connection, or the first byte of a request on it, to the end of the request's head."""
BODY_S = 30.0
"""Seconds without a byte of a body that somebody waits for."""
LOOK_S = 5.0
"""Seconds between looks: by so much later, at most, a connection is given up."""
_SHORTEST_S = 0.01
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: dict[str, dict[str, str]] = {WHOLE: {}}
_TRIES = 3
"""Heads that are remembered one after the other without one that came again: some callers number their requests."""


class _Waits(enum.Enum):
    """What a connection waits for."""

    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    """Of ours: that takes what it takes."""
    NEXT = enum.auto()
    """Request, for as long as connections are kept."""


class _Known:
    """A request whose head may come again on its connection."""

    __slots__ = ("_scope", "_told", "head")

    def __init__(self, head: Repeated, scope: Message) -> None:
        self.head = head
        self._scope = {**scope}
        self._told = decoded(scope["headers"])

    def scope(self, length: int) -> Message:
        """Return what the application is told of one with a body of this length."""
        told = self._told.copy()
        if length or "content-length" in told:
            told["content-length"] = str(length)
        return {**self._scope, "state": {}, "headers": self.head.headers(length), HEADERS: told}


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not come."""

    # uvicorn's has other types for these: a cycle of its own, and scopes that it makes bit by bit.
    cycle: Any
    pipeline: Any
    parser: Any
    scope: Any
    _timer: TimerHandle | None = None
    _wave: Wave
    _expects = False
    """Whether the caller waits for `100 Continue`."""
    _waits = _Waits.HEAD
    _since = 0.0
    """When it began to wait, or the last byte of a body came."""
    _known: _Known | None = None
    """The request whose head is met again."""
    _tries = _TRIES
    _fed: bytes | None = None
    """What the parser reads from the beginning of a request on, until that has its head."""
    _due = 0
    """Bytes of a body that still come to a head that was met again."""

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wave = wave_of(self.loop)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(min(LOOK_S, HEAD_S), self._look)

    def data_received(self, data: bytes) -> None:
        """Read on; what is said again, after another request, is not parsed again."""
        if self._due:
            self._take(data)
        elif self._waits is _Waits.HEAD or self._waits is _Waits.BODY:
            super().data_received(data)
        elif (known := self._known) is not None and (met := known.head.met(data)) is not None:
            self._again(known, data, *met)
        else:
            self._fed = data if self._tries else None
            super().data_received(data)
            self._fed = None

    def on_message_begin(self) -> None:
        """Wait for the rest of a request that has begun; for the first one it waits since `connection_made`."""
        self.url, self.headers, self._expects = b"", [], False
        if self._waits is not _Waits.HEAD:
            self._waits, self._since = _Waits.HEAD, self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head; wait for the body."""
        self._waits, self._since = _Waits.BODY, self.loop.time()
        parser, version = self.parser, self.parser.get_http_version()
        path, query = _target(self.url)
        plain = path.decode("ascii")
        self.scope = scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": parser.get_method().decode("ascii"),
            "root_path": "",
            "path": unquote(plain) if "%" in plain else plain,
            "raw_path": path,
            "query_string": query,
            "headers": self.headers,
            "state": {},
            "extensions": _EXTENSIONS,
        }
        fed, self._fed = self._fed, None
        upgrade = parser.should_upgrade()
        if upgrade and self._should_upgrade():
            return
        goes_on = version != "1.0" and parser.should_keep_alive()
        if upgrade:  # the parser reads on in another way
            self._known, self._tries = None, 0
        elif fed is not None and goes_on and not self._expects:
            self._remember(fed, scope)
        self._begin(scope, keep_alive=goes_on)

    def _remember(self, fed: bytes, scope: Message) -> None:
        self._tries -= 1
        head = Repeated.of(fed, self.headers)
        if head is not None:
            self._known = _Known(head, scope)

    def _again(self, known: _Known, data: bytes, start: int, length: int) -> None:
        """Take a request whose head is the one that is known."""
        self._waits, self._since = _Waits.BODY, self.loop.time()
        self._expects, self._tries = False, _TRIES
        self._begin(known.scope(length), keep_alive=True)
        self._due = length
        rest = data[start:]
        if length:
            if rest:
                self._take(rest)
        else:
            self.on_message_complete()
            if rest:
                super().data_received(rest)

    def _take(self, data: bytes) -> None:
        """Take a part of the body that is due; what comes behind it is another request."""
        due = self._due
        if len(data) < due:
            self._due = due - len(data)
            self.on_body(data)
            return
        self._due = 0
        if len(data) == due:
            self.on_body(data)
            self.on_message_complete()
        else:
            self.on_body(data[:due])
            self.on_message_complete()
            super().data_received(data[due:])

    def _begin(self, scope: Message, *, keep_alive: bool) -> None:
        """Begin to answer, or put the request behind the one before it."""
        before = self.cycle
        cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self._wave,
            default_headers=self.server_state.default_headers,
            keep_alive=keep_alive,
            expects=self._expects,
            on_response=self.on_response_complete,
        )
        self.cycle = cycle
        if before is None or before.response_complete:
            # Uvicorn's word for an application has all that there ever were.
            app: Any = self.app
            cycle.begin(self.loop, app, self.tasks)
        else:
            # It waits until what was asked before is answered.
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Hand it on; more than some is not read before somebody takes it."""
        self._since = self.loop.time()
        cycle = self.cycle
        if not (cycle.response_complete or (self.parser.should_upgrade() and self._should_upgrade())):
            cycle.feed(body)
            if cycle.held > HIGH_WATER_LIMIT:
                self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._waits = _Waits.ANSWER
        cycle = self.cycle
        if not (cycle.response_complete or (self.parser.should_upgrade() and self._should_upgrade())):
            cycle.whole()

    def on_response_complete(self) -> None:
        """Go on with the next request, without a timer that it would have to stop."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            cycle.begin(self.loop, app, self.tasks)
        elif self._waits is _Waits.ANSWER:
            self._waits, self._since = _Waits.NEXT, self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, after what was answered before."""
        self._wave.flush()
        super().send_400_response(msg)

    def shutdown(self) -> None:
        """Close the connection once what is answered has gone out."""
        self._wave.flush()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.connections.discard(self)
        if self.cycle is not None:
            self.cycle.lost()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None

    def _look(self) -> None:
        now = self.loop.time()
        if self._waits is _Waits.ANSWER or (self._waits is _Waits.BODY and self.flow.read_paused):
            self._since = now  # it is we who do not go on
        limit = BODY_S if self._waits is _Waits.BODY else HEAD_S
        left = self._since + (self.timeout_keep_alive if self._waits is _Waits.NEXT else limit) - now
        if left <= 0:
            self._timer = None
            self.transport.close()
        else:
            self._timer = self.loop.call_later(max(_SHORTEST_S, min(left, LOOK_S)), self._look)


def _target(url: bytes) -> tuple[bytes, bytes]:
    """Return the path and the query of what was asked for."""
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = parse_url(url)  # a whole address, as it is sent to proxies
    return parsed.path, parsed.query or b""
