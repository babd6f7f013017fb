"""The path of a GenAI event in: decode → limits → its score, where it is one → writer; answered only when it is durable.

It is counted as spans are: events received are those stored, rejected one by one, refused with their request and left out
with their traces. A score stays, whatever becomes of its trace.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from gimbal.axis.traces import judgements, logs, otlp, span_events
from gimbal.axis.traces.fitting import MARK, Fitting
from gimbal.axis.traces.ingest import check_count, one_request
from gimbal.axis.traces.judgements import Judgement
from gimbal.axis.traces.logs import RawEvent
from gimbal.axis.traces.otlp import Rejected
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.redaction.model import MARK as REDACTION
from gimbal.axis.traces.redaction.policies import redactor_of
from gimbal.axis.traces.redaction.redactor import Redactor, discreet, without_values
from gimbal.axis.traces.sampling import randomness
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.signals import LOGS
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings import LimitSettings, Settings

_EVENTS = "gimbal_ingest_events_"


async def take(ctx: Context, body: bytes, media_type: str) -> list[Rejected]:
    """Store the GenAI events of a request as it came over the wire durably; return the records that were rejected.

    Raise CorruptUpload for what is no request, and what `ingest` raises.
    """
    with one_request(ctx, body), discreet(await redactor_of(ctx)):
        ctx.get(Writer).check_room()
        return await ingest(ctx, *otlp.records(body, media_type, LOGS))


async def ingest(
    ctx: Context, request: ExportLogsServiceRequest, unreadable: Sequence[Rejected] = ()
) -> list[Rejected]:
    """Store the GenAI events of one OTLP request durably; return the rejected records, `unreadable` among them.

    Raise TooLarge for too many records, Busy and Unavailable from the writer; then no event of the request is stored.
    """
    limits, project = ctx.get(Settings).limits, ctx.project or "default"
    rejected, good, judged = list(unreadable), list[RawEvent](), list[Judgement]()
    count = LOGS.count(request) + len(rejected)
    ctx.count(f"{_EVENTS}received_total", "Log records that came in by OTLP.", count)
    left_out, reason = 0, "internal"
    try:
        check_count(count, limits, "log records")
        least = await ctx.get(SamplingPolicies).least(project)
        events, flawed = await _placed(ctx, logs.events(request, limits.attribute_depth))
        rejected += flawed
        redactor = await redactor_of(ctx)
        if redactor is not None:
            rejected = without_values(rejected, redactor)
        redacted: list[dict[str, int]] = []
        for raw in events:
            marked = await redactor.log(ctx, raw) if redactor is not None else {}
            if raw.name == judgements.EVENT:
                said = (project, raw.trace_id, raw.span_id, raw.at_ns // 1000, raw.attributes)
                judgement = judgements.of_event(*said)
                if judgement is None:
                    rejected.append(Rejected(span_id=raw.span_id, name=raw.name, code="no_score"))
                    continue
                judged.append(judgement)
            if least and randomness(raw.trace_id) < least:
                left_out += 1
            else:
                good.append(raw)
                redacted.append(marked)
        await _fit(ctx, good, limits, redactor)
        for raw, marked in zip(good, redacted, strict=True):
            if marked:
                raw.attributes[REDACTION] = marked
        # First the scores: a request that is refused for them has left nothing behind.
        await judgements.store(ctx, judged)
        if good:
            await ctx.get(Writer).write(span_events.TABLE, span_events.to_table(project, good))
        reason = ""
    except GimbalError as error:
        reason = error.code
        raise
    finally:
        if reason:
            ctx.count(f"{_EVENTS}refused_total", "Log records refused with their request.", count, reason=reason)
    if left_out:
        ctx.count(f"{_EVENTS}sampled_total", "GenAI events of traces that the head's sampling left out.", left_out)
    if good:
        ctx.count(f"{_EVENTS}stored_total", "GenAI events that are durable.", len(good))
    for code, number in Counter(one.code for one in rejected).items():
        ctx.count(f"{_EVENTS}rejected_total", "Log records rejected one by one.", number, reason=code)
    return rejected


async def _placed(ctx: Context, records: Iterable[RawEvent | Rejected]) -> tuple[list[RawEvent], list[Rejected]]:
    """Return the events, each with its span, and what was rejected, among it what judges an answer nobody knows."""
    events, rejected, open_ = list[RawEvent](), list[Rejected](), dict[str, list[RawEvent]]()
    for one in records:
        if isinstance(one, Rejected):
            rejected.append(one)
            continue
        if not one.trace_id:
            open_.setdefault(one.attributes[logs.RESPONSE], []).append(one)
        events.append(one)
    if not open_:
        return events, rejected
    known = await ctx.get(Traces).answered(ctx, list(open_))
    for answer, waiting in open_.items():
        for one in waiting:
            one.trace_id, one.span_id = known.get(answer, ("", ""))
    rejected += [Rejected(span_id="", name=one.name, code="no_answer") for one in events if not one.trace_id]
    return [one for one in events if one.trace_id], rejected


async def _fit(ctx: Context, events: Sequence[RawEvent], limits: LimitSettings, redactor: Redactor | None) -> None:
    """Bring events into the limits of spans, in place, each marked where something was done to it."""
    # A resource is one object for all records beneath it.
    fitted: set[int] = set()
    cut: Counter[str] = Counter()
    for event in events:
        if id(event.resource) not in fitted:
            fitted.add(id(event.resource))
            fitting = Fitting(ctx, limits, redactor)
            mark = await fitting.resource(event.resource)
            if mark:
                event.resource[MARK] = mark
            cut.update({f"resource_{what}": number for what, number in fitting.cut.items()})
        fitting = Fitting(ctx, limits)
        if event.deep:
            fitting.cut["depth"] = event.deep
        mark = await fitting.event(event.attributes)
        if mark:
            event.attributes[MARK] = mark
        cut.update(fitting.cut)
    for what, number in cut.items():
        ctx.count("gimbal_ingest_cut_total", "Things cut or moved to the blobs, by what they are.", number, what=what)
