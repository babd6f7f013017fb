"""optimisations."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import DecimalText, Json, Utc

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "optimisations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("start", Json(), nullable=False),
        sa.Column("suite", Json(), nullable=False),
        sa.Column("start_ref", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("options", Json(), nullable=False),
        sa.Column("marks", Json(), nullable=False),
        sa.Column("reflector", sa.Text(), nullable=False),
        sa.Column("split", Json(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("spent", DecimalText(), nullable=False),
        sa.Column("refused", Json(), nullable=False),
        sa.Column("start_mark", sa.Float(), nullable=True),
        sa.Column("best_mark", sa.Float(), nullable=True),
        sa.Column("chosen", sa.Integer(), nullable=True),
        sa.Column("proof", Json(), nullable=True),
        sa.Column("winner", Json(), nullable=True),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("finished_at", Utc(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_optimisations_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_optimisations")),
    )
    with op.batch_alter_table("optimisations", schema=None) as batch_op:
        batch_op.create_index("ix_optimisations_project_id", ["project", "id"], unique=False)

    op.create_table(
        "optimisation_candidates",
        sa.Column("optimisation_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("parents", Json(), nullable=False),
        sa.Column("messages", Json(), nullable=False),
        sa.Column("shots", Json(), nullable=False),
        sa.Column("mark", Json(), nullable=False),
        sa.Column("front", sa.Integer(), nullable=False),
        sa.Column("cost", DecimalText(), nullable=True),
        sa.Column("text", Json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimisation_id"], ["optimisations.id"], name=op.f("fk_optimisation_candidates_optimisation_id")
        ),
        sa.PrimaryKeyConstraint("optimisation_id", "number", name=op.f("pk_optimisation_candidates")),
    )
    op.create_table(
        "optimisation_reflections",
        sa.Column("optimisation_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("said", Json(), nullable=False),
        sa.Column("cost", DecimalText(), nullable=True),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimisation_id"], ["optimisations.id"], name=op.f("fk_optimisation_reflections_optimisation_id")
        ),
        sa.PrimaryKeyConstraint("optimisation_id", "key", name=op.f("pk_optimisation_reflections")),
    )


def downgrade() -> None:
    """Undo is a restore from a backup: a step back would drop data."""
    raise NotImplementedError
