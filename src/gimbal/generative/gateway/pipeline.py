"""The path of a call, as one visible tuple of stages, each with its own timing in the trace.

Those on the way out run in order and the first error ends the call; `settle` and `record` always run, once, whatever
happened: a broken stream or a caller who has gone is settled and recorded with what was used.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.stages.admit import admit
from gimbal.generative.gateway.stages.encode import chunks, encode
from gimbal.generative.gateway.stages.guard import guard_input, guard_output
from gimbal.generative.gateway.stages.provide import provide
from gimbal.generative.gateway.stages.record import record
from gimbal.generative.gateway.stages.route import route
from gimbal.generative.gateway.stages.settle import settle
from gimbal.kernel.errors import GimbalError

_log = logging.getLogger(__name__)


class Stage(msgspec.Struct, frozen=True):
    """One step on the path; one that has nothing to do yet costs nothing."""

    name: str
    run: Callable[[Flight], Awaitable[None]] | None = None
    back: bool = False
    """Whether it runs in a `finally`."""


STAGES = (
    Stage("admit", admit),
    Stage("guard_input", guard_input),
    Stage("cache"),
    Stage("route", route),
    Stage("reserve"),
    Stage("provider", provide),
    Stage("guard_output", guard_output),
    Stage("encode", encode),
    Stage("settle", settle, back=True),
    Stage("record", record, back=True),
)
_OUT = [(stage.name, stage.run) for stage in STAGES if stage.run and not stage.back]
_BACK = [(stage.name, stage.run) for stage in STAGES if stage.run and stage.back]
_clock = time.perf_counter_ns


async def run(flight: Flight) -> None:
    """Carry one call. When this returns the answer is whole and put down, or (a stream) has been accepted.

    Raise the GimbalError that the caller shall see; the call is recorded then as well.
    """
    opened = False
    timings = flight.timings_us
    begun = _clock()
    name = ""
    try:
        for name, stage in _OUT:
            await stage(flight)
            now = _clock()
            timings[name] = (now - begun) // 1000
            begun = now
        opened = flight.call.asked.stream
    except GimbalError as problem:
        flight.error = problem
        raise
    except asyncio.CancelledError:
        flight.cancelled = True
        raise
    except Exception as problem:
        flight.error = GimbalError(f"The gateway failed: {type(problem).__name__}.", todo="Look into the server's log.")
        raise
    finally:
        if name not in timings:
            timings[name] = (_clock() - begun) // 1000
        if not opened:
            await finish(flight)


async def finish(flight: Flight) -> None:
    """Settle and record, once; goes on to its end also when the waiting task is cancelled."""
    if flight.ending:
        if not flight.over:
            flight.ended = flight.ended or asyncio.get_running_loop().create_future()
            await asyncio.shield(flight.ended)
        return
    flight.ending = True
    flight.land()
    try:
        await _finish(flight)
    except asyncio.CancelledError:
        # Nearly always nothing is waited for, and no task is needed. What was cut off is begun again: no stage has half
        # an effect.
        going_on = asyncio.create_task(_finish(flight))
        _GOING_ON.add(going_on)
        going_on.add_done_callback(lambda task: _has_ended(flight, task))
        raise
    _over(flight)


_GOING_ON: set[asyncio.Task[None]] = set()
"""Ends of calls whose callers have gone: nobody else holds them."""


def _has_ended(flight: Flight, task: asyncio.Task[None]) -> None:
    _GOING_ON.discard(task)
    _over(flight)


def _over(flight: Flight) -> None:
    flight.over = True
    if flight.ended is not None and not flight.ended.done():
        flight.ended.set_result(None)


async def _finish(flight: Flight) -> None:
    try:
        if flight.answer is not None:
            await flight.answer.aclose()
    finally:
        for name, stage in _BACK:
            if name in flight.timings_us:
                continue
            begun = _clock()
            try:
                await stage(flight)
            except Exception:  # noqa: BLE001 - the caller has the answer; what is lost is counted and logged, never hidden
                flight.lost.append(name)
                flight.ctx.count(
                    "gimbal_gateway_lost_stages_total",
                    "Ends of calls (settle, record) that failed after the answer was given.",
                    stage=name,
                )
                _log.exception("stage %s failed for trace %s", name, flight.call.trace.trace_id)
            flight.timings_us[name] = (_clock() - begun) // 1000


class AnswerStream:
    """The bytes of a streamed answer; closing it, before or after its first chunk, settles and records the call."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._chunks = chunks(flight, finish)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next event."""
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except asyncio.CancelledError:
            await self._stop()
            raise
        except BaseException as problem:
            self._flight.error = self._flight.error or GimbalError(f"The gateway failed: {type(problem).__name__}.")
            await finish(self._flight)
            raise

    async def aclose(self) -> None:
        """Stop the provider, settle and record, if that has not happened yet."""
        await self._stop()

    async def _stop(self) -> None:
        if not self._flight.landed:
            self._flight.cancelled = True
        await finish(self._flight)
        with contextlib.suppress(RuntimeError):  # it is running in a step that is being cancelled
            closer = getattr(self._chunks, "aclose", None)
            if closer:
                await closer()
