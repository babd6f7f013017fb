"""Workspaces of MLflow's clients: each is a project, which a header names. One rule for all doors by which they come in."""

from collections.abc import Mapping

from gimbal.axis.projects.service import Projects
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound

WORKSPACE = "x-mlflow-workspace"
HOME = "default"
"""The workspace of whoever names none: the project of the key, or of the installation."""


async def in_workspace(ctx: Context, headers: Mapping[str, str], allow: Permission) -> Context:
    """Return a context in the workspace that a request names, else in the project where it is.

    Raise NotFound for a workspace that the caller cannot see, Forbidden for what the caller may not do there.
    """
    name = headers.get(WORKSPACE, "").strip()
    if name not in {"", HOME, ctx.project}:
        if not ctx.principal.may(Permission.VIEW, name):
            raise NotFound(f"There is no workspace {name!r}.", where=WORKSPACE, todo="Projects are workspaces here.")
        ctx = ctx.within(name)
    await ctx.get(Projects).enter(ctx, allow)
    return ctx
