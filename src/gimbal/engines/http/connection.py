"""One connection to an origin that carries one request at a time: HTTP/1.1 as httptools reads it.

It has one timer at most, and moves it seldom: what is due is computed when the timer fires, because there are many more
bytes than silences. Its owner is told when it is free again, closed or not.
"""

import asyncio
from math import inf
from typing import Final, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gimbal.engines.http import problems
from gimbal.engines.http.answer import Answer, Wants
from gimbal.engines.http.model import Deadlines, HeaderList
from gimbal.engines.http.repeated import Repeated
from gimbal.engines.http.wave import wave_of
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings import KIB

# The most of a head, and the most that may come without a byte of a body: trailers, extensions of chunks.
_HEAD_BYTES: Final = 64 * KIB
_HEADERS: Final = 256
_INTERIMS: Final = 16
_BODILESS: Final = frozenset({204, 304})
# Heads that are remembered one after the other without one that came again: some servers number their answers.
_TRIES: Final = 3
# The loops' clocks count milliseconds.
_TICK_S: Final = 0.002


class Owner(Protocol):
    """Who leads connections: the pool."""

    def free(self, connection: "Connection") -> None:
        """Take a connection back that carries no request any more; it may be closed."""
        ...

    def lost(self, connection: "Connection") -> None:
        """Learn that a connection that carried no request is closed."""
        ...


class _Wrong(Exception):
    """What came is no answer, or more than one."""


class Connection(asyncio.Protocol):
    """A connection; `closed` when no request can go over it any more."""

    __slots__ = (
        "_answer", "_armed", "_bodiless", "_dry", "_ended", "_fed", "_full", "_headers", "_held", "_interims", "_keep", "_known", "_loop",
        "_owner", "_parser", "_phase", "_since", "_span", "_status", "_timer", "_transport", "_tries", "_until", "_wave", "_where", "closed",
        "idle_s", "sending", "used",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, where: str, idle_s: float) -> None:
        self.closed = False
        self.used = False
        """Whether it has carried a request to its end."""
        self.sending = False
        """Whether a part of the request is still to be sent."""
        self.idle_s = idle_s
        self._loop = loop
        self._wave = wave_of(loop)
        self._owner = owner
        self._where = where
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._bodiless = self._ended = self._held = self._keep = False
        self._dry = self._interims = 0
        self._known: Repeated | None = None
        """The head of an answer, and its status, that is met again."""
        self._status = 0
        self._tries = _TRIES
        self._fed: bytes | None = None
        """What the parser reads from the beginning of an answer on, until that has its head."""
        self._full = False
        self._phase = "idle"
        self._since = 0.0
        self._span = self._until = self._armed = inf
        self._timer: asyncio.TimerHandle | None = None

    # What the client does with it.

    def begin(
        self, method: bytes, data: bytes, deadlines: Deadlines, until: float, now: float, *, alone: bool = False
    ) -> Answer:
        """Send the head of a request and what fits beside it; its answer will be what is returned.

        What goes `alone`, with nothing behind it, goes with what other connections send in this turn of the loop.
        """
        self._answer = answer = Answer(self._loop, self, deadlines, self._where)
        self._bodiless = method == b"HEAD"
        self._until = until
        self._await("first_byte", deadlines.first_byte_s, now)
        assert self._transport is not None, "A connection is made before it is used."
        if alone:
            self._wave.write(self._transport, data)
        else:
            self._transport.write(data)
        return answer

    async def send(self, data: bytes | memoryview, answer: Answer) -> bool:
        """Send more of a request; tell whether the answer still waits for it. Return when there is room for more."""
        if answer is not self._answer or answer.headed or self._transport is None:
            return False
        self._await("first_byte", answer.deadlines.first_byte_s, self._loop.time())
        self._transport.write(data)
        return await self.drain(answer)

    async def drain(self, answer: Answer) -> bool:
        """Wait until the network has taken what was sent, or an answer came before; tell whether it took it."""
        while self._full and not answer.headed and answer.error is None:
            await answer.wait(Wants.HEAD)
        if answer is not self._answer or answer.headed:
            return False
        self._since = self._loop.time()
        return True

    def end(self, problem: GimbalError) -> None:
        """Close it, and tell who waits for its answer."""
        self._fail(problem)

    def drop(self) -> None:
        """Close it, whatever it carries."""
        self._close()
        if self._answer is not None:
            self._answer = None
            self._owner.free(self)

    def hold(self) -> None:
        """Read no more for now; the silence that follows is ours."""
        self._span = inf
        if not self._held and self._transport is not None and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read on."""
        if self._answer is not None:
            self._await("between", self._answer.deadlines.between_s, self._loop.time())
        if self._held and self._transport is not None and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are not asyncio's by class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read bytes of an answer."""
        answer = self._answer
        if answer is None or self._parser is None:
            # Nobody asked: often a server says in this way that it has closed an idle connection.
            self._gone()
            return
        if not answer.begun:
            answer.begun = True
            known = None if self._bodiless else self._known
            if known is not None and (met := known.met(data)) is not None and len(data) == met[0] + met[1]:
                self._again(known, answer, data, *met)
                return
            self._fed = data if self._tries else None
        self._dry += len(data)
        self._await("between", answer.deadlines.between_s, self._loop.time())
        wrong = ""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as problem:
            wrong = _said(problem)
        else:
            if self._dry > _HEAD_BYTES:
                wrong = f"{_HEAD_BYTES // KIB} KiB came without a byte of a body"
        self._fed = None
        if wrong and not self._ended:
            self._fail(problems.broken(self._where, f"what came is no HTTP ({wrong})", begun=True))
            return
        if wrong:
            self._keep = False
        if self._ended:
            self._finish(answer)
        elif answer.waiter is not None:
            wants = answer.wants
            if (wants is Wants.HEAD and answer.headed) or (wants is Wants.SOME and answer.parts):
                answer.wake()

    def eof_received(self) -> None:
        """Learn that no more bytes will come."""
        self._gone()

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection is closed."""
        self._gone(exc)
        self._transport = None

    def pause_writing(self) -> None:
        """Learn that the network is slower than we are."""
        self._full = True

    def resume_writing(self) -> None:
        """Learn that there is room again."""
        self._full = False
        if self._answer is not None and not self._answer.headed:
            self._answer.wake()

    # What the parser tells.

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request."""
        if self._ended:
            raise _Wrong("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those after the body are read over."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the head."""
        answer, parser, headers = self._answer, self._parser, self._headers
        if answer is None or parser is None or self._ended:
            raise _Wrong("bytes after the end of the answer")
        if self._dry > _HEAD_BYTES and sum(len(name) + len(value) + 4 for name, value in headers) > _HEAD_BYTES:
            raise _Wrong(f"its head has more than {_HEAD_BYTES // KIB} KiB")
        if len(headers) > _HEADERS:
            raise _Wrong(f"its head has more than {_HEADERS} headers")
        self._headers = []
        fed, self._fed = self._fed, None
        status = parser.get_status_code()
        if status < 200:
            self._interim(status, answer)
            return
        answer.status = status
        answer.headers = headers
        answer.headed = True
        self._keep = parser.should_keep_alive()
        if self._bodiless or status in _BODILESS:
            # The parser knows neither what was asked nor that a length may be told of a body that does not come.
            self._ended = True
            self._parser = HttpResponseParser(self)
        elif fed is not None and self._keep and _framed(headers):
            self._tries -= 1
            self._known, self._status = Repeated.of(fed, headers), status

    def _again(self, known: Repeated, answer: Answer, data: bytes, start: int, length: int) -> None:
        """Take a whole answer whose head is the one that is known."""
        self._tries, self._keep, self._since = _TRIES, True, self._loop.time()
        answer.status, answer.headers, answer.headed = self._status, known.headers(length), True
        if length:
            self.on_body(data[start:])
        self._finish(answer)

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        answer = self._answer
        if answer is None or self._ended:
            raise _Wrong("bytes after the end of the answer")
        self._dry = 0
        answer.parts.append(data)
        answer.size += len(data)
        if answer.size > answer.room:
            answer.full()

    def on_message_complete(self) -> None:
        """Learn that the answer is whole; an interim one is not the answer."""
        if self._answer is not None and self._answer.headed:
            self._ended = True

    # How an answer ends.

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        self._ended = False
        self._dry = self._interims = 0
        if self._headers:
            self._headers = []
        answer.ended = True
        answer.wake()
        if self._keep and not self.sending and not self.closed:
            self.used = True
            self._until = inf
            self._await("idle", self.idle_s, self._since)
            if self._held:
                # The end came with the bytes that were too many.
                self.go_on()
        else:
            self._close()
        self._owner.free(self)

    def _fail(self, problem: GimbalError) -> None:
        answer = self._answer
        self._close()
        if answer is not None:
            self._answer = None
            answer.error = problem
            answer.wake()
            self._owner.free(self)

    def _gone(self, problem: Exception | None = None) -> None:
        """Close our side; an answer without a length has ended by that, any other is broken."""
        if self.closed:
            return
        answer = self._answer
        if answer is None:
            self._close()
            self._owner.lost(self)
        elif problem is None and answer.headed and not _framed(answer.headers):
            self._keep = False
            self._finish(answer)
        else:
            words = "the connection was reset" if problem else "the connection was closed"
            self._fail(problems.broken(self._where, f"{words} {_when(answer)}", begun=answer.begun))

    def _interim(self, status: int, answer: Answer) -> None:
        self._interims += 1
        if status == 101:
            raise _Wrong("it changes to another protocol")
        if self._interims > _INTERIMS:
            raise _Wrong(f"more than {_INTERIMS} interim answers")
        self._await("first_byte", answer.deadlines.first_byte_s, self._loop.time())

    def _close(self) -> None:
        self.closed = True
        self._parser = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            # Not `close`: that would wait for a reader who takes what is left to send.
            self._transport.abort()

    # What is due.

    def _await(self, phase: str, span: float, now: float) -> None:
        self._phase, self._since, self._span = phase, now, span
        if now + span < self._armed or self._until < self._armed:
            if self._timer is not None:
                self._timer.cancel()
            self._armed = min(now + span, self._until)
            self._timer = self._loop.call_at(self._armed, self._look)

    def _look(self) -> None:
        self._timer = None
        now, by_silence = self._loop.time(), self._since + self._span
        due = min(by_silence, self._until)
        if now + _TICK_S < due:
            self._armed = due
            self._timer = None if due == inf else self._loop.call_at(due, self._look)
            return
        self._armed = inf
        answer = self._answer
        if answer is None:
            self._close()
            self._owner.lost(self)
            return
        phase = "total" if self._until <= by_silence else self._phase
        self._fail(problems.too_slow(self._where, phase, answer.deadlines))


def _framed(headers: HeaderList) -> bool:
    """Tell whether an answer says itself where it ends."""
    return any(
        name == b"content-length" or (name == b"transfer-encoding" and value.lower().rstrip().endswith(b"chunked"))
        for name, value in headers
    )


def _when(answer: Answer) -> str:
    if not answer.begun:
        return "before a byte of it came"
    return "in the middle of its body" if answer.headed else "in the middle of its head"


def _said(problem: Exception) -> str:
    cause = problem.__context__ if isinstance(problem.__context__, _Wrong) else problem
    return str(cause) or type(cause).__name__
