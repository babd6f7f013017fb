"""API keys: made once, kept as a hash, looked up on every request, revoked at once.

`service.Projects` is this and the projects and members that keys are for.
"""

import contextlib
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.projects.model import ApiKey, CreateKey, IssuedKey, KeyRevoked
from gimbal.axis.projects.store import api_keys, members, projects
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import BadInput, Conflict, Forbidden, NotAuthenticated, NotFound, Unavailable
from gimbal.kernel.fresh import Fresh
from gimbal.kernel.http import is_loopback
from gimbal.kernel.ids import new_id
from gimbal.kernel.settings import Settings

# Other processes learn of a revoked key when this runs out; in this one it is forgotten at once.
CACHE_S = 1.0
_COARSE = timedelta(hours=1)
_ASK_AGAIN = "Let somebody who is, ask for it again."
_ATTRIBUTION = ("feature", "user", "tags")
_MOST_TAGS, _MOST_TEXT = 50, 256
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# A key that belongs to a member counts only as long as the member is one.
_with_members = api_keys.outerjoin(members, members.c.id == api_keys.c.member_id)


class _Known(msgspec.Struct, frozen=True):
    expires_at: datetime | None
    principal: Principal


def new_secret() -> str:
    """Return `gk_` and 32 random bytes in 43 letters and digits."""
    number, digits = int.from_bytes(secrets.token_bytes(32)), ""
    for _ in range(43):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return f"gk_{digits}"


def secret_hash(secret: str) -> str:
    """Return what is stored of a secret: SHA-256 suffices for 256 random bits, there is nothing to guess."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


class Keys:
    """Keys on the catalog."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: Fresh[str, _Known] = Fresh(CACHE_S)

    def forget(self) -> None:
        """Look every key up anew from now on."""
        self._known.forget()

    async def create_key(self, ctx: Context, body: CreateKey, project: str | None) -> IssuedKey:
        """Make a key for a project (or, None, the installation); its secret is in the result and nowhere else.

        Raise Forbidden when its role is higher than one's own, NotFound for a member who is not there.
        """
        name = body.name.strip()
        if not name.isprintable() or not 1 <= len(name) <= 100:
            raise BadInput("A key needs a name of 1 to 100 characters.", where="name", todo="Say what it is for.")
        if body.days is not None and not 1 <= body.days <= 3650:
            raise BadInput("A key can last 1 to 3650 days.", where="days", todo="Leave it out for no end.")
        if body.member is not None and project is None:
            raise BadInput("A member's key is for their project.", where="member", todo="Leave `everywhere` out.")
        check_grant(ctx, body.role, project)
        secret, now = new_secret(), ctx.now()
        key = ApiKey(
            id=new_id(),
            name=name,
            prefix=secret[:9],
            role=body.role,
            project=project,
            created_at=now,
            created_by=ctx.principal.name,
            member_id=body.member,
            expires_at=now + timedelta(days=body.days) if body.days else None,
            feature=_short(body.feature, "feature"),
            user=_short(body.user, "user"),
            tags=[_short(tag, "tags") for tag in body.tags[: _MOST_TAGS + 1]],
        )
        if len(key.tags) > _MOST_TAGS:
            raise BadInput(f"A key can have {_MOST_TAGS} tags.", where="tags", todo="Give fewer.")
        ctx.audit(key_id=key.id)
        async with self._catalog.write(ctx) as tx:
            if body.member is not None:
                await _member_role(tx, project, body.member)
            row = msgspec.structs.asdict(key) | {"role": key.role.value, "secret_hash": secret_hash(secret)}
            said = {name: value for name in _ATTRIBUTION if (value := row.pop(name))}
            row["attribution"] = said or None
            await tx.execute(api_keys.insert().values(row))
        return IssuedKey(key=key, secret=secret)

    async def keys(self, project: str | None) -> list[ApiKey]:
        """Return the keys of a project, newest first, without secrets; None means those of the installation."""
        same = api_keys.c.project.is_(None) if project is None else api_keys.c.project == project
        query = sa.select(api_keys).where(same).order_by(api_keys.c.id.desc())
        async with self._catalog.read() as tx:
            return [_key(row) for row in (await tx.execute(query)).mappings()]

    async def revoke_key(self, ctx: Context, key_id: str, project: str | None) -> ApiKey:
        """Make a key worthless at once; a second time changes nothing.

        Raise NotFound, or Conflict when it is the last with which an admin gets in.
        """
        same = api_keys.c.project.is_(None) if project is None else api_keys.c.project == project
        async with self._catalog.write(ctx) as tx:
            row = (await tx.execute(sa.select(api_keys).where(api_keys.c.id == key_id, same))).mappings().first()
            if row is None:
                raise NotFound(f"There is no key {key_id} here.", where="id", todo="`gimbal keys list` shows the ids.")
            revoked_at = row["revoked_at"] or ctx.now()
            if row["revoked_at"] is None:
                await tx.execute(api_keys.update().where(api_keys.c.id == key_id).values(revoked_at=revoked_at))
                if row["role"] == Role.ADMIN.value:
                    await self.keep_a_way_in(ctx, tx, project)
                ctx.emit(KeyRevoked(project=project or "", key_id=key_id))
            ctx.audit(name=row["name"], role=row["role"])
        self.forget()
        return _key({**row, "revoked_at": revoked_at})

    async def revoke_keys_of(self, ctx: Context, tx: AsyncConnection, member_id: str) -> None:
        """Revoke a member's keys within the open transaction; call `forget` after it."""
        mine = sa.and_(api_keys.c.member_id == member_id, api_keys.c.revoked_at.is_(None))
        await tx.execute(api_keys.update().where(mine).values(revoked_at=ctx.now()))

    async def authenticate(self, secret: str) -> Principal:
        """Return who a key belongs to; raise NotAuthenticated for an unknown, expired or revoked one.

        The look-up is by the hash of the secret, so its time tells nothing of any stored key.
        """
        hashed = secret_hash(secret)
        known = await self._known.get(hashed, self._read)
        if known.expires_at is not None and known.expires_at <= self._clock.now():
            self._known.forget(hashed)
            known = await self._read(hashed)
        return known.principal

    async def _read(self, hashed: str) -> _Known:
        query = sa.select(api_keys, members.c.role.label("member_role"), members.c.email).select_from(_with_members)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query.where(api_keys.c.secret_hash == hashed))).mappings().first()
        now = self._clock.now()
        principal = _principal(row, now)
        assert row is not None, "_principal refuses an unknown key"
        await self._note_use(row["id"], row["last_used_at"], now)
        return _Known(row["expires_at"], principal)

    async def still(self, principal: Principal, project: str) -> Principal:
        """Return a key's or member's principal with the role that it has in a project now.

        Raise NotAuthenticated when the key was revoked or has expired, or the member is one no longer.
        """
        key_id = principal.key_id or (principal.id if principal.kind == "key" else "")
        if key_id:
            query = sa.select(api_keys, members.c.role.label("member_role"), members.c.email).select_from(_with_members)
            async with self._catalog.read() as tx:
                row = (await tx.execute(query.where(api_keys.c.id == key_id))).mappings().first()
            standing = _principal(row, self._clock.now())
            if principal.kind == "key":
                return standing
        if principal.kind == "member":
            same = (members.c.id == principal.id, members.c.project == project)
            async with self._catalog.read() as tx:
                role = (await tx.execute(sa.select(members.c.role).where(*same))).scalar()
            had = principal.roles.get(project)
            if role is None or had is None:
                raise NotAuthenticated(f"{principal.name} is no member of {project!r} any more.", todo=_ASK_AGAIN)
            role = min(had, Role(role), key=lambda r: r.permission)
            return msgspec.structs.replace(principal, roles={project: role})
        return principal

    async def _note_use(self, key_id: str, last: datetime | None, now: datetime) -> None:
        if last is not None and now - last < _COARSE:
            return
        stale = sa.or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= now - _COARSE)
        # A key works also while the catalog can only be read.
        with contextlib.suppress(Unavailable):
            async with self._catalog.write() as tx:
                await tx.execute(api_keys.update().where(api_keys.c.id == key_id, stale).values(last_used_at=now))

    async def has_admin_key(self) -> bool:
        """Tell whether the installation has a credential by which an admin gets in from elsewhere."""
        async with self._catalog.read() as tx:
            return await self._admin_gets_in(tx, self._clock.now())

    @staticmethod
    async def _admin_gets_in(tx: AsyncConnection, now: datetime, *places: sa.ColumnElement[bool]) -> bool:
        """Tell whether there is an admin key that works (in one of `places`)."""
        query = sa.select(api_keys.c.id).select_from(_with_members)
        query = query.where(
            api_keys.c.role == Role.ADMIN.value,
            api_keys.c.revoked_at.is_(None),
            sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now),
            sa.or_(api_keys.c.member_id.is_(None), members.c.role == Role.ADMIN.value),
            *places,
        )
        return (await tx.execute(query.limit(1))).first() is not None

    async def keep_a_way_in(self, ctx: Context, tx: AsyncConnection, project: str | None) -> None:
        """Raise Conflict when, with what `tx` changed, no admin of `project` (None: all) could get in any more.

        On loopback without members there is always the local owner.
        """
        settings = ctx.get(Settings) if ctx.services.has(Settings) else None
        local = settings is None or is_loopback(settings.server.host)
        if local and (await tx.execute(sa.select(members.c.id).limit(1))).first() is None:
            return
        # Of two who shut each other out at the same time the second sees what the first did.
        await tx.execute(sa.select(projects.c.slug).order_by(projects.c.slug).limit(1).with_for_update())
        everywhere = api_keys.c.project.is_(None)
        place = everywhere if project is None else sa.or_(everywhere, api_keys.c.project == project)
        if not await self._admin_gets_in(tx, ctx.now(), place):
            raise Conflict(
                "Without it no admin could get in any more.",
                kept="everything as it was",
                todo="Make another admin key first: `gimbal keys create --name … --role admin`.",
            )


async def _member_role(tx: AsyncConnection, project: str | None, member_id: str) -> Role:
    query = sa.select(members.c.role).where(members.c.id == member_id, members.c.project == project)
    role = (await tx.execute(query)).scalar()
    if role is None:
        raise NotFound(f"There is no member {member_id}.", where="member", todo="List the members for their ids.")
    return Role(role)


def _short(text: str, where: str) -> str:
    if len(text) > _MOST_TEXT or (text and not text.isprintable()):
        raise BadInput(f"This is no text of at most {_MOST_TEXT} characters.", where=where, todo="Shorten it.")
    return text.strip()


def check_grant(ctx: Context, role: Role, project: str | None) -> None:
    """Raise Forbidden when `role` is higher than what the principal holds in `project` (None: everywhere)."""
    own = ctx.principal.everywhere
    # Looking at the installation is granted to anybody with a project; giving that away takes a role everywhere.
    allowed = ctx.principal.may(role.permission, project) if project else own and own.permission >= role.permission
    if not allowed:
        place = f"in {project!r}" if project else "in the whole installation"
        raise Forbidden(
            f"Nobody can give a role higher than their own, and {role.value} {place} is.",
            where="role",
            todo="Give a lower role, or ask an admin.",
        )


def _principal(row: Any, now: datetime) -> Principal:
    """Return who the key of a row (None: unknown) is; raise NotAuthenticated when it is worth nothing."""
    todo = "Ask an admin of the project for a new one: `gimbal keys create`."
    if row is None:
        raise NotAuthenticated("The key is not known here.", todo=todo)
    if row["revoked_at"] is not None or (row["member_id"] is not None and row["member_role"] is None):
        raise NotAuthenticated("The key was revoked.", todo=todo)
    if row["expires_at"] is not None and row["expires_at"] <= now:
        raise NotAuthenticated("The key has expired.", todo=todo)
    role, project = Role(row["role"]), row["project"]
    if row["member_id"] is not None:
        role = min(role, Role(row["member_role"]), key=lambda r: r.permission)
        return Principal(
            kind="member",
            id=row["member_id"],
            name=row["email"],
            roles={project: role},
            attribution=row["attribution"] or {},
            key_id=row["id"],
            key_name=row["name"],
        )
    return Principal(
        kind="key",
        id=row["id"],
        name=f"key {row['name']}",
        everywhere=None if project else role,
        roles={project: role} if project else {},
        attribution=row["attribution"] or {},
        key_id=row["id"],
        key_name=row["name"],
    )


def _key(row: Any) -> ApiKey:
    values: dict[str, Any] = {k: v for k, v in dict(row).items() if k not in {"secret_hash", "attribution"}}
    values["role"] = Role(row["role"])
    return ApiKey(**values, **(row["attribution"] or {}))
