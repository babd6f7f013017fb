"""The operations on traces."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from gimbal.axis.traces import payloads, renormalise
from gimbal.axis.traces.agent_graph import agent_graph
from gimbal.axis.traces.aggregate import Question, aggregate
from gimbal.axis.traces.filters import narrow
from gimbal.axis.traces.finding import listed
from gimbal.axis.traces.model import Aggregate, Renormalised, Span, Trace, TraceSummary
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.sampling import SamplingPolicy, SetSampling
from gimbal.axis.traces.score_filter import read_tests, with_scores
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.shapes import AgentGraph, FoundSpans, Similar, Skeleton
from gimbal.axis.traces.similar import similar
from gimbal.axis.traces.skeleton import read
from gimbal.axis.traces.within import find_spans
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
    endpoint: Annotated[str | None, "Only traces of this endpoint."] = None,
    key: Annotated[str | None, "Only traces of calls with the API key of this id."] = None,
    tag: Annotated[list[str] | None, "Only traces with this tag, team:search, or any of a key: team."] = None,
    ref: Annotated[str | None, "Only traces that used prompt:help/answer@v2, or any prompt:help/answer."] = None,
    attribute: Annotated[
        list[str] | None, "Only traces with this attribute, as key:value; may be given several times."
    ] = None,
    search: Annotated[str | None, "Only traces with all of these words in input, output, documents or errors."] = None,
    unpriced: Annotated[
        str | None, "Only traces with a call that has no cost, for this reason: unknown_model … or any."
    ] = None,
    min_ms: Annotated[float | None, "Only traces that took at least so long."] = None,
    max_ms: Annotated[float | None, "Only traces that took at most so long."] = None,
    min_usd: Annotated[Decimal | None, "Only traces that are known to cost at least so much."] = None,
    max_usd: Annotated[Decimal | None, "Only traces that are known to cost at most so much."] = None,
    min_tokens: Annotated[int | None, "Only traces with at least so many tokens, in and out."] = None,
    max_tokens: Annotated[int | None, "Only traces with at most so many tokens, in and out."] = None,
    score: Annotated[
        list[str] | None,
        "Only traces with this score, of the trace or of a span: helpful:<0.5, tone:rude, helpful:unscored, helpful:missing, "
        "or helpful for any value; may be given several times.",
    ] = None,
    scored_by: Annotated[str | None, "Only scores by human, judge, code or user; alone: any score by those."] = None,
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
        endpoint=endpoint,
        key=key,
        tag=tag,
        ref=ref,
        attribute=attribute,
        search=search,
        unpriced=unpriced,
        ms=(min_ms, max_ms),
        usd=(min_usd, max_usd),
        tokens=(min_tokens, max_tokens),
    )
    narrowed = with_scores(ctx, narrowed, read_tests(score, scored_by))
    return await listed(ctx, narrowed, sort, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/traces/aggregate", name="traces.aggregate", allow=Permission.VIEW)
async def aggregate_traces(
    ctx: Context,
    project: str,
    group: Annotated[
        list[str] | None,
        "Up to two of model, provider, kind, feature, user, session, endpoint, key, status, name, prompt, ref, dialect, tag, "
        "tag:KEY and attribute:KEY.",
    ] = None,
    every: Annotated[str | None, "Part the time, too: minute, hour or day, in UTC."] = None,
    order: Annotated[
        str,
        "The groups with the most come first, of spans, traces, calls, errors, error_rate, cost, wasted, tokens or latency.",
    ] = "spans",
    since: Annotated[datetime | None, "Only spans that started at or after this."] = None,
    until: Annotated[datetime | None, "And before this."] = None,
    status: Annotated[str | None, "Only spans that ended so: ok, error, cancelled or unset."] = None,
    kind: Annotated[str | None, "Only spans of this kind: llm, chain, agent …"] = None,
    model: Annotated[str | None, "Only spans of this model."] = None,
    feature: Annotated[
        str | None,
        "Only of this feature: of the span, else of its trace; so for user, session, endpoint, key, tag and ref.",
    ] = None,
    user: Annotated[str | None, "Only of this end user."] = None,
    session: Annotated[str | None, "Only of this session."] = None,
    text: Annotated[str | None, "Only spans whose name contains this."] = None,
    provider: Annotated[str | None, "Only spans of this provider."] = None,
    endpoint: Annotated[str | None, "Only spans of this endpoint."] = None,
    key: Annotated[str | None, "Only spans of calls with the API key of this id."] = None,
    tag: Annotated[list[str] | None, "Only spans with this tag, team:search, or any of a key: team."] = None,
    ref: Annotated[str | None, "Only spans that used prompt:help/answer@v2, or any prompt:help/answer."] = None,
    attribute: Annotated[list[str] | None, "Only spans with this attribute, as key:value; repeatable."] = None,
    search: Annotated[str | None, "Only spans with all of these words in input, output, documents or errors."] = None,
    min_ms: Annotated[float | None, "Only spans that took at least so long."] = None,
    max_ms: Annotated[float | None, "Only spans that took at most so long."] = None,
    min_usd: Annotated[Decimal | None, "Only spans that are known to cost at least so much."] = None,
    max_usd: Annotated[Decimal | None, "Only spans that are known to cost at most so much."] = None,
    min_tokens: Annotated[int | None, "Only spans with at least so many tokens, in and out."] = None,
    max_tokens: Annotated[int | None, "Only spans with at most so many tokens, in and out."] = None,
    score: Annotated[
        list[str] | None, "Only spans of traces with this score: helpful:<0.5, tone:rude; may be given several times."
    ] = None,
    scored_by: Annotated[str | None, "Only scores by human, judge, code or user; alone: any score by those."] = None,
    roots: Annotated[bool, "Only spans without a parent: their time is that of whole traces."] = False,
    parts: Annotated[bool, "Tell the cost by token class, too: input, cache_write_1h, reasoning, web_search …"] = False,
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
        endpoint=endpoint,
        key=key,
        tag=tag,
        ref=ref,
        attribute=attribute,
        search=search,
        ms=(min_ms, max_ms),
        usd=(min_usd, max_usd),
        tokens=(min_tokens, max_tokens),
    )
    narrowed = with_scores(ctx, narrowed, read_tests(score, scored_by))
    question = Question(
        by=tuple(group or ()), every=every, order=order, limit=limit, narrowed=narrowed, roots=roots, parts=parts
    )
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


@operation("GET", "/projects/{project}/traces/{id}/skeleton", name="traces.skeleton", allow=Permission.VIEW)
async def show_skeleton(ctx: Context, project: str, id: str) -> Skeleton:  # noqa: A002 - the name in the path
    """Show the tree, times, tokens and costs of up to 100,000 spans of a trace, without what they carry.

    Columns are arrays, in the order of the tree. `traces span` shows one span whole.
    """
    return (await read(ctx, id)).skeleton


@operation("GET", "/projects/{project}/traces/{id}/spans/{span}", name="traces.span", allow=Permission.VIEW)
async def show_span(
    ctx: Context,
    project: str,
    id: str,  # noqa: A002 - as above
    span: Annotated[str, "Its id, 16 hex digits."],
) -> Span:
    """Show one span of a trace with all that it carries."""
    return await ctx.get(Traces).span(ctx, id, span)


@operation("GET", "/projects/{project}/traces/{id}/find", name="traces.find", allow=Permission.VIEW)
async def find_in_trace(
    ctx: Context,
    project: str,
    id: str,  # noqa: A002 - as above
    text: Annotated[str, "What stands in a name, message, document, attribute or event, in any case."],
) -> FoundSpans:
    """Find the spans of a trace that have a text."""
    return await find_spans(ctx, id, text)


@operation("GET", "/projects/{project}/traces/{id}/graph", name="traces.graph", allow=Permission.VIEW)
async def show_graph(ctx: Context, project: str, id: str) -> AgentGraph:  # noqa: A002 - as above
    """Show the agents, models and tools of a trace: who called what, how often, and who handed over to whom."""
    return agent_graph((await read(ctx, id)).skeleton)


@operation("GET", "/projects/{project}/traces/{id}/similar", name="traces.similar", allow=Permission.VIEW)
async def list_similar(
    ctx: Context,
    project: str,
    id: str,  # noqa: A002 - as above
    limit: Annotated[int, "How many at most, 1 to 50."] = 10,
) -> Similar:
    """List the traces that are most like one, and how slow and costly it is among those.

    They are those with the same root in the seven days before it: nearest by what their spans are, how they ended, time
    and cost.
    """
    return await similar(ctx, id, limit=limit)


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
