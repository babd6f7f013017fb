"""The verbs of projects: who a key belongs to, who may give which role, and the local owner."""

import hashlib
import secrets
import time
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gimbal.axis.projects.model import (
    AddMember,
    ApiKey,
    CreateKey,
    CreateProject,
    IssuedKey,
    KeyRevoked,
    Member,
    Project,
)
from gimbal.axis.projects.store import api_keys, members, projects
from gimbal.engines.storage.catalog import Catalog, is_unique_violation
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import BadInput, Conflict, Forbidden, NameTaken, NotAuthenticated, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.refs import check_slug

DEFAULT_PROJECT = "default"
# Other processes learn of a revoked key when this runs out; in this one it is forgotten at once.
_CACHE_S = 1.0


class Projects:
    """Projects, members and keys on the catalog."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: dict[str, tuple[float, Principal]] = {}
        self._slugs: dict[str, tuple[float, Project]] = {}
        self._members: tuple[float, bool] = (0.0, False)

    async def ensure_default(self) -> None:
        """Make the project `default` when it is missing."""
        async with self._catalog.write() as tx:
            if (await tx.execute(sa.select(projects.c.slug).where(projects.c.slug == DEFAULT_PROJECT))).first() is None:
                await tx.execute(
                    projects.insert().values(
                        slug=DEFAULT_PROJECT, title="Default", created_at=self._clock.now(), archived=False
                    )
                )

    async def create(self, ctx: Context, body: CreateProject) -> Project:
        """Make a project; raise NameTaken when the slug is in use."""
        project = Project(slug=check_slug(body.slug), title=body.title or body.slug, created_at=ctx.now())
        try:
            async with self._catalog.write(ctx) as tx:
                await tx.execute(
                    projects.insert().values(
                        slug=project.slug, title=project.title, created_at=project.created_at, archived=False
                    )
                )
        except IntegrityError as problem:
            if is_unique_violation(problem):
                raise NameTaken(
                    f"There is a project {body.slug!r} already.", where="slug", todo="Choose another slug."
                ) from None
            raise
        return project

    async def get(self, ctx: Context, slug: str) -> Project:
        """Return a project; raise NotFound."""
        known = self._slugs.get(slug)
        if known and known[0] > time.monotonic():
            return known[1]
        async with self._catalog.read() as tx:
            row = (await tx.execute(sa.select(projects).where(projects.c.slug == slug))).mappings().first()
        if row is None:
            raise NotFound(
                f"There is no project {slug!r}.", where="project", todo="`gimbal projects list` shows those there are."
            )
        project = Project(**row)
        self._slugs[slug] = (time.monotonic() + _CACHE_S, project)
        return project

    async def visible_to(self, principal: Principal) -> list[Project]:
        """Return the projects that the principal may see, by slug."""
        async with self._catalog.read() as tx:
            rows = (await tx.execute(sa.select(projects).order_by(projects.c.slug))).mappings()
            found = [Project(**row) for row in rows]
        return found if principal.everywhere else [p for p in found if p.slug in principal.roles]

    async def archive(self, ctx: Context, slug: str, *, archived: bool) -> Project:
        """Archive a project, or take it back."""
        if slug == DEFAULT_PROJECT:
            raise Conflict("The project default cannot be archived.", todo="Archive others; this one is always there.")
        await self.get(ctx, slug)
        async with self._catalog.write(ctx) as tx:
            await tx.execute(projects.update().where(projects.c.slug == slug).values(archived=archived))
        self._slugs.pop(slug, None)
        return await self.get(ctx, slug)

    async def add_member(self, ctx: Context, project: str, body: AddMember) -> Member:
        """Give a person a role; raise Forbidden when it is higher than one's own, NameTaken when already a member."""
        if "@" not in body.email or len(body.email) > 254:
            raise BadInput(f"{body.email!r} is not an address.", where="email", todo="Write it like ada@example.org.")
        _check_grant(ctx, body.role, project)
        member = Member(
            id=new_id(), email=body.email.lower(), role=body.role, added_at=ctx.now(), added_by=ctx.principal.name
        )
        try:
            async with self._catalog.write(ctx) as tx:
                await tx.execute(
                    members.insert().values(
                        id=member.id,
                        project=project,
                        email=member.email,
                        role=member.role.value,
                        added_at=member.added_at,
                        added_by=member.added_by,
                    )
                )
        except IntegrityError as problem:
            if is_unique_violation(problem):
                raise NameTaken(
                    f"{body.email} is a member already.", where="email", todo="Remove the member first to change it."
                ) from None
            raise
        self._members = (0.0, True)
        return member

    async def members(self, project: str) -> list[Member]:
        """Return the members of a project by address."""
        query = sa.select(members).where(members.c.project == project).order_by(members.c.email)
        async with self._catalog.read() as tx:
            rows = (await tx.execute(query)).mappings()
            return [
                Member(
                    id=r["id"],
                    email=r["email"],
                    role=Role(r["role"]),
                    added_at=r["added_at"],
                    added_by=r["added_by"],
                )
                for r in rows
            ]

    async def remove_member(self, ctx: Context, project: str, member_id: str) -> None:
        """Take a member's role away; raise NotFound."""
        async with self._catalog.write(ctx) as tx:
            done = await tx.execute(members.delete().where(members.c.id == member_id, members.c.project == project))
            if not done.rowcount:
                raise NotFound(f"There is no member {member_id}.", where="id", todo="List the members for their ids.")
        self._members = (0.0, False)

    async def has_members(self) -> bool:
        """Tell whether anyone is a member of anything; then the local owner needs a key as well."""
        until, answer = self._members
        if until < time.monotonic():
            async with self._catalog.read() as tx:
                answer = (await tx.execute(sa.select(members.c.id).limit(1))).first() is not None
            self._members = (time.monotonic() + _CACHE_S, answer)
        return answer

    @staticmethod
    def local_owner() -> Principal:
        """Return who a caller on loopback is while there are no members."""
        return Principal(kind="owner", id="owner", name="local owner", everywhere=Role.ADMIN)

    async def create_key(self, ctx: Context, body: CreateKey, project: str | None) -> IssuedKey:
        """Make a key for a project (or, None, the installation); its secret is in the result and nowhere else."""
        if not body.name.strip() or len(body.name) > 100:
            raise BadInput("A key needs a name of 1 to 100 characters.", where="name", todo="Say what it is for.")
        if body.days is not None and not 1 <= body.days <= 3650:
            raise BadInput("A key can last 1 to 3650 days.", where="days", todo="Leave it out for no end.")
        _check_grant(ctx, body.role, project)
        secret = "gk_" + secrets.token_urlsafe(32)
        key = ApiKey(
            id=new_id(),
            name=body.name.strip(),
            prefix=secret[:9],
            role=body.role,
            project=project,
            created_at=ctx.now(),
            created_by=ctx.principal.name,
            expires_at=ctx.now() + timedelta(days=body.days) if body.days else None,
        )
        async with self._catalog.write(ctx) as tx:
            await tx.execute(
                api_keys.insert().values(
                    id=key.id,
                    name=key.name,
                    prefix=key.prefix,
                    secret_hash=_hash(secret),
                    role=key.role.value,
                    project=project,
                    created_at=key.created_at,
                    created_by=key.created_by,
                    expires_at=key.expires_at,
                    revoked_at=None,
                )
            )
        return IssuedKey(key=key, secret=secret)

    async def keys(self, project: str | None) -> list[ApiKey]:
        """Return the keys of a project, newest first, without secrets; None means those of the installation."""
        same = api_keys.c.project.is_(None) if project is None else api_keys.c.project == project
        query = sa.select(api_keys).where(same).order_by(api_keys.c.id.desc())
        async with self._catalog.read() as tx:
            return [_key(row) for row in (await tx.execute(query)).mappings()]

    async def revoke_key(self, ctx: Context, key_id: str, project: str | None) -> ApiKey:
        """Make a key worthless at once; a second time changes nothing. Raise NotFound."""
        same = api_keys.c.project.is_(None) if project is None else api_keys.c.project == project
        async with self._catalog.write(ctx) as tx:
            row = (await tx.execute(sa.select(api_keys).where(api_keys.c.id == key_id, same))).mappings().first()
            if row is None:
                raise NotFound(f"There is no key {key_id} here.", where="id", todo="`gimbal keys list` shows the ids.")
            revoked_at = row["revoked_at"] or ctx.now()
            await tx.execute(api_keys.update().where(api_keys.c.id == key_id).values(revoked_at=revoked_at))
        self._known.clear()
        ctx.emit(KeyRevoked(project=project or "", key_id=key_id))
        return _key({**row, "revoked_at": revoked_at})

    async def authenticate(self, secret: str) -> Principal:
        """Return who a key belongs to; raise NotAuthenticated for an unknown, expired or revoked one."""
        hashed = _hash(secret)
        known = self._known.get(hashed)
        if known and known[0] > time.monotonic():
            return known[1]
        async with self._catalog.read() as tx:
            row = (await tx.execute(sa.select(api_keys).where(api_keys.c.secret_hash == hashed))).mappings().first()
        todo = "Ask an admin of the project for a new one: `gimbal keys create`."
        if row is None:
            raise NotAuthenticated("The key is not known here.", todo=todo)
        key = _key(row)
        if key.revoked_at is not None:
            raise NotAuthenticated("The key was revoked.", todo=todo)
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            raise NotAuthenticated("The key has expired.", todo=todo)
        role = {key.project: key.role} if key.project else {}
        principal = Principal(
            kind="key", id=key.id, name=f"key {key.name}", everywhere=None if key.project else key.role, roles=role
        )
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[hashed] = (time.monotonic() + _CACHE_S, principal)
        return principal

    async def has_admin_key(self) -> bool:
        """Tell whether the installation has a credential by which an admin gets in from elsewhere."""
        query = sa.select(api_keys.c.id).where(api_keys.c.role == Role.ADMIN.value, api_keys.c.revoked_at.is_(None))
        async with self._catalog.read() as tx:
            return (await tx.execute(query.limit(1))).first() is not None


def _check_grant(ctx: Context, role: Role, project: str | None) -> None:
    if not ctx.principal.may(role.permission, project):
        raise Forbidden(
            f"Nobody can give a role higher than their own, and {role.value} is.",
            where="role",
            todo="Give a lower role, or ask an admin.",
        )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Any) -> ApiKey:
    values: dict[str, Any] = {k: v for k, v in dict(row).items() if k != "secret_hash"}
    values["role"] = Role(row["role"])
    return ApiKey(**values)
