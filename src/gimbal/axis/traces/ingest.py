"""The path of a span in: decode → limits → dialect → price → writer; answered only when it is durable.

Everything on the way is counted for /metrics: spans received are those stored, rejected one by one, refused with their
request and left out by the head of the project's sampling, together.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gimbal.axis.traces import judgements, otlp
from gimbal.axis.traces.dialects import ended, read, told
from gimbal.axis.traces.facts import roots
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.axis.traces.fitting import LINKS, MARK, Fitting
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.otlp import RawSpan, Rejected
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.redaction.policies import redactor_of
from gimbal.axis.traces.redaction.redactor import Redactor, discreet, without_values
from gimbal.axis.traces.sampling import SAMPLED, SAMPLED_HELP, kept
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError, TooLarge
from gimbal.kernel.settings import LimitSettings, Settings

_json = msgspec.json.Encoder(enc_hook=str)
# A span that starts later than this after its arrival, or before the year 2000, comes from a clock that is wrong.
_AHEAD_US = 24 * 3600 * 1_000_000
_EARLIEST_US = 946_684_800 * 1_000_000
_SPANS = "gimbal_ingest_spans_"
LAG = "gimbal_ingest_lag_seconds"


async def take(ctx: Context, body: bytes, media_type: str, *, experiment: int | None = None) -> list[Rejected]:
    """Store the spans of a request as it came over the wire durably; return those that were rejected.

    Their traces are of an experiment, where its number is given. Raise CorruptUpload for what is no request, and what
    `ingest` raises.
    """
    with one_request(ctx, body), discreet(await redactor_of(ctx)):
        ctx.get(Traces).check_room()
        return await ingest(ctx, *otlp.read(body, media_type), experiment=experiment)


@contextlib.contextmanager
def one_request(ctx: Context, body: bytes) -> Iterator[None]:
    """Count a request of either signal and what becomes of it."""
    ctx.count("gimbal_ingest_bytes_total", "Bytes of OTLP requests, unpacked.", len(body))
    outcome = "internal"
    try:
        yield
        outcome = "stored"
    except GimbalError as error:
        outcome = error.code
        raise
    finally:
        ctx.count("gimbal_ingest_requests_total", "OTLP requests by what became of them.", outcome=outcome)


async def ingest(
    ctx: Context,
    request: ExportTraceServiceRequest,
    unreadable: Sequence[Rejected] = (),
    *,
    experiment: int | None = None,
) -> list[Rejected]:
    """Store the spans of one OTLP request durably; return those that were rejected, `unreadable` among them.

    Raise TooLarge for too many spans, Busy and Unavailable from the writer; then nothing of the request is stored.
    """
    began, limits = time.perf_counter(), ctx.get(Settings).limits
    good: list[RawSpan] = []
    rejected = list(unreadable)
    count = sum(len(part.spans) for group in request.resource_spans for part in group.scope_spans)
    ctx.count(f"{_SPANS}received_total", "Spans that came in by OTLP.", count + len(rejected))
    try:
        check_count(count, limits, "spans")
        for raw in otlp.spans(request, limits.attribute_depth):
            if isinstance(raw, Rejected):
                rejected.append(raw)
            else:
                good.append(raw)
        good = await _sampled(ctx, good)
        redactor = await redactor_of(ctx)
        if redactor is not None:
            rejected = without_values(rejected, redactor)
        spans = await _normal(ctx, good, limits, redactor)
        # Many requests may wait for the writer: what they were read from is let go before.
        del request, good
        # First what spans say of quality and of their trace: a request that is refused for it has left nothing behind.
        await judgements.keep(ctx, spans)
        if said := roots.sent(spans, experiment):
            await ctx.get(TraceFacts).store(ctx, said)
        await ctx.get(Traces).record(ctx, spans, redacted=True)
        if said:
            await ctx.get(TraceFacts).arrived(ctx, [one.trace_id for one in spans if roots.is_root(one)])
    except GimbalError as error:
        _refused(ctx, count, error.code, rejected=len(unreadable))
        raise
    except BaseException:
        _refused(ctx, count, "internal", rejected=len(unreadable))
        raise
    _stored(ctx, spans, rejected)
    ctx.time(LAG, "Seconds from a request to its spans being durable.", time.perf_counter() - began)
    return rejected


def check_count(count: int, limits: LimitSettings, what: str) -> None:
    """Raise TooLarge for more records than one request may have."""
    if count > limits.spans_per_request:
        raise TooLarge(
            f"A request may have {limits.spans_per_request} {what}.",
            where="body",
            kept="nothing of this request",
            todo="Lower the exporter's batch size, or raise limits.spans_per_request.",
        )


def _refused(ctx: Context, count: int, reason: str, *, rejected: int) -> None:
    ctx.count(f"{_SPANS}refused_total", "Spans refused with their whole request.", count + rejected, reason=reason)


def _stored(ctx: Context, spans: Sequence[Span], rejected: Sequence[Rejected]) -> None:
    for dialect, number in Counter(span.dialect for span in spans).items():
        ctx.count(f"{_SPANS}stored_total", "Spans that are durable, by dialect.", number, dialect=dialect)
    for reason, number in Counter(one.code for one in rejected).items():
        ctx.count(f"{_SPANS}rejected_total", "Spans rejected one by one.", number, reason=reason)


async def _sampled(ctx: Context, good: list[RawSpan]) -> list[RawSpan]:
    """Return the spans that the project takes in, each with its weight; what is left out is counted, not rejected."""
    least = await ctx.get(SamplingPolicies).least(ctx.project or "default")
    if not least and not any(raw.trace_state for raw in good):
        return good
    found: list[RawSpan] = []
    for raw in good:
        drawn = kept(raw.trace_id, raw.trace_state, least)
        if drawn is not None:
            raw.weight, raw.randomness = drawn
            found.append(raw)
    if len(found) < len(good):
        ctx.count(SAMPLED, SAMPLED_HELP, len(good) - len(found), reason="head")
    return found


async def _normal(
    ctx: Context, good: Sequence[RawSpan], limits: LimitSettings, redactor: Redactor | None
) -> list[Span]:
    """Return the spans in normal form, each within its limits and marked where something was done to it."""
    now_us = time.time_ns() // 1000
    # A resource is one object for all spans beneath it.
    resources: dict[int, bool] = {}
    cut: Counter[str] = Counter()
    marked = late = 0
    found: list[Span] = []
    for raw in good:
        beneath = resources.get(id(raw.resource))
        if beneath is None:
            fitting = Fitting(ctx, limits, redactor)
            mark = await fitting.resource(raw.resource)
            if mark:
                raw.resource[MARK] = mark
            cut.update({f"resource_{what}": number for what, number in fitting.cut.items()})
            beneath = resources[id(raw.resource)] = bool(fitting.cut)
        fitting = Fitting(ctx, limits, redactor)
        mark = await fitting.span(raw)
        cut.update(fitting.cut)
        truncated = beneath or bool(fitting.cut)
        marked += truncated
        clock = _clock(raw, now_us)
        late += bool(clock)
        found.append(_span(raw, mark | clock, truncated=truncated))
    if marked:
        ctx.count(f"{_SPANS}truncated_total", "Spans of which something was cut or moved to the blobs.", marked)
    if late:
        ctx.count(f"{_SPANS}misdated_total", "Spans whose times cannot be right.", late)
    for what, number in cut.items():
        ctx.count("gimbal_ingest_cut_total", "Things cut or moved to the blobs, by what they are.", number, what=what)
    return found


def _clock(raw: RawSpan, now_us: int) -> dict[str, Any]:
    """Return what to mark a span with whose times cannot be right; they are stored as they came."""
    mark: dict[str, Any] = {}
    if raw.start_us > now_us + _AHEAD_US or raw.start_us < _EARLIEST_US:
        mark["clock_off_s"] = (raw.start_us - now_us) // 1_000_000
    if raw.early_end_us is not None:
        mark["end_us"] = raw.early_end_us
    return mark


def _span(raw: RawSpan, mark: dict[str, Any], *, truncated: bool) -> Span:
    seen = read(raw)
    attributes = raw.attributes
    if raw.links:
        attributes[LINKS] = raw.links
    if mark:
        attributes[MARK] = mark
    return Span(
        trace_id=raw.trace_id,
        span_id=raw.span_id,
        parent_id=raw.parent_id,
        remote_parent=raw.remote_parent,
        name=raw.name,
        kind=seen.kind,
        start_us=raw.start_us,
        end_us=raw.end_us,
        status=ended(raw),
        status_message=told(raw),
        provider=seen.provider,
        model=seen.model,
        usage=seen.usage,
        estimated=seen.estimated,
        cached=seen.cached,
        first_token_us=seen.first_token_us,
        finish=seen.finish,
        response_id=seen.response_id,
        input=_text(seen.input),
        output=_text(seen.output),
        documents=seen.documents,
        session_id=seen.session_id,
        user_id=seen.user_id,
        feature=seen.feature,
        endpoint=seen.endpoint,
        key_id=seen.key_id,
        tags=seen.tags,
        refs=seen.refs,
        attributes=attributes,
        events=raw.events,
        resource=raw.resource,
        scope=f"{raw.scope} {raw.scope_version}".strip(),
        dialect=seen.dialect,
        truncated=truncated,
        weight=raw.weight,
        randomness=raw.randomness,
    )


def _text(value: Any) -> str:
    return "" if value is None or value == [] else _json.encode(value).decode()
