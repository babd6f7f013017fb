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
from gimbal.engines.storage.journal import Journal, JournalState
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.counters import Sample
from gimbal.kernel.errors import Busy

_ITSELF = Principal(kind="process", id="gateway", name="gimbal", everywhere=Role.ADMIN)


class _Record(msgspec.Struct, frozen=True, array_like=True):
    project: str
    spans: list[Span]


_ATTEMPTS = 5
_MOMENT_S = 0.5
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


class Recording:
    """The journal of a process's calls."""

    def __init__(self, services: Services, folder: Path, *, most_bytes: int) -> None:
        self._services = services
        self._journal = Journal(folder, self._carry, most_bytes=most_bytes)

    def open(self) -> None:
        """Make the journal; raise DiskFull when that cannot be done."""
        self._journal.open()

    async def run(self, stop: asyncio.Event) -> None:
        """Store what was put down, until stopped."""
        await self._journal.run(stop)

    async def close(self) -> None:
        """Store what is left; what the store does not take waits for the next process."""
        await self._journal.close()

    async def arrived(self) -> None:
        """Wait until what has been put down is in the store, or for a moment."""
        await self._journal.settled(_MOMENT_S)

    async def put(self, ctx: Context, spans: list[Span]) -> None:
        """Put spans down; raise Busy when too many wait, DiskFull when they cannot be written."""
        redactor = await redactor_of(ctx)
        if redactor is not None:
            spans = [await redactor.stored(ctx, span) for span in spans]
        self._journal.append(_encoder.encode(_Record(ctx.project or "default", spans)))

    async def _carry(self, batch: Sequence[bytes]) -> None:
        by_project: dict[str, list[Span]] = {}
        for record in map(_decoder.decode, batch):
            by_project.setdefault(record.project, []).extend(record.spans)
        for project, spans in by_project.items():
            ctx = Context(self._services, _ITSELF, project, origin="gateway")
            await ctx.get(Traces).record(ctx, spans, redacted=True)
            await ctx.settle()

    def state(self) -> JournalState:
        """Return the journal's figures."""
        return self._journal.state()

    def samples(self) -> list[Sample]:
        """Return the figures for /metrics."""
        state = self._journal.state()
        rows = [
            ("gimbal_gateway_journal_bytes", state.waiting_bytes, "Records of calls that wait for the store.", "gauge"),
            ("gimbal_gateway_recorded_total", state.carried, "Records of calls that were stored.", "counter"),
            ("gimbal_gateway_refused_total", state.refused, "Records of calls there was no room for.", "counter"),
            ("gimbal_gateway_rejected_total", state.rejected, "Records of calls the store would not take.", "counter"),
        ]
        return [Sample(name=name, value=float(v), help=text, kind=kind) for name, v, text, kind in rows]


async def recorded(ctx: Context, spans: list[Span], *, at_once: bool = False) -> None:
    """Put spans down where this process has a journal and they need not be stored `at_once`; else store them.

    Raise Busy, Unavailable or DiskFull. A full writer is tried again for a while.
    """
    if not at_once and ctx.services.has(Recording):
        await ctx.get(Recording).put(ctx, spans)
        return
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await ctx.get(Traces).record(ctx, spans)
            break
        except Busy as problem:
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(min(problem.retry_after or 0.1, 2.0))
    await ctx.settle()
