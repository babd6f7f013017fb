"""Records of calls on their way to the traces: put down in a journal before the caller has the whole answer, stored right after.

A call never waits for the store; a process that is killed, and a store that is away, lose no record. What a project's policy
takes out is taken out before anything is put down.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gimbal.axis.traces.model import Span
from gimbal.axis.traces.redaction.policies import redactor_of
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.carrier import Carrier
from gimbal.engines.storage.journal import Journal, settled
from gimbal.generative.gateway.put_down import CallRecord, span_of
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.counters import Sample
from gimbal.kernel.errors import Busy, Unavailable

_ITSELF = Principal(kind="process", id="gateway", name="gimbal", everywhere=Role.ADMIN)


class _Record(msgspec.Struct, frozen=True, array_like=True):
    project: str
    spans: Sequence[Span]
    call: CallRecord | None = None
    """Becomes a span when it is carried."""


_ATTEMPTS = 5
_MOMENT_S = 2.0
_SLICE = 200
"""Calls that are made ready to be stored before others are served."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


class Recording:
    """Where a process puts the records of its calls down."""

    def __init__(self, folder: Path, *, most_bytes: int, carrying: "Carrying | None" = None) -> None:
        """Journals of all processes are in `folder`; `carrying` stores them, if this process does."""
        self._folder = folder
        self._carrying = carrying
        self._journal = Journal(folder, most_bytes=most_bytes, woken=carrying.wake if carrying else lambda: None)

    def open(self) -> None:
        """Make the journal; raise DiskFull when that cannot be done."""
        self._journal.open()

    async def run(self, stop: asyncio.Event) -> None:
        """Bring to the disk what was put down, until stopped."""
        await self._journal.run(stop)

    def close(self) -> None:
        """End the journal; what is in it is stored by whoever carries."""
        self._journal.close()

    async def arrived(self) -> None:
        """Wait until what has been put down is in the store, or for a moment."""
        if await settled(self._folder, 0):
            return
        if self._carrying is not None:
            self._carrying.hurry()
        await settled(self._folder, _MOMENT_S)

    async def put(self, ctx: Context, spans: Sequence[Span], call: CallRecord | None = None) -> None:
        """Put spans and a call down; raise Busy when too many wait, DiskFull when they cannot be written."""
        redactor = await redactor_of(ctx)
        if redactor is not None:
            spans = [await redactor.stored(ctx, span) for span in _with(spans, call)]
            call = None
        self._journal.append(_encoder.encode(_Record(ctx.project or "default", spans, call)))

    def samples(self) -> list[Sample]:
        """Return the figures for /metrics."""
        journal = self._journal
        rows = [
            ("gimbal_gateway_journal_bytes", journal.waiting(), "Records of calls that wait for the store.", "gauge"),
            ("gimbal_gateway_refused_total", journal.refused, "Records of calls there was no room for.", "counter"),
        ]
        return [Sample(name=name, value=float(v), help=text, kind=kind) for name, v, text, kind in rows]


class Carrying:
    """Stores what this process and others that share its folder have put down."""

    def __init__(self, services: Services, folder: Path) -> None:
        self._services = services
        self._carrier = Carrier(folder, self._carry)
        self.wake, self.hurry = self._carrier.wake, self._carrier.hurry

    async def run(self, stop: asyncio.Event) -> None:
        """Store what was put down, until stopped."""
        await self._carrier.run(stop)

    async def close(self) -> None:
        """Store what is left; what the store does not take waits for the next process."""
        await self._carrier.close()

    async def _carry(self, batch: Sequence[bytes]) -> None:
        storing: list[asyncio.Task[None]] = []
        for start in range(0, len(batch), _SLICE):
            by_project: dict[str, list[Span]] = {}
            for record in map(_decoder.decode, batch[start : start + _SLICE]):
                by_project.setdefault(record.project, []).extend(_with(record.spans, record.call))
            storing += [asyncio.create_task(self._store(project, spans)) for project, spans in by_project.items()]
            await asyncio.sleep(0)  # whoever is served by this loop goes between
        failed = [one for one in await asyncio.gather(*storing, return_exceptions=True) if one is not None]
        if failed:
            # Where the store is away all of it is tried again; only else it is looked for what cannot be stored.
            raise next((one for one in failed if isinstance(one, Busy | Unavailable)), failed[0])

    async def _store(self, project: str, spans: list[Span]) -> None:
        ctx = Context(self._services, _ITSELF, project, origin="gateway")
        await ctx.get(Traces).record(ctx, spans, redacted=True)
        await ctx.settle()

    def samples(self) -> list[Sample]:
        """Return the figures for /metrics."""
        carrier = self._carrier
        rows = [
            ("gimbal_gateway_recorded_total", carrier.carried, "Records of calls that were stored."),
            ("gimbal_gateway_rejected_total", carrier.rejected, "Records of calls the store would not take."),
        ]
        return [Sample(name=name, value=float(v), help=text, kind="counter") for name, v, text in rows]


def _with(spans: Sequence[Span], call: CallRecord | None) -> list[Span]:
    return [*spans] if call is None else [span_of(call), *spans]


async def recorded(
    ctx: Context, spans: Sequence[Span], call: CallRecord | None = None, *, at_once: bool = False
) -> None:
    """Put spans and a call down where this process has a journal and they need not be stored `at_once`; else store them.

    Raise Busy, Unavailable or DiskFull. A full writer is tried again for a while.
    """
    if not at_once and ctx.services.has(Recording):
        await ctx.get(Recording).put(ctx, spans, call)
        return
    spans = _with(spans, call)
    # A context of its own: what it emits is published now, also when the caller's request has failed.
    ctx = ctx.within(ctx.project or "default")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await ctx.get(Traces).record(ctx, spans)
            break
        except Busy as problem:
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(min(problem.retry_after or 0.1, 2.0))
    await ctx.settle()
