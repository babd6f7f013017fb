"""Tables of the registry: what a foreign registry knows of assets and versions beyond what is fixed in them."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Utc, metadata

registered_names = sa.Table(
    "registered_names",
    metadata,
    sa.Column("asset_id", sa.Text, sa.ForeignKey("assets.id"), primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    # Null when it was taken out of the registry; the versions stay.
    sa.Column("name", sa.Text, nullable=True),
    sa.Column("last_name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.UniqueConstraint("project", "name"),
)

asset_tags = sa.Table(
    "asset_tags",
    metadata,
    sa.Column("asset_id", sa.Text, sa.ForeignKey("assets.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

version_notes = sa.Table(
    "version_notes",
    metadata,
    sa.Column("version_id", sa.Text, sa.ForeignKey("versions.id"), primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    # Where it was registered from, in the words of whoever did.
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("run_link", sa.Text, nullable=False),
    sa.Column("model_id", sa.Text, nullable=False),
    # When it was taken out of the registry; the version itself stays.
    sa.Column("removed_at", Utc, nullable=True),
    sa.Column("updated_at", Utc, nullable=False),
)

version_tags = sa.Table(
    "version_tags",
    metadata,
    sa.Column("version_id", sa.Text, sa.ForeignKey("versions.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
