"""Searches in the registry as SQL: the same rows on both catalog engines."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.registry.model import Asked
from gimbal.axis.assets.registry.store import asset_tags, registered_names, version_notes, version_tags
from gimbal.axis.assets.store import assets, versions
from gimbal.engines.storage.comparing import field_condition, label_condition
from gimbal.engines.storage.keyset import page, term_of
from gimbal.kernel.filters import ALIASES, Kind, Ordering, Spec

NAMED = registered_names.join(assets, assets.c.id == registered_names.c.asset_id)
NAME_COLUMNS: list[Any] = [registered_names, assets.c.kind, assets.c.name.label("asset")]
VERSIONED = versions.join(NAMED, versions.c.asset_id == registered_names.c.asset_id).outerjoin(
    version_notes, version_notes.c.version_id == versions.c.id
)
# A version that nobody registered by hand has no notes: what is known of it stands in itself.
_run = sa.func.coalesce(version_notes.c.run_id, versions.c.run_id, "")
_changed = sa.func.coalesce(version_notes.c.updated_at, versions.c.created_at, type_=versions.c.created_at.type)
VERSION_COLUMNS: list[Any] = [
    versions.c.id,
    versions.c.asset_id,
    assets.c.kind,
    registered_names.c.name,
    assets.c.name.label("asset"),
    versions.c.number,
    versions.c.digest,
    versions.c.manifest,
    versions.c.files,
    versions.c.created_at,
    _changed.label("updated_at"),
    versions.c.created_by,
    sa.func.coalesce(version_notes.c.description, versions.c.note).label("description"),
    sa.func.coalesce(version_notes.c.stage, "None").label("stage"),
    sa.func.coalesce(version_notes.c.source, "").label("source"),
    _run.label("run_id"),
    sa.func.coalesce(version_notes.c.run_link, "").label("run_link"),
    sa.func.coalesce(version_notes.c.model_id, "").label("model_id"),
]
_NAME_FIELDS: Mapping[str, Any] = {
    "name": registered_names.c.name,
    "creation_timestamp": registered_names.c.created_at,
    "last_updated_timestamp": registered_names.c.updated_at,
}
_VERSION_FIELDS: Mapping[str, Any] = {
    "name": registered_names.c.name,
    "version_number": versions.c.number,
    "run_id": _run,
    "source_path": sa.func.coalesce(version_notes.c.source, ""),
    "creation_timestamp": versions.c.created_at,
    "last_updated_timestamp": _changed,
}
_TIMES: Mapping[str, Kind] = {"creation_timestamp": "number", "last_updated_timestamp": "number"}
NAMES = Spec(entities={"attribute": {"name": "listed"}, "tag": "label"}, aliases=ALIASES)
"""What registered names are searched by."""
NAME_ORDERS = Spec(entities={"attribute": {"name": "text", **_TIMES}}, aliases=ALIASES)
"""What they are sorted by."""
VERSIONS = Spec(
    entities={
        "attribute": {"name": "listed", "version_number": "whole", "run_id": "listed", "source_path": "text"},
        "tag": "label",
    },
    aliases=ALIASES,
)
"""What versions are searched by."""
VERSION_ORDERS = Spec(entities={"attribute": {"name": "text", "version_number": "whole", **_TIMES}}, aliases=ALIASES)
"""What they are sorted by."""

_Rows = tuple[list[dict[str, Any]], str | None]


async def name_rows(tx: AsyncConnection, project: str, asked: Asked) -> _Rows:
    """Return registered names, and the cursor behind them where there are more."""
    sqlite = tx.dialect.name == "sqlite"
    query = sa.select(*NAME_COLUMNS).select_from(NAMED)
    query = query.where(registered_names.c.project == project, registered_names.c.name.is_not(None))
    query = query.where(assets.c.kind == asked.kind)
    mine = asset_tags.c.asset_id == registered_names.c.asset_id
    for clause in asked.clauses:
        query = query.where(
            label_condition(asset_tags, mine, clause, sqlite=sqlite)
            if clause.entity == "tag"
            else field_condition(_NAME_FIELDS, clause, sqlite=sqlite)
        )
    return await _page(tx, query, asked, _NAME_FIELDS, [Ordering(key="name")])


async def version_rows(tx: AsyncConnection, project: str, asked: Asked) -> _Rows:
    """Return versions, and the cursor behind them where there are more."""
    sqlite = tx.dialect.name == "sqlite"
    query = sa.select(*VERSION_COLUMNS).select_from(VERSIONED)
    query = query.where(registered_names.c.project == project, registered_names.c.name.is_not(None))
    query = query.where(assets.c.kind == asked.kind, version_notes.c.removed_at.is_(None))
    mine = version_tags.c.version_id == versions.c.id
    for clause in asked.clauses:
        query = query.where(
            label_condition(version_tags, mine, clause, sqlite=sqlite)
            if clause.entity == "tag"
            else field_condition(_VERSION_FIELDS, clause, sqlite=sqlite)
        )
    # As MLflow: what was changed last comes first where nothing is said.
    usual = [] if asked.order else [Ordering(key="last_updated_timestamp", ascending=False)]
    last = [Ordering(key="name"), Ordering(key="version_number", ascending=False)]
    return await _page(tx, query, asked, _VERSION_FIELDS, [*usual, *last])


async def _page(
    tx: AsyncConnection,
    query: "sa.Select[*tuple[Any, ...]]",
    asked: Asked,
    fields: Mapping[str, Any],
    last: Sequence[Ordering],
) -> _Rows:
    named = {one.key for one in asked.order}
    terms = [
        term_of(fields[one.key], ascending=one.ascending, sqlite=tx.dialect.name == "sqlite")
        for one in (*asked.order, *(one for one in last if one.key not in named))
    ]
    search = [asked.kind, asked.clauses, asked.order]
    return await page(tx, query, terms, asked=search, cursor=asked.cursor, limit=asked.limit)
