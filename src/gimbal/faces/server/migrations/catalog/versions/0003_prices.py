"""prices."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import Json, Utc

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "price_books",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("prices", sa.Integer(), nullable=False),
        sa.Column("taken_at", Utc(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_price_books")),
    )
    op.create_table(
        "price_overrides",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("document", Json(), nullable=False),
        sa.Column("set_at", Utc(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("removed_at", Utc(), nullable=True),
        sa.Column("removed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "number", name=op.f("pk_price_overrides")),
    )
    with op.batch_alter_table("price_overrides", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_price_overrides_revision"), ["revision"], unique=False)

    op.create_table(
        "price_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("current", sa.Text(), nullable=True),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("refresh", Json(), nullable=False),
        sa.ForeignKeyConstraint(["current"], ["price_books.version"], name=op.f("fk_price_state_current")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_state")),
    )


def downgrade() -> None:
    """Undo is a restore from a backup: a step back would drop data."""
    raise NotImplementedError
