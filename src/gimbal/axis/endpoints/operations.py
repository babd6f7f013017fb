"""The operations on endpoints."""

from datetime import datetime
from typing import Annotated

from gimbal.axis.endpoints.model import Endpoint, EndpointTraffic, Prediction, SetEndpoint
from gimbal.axis.endpoints.predictions import Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import DEFAULT_LIMIT, Page

describe("endpoints", "What callers call: targets that follow aliases, and their traffic.")

Slug = Annotated[str, "Slug of the endpoint."]


@operation("PUT", "/projects/{project}/endpoints", name="endpoints.set", allow=Permission.RELEASE, audited=True)
async def set_endpoint(ctx: Context, project: str, body: SetEndpoint) -> Endpoint:
    """Set an endpoint; one with the same slug is replaced."""
    ctx.audit(slug=body.slug, target=body.targets[0].ref if body.targets else "")
    return await ctx.get(Endpoints).set(ctx, body)


@operation("GET", "/projects/{project}/endpoints", name="endpoints.list", allow=Permission.VIEW)
async def list_endpoints(ctx: Context, project: str) -> list[Endpoint]:
    """List the endpoints of the project and what they resolve to."""
    return await ctx.get(Endpoints).all(ctx)


@operation("GET", "/projects/{project}/endpoints/{slug}", name="endpoints.show", allow=Permission.VIEW)
async def show_endpoint(ctx: Context, project: str, slug: Slug) -> Endpoint:
    """Show an endpoint and what it resolves to."""
    return await ctx.get(Endpoints).get(ctx, slug)


@operation(
    "DELETE", "/projects/{project}/endpoints/{slug}", name="endpoints.remove", allow=Permission.RELEASE, audited=True
)
async def remove_endpoint(ctx: Context, project: str, slug: Slug) -> None:
    """Remove an endpoint; what it recorded stays."""
    await ctx.get(Endpoints).remove(ctx, slug)


@operation("GET", "/projects/{project}/endpoints/{slug}/traffic", name="endpoints.traffic", allow=Permission.VIEW)
async def endpoint_traffic(ctx: Context, project: str, slug: Slug) -> list[EndpointTraffic]:
    """Show how many predictions an endpoint recorded per day of event time."""
    await ctx.get(Endpoints).get(ctx, slug)
    return await ctx.get(Predictions).traffic(ctx, slug)


@operation(
    "GET", "/projects/{project}/endpoints/{slug}/predictions", name="endpoints.predictions", allow=Permission.VIEW
)
async def endpoint_predictions(
    ctx: Context,
    project: str,
    slug: Slug,
    since: Annotated[datetime | None, "Event time at or after this."] = None,
    until: Annotated[datetime | None, "Event time before this."] = None,
    entity: Annotated[str | None, "What they are about."] = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[Prediction]:
    """List what an endpoint predicted, with the inputs, newest event time first."""
    await ctx.get(Endpoints).get(ctx, slug)
    return await ctx.get(Predictions).page(
        ctx, slug, since=since, until=until, entity=entity, cursor=cursor, limit=limit
    )
