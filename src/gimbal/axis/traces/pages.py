"""The console's pages of traces: the list, and one trace as a waterfall with the span that was chosen."""

from typing import Any

import msgspec

from gimbal.axis.traces import tree
from gimbal.axis.traces.model import KINDS, Span
from gimbal.axis.traces.service import Traces, moment_us
from gimbal.axis.traces.store import TraceFilter
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.engines.console.svg import SpanRow
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context
from gimbal.kernel.counters import Counters
from gimbal.kernel.settings import Settings

_FILTERS = ("status", "kind", "model", "feature")
_MOST_ROWS = 500


@page("/traces", title="Traces", nav="Traces", order=70, icon="traces")
async def traces_page(ctx: Context, request: PageRequest) -> View:
    """Show traces, newest first."""
    query = request.query
    narrowed = TraceFilter(
        since_us=moment_us(parse_time(query["since"])) if query.get("since") else None,
        until_us=moment_us(parse_time(query["until"])) if query.get("until") else None,
        user_id=query.get("user"),
        session_id=query.get("session"),
        text=query.get("q"),
        **{name: query.get(name) for name in _FILTERS},
    )
    found = await ctx.get(Traces).page(ctx, narrowed, cursor=query.get("cursor"), limit=request.number("limit", 50))
    filtered = any(query.get(name) for name in (*_FILTERS, "q", "user", "session", "since", "until"))
    data = {
        "found": found,
        "filtered": filtered,
        "kinds": KINDS,
        "server": ctx.get(Settings).server,
        "ingest": _ingest(ctx),
    }
    return View("traces/list.html", data)


class Ingest(msgspec.Struct, frozen=True, kw_only=True):
    """What came in by OTLP since this process started, of all projects."""

    received: int
    stored: dict[str, int]
    """By dialect."""
    rejected: dict[str, int]
    """Spans rejected one by one, by reason."""
    refused: dict[str, int]
    """Spans refused with their request, by reason; senders come again with most of them."""
    truncated: int
    misdated: int
    lag_s: float | None
    """Seconds from a request to its spans being durable, on average."""


def _ingest(ctx: Context) -> Ingest | None:
    """Return the counters of this process; None before the first span, and for who sees only some of the projects."""
    if ctx.principal.everywhere is None or not ctx.services.has(Counters):
        return None
    counts: dict[str, dict[str, float]] = {}
    for sample in ctx.get(Counters).samples():
        name = sample.name.removeprefix("gimbal_ingest_").removesuffix("_total")
        if name != sample.name:
            counts.setdefault(name, {})[next(iter(sample.labels.values()), "")] = sample.value

    def whole(name: str) -> int:
        return round(counts.get(name, {}).get("", 0))

    def parts(name: str) -> dict[str, int]:
        return {label: round(value) for label, value in sorted(counts.get(name, {}).items())}

    if not whole("spans_received"):
        return None
    stored = counts.get("requests", {}).get("stored", 0)
    return Ingest(
        received=whole("spans_received"),
        stored=parts("spans_stored"),
        rejected=parts("spans_rejected"),
        refused=parts("spans_refused"),
        truncated=whole("spans_truncated"),
        misdated=whole("spans_misdated"),
        lag_s=counts.get("lag_seconds", {}).get("", 0) / stored if stored else None,
    )


@page("/traces/{id}", title="Trace", icon="traces")
async def trace_page(ctx: Context, request: PageRequest) -> View:
    """Show one trace."""
    trace = await ctx.get(Traces).get(ctx, request.path["id"])
    ordered = tree.in_order(trace.spans)
    asked = request.query.get("span")
    at = next((index for index, (span, _) in enumerate(ordered) if span.span_id == asked), 0)
    # Whoever follows a link to a span sees the rows around it, unless they leaf through the others.
    first = min(max(request.number("from", at // _MOST_ROWS * _MOST_ROWS), 0), len(ordered) - 1)
    current = ordered[at][0]
    rows = [
        SpanRow(
            id=span.span_id,
            name=span.name,
            kind=span.kind,
            depth=depth,
            start_us=span.start_us,
            end_us=span.end_us,
            href=request.url(span=span.span_id, **{"from": None}),
            note=_note(span),
            failed=span.status == "error",
        )
        for span, depth in ordered[first : first + _MOST_ROWS]
    ]
    data = {
        "summary": trace.summary,
        "rows": rows,
        "first": first,
        "most": _MOST_ROWS,
        "loaded": len(ordered),
        "span": current,
        "input": readable(current.input),
        "output": readable(current.output),
    }
    return View("traces/detail.html", data)


def _note(span: Span) -> str:
    tokens = f"{span.usage.input_tokens + span.usage.output_tokens} tokens" if span.usage else ""
    return " · ".join(filter(None, [span.model, tokens]))


def readable(text: str) -> list[dict[str, Any]]:
    """Return what went in or out as blocks: messages with role and text, or one block of JSON or text."""
    if not text:
        return []
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [{"role": "", "text": text, "json": None}]
    if (
        isinstance(value, list)
        and value
        and all(isinstance(m, dict) and ("role" in m or "content" in m) for m in value)
    ):
        return [{"role": m.get("role", ""), "text": _content(m), "json": None} for m in value]
    if isinstance(value, str):
        return [{"role": "", "text": value, "json": None}]
    return [{"role": "", "text": "", "json": value}]


def _content(message: dict[str, Any]) -> str:
    """Return the text of a message in any of the usual forms; what is not text is shown as JSON."""
    content = message.get("content", message.get("parts"))
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [p.get("text") or p.get("content") if isinstance(p, dict) else p for p in content]
        known = [t for t in texts if isinstance(t, str)]
        if len(known) == len(texts):
            return "\n".join(known)
    rest = {k: v for k, v in message.items() if k != "role" and v is not None}
    return msgspec.json.format(msgspec.json.encode(rest), indent=2).decode()
