"""Records of jobs and schedules, as every face shows them."""

from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

JobStatus = Literal["queued", "running", "parked", "succeeded", "failed", "cancelled"]
STATUSES: tuple[JobStatus, ...] = get_args(JobStatus)
ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed."""

    code: str
    message: str
    todo: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of durable work."""

    id: str
    name: str
    """What is done: `evals.run`."""
    project: str
    status: JobStatus
    """`parked` is running work that a shutdown interrupted; it goes on at the next start."""
    done: int = 0
    total: int = 0
    """Progress: `done` of `total`; 0 of 0 when the job does not say."""
    message: str = ""
    attempt: int = 0
    attempts: int = 1
    """How often it is tried at most."""
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    run_after: datetime
    """Not before this; later after each failed attempt."""
    cancelling: bool = False
    """Whether someone asked for it to stop."""
    payload: Any = None
    result: Any = None
    error: JobError | None = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Work that is started again and again."""

    slug: str
    project: str
    cron: str
    """Five fields in UTC: minute, hour, day of month, month, day of week."""
    job: str
    payload: Any
    enabled: bool
    next_at: datetime
    last_at: datetime | None = None
    last_job_id: str | None = None
    missed: int = 0
    """Times that passed while nothing ran; they are made up for once."""
