"""ledger."""

import sqlalchemy as sa
from alembic import op
from gimbal.engines.storage.catalog import DecimalText, Json, Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "ledger_reratings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("since", Utc(), nullable=False),
        sa.Column("until", Utc(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("allow_unpriced", sa.Boolean(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("place", Json(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.BigInteger(), nullable=False),
        sa.Column("lines", Json(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("finished_at", Utc(), nullable=True),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_ledger_reratings_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_reratings")),
    )
    op.create_index("ix_ledger_reratings_project_id", "ledger_reratings", ["project", "id"], unique=False)
    op.create_table(
        "ledger_statements",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Text(), nullable=True),
        sa.Column("last_day", sa.Text(), nullable=True),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("replaced", sa.BigInteger(), nullable=False),
        sa.Column("cost", DecimalText(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("rejected", Json(), nullable=False),
        sa.Column("rejected_lines", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_ledger_statements_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_statements")),
        sa.UniqueConstraint("project", "account", "digest", name=op.f("uq_ledger_statements_project_account_digest")),
    )
    op.create_table(
        "ledger_lines",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("cost", DecimalText(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("calls", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_ledger_lines_project")),
        sa.ForeignKeyConstraint(["statement"], ["ledger_statements.id"], name=op.f("fk_ledger_lines_statement")),
        sa.PrimaryKeyConstraint(
            "project", "provider", "account", "day", "model", "format", "line", name=op.f("pk_ledger_lines")
        ),
    )
    op.create_index("ix_ledger_lines_statement", "ledger_lines", ["statement"], unique=False)
    op.create_table(
        "ledger_budgets",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("amount", DecimalText(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.slug"], name=op.f("fk_ledger_budgets_project")),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_ledger_budgets")),
    )


def downgrade() -> None:
    """Undo is a restore from a backup: a step back would drop data."""
    raise NotImplementedError
