"""What can be done with HTTP services from outside; what is done with all assets is not repeated here."""

from gimbal.axis.assets.model import Asset
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.http import service
from gimbal.axis.evals.http.model import PublishedHttpService, PublishHttpService
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("http_services", "Services over HTTP that suites are put through, as versions.")


@operation(
    "POST",
    "/projects/{project}/http-services",
    name="http_services.publish",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal http-services publish FILE` of the group's own commands reads the file and calls it"},
)
async def publish_http_service(ctx: Context, project: str, body: PublishHttpService) -> PublishedHttpService:
    """Turn the file of an HTTP service into a version, `http:NAME`, that suites can be put through.

    The whole file is checked before anything is written; a mistake is named as `path:line`. A file that says what a
    version already says makes no new one. Nothing is called.
    """
    published = await service.publish(ctx, body)
    ctx.audit(service=published.ref, state=published.state)
    return published


@operation("GET", "/projects/{project}/http-services", name="http_services.list", allow=Permission.VIEW)
async def list_http_services(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[Asset]:
    """List the HTTP services of a project with their aliases, by name."""
    return await ctx.get(Assets).page(ctx, kind="http", cursor=cursor, limit=limit)
