"""retention."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import Json, Utc

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "retention_policies",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("keep", Json(), nullable=False),
        sa.Column("hold", sa.Boolean(), nullable=False),
        sa.Column("hold_reason", sa.Text(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=True),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_retention_policies_project")),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_retention_policies")),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("user_hash", sa.Text(), nullable=False),
        sa.Column("quoted_hash", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sessions", sa.Boolean(), nullable=False),
        sa.Column("keep_costs", sa.Boolean(), nullable=False),
        sa.Column("counts", Json(), nullable=True),
        sa.Column("pending", Json(), nullable=True),
        sa.Column("requested_at", Utc(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("done_at", Utc(), nullable=True),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("proof_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_erasures_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    with op.batch_alter_table("erasures", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_erasures_project"), ["project"], unique=False)
    op.create_table(
        "retention_proofs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("document", Json(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_retention_proofs_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_proofs")),
    )
    with op.batch_alter_table("retention_proofs", schema=None) as batch_op:
        batch_op.create_index("ix_retention_proofs_project_id", ["project", "id"], unique=False)


def downgrade() -> None:
    """Undo is a restore from a backup: a step back would drop data."""
    raise NotImplementedError
