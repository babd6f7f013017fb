"""Tables of monitors and their reports; labels are in the columns (`labels`)."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Json, Utc, metadata

monitors = sa.Table(
    "monitors",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), primary_key=True),
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("document", Json, nullable=False),
)

monitor_reports = sa.Table(
    "monitor_reports",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("monitor", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.ForeignKeyConstraint(["project", "monitor"], ["monitors.project", "monitors.slug"]),
    sa.Index("ix_monitor_reports_project_monitor_id", "project", "monitor", "id"),
)
