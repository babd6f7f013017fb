"""Tables of logged models in the catalog."""

import sqlalchemy as sa

from gimbal.axis.runs.store import Key
from gimbal.engines.storage.catalog import Utc, metadata

logged_models = sa.Table(
    "logged_models",
    metadata,
    sa.Column("key", Key, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("experiment_key", Key, sa.ForeignKey("experiments.key"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("model_type", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("source_run_id", sa.Text, nullable=True, index=True),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Index("ix_logged_models_experiment_key_stage_created_at", "experiment_key", "stage", "created_at", "key"),
)

logged_model_params = sa.Table(
    "logged_model_params",
    metadata,
    sa.Column("model_key", Key, sa.ForeignKey("logged_models.key"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

logged_model_tags = sa.Table(
    "logged_model_tags",
    metadata,
    sa.Column("model_key", Key, sa.ForeignKey("logged_models.key"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

logged_model_metrics = sa.Table(
    "logged_model_metrics",
    metadata,
    # The newest point of each metric, apart for each dataset that it was measured on (empty: none was named).
    sa.Column("model_key", Key, sa.ForeignKey("logged_models.key"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("dataset_name", sa.Text, primary_key=True),
    sa.Column("dataset_digest", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    # Null where it is no number (NaN).
    sa.Column("value", sa.Double, nullable=True),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

run_models = sa.Table(
    "run_models",
    metadata,
    sa.Column("run_key", Key, sa.ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    sa.Column("model_key", Key, sa.ForeignKey("logged_models.key"), primary_key=True, autoincrement=False),
    # `input` or `output`.
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
