"""What can be done with policies from outside: publish a file, list, show a version, try it on a text."""

from gimbal.axis.assets.model import Asset
from gimbal.axis.assets.service import Assets
from gimbal.generative.guards import service
from gimbal.generative.guards.views import PolicyView, PublishedPolicy, PublishPolicy, Tried, TryPolicy
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref

describe("guards", "What calls may say and answers may hold: guards that block, mask or flag.")


@operation(
    "POST",
    "/projects/{project}/policies",
    name="guards.publish",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal guards publish FILE` of the room's own commands reads the file and calls it"},
)
async def publish_policy(ctx: Context, project: str, body: PublishPolicy) -> PublishedPolicy:
    """Turn a policy file into a version.

    The whole file is checked before anything is written; a mistake is named as `path:line`. A file that says what a
    version already says makes no new one. Calls are under `policy:gateway@production`, where a project has it.
    """
    published = await service.publish(ctx, body)
    ctx.audit(policy=published.ref, state=published.state)
    return published


@operation("GET", "/projects/{project}/policies", name="guards.list", allow=Permission.VIEW)
async def list_policies(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[Asset]:
    """List the policies of a project with their aliases, by name."""
    return await ctx.get(Assets).page(ctx, kind="policy", cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/policies/{ref}", name="guards.show", allow=Permission.VIEW)
async def show_policy(ctx: Context, project: str, ref: Ref) -> PolicyView:
    """Show one version of a policy: its guards in order."""
    resolved, manifest = await service.load_policy(ctx, ref)
    return PolicyView(ref=str(resolved), digest=resolved.digest, manifest=manifest)


@operation("POST", "/projects/{project}/policies/{ref}/check", name="guards.check", allow=Permission.VIEW)
async def check_text(ctx: Context, project: str, ref: Ref, body: TryPolicy) -> Tried:
    """Tell what a policy makes of a text: what each guard finds, and what would go on; nothing is sent or kept."""
    return await service.try_out(ctx, ref, body)
