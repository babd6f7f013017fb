"""What can be done with routes from outside: publish a file, list, show a version, ask what it would choose."""

from gimbal.axis.assets.model import Asset
from gimbal.axis.assets.service import Assets
from gimbal.generative.gateway.routes import service
from gimbal.generative.gateway.routes.views import ChooseByRoute, Chosen, PublishedRoute, PublishRoute, RouteView
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref

describe("routes", "Which model answers a call: fallbacks, splits, rules, shadows, as versions.")


@operation(
    "POST",
    "/projects/{project}/routes",
    name="routes.publish",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal routes publish FILE` of the room's own commands reads the file and calls it"},
)
async def publish_route(ctx: Context, project: str, body: PublishRoute) -> PublishedRoute:
    """Turn a route file into a version.

    The whole file is checked before anything is written; a mistake is named as `path:line`. A file that says what a
    version already says makes no new one. An alias decides which version is called: `route:support@production`.
    """
    published = await service.publish(ctx, body)
    ctx.audit(route=published.ref, state=published.state)
    return published


@operation("GET", "/projects/{project}/routes", name="routes.list", allow=Permission.VIEW)
async def list_routes(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[Asset]:
    """List the routes of a project with their aliases, by name."""
    return await ctx.get(Assets).page(ctx, kind="route", cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/routes/{ref}", name="routes.show", allow=Permission.VIEW)
async def show_route(ctx: Context, project: str, ref: Ref) -> RouteView:
    """Show one version of a route, and how its models fare in the process that answers."""
    return await service.view(ctx, ref)


@operation("POST", "/projects/{project}/routes/{ref}/choose", name="routes.choose", allow=Permission.VIEW)
async def choose_by_route(ctx: Context, project: str, ref: Ref, body: ChooseByRoute) -> Chosen:
    """Tell what a route would choose for a call, and why; nothing is sent.

    Where chance decides, another try may choose otherwise. Latencies and breakers are those of the process that answers.
    """
    return await service.try_out(ctx, ref, body)
