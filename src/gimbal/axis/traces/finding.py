"""The operations that find traces as they come, and sessions. `operations` has the list."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from gimbal.axis.traces import conversation, ranking, sessions
from gimbal.axis.traces.filters import TraceFilter, narrow
from gimbal.axis.traces.finding_model import Conversation, SessionSummary, TailAnswer
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.score_filter import read_tests, with_scores
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.tail import Tails
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, find, operation
from gimbal.kernel.pages import MAX_LIMIT, Page

# What `traces.list` takes besides the filters that `narrow` has by the same names.
_OTHERS = frozenset(
    {"project", "cursor", "limit", "sort", "score", "scored_by", "min_ms", "max_ms", "min_usd", "max_usd", "min_tokens",
     "max_tokens"}
)  # fmt: skip
describe("sessions", "Conversations: the traces of one session, told as one.")


async def listed(
    ctx: Context, narrowed: TraceFilter, sort: str = "start", *, cursor: str | None = None, limit: int = 50
) -> Page[TraceSummary]:
    """Return traces by whichever way is shortest for what is asked."""
    if sort == "start" and not narrowed.of_sums:
        return await ctx.get(Traces).page(ctx, narrowed, cursor=cursor, limit=limit)
    return await ranking.page(ctx, narrowed, sort, cursor=cursor, limit=limit)


def read_filter(ctx: Context, given: Mapping[str, Any]) -> TraceFilter:
    """Return the filter of what the list's operation takes; raise BadInput."""
    plain = {row.name: given.get(row.name) for row in find("traces.list").parameters if row.name not in _OTHERS}
    narrowed = narrow(
        **plain,
        ms=(given.get("min_ms"), given.get("max_ms")),
        usd=(given.get("min_usd"), given.get("max_usd")),
        tokens=(given.get("min_tokens"), given.get("max_tokens")),
    )
    return with_scores(ctx, narrowed, read_tests(given.get("score"), given.get("scored_by")))


@operation(
    "GET",
    "/projects/{project}/traces/tail",
    name="traces.tail",
    allow=Permission.VIEW,
    absent={"cli": "`gimbal traces tail` follows it, line by line."},
)
async def tail_traces(
    ctx: Context,
    project: str,
    cursor: Annotated[str | None, "`cursor` of the answer before; without one the tail begins now."] = None,
    wait: Annotated[float, "Seconds to wait for something to come, 0 to 30."] = 0,
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
    tag: Annotated[
        list[str] | None, "Only traces with this tag, team:search, or any of a key, team; may be repeated."
    ] = None,
    ref: Annotated[
        str | None, "Only traces that used this version: prompt:help/answer@v2, or all of prompt:help/answer."
    ] = None,
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
    score: Annotated[list[str] | None, "Only traces with this score, as `traces list` has it."] = None,
    scored_by: Annotated[str | None, "Only scores by human, judge, code or user; alone: any score by those."] = None,
) -> TailAnswer:
    """Show traces that came, or changed, since the call before, whichever server took them in.

    Call it again and again with the cursor of the answer. A trace is told when its root is there, or when nothing more
    of it came for three seconds; the same trace with the same `stored` is the same news.
    """
    given = {
        "status": status, "kind": kind, "model": model, "feature": feature, "user": user, "session": session, "text": text,
        "provider": provider, "endpoint": endpoint, "key": key, "tag": tag, "ref": ref, "attribute": attribute,
        "search": search, "unpriced": unpriced, "min_ms": min_ms, "max_ms": max_ms, "min_usd": min_usd, "max_usd": max_usd,
        "min_tokens": min_tokens, "max_tokens": max_tokens, "score": score, "scored_by": scored_by,
    }  # fmt: skip
    narrowed = read_filter(ctx, given)

    async def among_them(among: TraceFilter) -> dict[str, TraceSummary]:
        page = await listed(ctx, among, limit=MAX_LIMIT)
        return {one.trace_id: one for one in page.items}

    return await ctx.get(Tails).after(ctx, narrowed, among_them, cursor=cursor, wait_s=wait)


@operation("GET", "/projects/{project}/sessions", name="sessions.list", allow=Permission.VIEW)
async def list_sessions(
    ctx: Context,
    project: str,
    since: Annotated[datetime | None, "Spoke at or after this."] = None,
    until: Annotated[datetime | None, "Began to speak before this."] = None,
    user: Annotated[str | None, "Only of this end user."] = None,
    feature: Annotated[str | None, "Only with a trace of this feature."] = None,
    model: Annotated[str | None, "Only with a call of this model."] = None,
    status: Annotated[str | None, "Only with a span that ended so: error, ok, cancelled or unset."] = None,
    text: Annotated[str | None, "Only sessions whose id contains this."] = None,
    cursor: str | None = None,
    limit: Annotated[int, "How many sessions at most, 1 to 200."] = 50,
) -> Page[SessionSummary]:
    """List sessions, the one that spoke last first, with what all their traces come to."""
    narrowed = TraceFilter(
        since_us=None if since is None else to_us(since),
        until_us=None if until is None else to_us(until),
        user_id=user,
        feature=feature,
        model=model,
        status=status,
        text=text,
    )
    return await sessions.page(ctx, narrowed, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/sessions/{id}", name="sessions.show", allow=Permission.VIEW)
async def show_session(
    ctx: Context,
    project: str,
    id: Annotated[str, "Its id, as its spans name it."],  # noqa: A002 - the name in the path
    cursor: str | None = None,
    limit: Annotated[int, "How many turns at most, 1 to 1000."] = 20,
) -> Conversation:
    """Show a session as one conversation: of each of its traces what is new in it, with latency, cost and scores."""
    return await conversation.read(ctx, id, cursor=cursor, limit=limit)
