"""The console's pages of traces: the list, and one trace as a waterfall with the span that was chosen."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from gimbal.axis.traces import tree
from gimbal.axis.traces.blocks import Href, readable
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.fitting import MARK
from gimbal.axis.traces.ingest import LAG
from gimbal.axis.traces.judgements import Judgement, Judgements
from gimbal.axis.traces.model import KINDS, Span, Trace
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.sampling import SetSampling
from gimbal.axis.traces.service import Traces, moment_us
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.engines.console.svg import SpanRow
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import PREFIX, find, invoke
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
        status=query.get("status"),
        kind=query.get("kind"),
        model=query.get("model"),
        feature=query.get("feature"),
    )
    found = await ctx.get(Traces).page(ctx, narrowed, cursor=query.get("cursor"), limit=request.number("limit", 50))
    filtered = any(query.get(name) for name in (*_FILTERS, "q", "user", "session", "since", "until"))
    data = {
        "found": found,
        "filtered": filtered,
        "kinds": KINDS,
        "server": ctx.get(Settings).server,
        "ingest": _ingest(ctx),
        "sampling": await ctx.get(SamplingPolicies).get(ctx),
        "may_set": request.principal.may(Permission.ADMIN, request.project),
    }
    return View("traces/list.html", data)


class Ingest(msgspec.Struct, frozen=True, kw_only=True):
    """What came in by OTLP since this process started, of all projects."""

    received: int
    stored: dict[str, int]
    """By dialect."""
    sampled: dict[str, int]
    """Spans left out by sampling, by reason: `head` before they were stored, `tail` and `late` afterwards."""
    rejected: dict[str, int]
    """Spans rejected one by one, by reason."""
    refused: dict[str, int]
    """Spans refused with their request, by reason; senders come again with most of them."""
    truncated: int
    misdated: int
    lag_s: float | None
    """Seconds from a request to its spans being durable: half of the requests took less."""
    longest_s: float
    """The most seconds that it took."""
    waits_s: float
    """Seconds for which the oldest of what is not durable yet has waited now."""
    waiting: int
    """Rows that are not durable yet."""


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
    lag, writer = ctx.get(Counters).timing(LAG), ctx.get(Writer).state()
    return Ingest(
        received=whole("spans_received"),
        stored=parts("spans_stored"),
        sampled=parts("spans_sampled"),
        rejected=parts("spans_rejected"),
        refused=parts("spans_refused"),
        truncated=whole("spans_truncated"),
        misdated=whole("spans_misdated"),
        lag_s=lag.quantile(0.5),
        longest_s=lag.longest,
        waits_s=writer.oldest_wait_ms / 1000,
        waiting=writer.queued_rows,
    )


@page_action("/traces/sampling", allow=Permission.ADMIN)
async def set_sampling_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Set which traces are kept."""
    # An empty field is null, or what the policy has without it.
    given = {name: value for name in SetSampling.__struct_fields__ if (value := form.get(name, "").strip())}
    try:
        body = _read_policy(given)
        await invoke(find("sampling.set"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        told = " ".join(filter(None, [error.message, error.todo]))
        return Redirect(request.href("/traces"), flash=told, tone="bad")
    told = "Everything is kept." if body.keeps_all else "From now on only a part of the traces is kept."
    return Redirect(request.href("/traces"), flash=told)


def _read_policy(given: dict[str, str]) -> SetSampling:
    try:
        return msgspec.convert(given, SetSampling, strict=False)
    except msgspec.ValidationError as problem:
        raise BadInput(f"That is no policy: {problem}.", where="sampling", todo="Give numbers.") from None


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
    judged = await _judged(ctx, trace)
    scored = Counter(one.target_id for one in judged if one.target_kind == "span")
    rows = [
        SpanRow(
            id=span.span_id,
            name=span.name,
            kind=span.kind,
            depth=depth,
            start_us=span.start_us,
            end_us=span.end_us,
            href=request.url(span=span.span_id, **{"from": None}),
            note=_note(span, scored[span.span_id]),
            failed=span.status == "error",
        )
        for span, depth in ordered[first : first + _MOST_ROWS]
    ]
    base = f"{PREFIX}/projects/{request.project}/traces/{trace.summary.trace_id}/payloads/"

    def address(digest: str) -> str:
        return base + quote(digest, safe=":")

    data = {
        "summary": trace.summary,
        "rows": rows,
        "first": first,
        "most": _MOST_ROWS,
        "loaded": len(ordered),
        "span": current,
        "input": readable(current.input, address),
        "output": readable(current.output, address),
        "payloads": _payloads(current, address),
        "scores": [one for one in judged if one.target_kind != "span"],
        "span_scores": [one for one in judged if one.target_kind == "span" and one.target_id == current.span_id],
    }
    return View("traces/detail.html", data)


async def _judged(ctx: Context, trace: Trace) -> Sequence[Judgement]:
    """Return what was said of a trace, its spans and its session, where this process has who keeps it."""
    if not ctx.services.has(Judgements):
        return []
    span_ids = [span.span_id for span in trace.spans]
    return await ctx.get(Judgements).of_trace(ctx, trace.summary.trace_id, span_ids, trace.summary.session_id)


def _payloads(span: Span, href: Href) -> list[tuple[str, str, str]]:
    """Return what the span left in the blobs: digest, media type and address."""
    mark = span.attributes.get(MARK)
    held = mark.get("payloads") if isinstance(mark, dict) else None
    return [(digest, str(kind), href(digest)) for digest, kind in held.items()] if isinstance(held, dict) else []


def _note(span: Span, scores: int) -> str:
    tokens = f"{span.usage.input_tokens + span.usage.output_tokens} tokens" if span.usage else ""
    judged = f"{scores} {'score' if scores == 1 else 'scores'}" if scores else ""
    return " · ".join(filter(None, [span.model, tokens, judged]))
