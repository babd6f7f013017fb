"""The table of endpoints; predictions are in the columns (`predictions`)."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Json, Utc, metadata

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), primary_key=True),
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("targets", Json, nullable=False),
    sa.Column("capture", sa.Boolean, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
)
