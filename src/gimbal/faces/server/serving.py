"""uvicorn's server, which wakes once a second and not ten times, and stops at once when it is told to."""

import asyncio
import contextlib
from collections.abc import Generator

import uvicorn

_TICK_S = 1.0
"""The date in answers is of the second."""


class Serving(uvicorn.Server):
    """A server whose signals somebody else hears: the writer has to be drained after the last request, not beside it."""

    def __init__(self, config: uvicorn.Config) -> None:
        """As uvicorn's."""
        super().__init__(config)
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield

    def stop(self) -> None:
        """Finish the requests under way, and end."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Keep the date until stopped."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK_S)
