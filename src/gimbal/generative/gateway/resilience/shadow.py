"""Calls that run beside others for the record alone: bounded in number, and never waited for by a caller."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_MOST = 64
_log = logging.getLogger(__name__)


class Shadows:
    """The shadow calls of this process."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self.started = 0
        self.left_out = 0
        """Shadow calls that were not made because too many were under way."""
        self.failed = 0
        """Those that ended with an error which their record could not take."""

    @property
    def under_way(self) -> int:
        """How many run now."""
        return len(self._tasks)

    def start(self, run: Callable[[], Awaitable[None]]) -> bool:
        """Run a shadow call beside everything else; False when too many run already. `run` records what comes of it."""
        if len(self._tasks) >= self._most:
            self.left_out += 1
            return False
        self.started += 1
        task = asyncio.create_task(self._carried(run), name="shadow")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _carried(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception:  # noqa: BLE001 - nobody waits for it: what is lost is counted and logged, never hidden
            self.failed += 1
            _log.exception("a shadow call failed")

    async def aclose(self) -> None:
        """Stop those that are under way, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
