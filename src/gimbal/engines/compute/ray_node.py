"""A process of a Ray cluster that carries out our jobs, one at a time; its services are opened once and kept."""

import asyncio
import contextlib
import importlib

import msgspec

from gimbal.engines.compute.attempt import Attempt, Claim
from gimbal.engines.compute.ray_wire import Assembly
from gimbal.kernel.context import Services

_ORPHANED = "parked: the worker that watched it went away"


class Node:
    """What Ray runs as an actor."""

    def __init__(self, assembly: str, given: str) -> None:
        self._assembly = assembly
        self._given = given
        self._services: Services | None = None
        self._stop = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self._attempts: dict[str, Attempt] = {}

    async def start(self) -> str:
        """Open the services; return what keeps them from opening, as a text, for its error may be unknown elsewhere."""
        opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._living = asyncio.create_task(self._live(opened))
        return await opened

    async def _live(self, opened: "asyncio.Future[str]") -> None:
        # Opened and closed by the same task, as context managers want it.
        try:
            module, _, name = self._assembly.partition(":")
            assembly: Assembly = getattr(importlib.import_module(module), name)
            async with assembly(self._given) as self._services:
                opened.set_result("")
                await self._stop.wait()
        except Exception as problem:
            if opened.done():
                raise
            opened.set_result(str(problem) or type(problem).__name__)

    async def ping(self) -> None:
        """Say that it is alive."""

    async def carry_out(self, claim: bytes) -> None:
        """Make an attempt, unless the claim was so long on its way that somebody else has the job."""
        if self._services is None:
            message = "a node carries nothing out before it has started"
            raise RuntimeError(message)
        mine = msgspec.json.decode(claim, type=Claim)
        attempt = Attempt(self._services, mine)
        self._attempts[mine.owner] = attempt
        try:
            if await attempt.holds():
                await attempt.run()
        finally:
            del self._attempts[mine.owner]

    async def park(self, owner: str = "", why: str = _ORPHANED) -> None:
        """Stop an attempt so that the job goes on later; without an owner, whatever is under way."""
        for name in [owner] if owner else list(self._attempts):
            if name in self._attempts:
                self._attempts[name].park(why)

    async def close(self) -> None:
        """Close the services."""
        self._stop.set()
        if self._living is not None:
            with contextlib.suppress(Exception):
                await self._living
