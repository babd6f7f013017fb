"""values."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_HEAD = "substr(value, 1, 64)"


def upgrade() -> None:
    """Make the change."""
    op.create_index("ix_run_params_head", "run_params", ["name", sa.text(_HEAD), "run_key"])
    op.create_index("ix_run_tags_head", "run_tags", ["name", sa.text(_HEAD), "run_key"])
