"""Waiting for work in the background, and reading what came of it: `gimbal.wait`."""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gimbal.engines.compute.model import ENDED, Job
from gimbal.faces.client.client import Client, default_client
from gimbal.kernel.errors import Conflict, DeadlineExceeded

T = TypeVar("T")
_LOOK_S, _LONGEST_LOOK_S = 0.1, 0.5


def wait(
    job_id: str,
    result: type[T],
    *,
    timeout: float = 3600.0,
    on_progress: Callable[[Job], None] | None = None,
    client: Client | None = None,
) -> T:
    """Return what a job came to: `gimbal.wait(check.job_id, ContaminationReport)`.

    `on_progress` gets the job whenever it has been looked at. Raise Conflict for a job that failed or was cancelled, and
    DeadlineExceeded for one that has not ended after `timeout` seconds; it goes on then.
    """
    client = client or default_client()
    until, pause = time.monotonic() + timeout, _LOOK_S
    while True:
        job = client.jobs.show(job_id)
        if on_progress is not None:
            on_progress(job)
        if job.status in ENDED:
            break
        if time.monotonic() >= until:
            raise DeadlineExceeded(
                f"The job is {job.status} after {timeout:g} s.",
                where="timeout",
                kept="It goes on.",
                todo=f"`gimbal jobs show {job_id}` shows it, `gimbal jobs cancel {job_id}` ends it.",
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_LOOK_S)
    if job.status == "succeeded":
        return msgspec.convert(job.result, result)
    again = f"`gimbal jobs retry {job_id}` goes on with it."
    if job.error is None:
        raise Conflict(f"The job was {job.status}.", where="job", todo=again)
    raise Conflict(f"The job {job.status}: {job.error.message}", where="job", todo=job.error.todo or again)
