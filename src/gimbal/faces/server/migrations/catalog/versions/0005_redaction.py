"""redaction."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import Json, Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "trace_redaction",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("policy", Json(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_trace_redaction_project")),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_trace_redaction")),
    )


def downgrade() -> None:
    """Undo is a restore from a backup: a step back would drop data."""
    raise NotImplementedError
