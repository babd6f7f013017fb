"""Jobs that do what the running test says."""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from gimbal.engines.compute.jobs import JobContext, job

Body = Callable[[JobContext], Coroutine[Any, Any, Any]]
BODIES: dict[str, Body] = {}
"""What the jobs of the running test do, by the name in their payload."""


class Do(msgspec.Struct, frozen=True, kw_only=True):
    """Which body a job runs."""

    body: str = "it"


@job("worker.do", retries=2, retry_delay_s=10)
async def do(jc: JobContext, payload: Do) -> Any:
    return await BODIES[payload.body](jc)


@job("worker.once")
async def once(jc: JobContext, payload: Do) -> Any:
    return await BODIES[payload.body](jc)
