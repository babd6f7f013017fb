"""Tables of assets, versions, aliases, their history, and lineage. A version and a move, once written, stay."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.engines.storage.catalog import Json, Utc, metadata
from gimbal.engines.storage.tables import append_only

assets = sa.Table(
    "assets",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    # The newest number; versions are numbered under the lock of this row, so they are dense.
    sa.Column("last_number", sa.Integer, nullable=False),
    sa.Column("latest_at", Utc, nullable=False),
    sa.UniqueConstraint("project", "kind", "name"),
)

versions = append_only(
    sa.Table(
        "versions",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("asset_id", sa.Text, sa.ForeignKey("assets.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("manifest", Json, nullable=False),
        sa.Column("files", Json, nullable=False),
        sa.Column("inputs", Json, nullable=False),
        sa.Column("run_id", sa.Text, nullable=True, index=True),
        sa.Column("created_at", Utc, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.UniqueConstraint("asset_id", "number"),
        sa.UniqueConstraint("asset_id", "digest"),
    ),
    forbid=["UPDATE"],
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("asset_id", sa.Text, sa.ForeignKey("assets.id"), primary_key=True),
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("moved_at", Utc, nullable=False),
    sa.Column("moved_by", sa.Text, nullable=False),
)

alias_moves = append_only(
    sa.Table(
        "alias_moves",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("asset_id", sa.Text, sa.ForeignKey("assets.id"), nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("from_number", sa.Integer, nullable=True),
        sa.Column("to_number", sa.Integer, nullable=True),
        sa.Column("at", Utc, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        # Unique: a permit moves an alias once.
        sa.Column("decision_id", sa.Text, nullable=True, unique=True),
        sa.Index("ix_alias_moves_asset_alias_at", "asset_id", "alias", "at"),
        sa.Index("ix_alias_moves_at", "at"),
    )
)

# The edges of lineage: what used (or, relation `made`, made) which version. A version that was made from another one
# is a user as well: kind `version`, its reference as id, relation `input`.
uses = sa.Table(
    "uses",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("user_kind", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, primary_key=True),
    sa.Column("relation", sa.Text, primary_key=True),
    sa.Column("at", Utc, nullable=False),
    sa.Index("ix_uses_project_ref", "project", "ref", "user_kind", "at"),
)

CHUNK = 500
"""Names or ids that one statement takes."""


async def add_missing(tx: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows whose keys are not there, as `insert_missing` does with one.

    PostgreSQL waits for a transaction that is inserting one of them: whoever gives them in the order of their keys waits for
    nobody who waits for him.
    """
    if rows:
        await tx.execute(_adding(tx.dialect.name, table), [dict(row) for row in rows])


@functools.cache
def _adding(dialect: str, table: sa.Table) -> sa.Insert:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()
