"""judge costs."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import DecimalText

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change: what judges of earlier runs cost nobody counted."""
    with op.batch_alter_table("evaluations") as table:
        table.add_column(sa.Column("judge_calls", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("judge_cost", DecimalText(), nullable=True))
        table.add_column(sa.Column("judge_unpriced", sa.Integer(), nullable=False, server_default="0"))
