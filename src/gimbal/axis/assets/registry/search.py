"""Searches in the registry as SQL: the same rows on both catalog engines."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gimbal.axis.assets.registry.model import Asked, Clause
from gimbal.axis.assets.registry.store import asset_tags, registered_names, version_notes, version_tags
from gimbal.axis.assets.store import assets, versions
from gimbal.kernel.errors import BadInput

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


def names_query(project: str, asked: Asked, dialect: str) -> sa.Select[Any]:
    """Return the query for registered names; one row more than the limit tells that there are more."""
    query = sa.select(*NAME_COLUMNS).select_from(NAMED)
    query = query.where(registered_names.c.project == project, registered_names.c.name.is_not(None))
    query = query.where(assets.c.kind == asked.kind)
    for clause in asked.clauses:
        query = query.where(_condition(clause, _NAME_FIELDS, asset_tags, registered_names.c.asset_id, dialect))
    return _ordered(query, asked, _NAME_FIELDS, [registered_names.c.name])


def versions_query(project: str, asked: Asked, dialect: str) -> sa.Select[Any]:
    """Return the query for versions; one row more than the limit tells that there are more."""
    query = sa.select(*VERSION_COLUMNS).select_from(VERSIONED)
    query = query.where(registered_names.c.project == project, registered_names.c.name.is_not(None))
    query = query.where(assets.c.kind == asked.kind, version_notes.c.removed_at.is_(None))
    for clause in asked.clauses:
        query = query.where(_condition(clause, _VERSION_FIELDS, version_tags, versions.c.id, dialect))
    # As MLflow: the newest first where nothing is said.
    usual = [] if asked.order else [_changed.desc()]
    return _ordered(query, asked, _VERSION_FIELDS, [*usual, registered_names.c.name, versions.c.number.desc()])


def _ordered(query: Any, asked: Asked, fields: Mapping[str, Any], last: list[Any]) -> sa.Select[Any]:
    keys = [order.key for order in asked.order]
    if len(set(keys)) != len(keys):
        raise BadInput("`order_by` contains duplicate fields.", where="order_by", todo="Name each field once.")
    for order in asked.order:
        if order.key not in fields or order.key in {"run_id", "source_path"}:
            raise BadInput(f"Invalid order by key '{order.key}' specified.", where="order_by", todo="Use name.")
        query = query.order_by(fields[order.key].desc() if order.descending else fields[order.key].asc())
    return query.order_by(*last).limit(asked.limit + 1).offset(asked.offset)


def _condition(
    clause: Clause, fields: Mapping[str, Any], tags: sa.Table, owner: sa.Column[Any], dialect: str
) -> sa.ColumnElement[bool]:
    if clause.entity not in {"attribute", "tag"}:
        raise BadInput(f"Invalid entity type '{clause.entity}'.", where="filter", todo="Search by attributes and tags.")
    if clause.entity == "attribute":
        if clause.key not in fields:
            raise BadInput(
                f"Invalid attribute key '{clause.key}' specified.",
                where="filter",
                todo=f"Valid keys are {', '.join(sorted(fields))}, and tags.",
            )
        return compared(fields[clause.key], clause, dialect)
    mine = next(iter(tags.primary_key.columns)) == owner
    there = sa.exists().where(mine, tags.c.name == clause.key)
    if clause.op == "IS NULL":
        return ~there
    if clause.op == "IS NOT NULL":
        return there
    # A tag that is not there is neither equal nor unequal.
    return there.where(compared(tags.c.value, clause, dialect))


def compared(field: Any, clause: Clause, dialect: str) -> sa.ColumnElement[bool]:
    """Return a comparison that both engines answer alike: LIKE minds case, ILIKE does not."""
    value: Any = clause.value
    match clause.op:
        case "=":
            return field == value
        case "!=":
            return field != value
        case "<":
            return field < value
        case "<=":
            return field <= value
        case ">":
            return field > value
        case ">=":
            return field >= value
        case "IN":
            return field.in_(value)
        case "NOT IN":
            return field.not_in(value)
        case "LIKE":
            # SQLite's LIKE does not mind case; its GLOB does.
            return field.op("GLOB")(_glob(value)) if dialect == "sqlite" else field.like(value, escape="")
        case "ILIKE":
            return sa.func.lower(field).like(value.lower(), escape=None if dialect == "sqlite" else "")
        case "IS NULL":
            return field.is_(None)
        case "IS NOT NULL":
            return field.is_not(None)


def _glob(pattern: str) -> str:
    """Return a LIKE pattern as GLOB has it."""
    marked = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(marked.get(letter, letter) for letter in pattern)
