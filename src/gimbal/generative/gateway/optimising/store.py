"""The tables of optimisations, their candidates and what reflectors said; answers are in the columns (`eval_results`)."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import DecimalText, Json, Utc, metadata

optimisations = sa.Table(
    "optimisations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("start", Json, nullable=False),
    sa.Column("suite", Json, nullable=False),
    sa.Column("start_ref", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("options", Json, nullable=False),
    sa.Column("marks", Json, nullable=False),
    sa.Column("reflector", sa.Text, nullable=False),
    sa.Column("split", Json, nullable=False),
    sa.Column("rounds", sa.Integer, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("spent", DecimalText, nullable=False),
    sa.Column("refused", Json, nullable=False),
    sa.Column("start_mark", sa.Float, nullable=True),
    sa.Column("best_mark", sa.Float, nullable=True),
    sa.Column("chosen", sa.Integer, nullable=True),
    sa.Column("proof", Json, nullable=True),
    sa.Column("winner", Json, nullable=True),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("job_id", sa.Text, nullable=True),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("started_by", sa.Text, nullable=False),
    sa.Column("finished_at", Utc, nullable=True),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("ix_optimisations_project_id", "project", "id"),
)
candidates = sa.Table(
    "optimisation_candidates",
    metadata,
    sa.Column("optimisation_id", sa.Text, sa.ForeignKey("optimisations.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("parents", Json, nullable=False),
    sa.Column("messages", Json, nullable=False),
    sa.Column("shots", Json, nullable=False),
    sa.Column("mark", Json, nullable=False),
    sa.Column("front", sa.Integer, nullable=False),
    sa.Column("cost", DecimalText, nullable=True),
    # As JSON, like what reflectors said: a text may hold what a column of text cannot.
    sa.Column("text", Json, nullable=False),
)
# Paid for once: an attempt that goes on after a crash reads what was said instead of asking again.
reflections = sa.Table(
    "optimisation_reflections",
    metadata,
    sa.Column("optimisation_id", sa.Text, sa.ForeignKey("optimisations.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("said", Json, nullable=False),
    sa.Column("cost", DecimalText, nullable=True),
    sa.Column("trace_id", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
)
