"""Tables of runs in the catalog. Metric points are in the columns (`points`); of each metric the newest point is here.

Keys are whole numbers: a million runs have tens of millions of parameters, and texts in each of them would cost gigabytes.
"""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Json, Utc, metadata

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A whole number that the engine counts up."""

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("key", Key, primary_key=True, autoincrement=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    # Where another tool keeps the files of its runs; ours are in the blobs.
    sa.Column("artifact_location", sa.Text, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.UniqueConstraint("project", "name"),
)

experiment_tags = sa.Table(
    "experiment_tags",
    metadata,
    sa.Column("experiment_key", Key, sa.ForeignKey("experiments.key"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

EXPIRING = "expiring"
"""The stage of a deleted run that retention is taking away: it cannot be restored any more."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("key", Key, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("experiment_key", Key, sa.ForeignKey("experiments.key"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("ended_at", Utc, nullable=True),
    sa.Column("updated_at", Utc, nullable=False),
    # When its sender was last heard of, and how often it promised to be; null where it promised nothing.
    sa.Column("beat_at", Utc, nullable=True),
    sa.Column("beat_s", sa.Integer, nullable=True),
    sa.Column("parent_id", sa.Text, nullable=True),
    sa.Column("group", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Index("ix_runs_experiment_key_stage_started_at", "experiment_key", "stage", "started_at", "key"),
    sa.Index("ix_runs_project_stage_started_at", "project", "stage", "started_at", "key"),
    sa.Index("ix_runs_parent_id", "parent_id"),
    sa.Index("ix_runs_project_group", "project", "group"),
    # Those whose senders promised to be heard of: a few of all.
    sa.Index(
        "ix_runs_beat_at",
        "beat_at",
        sqlite_where=sa.text("status = 'running' AND beat_s IS NOT NULL"),
        postgresql_where=sa.text("status = 'running' AND beat_s IS NOT NULL"),
    ),
)

HEAD = 64
"""Characters of a parameter's or a tag's value that are in its index: PostgreSQL takes no long ones there."""
_HEAD = sa.text(f"substr(value, 1, {HEAD})")

run_params = sa.Table(
    "run_params",
    metadata,
    sa.Column("run_key", Key, sa.ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    # JSON text rather than Json: a number keeps the form in which it was given, so that "the same" can be told.
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("ix_run_params_head", "name", _HEAD, "run_key"),
    sqlite_with_rowid=False,
)

run_tags = sa.Table(
    "run_tags",
    metadata,
    sa.Column("run_key", Key, sa.ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("ix_run_tags_head", "name", _HEAD, "run_key"),
    sqlite_with_rowid=False,
)

metric_names = sa.Table(
    "metric_names",
    metadata,
    sa.Column("key", Key, primary_key=True, autoincrement=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.UniqueConstraint("project", "name"),
)

run_latest = sa.Table(
    "run_latest",
    metadata,
    sa.Column("run_key", Key, sa.ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    sa.Column("name_key", Key, sa.ForeignKey("metric_names.key"), primary_key=True, autoincrement=False),
    sa.Column("experiment_key", Key, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    # Null where the newest point is no number (NaN).
    sa.Column("value", sa.Double, nullable=True),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Index("ix_run_latest_value", "experiment_key", "name_key", "value", "started_at", "run_key"),
    sqlite_with_rowid=False,
)

input_datasets = sa.Table(
    "input_datasets",
    metadata,
    sa.Column("key", Key, primary_key=True, autoincrement=True),
    sa.Column("experiment_key", Key, sa.ForeignKey("experiments.key"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("source_type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("schema", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.UniqueConstraint("experiment_key", "name", "digest"),
)

run_datasets = sa.Table(
    "run_datasets",
    metadata,
    sa.Column("run_key", Key, sa.ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    sa.Column("dataset_key", Key, sa.ForeignKey("input_datasets.key"), primary_key=True, autoincrement=False),
    sa.Column("tags", Json, nullable=False),
    sa.Index("ix_run_datasets_dataset_key", "dataset_key"),
    sqlite_with_rowid=False,
)

artifact_files = sa.Table(
    "artifact_files",
    metadata,
    # `run`, `model` (one that a run logged), `trace`, or `free` for a file of the project.
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sqlite_with_rowid=False,
)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("parts", sa.Integer, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
)
