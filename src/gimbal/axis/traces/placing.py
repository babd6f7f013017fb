"""Into which project what comes by OTLP goes: one rule for HTTP and gRPC, whose metadata are headers."""

from collections.abc import Mapping

from gimbal.axis.projects.service import Projects
from gimbal.axis.projects.workspaces import WORKSPACE, in_workspace
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound

# Where other products' exporters name the project: Opik, LangSmith, Weave, Braintrust.
_PROJECT_HEADERS = ("projectname", "langsmith-project", "comet-workspace", "project_id", "x-bt-parent")


async def placed(ctx: Context, headers: Mapping[str, str]) -> Context:
    """Return a context in the project that is meant; raise NotFound, Forbidden or NotReady.

    MLflow's clients mean a project of ours by a workspace: where spans go is where their other calls go.
    """
    if not headers.get(WORKSPACE, "").strip():
        ctx = await _in_named_project(ctx, headers)
    return await in_workspace(ctx, headers, Permission.DEVELOP)


async def _in_named_project(ctx: Context, headers: Mapping[str, str]) -> Context:
    """Return a context in the project that another product's header names, where it exists and may be written to.

    Other products' projects have names of their own: one that means nothing here is no error, the key's project stands.
    """
    if headers.get("x-gimbal-project"):
        return ctx
    for header in _PROJECT_HEADERS:
        # Weave writes `entity/project`, Braintrust `project_name:project`.
        name = headers.get(header, "").rpartition("/")[2].rpartition(":")[2].strip()
        if not name or not ctx.principal.may(Permission.DEVELOP, name):
            continue
        try:
            await ctx.get(Projects).get(ctx, name)
        except NotFound:
            continue
        return ctx.within(name)
    return ctx
