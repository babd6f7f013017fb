"""One request and its answer over HTTP/1.1, as ASGI's `receive` and `send`.

`patience` makes one for each request, in the place of uvicorn's own, which asks more of the event loop. The head of an
answer goes out with the beginning of its body, in one packet, beside the answers of other connections. Source: RFC 9112.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gimbal.engines.http.wave import Wave
from gimbal.faces.server.exchange import WHOLE, Message, Receive, Send
from gimbal.kernel.settings import KIB

_log = logging.getLogger(__name__)
_BODILESS = frozenset({204, 304})
_JOINED_BYTES = 16 * KIB
"""A body up to this size is copied behind its head."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FAILED = b"Internal Server Error"
_FAILED_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(_FAILED)),
    (b"connection", b"close"),
]

Application = Callable[[Message, Receive, Send], Awaitable[None]]


def _nobody() -> None:
    """Tell nobody."""


class Cycle:
    """One request, and the answer that an application gives."""

    __slots__ = (
        "_chunked", "_default_headers", "_expects", "_flow", "_head", "_left", "_more", "_news", "_on_response", "_parts", "_scope",
        "_someone", "_task", "_tasks", "_transport", "_wave", "disconnected", "held", "keep_alive", "response_complete", "response_started",
    )  # fmt: skip

    def __init__(
        self,
        scope: Message,
        transport: asyncio.Transport,
        flow: FlowControl,
        wave: Wave,
        *,
        default_headers: Sequence[tuple[bytes, bytes]],
        keep_alive: bool,
        expects: bool,
        on_response: Callable[[], None],
    ) -> None:
        """Begin: `expects` says whether the caller waits for `100 Continue`; `on_response` is told when the answer is out."""
        self._scope = scope
        self._transport = transport
        self._flow = flow
        self._wave = wave
        self._default_headers = default_headers
        self._expects = expects
        self._on_response = on_response
        self.keep_alive = keep_alive
        self.disconnected = self.response_started = self.response_complete = False
        self._parts: list[bytes] = []
        """What has come of the body and was not taken yet."""
        self.held = 0
        """Bytes of that."""
        self._more = True
        self._news = False
        """Whether `receive` has something to tell."""
        self._someone: asyncio.Event | None = None
        """Where somebody waits for news; most requests are here before they are asked for."""
        self._head = b""
        """What waits for the beginning of the body."""
        self._chunked = False
        self._left: int | None = None
        """Bytes that the body still has; None where it does not say."""

    # What the protocol tells.

    def feed(self, body: bytes) -> None:
        """Take a part of the body."""
        self._parts.append(body)
        self.held += len(body)
        self._news = True
        if self._someone is not None:
            self._someone.set()

    def whole(self) -> None:
        """Learn that the body has come to its end."""
        self._more = False
        self._news = True
        if self._someone is not None:
            self._someone.set()

    def lost(self) -> None:
        """Learn that the connection is closed."""
        self.disconnected = not self.response_complete
        if self._someone is not None:
            self._someone.set()

    # What the application asks.

    def begin(self, loop: asyncio.AbstractEventLoop, app: Application, tasks: "set[asyncio.Task[None]]") -> None:
        """Let the application answer, in a task that is among `tasks` until it has ended."""
        self._tasks = tasks
        self._task = loop.create_task(self._run(app))
        tasks.add(self._task)

    async def _run(self, app: Application) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except BaseException as problem:  # noqa: BLE001 - whatever it is, the caller must not wait for ever
            _log.error("a request was not answered to its end", exc_info=problem)
            await self._failed()
        else:
            if not self.response_complete and not self.disconnected:
                _log.error("an application returned before its answer had come to its end")
                await self._failed()
        finally:
            self._on_response = _nobody
            # Not by a callback: the loop would have to call one for every request.
            self._tasks.discard(self._task)
            del self._task

    async def _failed(self) -> None:
        """Answer that something is wrong, or end the connection where another answer has begun."""
        if self.response_complete:
            return
        if self.response_started:
            self._wave.flush()  # what was said before is still said
            self._transport.close()
            return
        await self.send({"type": "http.response.start", "status": 500, "headers": _FAILED_HEADERS})
        await self.send({"type": "http.response.body", "body": _FAILED})

    async def receive(self) -> Message:
        """Return the next part of the body, or that the caller has gone or has the answer."""
        if self._expects and not self._transport.is_closing():
            self._expects = False
            self._wave.flush()
            self._transport.write(_CONTINUE)
        if not self._news and not self.disconnected and not self.response_complete:
            self._flow.resume_reading()
            someone = self._someone = self._someone or asyncio.Event()
            someone.clear()
            await someone.wait()
        self._news = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        parts = self._parts
        self._parts, self.held = [], 0
        if self._more:
            self._flow.resume_reading()
        return {
            "type": "http.request",
            "body": parts[0] if len(parts) == 1 else b"".join(parts),
            "more_body": self._more,
        }

    async def send(self, message: Message) -> None:
        """Send the head or a part of the body; wait where the network is full."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == WHOLE or kind == "http.response.start":  # noqa: PLR1714 - on the path of every request
            if self.response_started:
                raise RuntimeError("An answer begins once.")
            if kind == WHOLE:
                self._answer(message["status"], message["lines"], message["body"])
            else:
                self._begin(message["status"], message["headers"])
        elif self.response_started and not self.response_complete:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError("A body comes after its head and before its end.")

    def _answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Send a whole answer, whose headers have been looked at; they say nothing of length and connection."""
        self.response_started = True
        self._expects = False
        ready = b"".join([part for name, value in self._default_headers for part in (name, b": ", value, b"\r\n")])
        end = b"" if self.keep_alive else b"connection: close\r\n"
        self._head = b"%b%b%bcontent-length: %d\r\n%b\r\n" % (STATUS_LINE[status], ready, lines, len(body), end)
        self._left = len(body)
        self._go_on(body, more=False)

    def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        if self._default_headers:
            headers = [*self._default_headers, *headers]
        lines = b"".join([part for name, value in headers for part in (name, b": ", value, b"\r\n")])
        ends = len(headers)
        if lines.count(b"\n") != ends or lines.count(b"\r") != ends or b"\0" in lines:
            raise RuntimeError("A header has a line break or a zero byte in it.")
        self.response_started = True
        self._expects = False
        known = dict(headers)
        length = known.get(b"content-length")
        if length is not None:
            self._left = int(length)
        elif status not in _BODILESS and self._scope["method"] != "HEAD":
            if self._scope["http_version"] == "1.1":
                self._chunked = True
                lines += b"transfer-encoding: chunked\r\n"
            else:  # the end of the connection is that of the body
                self.keep_alive = False
        if known.get(b"connection", b"").lower() == b"close":
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        self._head = STATUS_LINE[status] + lines + b"\r\n"

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self._scope["method"] == "HEAD":
            body, self._left = b"", None
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("A body has another length than its head says.")
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        if self._head:
            if len(body) <= _JOINED_BYTES:
                body = self._head + body
            else:
                self._wave.write(self._transport, self._head)
            self._head = b""
        if body:
            self._wave.write(self._transport, body)
        if not more:
            self._end()

    def _end(self) -> None:
        self.response_complete = True
        if self._someone is not None:
            self._someone.set()
        if not self.keep_alive:
            self._wave.flush()
            self._transport.close()
        self._on_response()
