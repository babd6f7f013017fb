"""The verbs of projects and members: who may give which role, and the local owner. `keys.Keys` is its other half."""

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.projects.keys import CACHE_S, Keys, check_grant
from gimbal.axis.projects.model import GENESIS, AddMember, CreateProject, Member, Project
from gimbal.axis.projects.store import api_keys, audit_head, members, projects
from gimbal.engines.storage.catalog import Catalog, is_unique_violation
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Permission, Principal, Role
from gimbal.kernel.errors import BadInput, Conflict, NameTaken, NotFound, NotReady
from gimbal.kernel.fresh import Fresh
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import Operation
from gimbal.kernel.refs import check_slug

DEFAULT_PROJECT = "default"
# What can still be done in an archived project: take it back, and shut people out.
_ALWAYS = frozenset({"projects.archive", "members.remove", "keys.revoke"})


class Projects(Keys):
    """Projects, members and keys on the catalog; also the ProjectGuard of the operations and the Standing of jobs."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        super().__init__(catalog, clock)
        self._slugs: Fresh[str, Project] = Fresh(CACHE_S)
        self._members: Fresh[None, bool] = Fresh(CACHE_S)

    async def ensure_default(self) -> None:
        """Make the project `default` and the start of the audit chain when the catalog is new."""
        row = {"slug": DEFAULT_PROJECT, "title": "Default", "created_at": self._clock.now(), "archived": False}
        async with self._catalog.write() as tx:
            # Only with the project: where the head of the chain is missing later, somebody has taken it away.
            if await insert_missing(tx, projects, row):
                await insert_missing(tx, audit_head, {"id": 1, "sequence": 0, "hash": GENESIS})

    async def create(self, ctx: Context, body: CreateProject) -> Project:
        """Make a project; raise NameTaken when the slug is in use."""
        slug = check_slug(body.slug)
        title = body.title.strip() or slug
        if not title.isprintable() or len(title) > 200:
            raise BadInput("A title has at most 200 characters, on one line.", where="title", todo="Shorten it.")
        project = Project(slug=slug, title=title, created_at=ctx.now())
        async with self._catalog.write(ctx) as tx:
            if not await insert_missing(tx, projects, msgspec.structs.asdict(project)):
                raise NameTaken(f"There is a project {body.slug!r} already.", where="slug", todo="Choose another slug.")
        return project

    async def get(self, ctx: Context, slug: str) -> Project:
        """Return a project; raise NotFound."""
        return await self._slugs.get(slug, self._read_project)

    async def _read_project(self, slug: str) -> Project:
        async with self._catalog.read() as tx:
            row = (await tx.execute(sa.select(projects).where(projects.c.slug == slug))).mappings().first()
        if row is None:
            raise NotFound(
                f"There is no project {slug!r}.", where="project", todo="`gimbal projects list` shows those there are."
            )
        return Project(**row)

    async def admit(self, ctx: Context, op: Operation) -> None:
        """Raise NotFound without the project, NotReady when it is archived and `op` would change it."""
        if ctx.project is None:
            return
        project = await self.get(ctx, ctx.project)
        if op.allow > Permission.VIEW and op.name not in _ALWAYS:
            must_be_open(project)

    async def enter(self, ctx: Context, allow: Permission) -> None:
        """Raise Forbidden for what the caller may not do in the context's project, NotFound or NotReady as `admit`."""
        ctx.require(allow)
        project = await self.get(ctx, ctx.project or DEFAULT_PROJECT)
        if allow > Permission.VIEW:
            must_be_open(project)

    async def standing(self, principal: Principal, project: str) -> Principal:
        """Return who somebody who asked for work in a project is now, with the role that is left.

        Raise NotAuthenticated when the key or membership is gone, NotReady when the project is archived.
        """
        async with self._catalog.read() as tx:
            row = (await tx.execute(sa.select(projects).where(projects.c.slug == project))).mappings().one()
        must_be_open(Project(**row))
        return await self.still(principal, project)

    async def visible_to(self, principal: Principal) -> list[Project]:
        """Return the projects that the principal may see, by slug."""
        async with self._catalog.read() as tx:
            rows = (await tx.execute(sa.select(projects).order_by(projects.c.slug))).mappings()
            found = [Project(**row) for row in rows]
        return found if principal.everywhere else [p for p in found if p.slug in principal.roles]

    async def archive(self, ctx: Context, slug: str, *, archived: bool) -> Project:
        """Archive a project, or take it back."""
        if slug == DEFAULT_PROJECT and archived:
            raise Conflict("The project default cannot be archived.", todo="Archive others; this one is always there.")
        await self.get(ctx, slug)
        async with self._catalog.write(ctx) as tx:
            await tx.execute(projects.update().where(projects.c.slug == slug).values(archived=archived))
        self._slugs.forget(slug)
        return await self.get(ctx, slug)

    async def add_member(self, ctx: Context, project: str, body: AddMember) -> Member:
        """Give a person a role; raise Forbidden when it is higher than one's own, NameTaken when already a member.

        From the first member on everyone needs a key, so raise NotReady while no admin has one.
        """
        email, name = body.email.strip().lower(), body.name.strip()
        if not email.isprintable() or " " in email or len(email) > 254 or not all(email.rpartition("@")):
            raise BadInput(f"{body.email!r} is not an address.", where="email", todo="Write it like ada@example.org.")
        if not name.isprintable() or len(name) > 200:
            raise BadInput("A name has at most 200 characters, on one line.", where="name", todo="Shorten it.")
        check_grant(ctx, body.role, project)
        await self.get(ctx, project)
        member = Member(
            id=new_id(),
            email=email,
            name=name or email,
            role=body.role,
            added_at=ctx.now(),
            added_by=ctx.principal.name,
        )
        try:
            async with self._catalog.write(ctx) as tx:
                alone = ctx.principal.kind == "owner"
                if alone and not await self._admin_gets_in(tx, ctx.now(), api_keys.c.project.is_(None)):
                    raise NotReady(
                        "From the first member on everyone needs a key, and no admin has one yet.",
                        todo="Make one first: `gimbal keys create --name admin --role admin --everywhere`.",
                    )
                row = msgspec.structs.asdict(member) | {"project": project, "role": member.role.value}
                await tx.execute(members.insert().values(row))
        except IntegrityError as problem:
            if is_unique_violation(problem):
                raise NameTaken(
                    f"{email} is a member already.", where="email", todo="Change their role with members.change."
                ) from None
            raise
        self._members.forget()
        return member

    async def members(self, project: str) -> list[Member]:
        """Return the members of a project by address."""
        query = sa.select(members).where(members.c.project == project).order_by(members.c.email)
        async with self._catalog.read() as tx:
            return [_member(row) for row in (await tx.execute(query)).mappings()]

    async def change_member(self, ctx: Context, project: str, member_id: str, role: Role) -> Member:
        """Give a member another role; their keys can no more than that from now on.

        Raise NotFound, Forbidden when the role is higher than one's own, Conflict when no admin would be left.
        """
        check_grant(ctx, role, project)
        async with self._catalog.write(ctx) as tx:
            member = await _one_member(tx, project, member_id)
            await tx.execute(members.update().where(members.c.id == member_id).values(role=role.value))
            if member.role is Role.ADMIN:
                await self.keep_a_way_in(ctx, tx, project)
            ctx.audit(email=member.email, from_role=member.role.value, role=role.value)
        self.forget()
        return msgspec.structs.replace(member, role=role)

    async def remove_member(self, ctx: Context, project: str, member_id: str) -> None:
        """Take a member's role away and revoke their keys.

        Raise NotFound, or Conflict when no admin would be left.
        """
        async with self._catalog.write(ctx) as tx:
            member = await _one_member(tx, project, member_id)
            await self.revoke_keys_of(ctx, tx, member_id)
            await tx.execute(members.delete().where(members.c.id == member_id))
            if member.role is Role.ADMIN:
                await self.keep_a_way_in(ctx, tx, project)
            ctx.audit(email=member.email, role=member.role.value)
        self._members.forget()
        self.forget()

    async def has_members(self) -> bool:
        """Tell whether anyone is a member of anything; then the local owner needs a key as well."""
        return await self._members.get(None, self._read_members)

    async def _read_members(self, _: None) -> bool:
        async with self._catalog.read() as tx:
            return (await tx.execute(sa.select(members.c.id).limit(1))).first() is not None

    @staticmethod
    def local_owner() -> Principal:
        """Return who a caller on loopback is while there are no members."""
        return Principal(kind="owner", id="owner", name="local owner", everywhere=Role.ADMIN)


def must_be_open(project: Project) -> None:
    """Raise NotReady when a project is archived."""
    if project.archived:
        raise NotReady(
            f"The project {project.slug!r} is archived: it can be read and not changed.",
            where="project",
            todo="Take it back with projects.archive and `undo`.",
        )


async def _one_member(tx: AsyncConnection, project: str, member_id: str) -> Member:
    # Locked, so that two admins who remove each other at once come one after the other.
    query = sa.select(members).where(members.c.project == project).with_for_update()
    for row in (await tx.execute(query)).mappings():
        if row["id"] == member_id:
            return _member(row)
    raise NotFound(f"There is no member {member_id}.", where="id", todo="List the members for their ids.")


def _member(row: Any) -> Member:
    values: dict[str, Any] = {k: v for k, v in dict(row).items() if k != "project"}
    values["role"] = Role(row["role"])
    return Member(**values)
