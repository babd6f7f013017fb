"""The table of evaluation runs; their results are in the columns (`eval_results`)."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import DecimalText, Json, Utc, metadata

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("suite", Json, nullable=False),
    sa.Column("subject", Json, nullable=False),
    sa.Column("suite_ref", sa.Text, nullable=False),
    sa.Column("subject_ref", sa.Text, nullable=False),
    sa.Column("asked", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("repeats", sa.Integer, nullable=False, server_default="1"),
    sa.Column("cached", sa.Integer, nullable=False, server_default="0"),
    sa.Column("options", Json, nullable=False, server_default="{}"),
    sa.Column("job_id", sa.Text, nullable=True),
    sa.Column("client", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("answered_at", Utc, nullable=True),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("started_by", sa.Text, nullable=False),
    sa.Column("finished_at", Utc, nullable=True),
    sa.Column("summaries", Json, nullable=False),
    sa.Column("cost", DecimalText, nullable=True),
    sa.Column("unpriced", sa.Integer, nullable=False),
    sa.Column("judge_calls", sa.Integer, nullable=False, server_default="0"),
    sa.Column("judge_cost", DecimalText, nullable=True),
    sa.Column("judge_unpriced", sa.Integer, nullable=False, server_default="0"),
    sa.Column("latency_p50_ms", sa.Float, nullable=True),
    sa.Column("latency_p95_ms", sa.Float, nullable=True),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("ix_evaluations_project_id", "project", "id"),
    sa.Index("ix_evaluations_project_subject", "project", "subject_ref", "suite_ref"),
)
