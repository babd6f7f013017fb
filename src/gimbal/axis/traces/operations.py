"""The operations on traces."""

from datetime import datetime
from typing import Annotated

import msgspec

from gimbal.axis.traces import payloads, renormalise
from gimbal.axis.traces.model import Renormalised, Trace, TraceSummary
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.sampling import SamplingPolicy, SetSampling
from gimbal.axis.traces.service import Traces, moment_us
from gimbal.axis.traces.store import TraceFilter
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
