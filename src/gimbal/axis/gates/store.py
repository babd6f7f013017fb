"""Tables of gates and their decisions."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Json, Utc, metadata
from gimbal.engines.storage.tables import append_only

gates = sa.Table(
    "gates",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("pattern", sa.Text, nullable=False),
    sa.Column("rules", Json, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
    sa.UniqueConstraint("project", "pattern"),
)

# The whole decision is one immutable document; the columns beside it are for finding it.
decisions = append_only(
    sa.Table(
        "decisions",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("at", Utc, nullable=False),
        sa.Column("document", Json, nullable=False),
        sa.Index("ix_decisions_project_id", "project", "id"),
        sa.Index("ix_decisions_project_asset", "project", "asset", "alias"),
    )
)
