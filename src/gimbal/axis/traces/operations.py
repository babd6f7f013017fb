"""The operations on traces."""

from datetime import datetime
from typing import Annotated

import msgspec

from gimbal.axis.traces import renormalise
from gimbal.axis.traces.model import Renormalised, Trace, TraceSummary
from gimbal.axis.traces.service import Traces, moment_us
from gimbal.axis.traces.store import TraceFilter
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

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
    cursor: str | None = None,
    limit: int = 50,
) -> Page[TraceSummary]:
    """List traces, newest first."""
    narrowed = TraceFilter(
        since_us=moment_us(since),
        until_us=moment_us(until),
        status=status,
        kind=kind,
        model=model,
        feature=feature,
        user_id=user,
        session_id=session,
        text=text,
    )
    return await ctx.get(Traces).page(ctx, narrowed, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/traces/{id}", name="traces.show", allow=Permission.VIEW)
async def show_trace(ctx: Context, project: str, id: str) -> Trace:  # noqa: A002 - the name in the path
    """Show a trace with its spans."""
    return await ctx.get(Traces).get(ctx, id)


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
