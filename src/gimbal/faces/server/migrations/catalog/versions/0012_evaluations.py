"""evaluations."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import Json

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change: runs of before had one repeat, and their job by their id."""
    with op.batch_alter_table("evaluations") as table:
        table.add_column(sa.Column("repeats", sa.Integer(), nullable=False, server_default="1"))
        table.add_column(sa.Column("cached", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("options", Json(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("job_id", sa.Text(), nullable=True))
    op.execute(
        "UPDATE evaluations SET job_id = (SELECT jobs.id FROM jobs WHERE jobs.project = evaluations.project "
        "AND jobs.name = 'evals.run' AND jobs.key = evaluations.id)"
    )
