"""How far work is, told no more often than the catalog should be written to."""

import time
from collections.abc import Awaitable, Callable

Tell = Callable[[int, int, str], Awaitable[None]]
"""Takes how much is done, of how much, and words; 0 of 0 where nobody knows yet."""
_TELL_S = 0.5
"""Between two reports."""


class Telling:
    """Passes reports on: the first, the last, and between them one in a while."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told = 0.0

    async def __call__(self, done: int, total: int, message: str, *, whole: bool = False) -> None:
        """Tell, unless it was told just now; `whole` is told in any case."""
        now = time.monotonic()
        if not whole and now - self._told < _TELL_S:
            return
        self._told = now
        await self._tell(done, total, message)
