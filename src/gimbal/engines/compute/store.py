"""Tables of jobs, their checkpoints, and schedules."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Json, Utc, metadata

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    # The same key again is the same job: a repeated request enqueues once.
    sa.Column("key", sa.Text, nullable=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("principal", Json, nullable=False),
    sa.Column("started_at", Utc, nullable=True),
    sa.Column("finished_at", Utc, nullable=True),
    sa.Column("run_after", Utc, nullable=False),
    sa.Column("cancelling", sa.Boolean, nullable=False),
    sa.Column("payload", Json, nullable=True),
    sa.Column("result", Json, nullable=True),
    sa.Column("error", Json, nullable=True),
    # Who works on it and until when that holds without a sign of life.
    sa.Column("owner", sa.Text, nullable=True),
    sa.Column("lease_until", Utc, nullable=True),
    sa.UniqueConstraint("project", "name", "key"),
    sa.Index("ix_jobs_status_run_after", "status", "run_after"),
    sa.Index("ix_jobs_project_id", "project", "id"),
)

job_steps = sa.Table(
    "job_steps",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("result", Json, nullable=True),
    sa.Column("at", Utc, nullable=False),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("payload", Json, nullable=True),
    sa.Column("principal", Json, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("next_at", Utc, nullable=False, index=True),
    sa.Column("last_at", Utc, nullable=True),
    sa.Column("last_job_id", sa.Text, nullable=True),
    sa.Column("missed", sa.Integer, nullable=False),
)
