"""Recording and reading traces. What `record` returns from is on disk, exactly once however often it was sent."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.pricing.service import FREE_PROVIDERS, PriceBook
from gimbal.axis.traces.model import Span, SpansStored, Trace, TraceSummary
from gimbal.axis.traces.rows import COLUMNS, from_row, to_table
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.ids import is_trace_id
from gimbal.kernel.pages import Page, check_limit, decode_cursor, encode_cursor

_MOST_SPANS = 10_000
# Spans of one trace lie near its root in time; the bound lets the key prune what the bloom filter leaves.
_BEFORE_US, _AFTER_US = 3_600_000_000, 86_400_000_000


class TraceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of traces is narrowed by; None and empty mean all."""

    since_us: int | None = None
    until_us: int | None = None
    status: str | None = None
    kind: str | None = None
    model: str | None = None
    feature: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    text: str | None = None
    """Part of the root's name, in any case."""


class Traces:
    """Traces in the columns."""

    def __init__(self, columns: Columns, writer: Writer, prices: PriceBook) -> None:
        self._columns = columns
        self._writer = writer
        self._prices = prices

    async def record(self, ctx: Context, spans: Sequence[Span]) -> None:
        """Store spans durably: priced once, wrappers marked. Raise Busy or Unavailable; then nothing is stored."""
        if not spans:
            return
        project = ctx.project or "default"
        priced = self._priced(spans)
        await self._writer.write("spans", to_table(project, priced))
        ctx.emit(SpansStored(project=project, spans=priced))

    def _priced(self, spans: Sequence[Span]) -> list[Span]:
        """Price what is billable and not priced yet: of nested spans with usage only the deepest."""
        wrappers = _wrappers(spans)
        return [self._with_cost(span, wrapper=span.span_id in wrappers) for span in spans]

    def _with_cost(self, span: Span, *, wrapper: bool) -> Span:
        if wrapper:
            return msgspec.structs.replace(span, billable=False, cost=None, unpriced="")
        if span.usage is None or span.cost is not None or span.unpriced:
            if span.kind == "llm" and span.cost is None and not span.unpriced and span.provider not in FREE_PROVIDERS:
                return msgspec.structs.replace(span, unpriced="no_usage")
            return span
        cost = self._prices.price(span.provider, span.model, from_us(span.start_us), span.usage)
        return msgspec.structs.replace(
            span, cost=cost.amount, unpriced=cost.unpriced_reason, price_book=cost.book_version
        )

    async def get(self, ctx: Context, trace_id: str) -> Trace:
        """Return a trace with its spans, at most 10,000 by start; raise NotFound."""
        if not is_trace_id(trace_id):
            raise NotFound(f"{trace_id!r} is not a trace id.", where="id", todo="Trace ids are 32 hex digits.")
        rows = await self._columns.query(
            f"SELECT {', '.join(COLUMNS)} FROM spans WHERE project = {{project:String}} AND trace_id = {{id:String}} "
            "ORDER BY start_us, span_id, written_us DESC LIMIT 1 BY span_id LIMIT {most:UInt32}",
            {"project": ctx.project or "default", "id": trace_id, "most": _MOST_SPANS},
        )
        if not rows:
            raise NotFound(
                f"There is no trace {trace_id}.", where="id", todo="It may be of another project, or not sent yet."
            )
        spans = [from_row(row) for row in rows]
        return Trace(summary=_summary(spans), spans=spans)

    async def page(
        self, ctx: Context, narrowed: TraceFilter, *, cursor: str | None = None, limit: int = 50
    ) -> Page[TraceSummary]:
        """Return traces by the start of their roots, newest first."""
        conditions, values = _conditions(narrowed)
        values |= {"project": ctx.project or "default", "limit": check_limit(limit) + 1}
        if cursor:
            place = decode_cursor(cursor)
            conditions.append("(start_us, trace_id) < ({at:Int64}, {id:String})")
            values |= {"at": int(place.get("at", 0)), "id": str(place.get("id", ""))}
        where = " AND ".join(["project = {project:String}", "is_root = 1", *conditions])
        roots = await self._columns.query(
            "SELECT trace_id, name, kind, start_us, end_us, status, model, feature, user_id, session_id FROM spans "
            f"WHERE {where} ORDER BY start_us DESC, trace_id DESC LIMIT 1 BY trace_id LIMIT {{limit:UInt32}}",
            values,
        )
        shown = roots[:limit]
        totals = await self._totals(ctx, shown)
        items = [_from_root(root, totals.get(root["trace_id"], {})) for root in shown]
        last = {"at": shown[-1]["start_us"], "id": shown[-1]["trace_id"]} if len(roots) > limit else None
        return Page(items=items, next=encode_cursor(last) if last else None)

    async def _totals(self, ctx: Context, roots: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return the sums over all spans of the traces of a page."""
        if not roots:
            return {}
        starts = [root["start_us"] for root in roots]
        rows = await self._columns.query(
            "SELECT trace_id, count() AS spans, countIf(status = 'error') AS errors, "
            "sumIf(input_tokens, billable = 1) AS input_tokens, sumIf(output_tokens, billable = 1) AS output_tokens, "
            "sumIf(cost, billable = 1) AS cost, countIf(billable = 1 AND unpriced != '') AS unpriced, "
            "argMinIf(model, start_us, model != '') AS model, "
            # A caller's own root stands before the head of another process's part of the trace.
            "argMinIf(tuple(name, kind, start_us, end_us, status, feature, user_id, session_id), "
            "tuple(parent_id != '', start_us), is_root = 1) AS root FROM ("
            "SELECT * FROM spans WHERE project = {project:String} AND trace_id IN {ids:Array(String)} "
            "AND start_us BETWEEN {low:Int64} AND {high:Int64} ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id"
            ") GROUP BY trace_id",
            {
                "project": ctx.project or "default",
                "ids": [root["trace_id"] for root in roots],
                "low": min(starts) - _BEFORE_US,
                "high": max(starts) + _AFTER_US,
            },
        )
        return {row["trace_id"]: row for row in rows}


def _wrappers(spans: Sequence[Span]) -> set[str]:
    """Return the spans with usage that have a descendant with usage: they report it a second time."""
    parents = {span.span_id: span.parent_id for span in spans}
    found: set[str] = set()
    for span in spans:
        if span.usage is None:
            continue
        above, steps = span.parent_id, 0
        while above and above not in found and steps < len(spans):
            found.add(above)
            above, steps = parents.get(above, ""), steps + 1
    return {span.span_id for span in spans if span.usage is not None and span.span_id in found}


def _conditions(narrowed: TraceFilter) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for name in ("status", "kind", "model", "feature", "user_id", "session_id"):
        value = getattr(narrowed, name)
        if value:
            conditions.append(f"{name} = {{{name}:String}}")
            values[name] = value
    if narrowed.since_us is not None:
        conditions.append("start_us >= {since:Int64}")
        values["since"] = narrowed.since_us
    if narrowed.until_us is not None:
        conditions.append("start_us < {until:Int64}")
        values["until"] = narrowed.until_us
    if narrowed.text:
        conditions.append("positionCaseInsensitiveUTF8(name, {text:String}) > 0")
        values["text"] = narrowed.text
    return conditions, values


def _from_root(root: dict[str, Any], sums: dict[str, Any]) -> TraceSummary:
    cost: Decimal | None = sums.get("cost")
    head = ("name", "kind", "start_us", "end_us", "status", "feature", "user_id", "session_id")
    if "root" in sums:
        root = root | dict(zip(head, sums["root"], strict=True))
    return TraceSummary(
        trace_id=root["trace_id"],
        name=root["name"],
        kind=root["kind"],
        start=from_us(root["start_us"]),
        duration_us=root["end_us"] - root["start_us"],
        status="error" if sums.get("errors") else root["status"],
        spans=sums.get("spans", 1),
        errors=sums.get("errors", 0),
        model=root["model"] or sums.get("model", ""),
        feature=root["feature"],
        user_id=root["user_id"],
        session_id=root["session_id"],
        input_tokens=sums.get("input_tokens"),
        output_tokens=sums.get("output_tokens"),
        cost=None if cost is None else cost.normalize() + 0,
        unpriced=sums.get("unpriced", 0),
    )


def _summary(spans: list[Span]) -> TraceSummary:
    root = next((s for s in spans if not s.parent_id), spans[0])
    known = {s.span_id for s in spans}
    root = root if not root.parent_id else next((s for s in spans if s.parent_id not in known), spans[0])
    used = [s.usage for s in spans if s.usage is not None and s.billable]
    costs = [s.cost for s in spans if s.cost is not None and s.billable]
    errors = sum(s.status == "error" for s in spans)
    return TraceSummary(
        trace_id=root.trace_id,
        name=root.name,
        kind=root.kind,
        start=from_us(root.start_us),
        duration_us=root.duration_us,
        status="error" if errors else root.status,
        spans=len(spans),
        errors=errors,
        model=root.model or next((s.model for s in spans if s.model), ""),
        feature=root.feature or next((s.feature for s in spans if s.feature), ""),
        user_id=root.user_id or next((s.user_id for s in spans if s.user_id), ""),
        session_id=root.session_id or next((s.session_id for s in spans if s.session_id), ""),
        input_tokens=sum(u.input_tokens for u in used) if used else None,
        output_tokens=sum(u.output_tokens for u in used) if used else None,
        cost=sum(costs, Decimal(0)) if costs else None,
        unpriced=sum(bool(s.unpriced) and s.billable for s in spans),
    )


def moment_us(value: Any) -> int | None:
    """Return the microseconds of an optional moment."""
    return None if value is None else to_us(value)
