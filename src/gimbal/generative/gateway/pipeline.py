"""The path of a call, as one visible tuple: admit → route → provider → encode → settle → record.

The first four run in order and the first error ends the call; the last two always run, once, whatever happened: a
broken stream or a caller who has gone is settled and recorded with what was used.
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
from gimbal.generative.gateway.stages.provide import provide
from gimbal.generative.gateway.stages.record import record
from gimbal.generative.gateway.stages.route import route
from gimbal.generative.gateway.stages.settle import settle
from gimbal.kernel.errors import GimbalError

_log = logging.getLogger(__name__)


class Stage(msgspec.Struct, frozen=True):
    """One step on the path."""

    name: str
    run: Callable[[Flight], Awaitable[None]]


OUT = (Stage("admit", admit), Stage("route", route), Stage("provider", provide), Stage("encode", encode))
"""In this order, until one raises."""
BACK = (Stage("settle", settle), Stage("record", record))
"""Always, in a `finally`."""
STAGES = (*OUT, *BACK)


async def run(flight: Flight) -> None:
    """Carry one call. When this returns the answer is whole and recorded, or (`call.stream`) has been accepted.

    Raise the GimbalError that the caller shall see; the call is recorded then as well.
    """
    opened = False
    try:
        for stage in OUT:
            await _timed(flight, stage)
        opened = flight.call.stream
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
        if not opened:
            await finish(flight)


async def finish(flight: Flight) -> None:
    """Settle and record, once; goes on to its end also when the waiting task is cancelled."""
    if flight.finishing is None:
        flight.land()
        flight.finishing = asyncio.ensure_future(_finish(flight))
    await asyncio.shield(flight.finishing)


async def _finish(flight: Flight) -> None:
    if flight.answer is not None:
        await flight.answer.aclose()
    for stage in BACK:
        try:
            await _timed(flight, stage)
        except Exception:  # noqa: BLE001 - the caller has the answer; what is lost is counted and logged, never hidden
            flight.lost.append(stage.name)
            flight.ctx.count(
                "gimbal_gateway_lost_stages_total",
                "Ends of calls (settle, record) that failed after the answer was given.",
                stage=stage.name,
            )
            _log.exception("stage %s failed for trace %s", stage.name, flight.call.trace.trace_id)


async def _timed(flight: Flight, stage: Stage) -> None:
    begun = time.perf_counter()
    try:
        await stage.run(flight)
    finally:
        flight.timings_us[stage.name] = int((time.perf_counter() - begun) * 1e6)


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
        if self._flight.finishing is None:
            self._flight.cancelled = True
        await finish(self._flight)
        with contextlib.suppress(RuntimeError):  # it is running in a step that is being cancelled
            closer = getattr(self._chunks, "aclose", None)
            if closer:
                await closer()
