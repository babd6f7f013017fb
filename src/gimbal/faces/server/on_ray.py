"""What a process of a Ray cluster opens to carry our jobs out: the same services as a worker process."""

import contextlib
import os
from collections.abc import AsyncGenerator

import msgspec

from gimbal.faces.server import logs
from gimbal.faces.server.executors import Installation
from gimbal.faces.server.wiring import working
from gimbal.kernel.context import Services


@contextlib.asynccontextmanager
async def assembled(given: str) -> AsyncGenerator[Services]:
    """Yield the services of an `Installation`, given as JSON."""
    installation = msgspec.json.decode(given, type=Installation)
    # As in the processes that a supervisor starts; what Ray's own process had in its environment is of no account.
    os.environ.pop("GIMBAL_LINK", None)
    if installation.link is not None:
        os.environ["GIMBAL_LINK"] = msgspec.json.encode(installation.link).decode()
    logs.set_up(installation.settings.log, "worker")
    async with working(installation.settings) as services:
        yield services
