"""Recording and reading traces. What `record` returns from is on disk, exactly once however often it was sent."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

import msgspec
import pyarrow as pa

from gimbal.axis.pricing.service import Pricer, PriceSource
from gimbal.axis.traces import span_events, tree
from gimbal.axis.traces.charging import charged, once, reopened
from gimbal.axis.traces.derive import derived
from gimbal.axis.traces.filters import AFTER_US, BEFORE_US, TraceFilter
from gimbal.axis.traces.model import Activity, Renormalised, Span, SpansStored, Trace, TraceSummary
from gimbal.axis.traces.redaction.policies import redactor_of
from gimbal.axis.traces.rows import to_rows
from gimbal.axis.traces.store import ALWAYS, Place, SpanStore
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.ids import is_trace_id
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor


class Underway(Protocol):
    """Spans that were put down by this process and are on their way to the columns."""

    async def arrived(self) -> None:
        """Wait until they are there, or for a moment."""
        ...


async def arrived(ctx: Context) -> None:
    """Let whoever has just called a model, and asks for its trace, get it whole."""
    if ctx.services.has(Underway):
        await ctx.get(Underway).arrived()


MOST_SPANS = 10_000
_MOST_HEADS = 1000


class Traces:
    """Traces in the columns."""

    def __init__(self, columns: Columns, writer: Writer, prices: PriceSource) -> None:
        self._columns = columns
        self._store = SpanStore(columns)
        self._writer = writer
        self._prices = prices
        self._written_us = 0

    async def record(self, ctx: Context, spans: Sequence[Span], *, redacted: bool = False) -> None:
        """Store spans durably: priced once, wrappers marked. Raise Busy or Unavailable; then nothing is stored.

        What the project's policy takes out is taken out here, unless they are `redacted` already.
        """
        if not spans:
            return
        redactor = None if redacted else await redactor_of(ctx)
        if redactor is not None:
            spans = [await redactor.stored(ctx, span) for span in spans]
        project = ctx.project or "default"
        repeated = tree.repeated(spans)
        prices = await self._prices.of(project)
        priced = [_with_cost(span, prices, repeats=(span.trace_id, span.span_id) in repeated) for span in spans]
        await self._writer.write("spans", to_rows(project, priced, written_us=self._stamp(len(spans))))
        _count_unpriced(ctx, priced)
        ctx.emit(SpansStored(project=project, spans=priced))

    def check_room(self) -> None:
        """Raise Busy when spans would have to wait for too many others: then they need not be read first."""
        self._writer.check_room()

    async def reread(
        self, ctx: Context, between: tuple[int, int], derive: Callable[[Span], Span], *, after: str, most: int
    ) -> Renormalised:
        """Read up to `most` traces anew that have a span in a stretch of time, whole, and store the rows that differ.

        `derive` returns what a span says by its attributes. Costs are kept where what they hang on is as it was. A span
        that comes in meanwhile is newer than what is written here.
        """
        project = ctx.project or "default"
        sizes = await self._store.sizes(project, between, after, most + 1)
        todo, seen, changed = sizes[:most], 0, 0
        prices = await self._prices.of(project)
        for ids in _portions(todo):
            old, events = await asyncio.gather(
                self._store.whole(project, ids), span_events.of_traces(self._columns, project, ids)
            )
            new = [reopened(span, _anew(span, events, derive)) for span, _ in old]
            repeated = tree.repeated(new)
            new = [_with_cost(span, prices, repeats=(span.trace_id, span.span_id) in repeated) for span in new]
            differs = [was != now for (was, _), now in zip(old, new, strict=True)]
            if any(differs):
                # The heads are told from whole traces; then only what differs is written.
                versions = pa.array([version + 1 for _, version in old], pa.int64())
                table = to_rows(project, new).table().append_column("written_us", versions)
                await self._writer.write("spans", table.filter(pa.array(differs)))
            seen += len(old)
            changed += sum(differs)
        more = encode_cursor({"id": todo[-1][0]}) if len(sizes) > most else None
        return Renormalised(traces=len(todo), spans=seen, changed=changed, next=more)

    async def amend_root(self, ctx: Context, trace_id: str, change: Callable[[Span], Span]) -> None:
        """Store the root of a trace as `change` makes it; nothing happens where it is not there.

        A root that comes in meanwhile is newer than what is written here.
        """
        project = ctx.project or "default"
        if (found := await self._store.root(project, trace_id)) is None:
            return
        span, version = found
        new = _anew(span, await span_events.of_traces(self._columns, project, [trace_id], span.span_id), change)
        if new != span:
            prices = await self._prices.of(project)
            priced = _with_cost(reopened(span, new), prices, repeats=not span.billable)
            await self._writer.write("spans", to_rows(project, [priced], written_us=version + 1))

    def _stamp(self, count: int) -> int:
        """Return the first of `count` moments that are later than any before: of two versions the later one counts."""
        first = max(time.time_ns() // 1000, self._written_us + 1)
        self._written_us = first + count - 1
        return first

    async def get(self, ctx: Context, trace_id: str) -> Trace:
        """Return a trace with its first 10,000 spans by start; its summary counts them all. Raise NotFound."""
        check_trace_id(trace_id)
        project = ctx.project or "default"
        await arrived(ctx)
        spans, events = await asyncio.gather(
            self._store.spans(project, trace_id, MOST_SPANS),
            span_events.of_traces(self._columns, project, [trace_id]),
        )
        if not spans:
            raise self.missing(trace_id)
        if events:
            prices = await self._prices.of(project)
            spans = [_with_events(span, events, prices) for span in spans]
        # A wrapper may have come in another request than what it wraps.
        repeated = tree.repeated(spans)
        spans = [once(span) if (span.trace_id, span.span_id) in repeated else span for span in spans]
        if len(spans) == MOST_SPANS:
            return Trace(summary=(await self._summaries(project, [trace_id], ALWAYS))[trace_id], spans=spans)
        return Trace(summary=_summary(spans), spans=spans)

    async def some(
        self, ctx: Context, trace_id: str, span_ids: Sequence[str], events: span_events.Events
    ) -> list[Span]:
        """Return those spans of a trace that there are, with what `events` say of them."""
        spans = await self._store.some(ctx.project or "default", trace_id, span_ids)
        prices = await self._prices.of(ctx.project or "default")
        return [_with_events(span, events, prices) for span in spans]

    async def span(self, ctx: Context, trace_id: str, span_id: str) -> Span:
        """Return one span of a trace, its call counted once. Raise NotFound."""
        check_trace_id(trace_id)
        project = ctx.project or "default"
        events = await span_events.of_traces(self._columns, project, [trace_id], span_id)
        found = await self.some(ctx, trace_id, [span_id], events)
        if not found:
            raise NotFound(
                f"There is no span {span_id!r} in the trace {trace_id}.",
                where="span",
                todo="Span ids are 16 hex digits; `traces skeleton` lists those of a trace.",
            )
        span = found[0]
        counts = span.billable and (span.usage is not None or bool(span.unpriced))
        if counts and await self._store.may_repeat(project, span):
            rows = await self._store.counted(project, [trace_id], ALWAYS)
            if (trace_id, span_id) in tree.repeated_rows(rows):
                return once(span)
        return span

    @staticmethod
    def missing(trace_id: str) -> NotFound:
        """Return what says that there is no such trace."""
        return NotFound(
            f"There is no trace {trace_id}.", where="id", todo="It may be of another project, or not sent yet."
        )

    async def known(
        self, ctx: Context, kind: Literal["span", "trace", "session"], ids: Sequence[str]
    ) -> dict[str, str]:
        """Return of those ids that have spans the trace of their newest one."""
        return await self._store.known(ctx.project or "default", f"{kind}_id", ids) if ids else {}

    async def answered(self, ctx: Context, response_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return the trace and span of those of the providers' answers that are known."""
        return await self._store.answered(ctx.project or "default", response_ids)

    async def page(
        self, ctx: Context, narrowed: TraceFilter, *, cursor: str | None = None, limit: int = 50
    ) -> Page[TraceSummary]:
        """Return traces by the start of their heads, newest first; each is on one page only."""
        project = ctx.project or "default"
        size = check_limit(limit) + 1
        place = Place(cursor_number(cursor, "at"), cursor_text(cursor, "id")) if cursor else None
        found: list[TraceSummary] = []
        while len(found) <= limit:
            heads = await self._store.heads(project, narrowed, place, size)
            found += await self._asked_for(project, heads, narrowed)
            if len(heads) < size:
                break
            place = Place(heads[-1]["start_us"], heads[-1]["trace_id"], heads[-1]["span_id"])
            size = min(size * 2, _MOST_HEADS)
        shown = found[:limit]
        more = encode_cursor({"at": to_us(shown[-1].start), "id": shown[-1].trace_id}) if len(found) > limit else None
        return Page(items=shown, next=more)

    async def activity(self, ctx: Context, since: datetime) -> Activity:
        """Return what happened in a project since a moment, each call counted once."""
        return Activity(**await self._store.activity(ctx.project or "default", to_us(since)))

    async def _asked_for(
        self, project: str, heads: Sequence[dict[str, Any]], narrowed: TraceFilter
    ) -> list[TraceSummary]:
        """Return the traces of those that are really the heads of theirs, as they are now, and fit the filter."""
        if not heads:
            return []
        starts = [head["start_us"] for head in heads]
        between = min(starts) - BEFORE_US, max(starts) + AFTER_US
        ids = list(dict.fromkeys(head["trace_id"] for head in heads))
        totals = await self._store.totals(project, ids, between, narrowed)
        kept = [h for h in heads if _is_head(h, totals.get(h["trace_id"])) and _fits(totals[h["trace_id"]], narrowed)]
        await self._count_once(project, [totals[head["trace_id"]] for head in kept], between)
        return [_from_totals(totals[head["trace_id"]]) for head in kept]

    async def summaries(self, ctx: Context, trace_ids: Sequence[str]) -> dict[str, TraceSummary]:
        """Return what lists show of those traces that there are."""
        return await self._summaries(ctx.project or "default", trace_ids, ALWAYS) if trace_ids else {}

    async def _summaries(
        self, project: str, trace_ids: Sequence[str], between: tuple[int, int]
    ) -> dict[str, TraceSummary]:
        totals = await self._store.totals(project, trace_ids, between, TraceFilter())
        await self._count_once(project, list(totals.values()), between)
        return {trace_id: _from_totals(row) for trace_id, row in totals.items()}

    async def _count_once(self, project: str, totals: Sequence[dict[str, Any]], between: tuple[int, int]) -> None:
        """Sum anew where one call may be counted by two spans, because they came in requests of their own."""
        doubtful = {row["trace_id"]: row for row in totals if row["repeats"]}
        if not doubtful:
            return
        rows = await self._store.counted(project, list(doubtful), between)
        repeated = tree.repeated_rows(rows)
        for row in doubtful.values():
            row |= {**dict.fromkeys(_SUMS), "unpriced": 0}
        for row in rows:
            if not row["billable"] or (row["trace_id"], row["span_id"]) in repeated:
                continue
            sums = doubtful[row["trace_id"]]
            for name in _SUMS:
                if row[name] is not None:
                    sums[name] = (sums[name] or 0) + row[name]
            sums["unpriced"] += bool(row["unpriced"])


def _with_cost(span: Span, prices: Pricer, *, repeats: bool) -> Span:
    return once(span) if repeats else charged(span, prices)


def _with_events(span: Span, events: span_events.Events, prices: Pricer) -> Span:
    """Return a span that says what its events from the table say, too."""
    whole = span_events.with_events(span, events)
    if whole is span:
        return span
    return _with_cost(reopened(span, derived(whole)), prices, repeats=not span.billable)


def _count_unpriced(ctx: Context, spans: Sequence[Span]) -> None:
    """Count what was stored without a price, by the reason before its colon: senders do not choose labels."""
    for span in spans:
        if span.unpriced and span.billable:
            reason = span.unpriced.partition(":")[0]
            ctx.count("gimbal_unpriced_total", "Calls that were stored without a price.", reason=reason)


_SUMS = ("input_tokens", "output_tokens", "cost", "saved", "wasted")


def check_trace_id(trace_id: str) -> None:
    """Raise NotFound for what cannot be the id of a trace."""
    if not is_trace_id(trace_id):
        raise NotFound(f"{trace_id!r} is not a trace id.", where="id", todo="Trace ids are 32 hex digits.")


def _portions(sizes: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Yield trace ids so many at a time that their rows are at most `MOST_SPANS`, or one larger trace by itself."""
    ids: list[str] = []
    rows = 0
    for trace_id, count in sizes:
        if ids and rows + count > MOST_SPANS:
            yield ids
            ids, rows = [], 0
        ids.append(trace_id)
        rows += count
    if ids:
        yield ids


def _anew(span: Span, events: span_events.Events, derive: Callable[[Span], Span]) -> Span:
    """Return a span as it is read with its events; those of the table stay there."""
    whole = span_events.with_events(span, events)
    new = derive(whole)
    return new if whole is span else msgspec.structs.replace(new, events=span.events)


def _is_head(head: dict[str, Any], totals: dict[str, Any] | None) -> bool:
    """Tell whether a row is the newest version of its trace's head, not an older one or the head of a part."""
    return totals is not None and all(head[name] == value for name, value in totals["head"].items())


def _fits(totals: dict[str, Any], narrowed: TraceFilter) -> bool:
    if narrowed.status and (narrowed.status == "error") != bool(totals["errors"]):
        return False
    return bool(totals["fits"])


def _from_totals(row: dict[str, Any]) -> TraceSummary:
    head = row["head"]
    return TraceSummary(
        trace_id=row["trace_id"],
        name=head["name"],
        kind=head["kind"],
        start=from_us(head["start_us"]),
        duration_us=head["end_us"] - head["start_us"],
        status="error" if row["errors"] else head["status"],
        spans=row["spans"],
        errors=row["errors"],
        model=row["model"],
        feature=row["feature"],
        user_id=row["user_id"],
        session_id=row["session_id"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost=_told(row["cost"]),
        unpriced=row["unpriced"],
        saved=_told(row["saved"]),
        wasted=_told(row["wasted"]),
        weight=row["weight"],
    )


def _summary(spans: list[Span]) -> TraceSummary:
    """Return the sums of a whole trace, by the same rules as `SpanStore.totals`."""
    heads = [span for span, is_head in zip(spans, tree.heads(spans), strict=True) if is_head]
    head = min(heads, key=lambda s: (s.parent_id != "", s.start_us, s.span_id))
    counted = [s for s in spans if s.billable]
    used = [s.usage for s in counted if s.usage is not None]
    errors = sum(s.status == "error" for s in spans)
    said = sorted(spans, key=lambda s: (s is not head, s.start_us))
    return TraceSummary(
        trace_id=head.trace_id,
        name=head.name,
        kind=head.kind,
        start=from_us(head.start_us),
        duration_us=head.duration_us,
        status="error" if errors else head.status,
        spans=len(spans),
        errors=errors,
        model=next((s.model for s in said if s.model), ""),
        feature=next((s.feature for s in said if s.feature), ""),
        user_id=next((s.user_id for s in said if s.user_id), ""),
        session_id=next((s.session_id for s in said if s.session_id), ""),
        input_tokens=sum(u.input_tokens for u in used) if used else None,
        output_tokens=sum(u.output_tokens for u in used) if used else None,
        cost=_sum(s.cost for s in counted),
        unpriced=sum(bool(s.unpriced) for s in counted),
        saved=_sum(s.saved for s in counted),
        wasted=_sum(s.wasted for s in counted),
        weight=min(s.weight for s in spans),
    )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def _told(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.normalize() + 0


def moment_us(value: Any) -> int | None:
    """Return the microseconds of an optional moment."""
    return None if value is None else to_us(value)
