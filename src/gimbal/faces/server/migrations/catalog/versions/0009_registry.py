"""registry."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import Utc

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Models and prompts that there are get their own names; a prompt that is named like a model gets none.
_ENLISTED = (
    "INSERT INTO registered_names (asset_id, project, name, last_name, description, created_at, updated_at) "
    "SELECT id, project, name, name, '', latest_at, latest_at FROM assets WHERE kind = 'model' AND last_number > 0",
    "INSERT INTO registered_names (asset_id, project, name, last_name, description, created_at, updated_at) "
    "SELECT a.id, a.project, CASE WHEN r.asset_id IS NULL THEN a.name END, a.name, '', a.latest_at, a.latest_at "
    "FROM assets a LEFT JOIN registered_names r ON r.project = a.project AND r.name = a.name "
    "WHERE a.kind = 'prompt' AND a.last_number > 0",
)
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "asset_tags",
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_asset_tags_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", "name", name=op.f("pk_asset_tags")),
    )
    op.create_table(
        "logged_models",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("experiment_key", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("source_run_id", sa.Text(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_key"], ["experiments.key"], name=op.f("fk_logged_models_experiment_key")),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_logged_models_project")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_logged_models")),
        sa.UniqueConstraint("id", name=op.f("uq_logged_models_id")),
    )
    with op.batch_alter_table("logged_models", schema=None) as batch_op:
        batch_op.create_index(
            "ix_logged_models_experiment_key_stage_created_at",
            ["experiment_key", "stage", "created_at", "key"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_logged_models_source_run_id"), ["source_run_id"], unique=False)

    op.create_table(
        "registered_names",
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_registered_names_asset_id")),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_registered_names_project")),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_registered_names")),
        sa.UniqueConstraint("project", "name", name=op.f("uq_registered_names_project_name")),
    )
    op.create_table(
        "logged_model_metrics",
        sa.Column("model_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dataset_name", sa.Text(), nullable=False),
        sa.Column("dataset_digest", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_key"], ["logged_models.key"], name=op.f("fk_logged_model_metrics_model_key")),
        sa.PrimaryKeyConstraint(
            "model_key", "name", "dataset_name", "dataset_digest", name=op.f("pk_logged_model_metrics")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "logged_model_params",
        sa.Column("model_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_key"], ["logged_models.key"], name=op.f("fk_logged_model_params_model_key")),
        sa.PrimaryKeyConstraint("model_key", "name", name=op.f("pk_logged_model_params")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "logged_model_tags",
        sa.Column("model_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_key"], ["logged_models.key"], name=op.f("fk_logged_model_tags_model_key")),
        sa.PrimaryKeyConstraint("model_key", "name", name=op.f("pk_logged_model_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_models",
        sa.Column("run_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("model_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["model_key"], ["logged_models.key"], name=op.f("fk_run_models_model_key")),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], name=op.f("fk_run_models_run_key")),
        sa.PrimaryKeyConstraint("run_key", "model_key", "role", "step", name=op.f("pk_run_models")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "version_notes",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("run_link", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("removed_at", Utc(), nullable=True),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_version_notes_version_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_version_notes")),
    )
    op.create_table(
        "version_tags",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_version_tags_version_id")),
        sa.PrimaryKeyConstraint("version_id", "name", name=op.f("pk_version_tags")),
    )

    for statement in _ENLISTED:
        op.execute(statement)


def downgrade() -> None:
    """Undo is a restore from a backup: a step back would drop data."""
    raise NotImplementedError
