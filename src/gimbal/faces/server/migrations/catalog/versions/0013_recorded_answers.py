"""recorded answers."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import Utc

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change: this server asked for every answer of before."""
    with op.batch_alter_table("evaluations") as table:
        table.add_column(sa.Column("client", sa.Text(), nullable=False, server_default=sa.text("''")))
        table.add_column(sa.Column("answered_at", Utc(), nullable=True))
