"""What all doors have in common: from a request to a call, through the pipeline, to the reply."""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from gimbal.generative.gateway.attribution import attributed, traced, waits_s
from gimbal.generative.gateway.call import Attribution, Call
from gimbal.generative.gateway.flight import CHAT, Flight
from gimbal.generative.gateway.pipeline import AnswerStream, finish, run
from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.providers.upstreams.addressing import PASSED
from gimbal.generative.gateway.providers.upstreams.kinds import kinds
from gimbal.generative.gateway.providers.upstreams.refusals import shown
from gimbal.generative.gateway.shadowing import shadow
from gimbal.generative.gateway.stages.encode import whole
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, TooLarge
from gimbal.kernel.http import HttpReply, HttpRequest

_CLIENT_CLOSED = 499
"""Nobody reads it; the usual status in logs for a caller who has gone."""
_WATCH_S = 0.05
"""After so long without an answer it is worth a task to see whether the caller is still there."""
_STREAM = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_NO_PATH: Mapping[str, str] = {}


class _Told(msgspec.Struct):
    error: Any = None


_told = msgspec.json.Decoder(_Told)


async def answered(
    ctx: Context, request: HttpRequest, wire: Any, *, path: Mapping[str, str] = _NO_PATH, operation: str = CHAT
) -> HttpReply:
    """Answer a call that came by a wire, one for embeddings too. `path` is what the address said of it."""
    try:
        asked = wire.asked(await request.body.read(), path)
        call = Call(
            wire,
            asked,
            attribution=attributed(asked, request.headers, request.path, ctx.principal.attribution),
            trace=traced(request.headers),
            headers=_passed(request.headers),
            timeout_s=waits_s(request.headers),
        )
    except (BadInput, TooLarge) as problem:
        return await _unreadable(ctx, request, wire, problem)
    flight = Flight(ctx, call, operation=operation)
    try:
        present = await _while_present(flight, request)
    except GimbalError as problem:
        reply = _refused(wire, problem)
        return msgspec.structs.replace(reply, headers={**reply.headers, **headers_of(flight)})
    if not present:
        return HttpReply(status=_CLIENT_CLOSED, headers=headers_of(flight))
    if flight.plan is not None and flight.plan.shadow is not None:
        shadow(flight, flight.plan.shadow)
    if asked.stream:
        kind = "application/json" if asked.array else "text/event-stream"
        return HttpReply(body=AnswerStream(flight), media_type=kind, headers={**headers_of(flight), **_STREAM})
    return HttpReply(body=whole(flight), headers=headers_of(flight))


def _refused(wire: Any, problem: GimbalError) -> HttpReply:
    """Return an error in the caller's wire; a provider of the same wire speaks for itself, with its limits.

    Unless its status is not what the caller shall see: a key of ours that is refused is no business of the caller's.
    """
    reply: HttpReply = wire.error_reply(problem)
    if not isinstance(problem, Refusal):
        return reply
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in shown(problem.headers)}
    own = problem.wire == wire.name and problem.status == problem.provider_status and _is_error(problem.body_sent)
    body = problem.body_sent if own else reply.body
    return msgspec.structs.replace(reply, body=body, headers={**headers, **reply.headers})


def _is_error(body: bytes) -> bool:
    try:
        return bool(_told.decode(body).error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _passed(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Return those that some provider may want; each takes of them what its own allow-list has."""
    if _may_pass().isdisjoint(headers):
        return ()
    return tuple((name.encode(), headers[name].encode("latin-1")) for name in _may_pass() & headers.keys())


@functools.cache
def _may_pass() -> frozenset[str]:
    listed = {name.decode() for names in PASSED.values() for name in names}
    return frozenset(listed.union(*(kind.passes for kind in kinds().values())))


async def _unreadable(ctx: Context, request: HttpRequest, wire: Any, problem: GimbalError) -> HttpReply:
    """Record a request that is no call, and tell the caller."""
    call = Call(
        wire, Asked(model="", fields={}), attribution=Attribution(endpoint=request.path), trace=traced(request.headers)
    )
    flight = Flight(ctx, call)
    flight.error = problem
    await finish(flight)
    reply = wire.error_reply(problem)
    return msgspec.structs.replace(reply, headers={**reply.headers, **headers_of(flight)})


async def _while_present(flight: Flight, request: HttpRequest) -> bool:
    """Run the call, and stop it when the caller goes away meanwhile; return whether the caller is still there."""
    task = asyncio.current_task()
    assert task is not None, "requests are served by tasks"
    watch = _Watch(request, task)
    _watched.add(watch)
    try:
        await run(flight)
    except asyncio.CancelledError:
        if not watch.gone:
            raise
        task.uncancel()
        return False
    finally:
        _watched.discard(watch)
    return True


class _Watches:
    """Calls that are under way. One timer looks for those that take long: a timer for each would cost them more."""

    def __init__(self) -> None:
        self._young: set[_Watch] = set()
        self._old: set[_Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, watch: "_Watch") -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # the one before has ended, and its calls with it
            self._loop, self._timer = loop, None
            self._young.clear()
            self._old.clear()
        self._young.add(watch)
        if self._timer is None:
            self._timer = loop.call_later(_WATCH_S, self._look)

    def discard(self, watch: "_Watch") -> None:
        self._young.discard(watch)
        if watch in self._old:
            self._old.discard(watch)
            watch.end()

    def _look(self) -> None:
        for watch in self._old:
            watch.begin()
        self._old |= self._young
        self._young.clear()
        self._timer = asyncio.get_running_loop().call_later(_WATCH_S, self._look) if self._old else None


class _Watch:
    """Cancels a task when its caller goes away."""

    __slots__ = ("_request", "_task", "_watching", "gone")

    def __init__(self, request: HttpRequest, task: "asyncio.Task[object]") -> None:
        self._request = request
        self._task = task
        self._watching: asyncio.Task[None] | None = None
        self.gone = False

    def begin(self) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._request.disconnected()
        self.gone = True
        self._task.cancel()

    def end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()


_watched = _Watches()


def headers_of(flight: Flight) -> dict[str, str]:
    """Return what a caller is told beside the answer: the trace, who answered, what it cost and what we took of the time."""
    answer, found = flight.answer, dict[str, str]()
    if answer is not None and answer.headers:
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    found["x-gimbal-trace-id"] = flight.call.trace.trace_id
    model = flight.shown_model
    found["x-gimbal-model"] = (
        model if model.isascii() and model.isprintable() else model.encode("ascii", "replace").decode()
    )
    found["x-gimbal-cache"] = "none"
    if flight.provider is not None:
        found["x-gimbal-provider"] = flight.provider.name
        found["x-gimbal-overhead-ms"] = f"{max(0, flight.elapsed_us() - flight.upstream_us) / 1000:.2f}"
    if flight.landed and flight.cost is not None:
        found["x-gimbal-cost-usd"] = f"{flight.cost:f}"
    if len(flight.attempts) > 1:
        found["x-gimbal-attempts"] = str(len(flight.attempts))
    return found
