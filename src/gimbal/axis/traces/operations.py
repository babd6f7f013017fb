"""The operations on traces."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from gimbal.axis.traces import payloads, ranking, renormalise
from gimbal.axis.traces.aggregate import Question, aggregate
from gimbal.axis.traces.filters import narrow
from gimbal.axis.traces.model import Aggregate, Renormalised, Trace, TraceSummary
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.sampling import SamplingPolicy, SetSampling
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import Download
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("sampling", "Which traces a project keeps.")
describe("traces", "What happened, span by span: LLM calls, agent turns, predictions.")


@operation("GET", "/projects/{project}/traces", name="traces.list", allow=Permission.VIEW)
async def list_traces(
    ctx: Context,
    project: str,
    since: Annotated[datetime | None, "Started at or after this."] = None,
    until: Annotated[datetime | None, "Started before this."] = None,
    status: Annotated[
        str | None, "Only traces that ended so: error when any span failed, else the root's ok, cancelled or unset."
    ] = None,
    kind: Annotated[str | None, "Only roots of this kind: llm, chain, agent …"] = None,
    model: Annotated[str | None, "Only traces with a call of this model."] = None,
    feature: Annotated[str | None, "Only of this feature."] = None,
    user: Annotated[str | None, "Only of this end user."] = None,
    session: Annotated[str | None, "Only of this session."] = None,
    text: Annotated[str | None, "Only roots whose name contains this."] = None,
    provider: Annotated[str | None, "Only traces of this provider."] = None,
    ref: Annotated[
        str | None, "Only traces that used this version: prompt:help/answer@v2, or all of prompt:help/answer."
    ] = None,
    attribute: Annotated[
        list[str] | None, "Only traces with this attribute, as key:value; may be given several times."
    ] = None,
    search: Annotated[str | None, "Only traces with all of these words in input, output or attributes."] = None,
    min_ms: Annotated[float | None, "Only traces that took at least so long."] = None,
    max_ms: Annotated[float | None, "Only traces that took at most so long."] = None,
    min_usd: Annotated[Decimal | None, "Only traces that are known to cost at least so much."] = None,
    max_usd: Annotated[Decimal | None, "Only traces that are known to cost at most so much."] = None,
    min_tokens: Annotated[int | None, "Only traces with at least so many tokens, in and out."] = None,
    max_tokens: Annotated[int | None, "Only traces with at most so many tokens, in and out."] = None,
    sort: Annotated[str, "start (newest first), or duration, cost or tokens (the most first)."] = "start",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[TraceSummary]:
    """List traces, newest first.

    A trace fits when any of its spans has the model, provider, version, attribute or word; its root's duration and what
    all its spans cost count.
    """
    narrowed = narrow(
        since=since,
        until=until,
        status=status,
        kind=kind,
        model=model,
        feature=feature,
        user=user,
        session=session,
        text=text,
        provider=provider,
        ref=ref,
        attribute=attribute,
        search=search,
        ms=(min_ms, max_ms),
        usd=(min_usd, max_usd),
        tokens=(min_tokens, max_tokens),
    )
    if sort == "start" and not narrowed.of_sums:
        return await ctx.get(Traces).page(ctx, narrowed, cursor=cursor, limit=limit)
    return await ranking.page(ctx, narrowed, sort, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/traces/aggregate", name="traces.aggregate", allow=Permission.VIEW)
async def aggregate_traces(
    ctx: Context,
    project: str,
    group: Annotated[
        list[str] | None,
        "Up to two of model, provider, kind, feature, user, session, status, name, prompt, ref, dialect and attribute:KEY.",
    ] = None,
    every: Annotated[str | None, "Part the time, too: minute, hour or day, in UTC."] = None,
    order: Annotated[
        str,
        "The groups with the most come first, of spans, traces, calls, errors, error_rate, cost, tokens or latency (p95).",
    ] = "spans",
    since: Annotated[datetime | None, "Only spans that started at or after this."] = None,
    until: Annotated[datetime | None, "And before this."] = None,
    status: Annotated[str | None, "Only spans that ended so: ok, error, cancelled or unset."] = None,
    kind: Annotated[str | None, "Only spans of this kind: llm, chain, agent …"] = None,
    model: Annotated[str | None, "Only spans of this model."] = None,
    feature: Annotated[
        str | None, "Only of this feature: of the span, else of its trace; so for user, session and ref."
    ] = None,
    user: Annotated[str | None, "Only of this end user."] = None,
    session: Annotated[str | None, "Only of this session."] = None,
    text: Annotated[str | None, "Only spans whose name contains this."] = None,
    provider: Annotated[str | None, "Only spans of this provider."] = None,
    ref: Annotated[
        str | None, "Only spans that used this version: prompt:help/answer@v2, or all of prompt:help/answer."
    ] = None,
    attribute: Annotated[
        list[str] | None, "Only spans with this attribute, as key:value; may be given several times."
    ] = None,
    search: Annotated[str | None, "Only spans with all of these words in input, output or attributes."] = None,
    min_ms: Annotated[float | None, "Only spans that took at least so long."] = None,
    max_ms: Annotated[float | None, "Only spans that took at most so long."] = None,
    min_usd: Annotated[Decimal | None, "Only spans that are known to cost at least so much."] = None,
    max_usd: Annotated[Decimal | None, "Only spans that are known to cost at most so much."] = None,
    min_tokens: Annotated[int | None, "Only spans with at least so many tokens, in and out."] = None,
    max_tokens: Annotated[int | None, "Only spans with at most so many tokens, in and out."] = None,
    roots: Annotated[bool, "Only spans without a parent: their time is that of whole traces."] = False,
    limit: Annotated[int, "How many groups at most, 1 to 1000; the others are summed up."] = 50,
) -> Aggregate:
    """Count spans, calls and errors, sum up cost and tokens, and measure latency, by dimension and time.

    Filters are of the spans that are counted. A call counts once, whichever spans report it. A span that used several
    versions counts in the group of each. Spans that stand for others left out by sampling count for those.
    """
    narrowed = narrow(
        since=since,
        until=until,
        status=status,
        kind=kind,
        model=model,
        feature=feature,
        user=user,
        session=session,
        text=text,
        provider=provider,
        ref=ref,
        attribute=attribute,
        search=search,
        ms=(min_ms, max_ms),
        usd=(min_usd, max_usd),
        tokens=(min_tokens, max_tokens),
    )
    question = Question(by=tuple(group or ()), every=every, order=order, limit=limit, narrowed=narrowed, roots=roots)
    return await aggregate(ctx, question)


@operation("GET", "/projects/{project}/traces/sampling", name="sampling.show", allow=Permission.VIEW)
async def show_sampling(ctx: Context, project: str) -> SamplingPolicy:
    """Show which traces the project keeps, and up to when they have been decided on."""
    return await ctx.get(SamplingPolicies).get(ctx)


@operation("PUT", "/projects/{project}/traces/sampling", name="sampling.set", allow=Permission.ADMIN, audited=True)
async def set_sampling(ctx: Context, project: str, body: SetSampling) -> SamplingPolicy:
    """Set which traces the project keeps, of those that come from now on; what is left out cannot be had back."""
    ctx.audit(**msgspec.to_builtins(body))
    return await ctx.get(SamplingPolicies).set(ctx, body)


@operation("GET", "/projects/{project}/traces/{id}", name="traces.show", allow=Permission.VIEW)
async def show_trace(ctx: Context, project: str, id: str) -> Trace:  # noqa: A002 - the name in the path
    """Show a trace with its spans."""
    return await ctx.get(Traces).get(ctx, id)


@operation("GET", "/projects/{project}/traces/{id}/payloads/{digest}", name="traces.payload", allow=Permission.VIEW)
async def get_payload(
    ctx: Context,
    project: str,
    id: str,  # noqa: A002 - as above
    digest: Annotated[str, "Digest of what the trace left in the blobs, `b3:` and 64 hex digits."],
) -> Download:
    """Download what a trace left in the blobs: a value that was too long, the rest of a span, an image, a vector.

    `gimbal.ingest` among the attributes of its spans, or of a resource, names the digests under `payloads`.
    """
    return await payloads.payload(ctx, id, digest)


class Renormalise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which traces to read anew."""

    since: datetime
    """Traces with a span that started at or after this."""
    until: datetime | None = None
    """And before this; null means no end."""
    cursor: str | None = None
    """`next` of the call before."""
    limit: int = renormalise.MOST_TRACES
    """At most so many traces in one call, up to 10,000."""


@operation("POST", "/projects/{project}/traces/renormalise", name="traces.renormalise", allow=Permission.DEVELOP)
async def renormalise_traces(ctx: Context, project: str, body: Renormalise) -> Renormalised:
    """Read stored spans anew from the attributes they came with, when Gimbal has learned to understand more.

    Only rows that say something else then are written; a second call changes nothing. Attributes stay as they are.
    """
    return await renormalise.renormalise(ctx, body.since, body.until, cursor=body.cursor, limit=body.limit)
