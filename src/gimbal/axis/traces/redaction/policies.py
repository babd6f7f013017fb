"""Policies in the catalog, the redactor that each process has of them in memory, and the keys.

Every door asks for its project's redactor, which is at most a second old; None is no policy, and costs a look into a dict.
A process that cannot read a policy it has never seen takes nothing in.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.traces.redaction.model import OFF, RedactionPolicy, SetRedaction
from gimbal.axis.traces.redaction.redactor import Redactor
from gimbal.axis.traces.redaction.rules import check
from gimbal.axis.traces.redaction.tokens import Keys, ProjectKeys, keys_of
from gimbal.engines.storage.catalog import Catalog, Json, Utc, metadata
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import ConfigurationError, Unavailable
from gimbal.kernel.settings import RedactionSettings

_FRESH_S = 1.0

redaction = sa.Table(
    "trace_redaction",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), primary_key=True),
    sa.Column("policy", Json, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
)


class _Known(msgspec.Struct):
    until: float
    policy: Any
    redactor: Redactor | None


class Redactions:
    """Policies by project, with the keys of this installation."""

    def __init__(self, catalog: Catalog, settings: RedactionSettings) -> None:
        self._catalog = catalog
        self._known: dict[str, _Known] = {}
        self._keys, self._problem = Keys({}), ""
        try:
            self._keys = keys_of(settings)
        except ConfigurationError as error:
            self._problem = error.message

    async def get(self, ctx: Context) -> RedactionPolicy:
        """Return the policy of the project; nothing is taken out where nobody has set one."""
        query = sa.select(redaction).where(redaction.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        shown = OFF if row is None else _shown(row)
        return msgspec.structs.replace(shown, keys=self._keys.ids, problem=self._problem)

    async def set(self, ctx: Context, body: SetRedaction) -> RedactionPolicy:
        """Set the policy, for what comes in from now on; raise BadInput when it cannot be meant or carried out."""
        check(body, has_key=bool(self._keys.ids))
        values: dict[str, Any] = {"policy": body, "updated_at": ctx.now(), "updated_by": ctx.principal.name}
        async with self._catalog.write(ctx) as tx:
            await insert_missing(tx, redaction, {"project": ctx.project, **values})
            await tx.execute(redaction.update().where(redaction.c.project == ctx.project).values(values))
        self._known.pop(ctx.project or "default", None)
        return await self.get(ctx)

    async def redactor(self, project: str) -> Redactor | None:
        """Return a project's redactor, from memory when that is at most a second old; None takes nothing out."""
        known = self._known.get(project)
        if known is not None and known.until > time.monotonic():
            return known.redactor
        if known is not None:
            # Those who ask while the catalog answers go by what was known.
            known.until = time.monotonic() + _FRESH_S
        query = sa.select(redaction.c.policy).where(redaction.c.project == project)
        try:
            async with self._catalog.read() as tx:
                found = (await tx.execute(query)).scalar()
        except Unavailable:
            if known is None:
                raise
            return known.redactor
        if known is not None and known.policy == found:
            return known.redactor
        made = None if found is None else self.made(project, msgspec.convert(found, SetRedaction))
        self._known[project] = _Known(time.monotonic() + _FRESH_S, found, made)
        return made

    def made(self, project: str, policy: SetRedaction) -> Redactor | None:
        """Return the redactor of a policy; None for one that takes nothing out."""
        return Redactor(policy, self._keys.of(project)) if policy.is_on else None

    def check(self, policy: SetRedaction) -> None:
        """Raise BadInput for a policy that cannot be meant or carried out."""
        check(policy, has_key=bool(self._keys.ids))

    def keys(self, project: str) -> ProjectKeys | None:
        """Return what undoes the tokens of a project; None where no key is configured."""
        return self._keys.of(project)


async def redactor_of(ctx: Context) -> Redactor | None:
    """Return what redacts in the project that is meant; None takes nothing out."""
    return await ctx.get(Redactions).redactor(ctx.project or "default")


def _shown(row: Mapping[Any, Any]) -> RedactionPolicy:
    policy = msgspec.convert(row["policy"], SetRedaction)
    return RedactionPolicy(
        **{name: getattr(policy, name) for name in SetRedaction.__struct_fields__},
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
    )
