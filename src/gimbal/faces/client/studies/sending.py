"""Repeats what the network lost: a worker that is in the middle of a search outlives a restart of the server."""

import time
from collections.abc import Callable
from typing import TypeVar

from gimbal.kernel.errors import Busy, DeadlineExceeded, GimbalError, Unavailable

T = TypeVar("T")
PATIENCE_S = 60.0
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
AWAY = (Unavailable, DeadlineExceeded, Busy)
"""What a server that is away, starting or overloaded answers, if anything."""


def sent(call: Callable[[], T], *, patience: float, done: Callable[[GimbalError], T | None] | None = None) -> T:
    """Return what a call returns, called again for `patience` seconds while the server is away.

    What is called is harmless twice. `done` is for what is not: it hears what a repeated call was refused with, and
    returns the answer when the first one had done it.
    """
    until = time.monotonic() + patience
    pause, repeated = _PAUSE_S, False
    while True:
        try:
            return call()
        except AWAY:
            left = until - time.monotonic()
            if left <= 0:
                raise
            time.sleep(min(pause, left))
            pause, repeated = min(2 * pause, _LONGEST_PAUSE_S), True
        except GimbalError as problem:
            answer = done(problem) if done is not None and repeated else None
            if answer is None:
                raise
            return answer
