"""MLflow's workspaces: the projects that a caller may see."""

from typing import Any

import msgspec

from gimbal.axis.projects.service import Projects
from gimbal.axis.projects.workspaces import HOME
from gimbal.faces.mlflow.errors import NotServed
from gimbal.faces.mlflow.table import Nothing, call, raw
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound
from gimbal.kernel.http import HttpReply, HttpRequest

_ONE = "/mlflow/workspaces/{workspace_name}"


class OneWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace by its name."""

    workspace_name: str = ""


@call("GET", "/mlflow/workspaces", Nothing, allow=Permission.VIEW, version=3)
async def show_all(ctx: Context, asked: Nothing) -> dict[str, Any]:
    """Return the workspaces that the caller may see."""
    found = await ctx.get(Projects).visible_to(ctx.principal)
    return {"workspaces": [{"name": one.slug, "description": one.title} for one in found]}


@call("GET", _ONE, OneWorkspace, allow=Permission.VIEW, version=3)
async def show(ctx: Context, asked: OneWorkspace) -> dict[str, Any]:
    """Return a workspace."""
    name = (ctx.project or HOME) if asked.workspace_name == HOME else asked.workspace_name
    for one in await ctx.get(Projects).visible_to(ctx.principal):
        if one.slug == name:
            return {"workspace": {"name": one.slug, "description": one.title}}
    raise NotFound(f"Workspace '{name}' not found", where="workspace_name")


@raw("POST", "/mlflow/workspaces", allow=Permission.VIEW, version=3)
@raw("PATCH", _ONE, allow=Permission.VIEW, version=3)
@raw("DELETE", _ONE, allow=Permission.VIEW, version=3)
async def change(ctx: Context, request: HttpRequest) -> HttpReply:
    """Refuse to make, change or delete a project this way."""
    raise NotServed(
        f"{request.method} {request.path} (feature: changing workspaces) is not served by Gimbal.",
        where="workspace",
        kept="nothing",
        todo="Workspaces are projects here: `gimbal projects create`.",
    )
