"""The operations on gates and their decisions."""

from typing import Annotated

from gimbal.axis.gates.model import Decision, Gate, Promote, SetGate
from gimbal.axis.gates.service import Gates
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("decisions", "What gates decided, with every number they used.")
describe("gates", "Rules that let an alias move on evidence.")


@operation("PUT", "/projects/{project}/gates", name="gates.set", allow=Permission.ADMIN, audited=True)
async def set_gate(ctx: Context, project: str, body: SetGate) -> Gate:
    """Set the gate of an alias pattern; one with the same pattern is replaced."""
    ctx.audit(pattern=body.pattern)
    return await ctx.get(Gates).set(ctx, body)


@operation("GET", "/projects/{project}/gates", name="gates.list", allow=Permission.VIEW)
async def list_gates(ctx: Context, project: str) -> list[Gate]:
    """List the gates of the project."""
    return await ctx.get(Gates).all(ctx)


@operation("DELETE", "/projects/{project}/gates/{id}", name="gates.remove", allow=Permission.ADMIN, audited=True)
async def remove_gate(ctx: Context, project: str, id: str) -> None:  # noqa: A002 - the name in the path
    """Remove a gate; its decisions stay."""
    await ctx.get(Gates).remove(ctx, id)


@operation("POST", "/projects/{project}/promotions", name="gates.promote", allow=Permission.RELEASE, audited=True)
async def promote(ctx: Context, project: str, body: Promote) -> Decision:
    """Ask the gate to let an alias move; the Decision says what it found, also when it refuses."""
    return await ctx.get(Gates).promote(ctx, body)


@operation("GET", "/projects/{project}/decisions", name="decisions.list", allow=Permission.VIEW)
async def list_decisions(
    ctx: Context,
    project: str,
    asset: Annotated[str | None, "Only of this asset: `model:flights/delay`."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Decision]:
    """List decisions, newest first."""
    return await ctx.get(Gates).decisions(ctx, asset=asset, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/decisions/{id}", name="decisions.show", allow=Permission.VIEW)
async def show_decision(ctx: Context, project: str, id: str) -> Decision:  # noqa: A002 - the name in the path
    """Show a decision with every number that it used."""
    return await ctx.get(Gates).decision(ctx, id)
