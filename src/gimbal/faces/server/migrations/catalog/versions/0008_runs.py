"""runs."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import Json, Utc

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OLD = ("run_artifacts", "run_params", "run_tags", "runs")
_TAKEN_OVER = (
    "INSERT INTO experiments (project, name, stage, artifact_location, created_at, updated_at) "
    "SELECT project, experiment, 'active', '', min(started_at), max(started_at) FROM old_runs "
    "GROUP BY project, experiment ORDER BY min(started_at)",
    'INSERT INTO runs (id, project, experiment_key, name, status, stage, "user", started_at, ended_at, updated_at, '
    'beat_at, beat_s, parent_id, "group", created_by, error, note) '
    "SELECT o.id, o.project, e.key, o.name, o.status, 'active', o.created_by, o.started_at, o.ended_at, "
    "coalesce(o.ended_at, o.started_at), NULL, NULL, NULL, '', o.created_by, o.error, '' "
    "FROM old_runs o JOIN experiments e ON e.project = o.project AND e.name = o.experiment ORDER BY o.started_at, o.id",
    "INSERT INTO run_params SELECT r.key, o.name, o.value FROM old_run_params o JOIN runs r ON r.id = o.run_id",
    "INSERT INTO run_tags SELECT r.key, o.name, o.value FROM old_run_tags o JOIN runs r ON r.id = o.run_id",
    "INSERT INTO artifact_files SELECT 'run', run_id, path, digest, size, media_type, at FROM old_run_artifacts",
)


def upgrade() -> None:
    """Make the change."""
    # Keys become whole numbers: the old tables are put aside, and what is in them is told anew.
    for name in _OLD:
        op.execute(f"CREATE TABLE old_{name} AS SELECT * FROM {name}")
    for name in _OLD:
        op.drop_table(name)
    op.create_table(
        "artifact_files",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "owner_id", "path", name=op.f("pk_artifact_files")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "experiments",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("artifact_location", sa.Text(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_experiments_project")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_experiments")),
        sa.UniqueConstraint("project", "name", name=op.f("uq_experiments_project_name")),
    )
    op.create_table(
        "metric_names",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_metric_names_project")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_metric_names")),
        sa.UniqueConstraint("project", "name", name=op.f("uq_metric_names_project_name")),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_uploads_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_table(
        "experiment_tags",
        sa.Column("experiment_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_key"], ["experiments.key"], name=op.f("fk_experiment_tags_experiment_key")
        ),
        sa.PrimaryKeyConstraint("experiment_key", "name", name=op.f("pk_experiment_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "input_datasets",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("experiment_key", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_key"], ["experiments.key"], name=op.f("fk_input_datasets_experiment_key")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_input_datasets")),
        sa.UniqueConstraint(
            "experiment_key", "name", "digest", name=op.f("uq_input_datasets_experiment_key_name_digest")
        ),
    )
    op.create_table(
        "runs",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("experiment_key", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("ended_at", Utc(), nullable=True),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.Column("beat_at", Utc(), nullable=True),
        sa.Column("beat_s", sa.Integer(), nullable=True),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_runs_project")),
        sa.ForeignKeyConstraint(["experiment_key"], ["experiments.key"], name=op.f("fk_runs_experiment_key")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_runs_experiment_key_stage_started_at", ["experiment_key", "stage", "started_at", "key"], unique=False
        )
        batch_op.create_index("ix_runs_parent_id", ["parent_id"], unique=False)
        batch_op.create_index("ix_runs_project_group", ["project", "group"], unique=False)
        batch_op.create_index(
            "ix_runs_beat_at",
            ["beat_at"],
            unique=False,
            sqlite_where=sa.text("status = 'running' AND beat_s IS NOT NULL"),
            postgresql_where=sa.text("status = 'running' AND beat_s IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_runs_project_stage_started_at", ["project", "stage", "started_at", "key"], unique=False
        )
    for name in ("run_params", "run_tags"):
        op.create_table(
            name,
            sa.Column("run_key", _KEY, autoincrement=False, nullable=False),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("value", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(["run_key"], ["runs.key"], name=op.f(f"fk_{name}_run_key")),
            sa.PrimaryKeyConstraint("run_key", "name", name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "run_datasets",
        sa.Column("run_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("dataset_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("tags", Json(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_key"], ["input_datasets.key"], name=op.f("fk_run_datasets_dataset_key")),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], name=op.f("fk_run_datasets_run_key")),
        sa.PrimaryKeyConstraint("run_key", "dataset_key", name=op.f("pk_run_datasets")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("run_datasets", schema=None) as batch_op:
        batch_op.create_index("ix_run_datasets_dataset_key", ["dataset_key"], unique=False)

    op.create_table(
        "run_latest",
        sa.Column("run_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("name_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("experiment_key", _KEY, nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["name_key"], ["metric_names.key"], name=op.f("fk_run_latest_name_key")),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], name=op.f("fk_run_latest_run_key")),
        sa.PrimaryKeyConstraint("run_key", "name_key", name=op.f("pk_run_latest")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("run_latest", schema=None) as batch_op:
        batch_op.create_index(
            "ix_run_latest_value", ["experiment_key", "name_key", "value", "started_at", "run_key"], unique=False
        )

    for statement in _TAKEN_OVER:
        op.execute(statement)
    for name in _OLD:
        op.drop_table(f"old_{name}")


def downgrade() -> None:
    """Undo is a restore from a backup: a step back would drop data."""
    raise NotImplementedError
