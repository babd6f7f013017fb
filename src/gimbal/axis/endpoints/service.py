"""The verbs of endpoints: set, resolve from memory, and record what was predicted.

Resolution is asked on every call, so it is answered from a snapshot: an alias that moves in this process is followed
at once, one that another process moved within a second.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.assets.model import AliasMoved, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.endpoints.model import Endpoint, SetEndpoint, Target, check_endpoint
from gimbal.axis.endpoints.store import endpoints
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError, NotFound
from gimbal.kernel.refs import Ref

_FRESH_S = 1.0


class Endpoints:
    """Endpoints on the catalog, resolved from memory."""

    def __init__(self, catalog: Catalog, assets: Assets) -> None:
        self._catalog = catalog
        self._assets = assets
        self._resolved: dict[tuple[str, str], tuple[float, Endpoint, Version]] = {}

    async def set(self, ctx: Context, body: SetEndpoint) -> Endpoint:
        """Set an endpoint; raise BadInput or NotFound when its target does not fit."""
        check_endpoint(body)
        await self._assets.resolve(ctx, Ref.parse(body.targets[0].ref))
        values: dict[str, Any] = {
            "targets": body.targets, "capture": body.capture, "updated_at": ctx.now(),
            "updated_by": ctx.principal.name,
        }  # fmt: skip
        same = (endpoints.c.project == ctx.project, endpoints.c.slug == body.slug)
        async with self._catalog.write(ctx) as tx:
            if not await insert_missing(tx, endpoints, {"project": ctx.project, "slug": body.slug, **values}):
                await tx.execute(endpoints.update().where(*same).values(values))
        self._resolved.pop((ctx.project or "", body.slug), None)
        version = (await self.resolve(ctx, body.slug))[1]
        await self._assets.record_use(ctx, "endpoint", body.slug, [version.ref], relation="serves")
        return await self.get(ctx, body.slug)

    async def get(self, ctx: Context, slug: str) -> Endpoint:
        """Return an endpoint with what it resolves to; raise NotFound."""
        query = sa.select(endpoints).where(endpoints.c.project == ctx.project, endpoints.c.slug == slug)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"There is no endpoint {slug!r}.", where="slug", todo="`gimbal endpoints list` shows them.")
        return await self._shown(ctx, row)

    async def all(self, ctx: Context) -> list[Endpoint]:
        """Return the endpoints of the project by slug."""
        query = sa.select(endpoints).where(endpoints.c.project == ctx.project).order_by(endpoints.c.slug)
        async with self._catalog.read() as tx:
            rows = list((await tx.execute(query)).mappings())
        return [await self._shown(ctx, row) for row in rows]

    async def remove(self, ctx: Context, slug: str) -> None:
        """Remove an endpoint; what it recorded stays. Raise NotFound."""
        async with self._catalog.write(ctx) as tx:
            same = (endpoints.c.project == ctx.project, endpoints.c.slug == slug)
            if not (await tx.execute(endpoints.delete().where(*same))).rowcount:
                raise NotFound(f"There is no endpoint {slug!r}.", where="slug", todo="`gimbal endpoints list`.")
        self._resolved.pop((ctx.project or "", slug), None)

    async def _shown(self, ctx: Context, row: Mapping[Any, Any]) -> Endpoint:
        endpoint = _endpoint(row)
        try:
            version = await self._assets.resolve(ctx, Ref.parse(endpoint.targets[0].ref))
        except GimbalError:
            return endpoint
        return msgspec.structs.replace(endpoint, resolved=version.ref)

    async def resolve(self, ctx: Context, slug: str) -> tuple[Endpoint, Version]:
        """Return an endpoint and the version that it means now, from memory when that is at most a second old."""
        key = (ctx.project or "", slug)
        known = self._resolved.get(key)
        if known and known[0] > time.monotonic():
            return known[1], known[2]
        endpoint = await self.get(ctx, slug)
        version = await self._assets.resolve(ctx, Ref.parse(endpoint.targets[0].ref))
        self._resolved[key] = (time.monotonic() + _FRESH_S, endpoint, version)
        return endpoint, version

    def behind_s(self) -> float:
        """Return the age in seconds of the oldest answer that `resolve` would still give from memory; at most one."""
        now = time.monotonic()
        return max((_FRESH_S - (until - now) for until, _, _ in self._resolved.values() if until > now), default=0.0)

    async def on_alias_moved(self, event: AliasMoved) -> None:
        """Forget what was resolved: the next call asks anew."""
        self._resolved.clear()


def _endpoint(row: Mapping[Any, Any]) -> Endpoint:
    return Endpoint(
        slug=row["slug"],
        targets=msgspec.convert(row["targets"], list[Target]),
        capture=row["capture"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
    )
