"""How an answer goes out over HTTP/1.1: its head with the beginning of its body, beside the answers of other connections.

uvicorn makes the request and its `cycle`; what it does for an answer is done here, with one check of all headers for one of
each, and with one packet for two. Source: RFC 9112.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gimbal.engines.http.wave import Wave
from gimbal.faces.server.exchange import Message, Receive, Send
from gimbal.kernel.settings import KIB

_BODILESS = frozenset({204, 304})
_JOINED_BYTES = 16 * KIB
"""A body up to this size is copied behind its head."""


class Replying:
    """The application for one request, whose answer goes out as said above."""

    __slots__ = ("_app", "_chunked", "_cycle", "_head", "_left", "_wave")

    def __init__(self, app: Any, cycle: RequestResponseCycle, wave: Wave) -> None:
        self._app = app
        self._cycle = cycle
        self._wave = wave
        self._head = b""
        """What waits for the beginning of the body."""
        self._chunked = False
        self._left: int | None = None
        """Bytes that the body still has; None where it does not say."""

    async def __call__(self, scope: Message, receive: Receive, _send: Send) -> None:
        """Serve the request."""
        try:
            await self._app(scope, receive, self._send)
        finally:
            if not self._cycle.response_complete:
                # uvicorn closes the connection now: what was said before is still said.
                self._wave.flush()

    async def _send(self, message: Message) -> None:
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if message["type"] == "http.response.start":
            if cycle.response_started:
                raise RuntimeError("An answer begins once.")
            self._begin(message)
        elif cycle.response_started and not cycle.response_complete:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError("A body comes after its head and before its end.")

    def _begin(self, message: Message) -> None:
        cycle, headers = self._cycle, message["headers"]
        if cycle.default_headers:
            headers = [*cycle.default_headers, *headers]
        lines = b"".join([part for name, value in headers for part in (name, b": ", value, b"\r\n")])
        ends = len(headers)
        if lines.count(b"\n") != ends or lines.count(b"\r") != ends or b"\0" in lines:
            raise RuntimeError("A header has a line break or a zero byte in it.")
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        status, known = message["status"], dict(headers)
        length = known.get(b"content-length")
        if length is not None:
            self._left = int(length)
        elif status not in _BODILESS and cycle.scope["method"] != "HEAD":
            if cycle.scope["http_version"] == "1.1":
                self._chunked = True
                lines += b"transfer-encoding: chunked\r\n"
            else:  # the end of the connection is that of the body
                cycle.keep_alive = False
        if known.get(b"connection", b"").lower() == b"close":
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            lines += b"connection: close\r\n"
        self._head = STATUS_LINE[status] + lines + b"\r\n"

    def _go_on(self, body: bytes, *, more: bool) -> None:
        cycle = self._cycle
        if cycle.scope["method"] == "HEAD":
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
                self._wave.write(cycle.transport, self._head)
            self._head = b""
        if body:
            self._wave.write(cycle.transport, body)
        if not more:
            self._end(cycle)

    def _end(self, cycle: RequestResponseCycle) -> None:
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._wave.flush()
            cycle.transport.close()
        cycle.on_response()
