"""How long a caller may take to say what it wants: uvicorn's HTTP, which gives up connections that never come to the point.

Who opens connections and sends a byte now and then would hold them all.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 20.0
"""Seconds from a connection, or the first byte of a request on it, to the end of the request's head."""
BODY_S = 30.0
"""Seconds without a byte of a body that somebody waits for."""


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not come; requests that do cost one timer each."""

    _timer: TimerHandle | None = None
    _in_body = False
    _since = 0.0
    """When the request, or the last byte of its body, came."""

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the first request."""
        super().connection_made(transport)
        self._begin()

    def on_message_begin(self) -> None:
        """Wait for the rest of a request that has begun; for the first one `connection_made` waits already."""
        super().on_message_begin()
        if self._timer is None:
            self._begin()

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._in_body, self._since = True, self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that it goes on."""
        self._since = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._end()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._in_body, self._since = False, self.loop.time()
        self._timer = self.loop.call_later(HEAD_S, self._look)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self.loop.time()
        if self._in_body and self.flow.read_paused:
            self._since = now  # it is we who do not read on
        left = self._since + (BODY_S if self._in_body else HEAD_S) - now
        if left <= 0:
            self._timer = None
            self.transport.close()
        else:
            self._timer = self.loop.call_later(left, self._look)
