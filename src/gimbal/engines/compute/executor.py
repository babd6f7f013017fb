"""Where a worker's jobs are carried out: in its own process, or elsewhere; `ray_executor` is the other one.

An executor gets claims and has an `Attempt` made at each, in a process that has the services. Whichever process that is
renews the lease and notes how the job ended, so that the death of either side never leaves a job to two.
"""

import asyncio
from typing import Protocol

from gimbal.engines.compute.attempt import Attempt, Claim
from gimbal.kernel.context import Services

SHUTDOWN = "parked at shutdown"


class Executor(Protocol):
    """Carries claims out."""

    mark: str
    """What claims are named by besides their worker. Only those without one end with the worker's process, so that its
    next life takes them back at once; others are taken when their lease has run out."""

    async def ready(self) -> bool:
        """Tell whether a job could begin now, within a second or two; raise a GimbalError that says why none can for long."""
        ...

    async def carry_out(self, claim: Claim) -> None:
        """Return when the attempt is over, or nobody knows of it any more; cancelled, park the job."""
        ...

    async def close(self) -> None:
        """Let go of what was opened."""
        ...


class LocalExecutor:
    """Carries claims out in the worker's own process."""

    mark = ""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ready(self) -> bool:
        """Say that there is always room: the worker counts its jobs itself."""
        return True

    async def carry_out(self, claim: Claim) -> None:
        """Make the attempt."""
        attempt = Attempt(self._services, claim)
        running = asyncio.create_task(attempt.run())
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            attempt.park(SHUTDOWN)
            await running
            raise

    async def close(self) -> None:
        """Do nothing: the services are the worker's."""
