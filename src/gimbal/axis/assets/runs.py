"""The versions around runs: which ones a run used, and which it made."""

from collections.abc import Sequence

import sqlalchemy as sa

from gimbal.axis.assets.store import assets, uses, versions
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.refs import AtVersion, Ref, ResolvedRef

# Made once: to put a statement together takes longer than SQLite needs for its answer.
_PROJECT, _RUNS = sa.bindparam("project"), sa.bindparam("runs", expanding=True)
_OF_RUN = (uses.c.project == _PROJECT, uses.c.user_kind == "run", uses.c.relation == "used", uses.c.user_id.in_(_RUNS))
_USED = sa.select(uses.c.user_id, uses.c.ref).where(*_OF_RUN).order_by(uses.c.at)
_MADE = (
    sa.select(versions.c.run_id, versions.c.number, versions.c.digest, assets.c.kind, assets.c.name)
    .select_from(versions.join(assets, versions.c.asset_id == assets.c.id))
    .where(assets.c.project == _PROJECT, versions.c.run_id.in_(_RUNS))
    .order_by(versions.c.id)
)


async def of_runs(
    catalog: Catalog, ctx: Context, run_ids: Sequence[str]
) -> tuple[dict[str, list[ResolvedRef]], dict[str, list[ResolvedRef]]]:
    """Return by run id the versions that runs used, and those that they made."""
    project = ctx.project or "default"
    used: dict[str, list[ResolvedRef]] = {}
    made: dict[str, list[ResolvedRef]] = {}
    async with catalog.read() as tx:
        asked = {"project": project, "runs": list(run_ids)}
        for run_id, text in (await tx.execute(_USED, asked)).all():
            ref = Ref.parse(text)
            if isinstance(ref.selector, AtVersion):
                found = ResolvedRef(kind=ref.kind, name=ref.name, number=ref.selector.number, digest="")
                used.setdefault(run_id, []).append(found)
        for row in (await tx.execute(_MADE, asked)).mappings():
            found = ResolvedRef(kind=row["kind"], name=row["name"], number=row["number"], digest=row["digest"])
            made.setdefault(row["run_id"], []).append(found)
    return used, made
