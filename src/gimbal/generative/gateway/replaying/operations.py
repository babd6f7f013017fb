"""The operations of replays."""

from gimbal.generative.gateway.replaying import service
from gimbal.generative.gateway.replaying.model import Replay, ReplayPlan, ReplayRequest
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation

describe("replays", "What production asked a prompt, asked again of another version.")
_CLI = {"cli": "`gimbal replay` tells the plan, asks, follows both evaluations and compares them"}


@operation("POST", "/projects/{project}/replays/plan", name="replays.plan", allow=Permission.VIEW, absent=_CLI)
async def plan_replay(ctx: Context, project: str, body: ReplayRequest) -> ReplayPlan:
    """Tell which captured calls a replay would ask again and what that costs. Nothing is asked or stored."""
    return await service.plan(ctx, body)


@operation(
    "POST", "/projects/{project}/replays", name="replays.start", allow=Permission.DEVELOP, audited=True, absent=_CLI
)
async def start_replay(ctx: Context, project: str, body: ReplayRequest) -> Replay:
    """Ask a candidate what production asked.

    The captured calls become a suite, the answers that were given an evaluation of it, the candidate's another; a job
    carries out each. evaluations.compare puts them side by side when both are done.
    """
    found = await service.start(ctx, body)
    ctx.audit(suite=str(found.suite), before=found.before.id, after=found.after.id)
    return found
