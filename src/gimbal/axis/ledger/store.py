"""The catalog tables of the ledger. Single calls, and what their cost was before, are in the columns (`cost_changes`)."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import DecimalText, Json, Utc, metadata

reratings = sa.Table(
    "ledger_reratings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("since", Utc, nullable=False),
    sa.Column("until", Utc, nullable=False),
    sa.Column("provider", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("dry_run", sa.Boolean, nullable=False),
    sa.Column("allow_unpriced", sa.Boolean, nullable=False),
    sa.Column("book", sa.Text, nullable=False),
    # How far it is, and what it counted up to there: written together, so that a killed worker counts nothing twice.
    sa.Column("place", Json, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.Column("kept", sa.BigInteger, nullable=False),
    sa.Column("lines", Json, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("finished_at", Utc),
    sa.Index("ix_ledger_reratings_project_id", "project", "id"),
)

statements = sa.Table(
    "ledger_statements",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("first_day", sa.Text),
    sa.Column("last_day", sa.Text),
    sa.Column("lines", sa.BigInteger, nullable=False),
    sa.Column("replaced", sa.BigInteger, nullable=False),
    sa.Column("cost", DecimalText),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("rejected", Json, nullable=False),
    sa.Column("rejected_lines", sa.BigInteger, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.UniqueConstraint("project", "account", "digest"),
)

# What a line is told by is its key: the same line in a later statement takes its place.
lines = sa.Table(
    "ledger_lines",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), primary_key=True),
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("format", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("statement", sa.Text, sa.ForeignKey("ledger_statements.id"), nullable=False),
    # How finely the export parts its figures: two that part them differently say the same twice.
    sa.Column("shape", sa.Text, nullable=False),
    sa.Column("tier", sa.Text, nullable=False),
    sa.Column("cost", DecimalText),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("calls", sa.BigInteger),
    sa.Index("ix_ledger_lines_statement", "statement"),
)

budgets = sa.Table(
    "ledger_budgets",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("amount", DecimalText, nullable=False),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("dimension", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
)
