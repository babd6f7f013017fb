"""A queue that a thread empties towards the server: the program never waits for the network, and nothing is lost quietly.

What cannot be sent because the server is away or busy stays in the queue and is tried again. What the server refuses
leaves the queue, and the refusal is raised at the next call. The queue is bounded.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from gimbal.kernel.errors import Busy, DeadlineExceeded, GimbalError, NotReady, Unavailable, Upstream

T = TypeVar("T")
# These pass by themselves: what was to be sent is kept and tried again.
PASSING = (Busy, DeadlineExceeded, Unavailable, Upstream)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


class Outbox(Generic[T]):
    """Items on their way, in order, in batches.

    `send` sends one batch and raises what the server answered; a batch that raised one of PASSING is sent again, so it
    must be harmless twice. `weigh` says how much an item counts towards `most` (all that may wait) and `per_batch`; `describe`
    names items for error messages. `patience` is in seconds. `between` is called before each batch and tells after how
    many seconds without one it wants to be called again, or None; it must not raise.
    """

    def __init__(
        self,
        send: Callable[[Sequence[T]], None],
        *,
        name: str,
        weigh: Callable[[T], int],
        describe: Callable[[Iterable[T]], str],
        most: int,
        per_batch: int,
        patience: float,
        between: Callable[[], float | None] | None = None,
    ) -> None:
        self._send = send
        self._between = between
        self._weigh = weigh
        self._describe = describe
        self._most = most
        self._per_batch = per_batch
        self._patience = patience
        self._items: deque[T] = deque()
        self._weight = 0
        self._flying = 0
        self._condition = threading.Condition()
        self._closed = False
        self._hurry = False
        self._sending = False
        self._trouble: GimbalError | None = None
        self._refusal: GimbalError | None = None
        self._pid = os.getpid()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    @property
    def here(self) -> bool:
        """Whether this process is the one whose thread empties the queue; a forked child is not."""
        return os.getpid() == self._pid

    def add(self, item: T) -> None:
        """Queue an item; raise the last refusal (the item is queued all the same).

        A queue that stays full for longer than the patience raises Busy, and the item is not queued.
        """
        self._check_process()
        with self._condition:
            if not self._condition.wait_for(lambda: self._weight < self._most, timeout=self._patience):
                raise Busy(
                    f"Too much waits to be sent: {self._why()}",
                    kept="what was logged before; it waits in this process",
                    todo="Try again when the server answers.",
                )
            self._push(item)
            self._raise_refusal()

    def offer(self, item: T) -> bool:
        """Queue an item without ever waiting; return False, and do nothing, when the queue is full."""
        if not self.here:
            return False
        with self._condition:
            if self._weight >= self._most or self._closed:
                return False
            self._push(item)
            return True

    def flush(self, patience: float | None = None) -> None:
        """Wait until all is stored; raise the last refusal, or Unavailable when nothing moves for too long.

        Then everything that is not stored is still queued, and another flush may succeed.
        """
        self._check_process()
        # Without a limit of the caller's own, a request that is on its way may take the time that a request may take.
        lenient = patience is None
        patience = self._patience if patience is None else patience
        with self._condition:
            self._hurry = True
            self._condition.notify_all()
            while left := self._weight:
                if self._condition.wait_for(lambda before=left: self._weight < before, timeout=patience):
                    continue
                if lenient and self._sending and self._trouble is None:
                    continue
                self._raise_refusal()
                kind = type(self._trouble) if self._trouble else DeadlineExceeded
                raise kind(
                    f"Nothing could be sent for {patience:g} s: {self._why()}",
                    kept=f"what was stored before; {self._describe(self._items)} wait in this process",
                    todo=(self._trouble.todo if self._trouble else "") or "Flush again.",
                )
            self._raise_refusal()

    def close(self) -> None:
        """Let the thread end when the queue is empty."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def waiting(self) -> list[T]:
        """Return what is not stored yet."""
        with self._condition:
            return list(self._items)

    def take(self, *, flying: bool = False) -> list[T]:
        """Take out what waits, and with `flying` also what is on its way and may arrive all the same."""
        with self._condition:
            stays = 0 if flying else self._flying
            self._flying = stays
            taken = list(self._items)[stays:]
            for _ in taken:
                self._weight -= self._weigh(self._items.pop())
            self._condition.notify_all()
            return taken

    def _why(self) -> str:
        return self._trouble.message if self._trouble else "the server has not answered yet."

    def _check_process(self) -> None:
        if not self.here:
            raise NotReady(
                "This belongs to another process: a forked child has no connection of its own.",
                todo="Start a run in the child, or hand the values back to the parent.",
            )

    def _push(self, item: T) -> None:
        self._items.append(item)
        self._weight += self._weigh(item)
        self._condition.notify_all()

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            raise refusal

    def _work(self) -> None:
        pause = _FIRST_PAUSE_S
        while batch := self._next():
            try:
                self._send(batch)
            except PASSING as problem:
                self._wait(problem, pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            except GimbalError as problem:
                self._done(problem)
            except Exception as problem:  # noqa: BLE001 - the thread must live, and the program must hear of it
                self._done(GimbalError(f"It could not be sent: {type(problem).__name__}: {problem}"))
            else:
                self._done(None)
            pause = _FIRST_PAUSE_S

    def _next(self) -> list[T]:
        """Return the items of the next request, which stay in the queue until it is answered; none at the end."""
        while True:
            pause = self._between() if self._between else None
            with self._condition:
                self._condition.wait_for(lambda: self._items or self._closed, timeout=pause)
                if self._items or self._closed:
                    return self._batch()

    def _batch(self) -> list[T]:
        batch: list[T] = []
        weight = 0
        for item in self._items:
            if batch and weight + self._weigh(item) > self._per_batch:
                break
            batch.append(item)
            weight += self._weigh(item)
        self._flying = len(batch)
        self._sending = bool(batch)
        return batch

    def _done(self, refusal: GimbalError | None) -> None:
        with self._condition:
            for _ in range(self._flying):
                self._weight -= self._weigh(self._items.popleft())
            self._flying = 0
            self._trouble = None
            self._hurry = self._sending = False
            self._refusal = self._refusal or refusal
            self._condition.notify_all()

    def _wait(self, problem: GimbalError, pause: float) -> None:
        until = time.monotonic() + pause
        with self._condition:
            self._trouble = problem
            self._sending = False
            self._flying = 0
            self._condition.notify_all()
            while not self._hurry and (left := until - time.monotonic()) > 0:
                self._condition.wait(left)
            self._hurry = False
