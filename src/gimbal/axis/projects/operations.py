"""The operations on projects, members, keys and the audit."""

from datetime import datetime
from typing import Annotated

from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import (
    AddMember,
    ApiKey,
    AuditCheck,
    AuditRecord,
    ChangeMember,
    CreateKey,
    CreateProject,
    IssuedKey,
    Member,
    Project,
)
from gimbal.axis.projects.service import Projects
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("audit", "The log of who changed what, chained by hash.")
describe("keys", "API keys: made, listed, revoked.")
describe("members", "The people of a project and their roles.")
describe("projects", "Boundaries for members, keys and data.")


@operation("POST", "/projects", name="projects.create", allow=Permission.ADMIN, audited=True)
async def create_project(ctx: Context, body: CreateProject) -> Project:
    """Make a project."""
    ctx.audit(slug=body.slug)
    return await ctx.get(Projects).create(ctx, body)


@operation("GET", "/projects", name="projects.list", allow=Permission.VIEW)
async def list_projects(ctx: Context) -> list[Project]:
    """List the projects that you may see."""
    return await ctx.get(Projects).visible_to(ctx.principal)


@operation("GET", "/projects/{project}", name="projects.show", allow=Permission.VIEW)
async def show_project(ctx: Context, project: str) -> Project:
    """Show one project."""
    return await ctx.get(Projects).get(ctx, project)


@operation("POST", "/projects/{project}/archive", name="projects.archive", allow=Permission.ADMIN, audited=True)
async def archive_project(
    ctx: Context, project: str, undo: Annotated[bool, "True takes it back into use."] = False
) -> Project:
    """Archive a project: it can be read and not changed."""
    return await ctx.get(Projects).archive(ctx, project, archived=not undo)


@operation("POST", "/projects/{project}/members", name="members.add", allow=Permission.ADMIN, audited=True)
async def add_member(ctx: Context, project: str, body: AddMember) -> Member:
    """Give a person a role in the project."""
    ctx.audit(email=body.email, role=body.role.value)
    return await ctx.get(Projects).add_member(ctx, project, body)


@operation("PATCH", "/projects/{project}/members/{id}", name="members.change", allow=Permission.ADMIN, audited=True)
async def change_member(ctx: Context, project: str, id: str, body: ChangeMember) -> Member:  # noqa: A002 - as in the path
    """Give a member another role; their keys can no more than that."""
    return await ctx.get(Projects).change_member(ctx, project, id, body.role)


@operation("GET", "/projects/{project}/members", name="members.list", allow=Permission.VIEW)
async def list_members(ctx: Context, project: str) -> list[Member]:
    """List the members of the project."""
    return await ctx.get(Projects).members(project)


@operation("DELETE", "/projects/{project}/members/{id}", name="members.remove", allow=Permission.ADMIN, audited=True)
async def remove_member(ctx: Context, project: str, id: str) -> None:  # noqa: A002 - the name in the path
    """Take a member's role away and revoke their keys."""
    await ctx.get(Projects).remove_member(ctx, project, id)


@operation("POST", "/projects/{project}/keys", name="keys.create", allow=Permission.ADMIN, audited=True)
async def create_key(ctx: Context, project: str, body: CreateKey) -> IssuedKey:
    """Make an API key for the project; its secret is shown this once."""
    ctx.audit(name=body.name, role=body.role.value, everywhere=body.everywhere)
    return await ctx.get(Projects).create_key(ctx, body, None if body.everywhere else project)


@operation("GET", "/projects/{project}/keys", name="keys.list", allow=Permission.ADMIN)
async def list_keys(ctx: Context, project: str) -> list[ApiKey]:
    """List the project's API keys, without their secrets; admins of the installation see its keys as well."""
    found = await ctx.get(Projects).keys(project)
    if ctx.principal.may(Permission.ADMIN, None):
        found += await ctx.get(Projects).keys(None)
    return found


@operation("DELETE", "/projects/{project}/keys/{id}", name="keys.revoke", allow=Permission.ADMIN, audited=True)
async def revoke_key(ctx: Context, project: str, id: str) -> ApiKey:  # noqa: A002 - the name in the path
    """Revoke an API key at once."""
    try:
        return await ctx.get(Projects).revoke_key(ctx, id, project)
    except NotFound:
        if not ctx.principal.may(Permission.ADMIN, None):
            raise
        return await ctx.get(Projects).revoke_key(ctx, id, None)


@operation("GET", "/projects/{project}/audit", name="audit.list", allow=Permission.ADMIN)
async def list_audit(
    ctx: Context,
    project: str,
    action: Annotated[str | None, "Only operations whose name starts so, for example `assets.`."] = None,
    actor: Annotated[str | None, "Only what this actor (name or id) did."] = None,
    outcome: Annotated[str | None, "Only `done`, or only `denied`."] = None,
    since: Annotated[datetime | None, "Only from this moment on."] = None,
    until: Annotated[datetime | None, "Only before this moment."] = None,
    everywhere: Annotated[bool, "Of the whole installation; takes an admin of it."] = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[AuditRecord]:
    """List the audit records of the project, newest first."""
    if everywhere:
        ctx.within(None).require(Permission.ADMIN)
    return await ctx.get(AuditLog).page(
        None if everywhere else project,
        action=action,
        actor=actor,
        outcome=outcome,
        since=since,
        until=until,
        cursor=cursor,
        limit=limit,
    )


@operation("POST", "/audit/verify", name="audit.verify", allow=Permission.ADMIN)
async def verify_audit(
    ctx: Context,
    anchor: Annotated[
        str | None, "`head` of an earlier check, kept elsewhere: shows also a chain written anew."
    ] = None,
) -> AuditCheck:
    """Check the audit chain of the installation; find a changed, removed, inserted or reordered record."""
    return await ctx.get(AuditLog).verify(anchor)
