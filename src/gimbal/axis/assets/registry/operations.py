"""The operations on the registry."""

from typing import Annotated, cast

from gimbal.axis.assets.registry.model import Asked, Kind, RegisteredName
from gimbal.axis.assets.registry.service import Registry
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page, check_limit

describe("registry", "Models and prompts under the names by which MLflow knows them.")


@operation("GET", "/projects/{project}/registry", name="registry.list", allow=Permission.VIEW)
async def list_registered(
    ctx: Context,
    project: str,
    kind: Annotated[str, "model or prompt."] = "model",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[RegisteredName]:
    """List registered models, or prompts, by name, with the asset that each is."""
    if kind not in {"model", "prompt"}:
        raise BadInput(f"{kind!r} is not registered under names.", where="kind", todo="Use model or prompt.")
    asked = Asked(kind=cast("Kind", kind), limit=check_limit(limit), cursor=cursor)
    return await ctx.get(Registry).search_names(ctx, asked)


@operation("GET", "/projects/{project}/registry/{name}", name="registry.show", allow=Permission.VIEW)
async def show_registered(
    ctx: Context, project: str, name: Annotated[str, "Name in the registry, as its clients write it."]
) -> RegisteredName:
    """Show what has this name in the registry, with the asset that it is."""
    return await ctx.get(Registry).named(ctx, name)
