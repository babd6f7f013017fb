"""uvicorn's HTTP, which gives up connections that never come to the point; answers go out by `replying`.

Who opens connections and sends a byte now and then would hold them all. One timer for each connection looks every few
seconds; a request sets none.
"""

import enum
from asyncio import TimerHandle, Transport
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gimbal.engines.http.wave import Wave, wave_of
from gimbal.faces.server.replying import Replying

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

HEAD_S = 20.0
"""Seconds from a connection, or the first byte of a request on it, to the end of the request's head."""
BODY_S = 30.0
"""Seconds without a byte of a body that somebody waits for."""
LOOK_S = 5.0
"""Seconds between looks: by so much later, at most, a connection is given up."""
_SHORTEST_S = 0.01


class _Waits(enum.Enum):
    """What a connection waits for."""

    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    """Of ours: that takes what it takes."""
    NEXT = enum.auto()
    """Request, for as long as connections are kept."""


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not come."""

    _timer: TimerHandle | None = None
    _wave: Wave
    _waits = _Waits.HEAD
    _since = 0.0
    """When it began to wait, or the last byte of a body came."""

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wave = wave_of(self.loop)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(min(LOOK_S, HEAD_S), self._look)

    def on_message_begin(self) -> None:
        """Wait for the rest of a request that has begun; for the first one it waits since `connection_made`."""
        super().on_message_begin()
        if self._waits is not _Waits.HEAD:
            self._waits, self._since = _Waits.HEAD, self.loop.time()

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._waits, self._since = _Waits.BODY, self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that it goes on."""
        self._since = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._waits = _Waits.ANSWER
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on as the one in uvicorn does, but without a timer that the next request has to stop."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._waits is _Waits.ANSWER:
            self._waits, self._since = _Waits.NEXT, self.loop.time()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, cast("ASGI3Application", Replying(app, cycle, self._wave)))

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
        super().connection_lost(exc)

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
