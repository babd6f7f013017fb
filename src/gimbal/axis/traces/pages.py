"""The console's pages of traces: the list, and one trace as a waterfall with the span that was chosen."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.traces.model import KINDS, Span
from gimbal.axis.traces.service import TraceFilter, Traces, moment_us
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.engines.console.svg import SpanRow
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context

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
    return View("traces/list.html", {"found": found, "filtered": filtered, "kinds": KINDS})


@page("/traces/{id}", title="Trace", icon="traces")
async def trace_page(ctx: Context, request: PageRequest) -> View:
    """Show one trace."""
    trace = await ctx.get(Traces).get(ctx, request.path["id"])
    ordered = in_tree_order(trace.spans)
    asked = request.query.get("span")
    current = next((span for span, _ in ordered if span.span_id == asked), ordered[0][0])
    rows = [
        SpanRow(
            id=span.span_id,
            name=span.name,
            kind=span.kind,
            depth=depth,
            start_us=span.start_us,
            end_us=span.end_us,
            href=request.url(span=span.span_id),
            note=_note(span),
            failed=span.status == "error",
        )
        for span, depth in ordered[:_MOST_ROWS]
    ]
    data = {
        "summary": trace.summary,
        "rows": rows,
        "hidden": len(ordered) - len(rows),
        "span": current,
        "input": readable(current.input),
        "output": readable(current.output),
    }
    return View("traces/detail.html", data)


def in_tree_order(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Return the spans with their depth, children behind their parents, by start; orphans stand at the top."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    found: list[tuple[Span, int]] = []
    todo = [(span, 0) for span in reversed(children.get("", []))]
    while todo:
        span, depth = todo.pop()
        found.append((span, depth))
        todo += [(child, depth + 1) for child in reversed(children.pop(span.span_id, []))]
    # A cycle of parents has no top; its spans are shown all the same.
    seen = {span.span_id for span, _ in found}
    return found + [(span, 0) for span in spans if span.span_id not in seen]


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
