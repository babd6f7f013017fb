"""evaluation generations."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change: nobody noted by which name a version was asked before."""
    with op.batch_alter_table("evaluations") as table:
        table.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("asked", sa.Text(), nullable=False, server_default=sa.text("''")))
