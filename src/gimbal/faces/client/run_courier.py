"""What runs log on its way to one project of one server: a queue in memory, and a spool on disk for when it does not answer.

One thread per process and destination sends everything in order. While the server is away, requests go to the spool,
about once a second; so does what is left when the program ends. They are sent before anything newer of this process, by
it or by the next one. Every request is harmless twice, so that what is sent again after a crash is there once.
"""

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from gimbal.faces.client.client import Client
from gimbal.faces.client.generated.runs import Runs
from gimbal.faces.client.outbox import PASSING
from gimbal.faces.client.run_parcels import (
    POINT_BYTES,
    Item,
    Parcel,
    Points,
    decoded,
    described,
    encoded,
    gathered,
    post,
    weight,
)
from gimbal.faces.client.spool import RUNS, Spool
from gimbal.faces.client.transport import Transport
from gimbal.kernel.errors import DeadlineExceeded, Forbidden, GimbalError, NotAuthenticated

_log = logging.getLogger("gimbal")
MOST_WAITING_BYTES = 32 * 2**20
BEAT_S = 15
_ANSWER_S = 20.0
_GATHER_S = 0.02
_FILE_EVERY_S = 1.0
_FIRST_REST_S, _LONGEST_REST_S, _UNWELCOME_S = 0.1, 5.0, 60.0
_LEFTOVERS_S = 5.0
# What is kept and tried again: what passes by itself, and a key that somebody has to mend.
AGAIN = (*PASSING, NotAuthenticated, Forbidden)


class Sender(Protocol):
    """A run of this process."""

    id: str
    beats: bool

    def refused(self, problem: GimbalError) -> None:
        """Hear that the server refused something of it."""
        ...


class RunCourier:
    """The runs of one destination."""

    def __init__(self, client: Client) -> None:
        to = client.transport
        # A connection of its own: it outlives the client's, and a server that is busy does not hold the thread up.
        self._transport = Transport(to.url, to.key, to.project, timeout=min(to.timeout, _ANSWER_S), patience=0)
        self._runs = Runs(self._transport)
        self._spool = Spool(to.url, to.project, kind=RUNS)
        self.patience = to.patience
        self.senders: weakref.WeakValueDictionary[str, Sender] = weakref.WeakValueDictionary()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._items: deque[Item] = deque()
        self._weight = 0
        self._idle = self._kick = False
        self._hasty = 0
        # Of the thread alone, from here on; what it takes out of the queue has a place in the order of files.
        self._pending: deque[tuple[int, Parcel]] = deque()
        self._files: list[Path] = []
        self._working = False
        self._sending = False
        self._progress = 0
        self._leftovers = True  # until it has been looked at
        self._rest_s = self._rest_until = self._file_after = 0.0
        self._beat_at = time.monotonic() + BEAT_S
        self._trouble: GimbalError | None = None
        self._disk_trouble: Exception | None = None
        self._lost = 0
        threading.Thread(target=self._work, name="gimbal-runs", daemon=True).start()

    @property
    def here(self) -> bool:
        """Whether this process is the one whose thread empties the queue; a forked child is not."""
        return os.getpid() == self._pid

    @property
    def behind(self) -> bool:
        """Whether something of this process waits: what is asked of the server now would come too early."""
        with self._lock:
            return not self._clear()

    def add(self, item: Item) -> None:
        """Queue an item; never wait. What does not fit is counted and told."""
        size = weight(item)
        with self._lock:
            if self._weight + size > MOST_WAITING_BYTES and self._weight:
                self._lose()
                return
            self._items.append(item)
            self._weight += size
            if self._idle:
                self._idle = False
                self._changed.notify_all()

    def add_points(self, item: Points) -> None:
        """Queue one call of `log` as `add` does: what every call pays, so that it calls nothing."""
        size = POINT_BYTES * len(item[1])
        with self._lock:
            if self._weight + size > MOST_WAITING_BYTES and self._weight:
                self._lose()
                return
            self._items.append(item)
            self._weight += size
            if self._idle:
                self._idle = False
                self._changed.notify_all()

    def flush(self, patience: float | None = None, *, lenient: bool = True) -> None:
        """Wait until everything is stored by the server; raise when nothing moves for `patience` seconds.

        With `lenient` a request that is on its way may take the time that a request may take.
        """
        patience = self.patience if patience is None else patience
        with self._hurry():
            seen, until = self._progress, time.monotonic() + patience
            while not self._clear():
                if self._progress != seen or (lenient and self._sending and self._trouble is None):
                    seen, until = self._progress, time.monotonic() + patience
                left = until - time.monotonic()
                if left <= 0:
                    raise self._stuck(patience)
                # Another process may have sent our files, which nobody tells us.
                self._changed.wait(min(left, 0.05))

    def settle(self, patience: float, *, lenient: bool = True) -> bool:
        """Wait until everything is stored by the server or on disk; tell whether the server has it all.

        Raise what is in the way when neither can be reached.
        """
        with contextlib.suppress(*AGAIN):
            self.flush(patience, lenient=lenient)
            return True
        with self._hurry():
            until = time.monotonic() + _ANSWER_S
            while (self._items or self._pending or self._working) and not self._disk_trouble:
                if time.monotonic() > until:
                    break
                self._changed.wait(0.05)
            if self._items or self._pending:
                raise self._stuck(patience)
            return self._clear()

    def waiting(self) -> str:
        """Return where what is not sent waits, in words."""
        return f"{self._spool.count():,} requests wait in {self._spool.folder}"

    @property
    def spools(self) -> bool:
        """Whether there is a disk for what cannot be sent."""
        return self._spool.usable

    def catch_up(self) -> None:
        """Give what earlier processes left a moment to be sent: it comes before what is asked now."""
        until = time.monotonic() + _LEFTOVERS_S
        with self._hurry():
            while self._leftovers and self._trouble is None and time.monotonic() < until:
                self._changed.wait(0.05)

    @contextlib.contextmanager
    def _hurry(self) -> Iterator[None]:
        with self._changed:
            self._hasty += 1
            self._kick = True
            self._rest_until = 0.0
            self._changed.notify_all()
            try:
                yield
            finally:
                self._hasty -= 1

    def _clear(self) -> bool:
        self._files = [path for path in self._files if path.exists()]
        return not (self._items or self._pending or self._working or self._files)

    def _stuck(self, patience: float) -> GimbalError:
        trouble = self._trouble or DeadlineExceeded("The server has not answered yet.")
        left = described([*(parcel for _, parcel in self._pending), *gathered(self._items)])
        where = f"{self._spool.count():,} requests in {self._spool.folder}"
        return type(trouble)(
            f"Nothing could be sent for {patience:g} s: {trouble.message}",
            kept=f"what was stored before; {left} wait in this process, {where}",
            todo=trouble.todo or "Flush again.",
        )

    def _lose(self) -> None:
        self._lost += 1
        # Told at 1, 2, 4, 8 …: told, but never a flood.
        if self._lost & (self._lost - 1) == 0:
            why = self._disk_trouble or self._trouble or "more was logged than could be sent"
            _log.warning("%d calls that logged into runs were dropped: %s", self._lost, why)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._working = False
                self._changed.notify_all()
                self._idle = True
                if not self._items and not self._kick:
                    self._changed.wait_for(lambda: self._items or self._kick, timeout=self._pause())
                self._idle = False
                if not self._hasty:
                    # A moment in which more comes together.
                    self._changed.wait_for(lambda: self._hasty, timeout=_GATHER_S)
                self._kick = False
                items = list(self._items)
                self._items.clear()
                self._working = True
            try:
                self._round(items)
            except Exception as problem:  # noqa: BLE001 - the thread must live, and the program must hear of it
                _log.warning("runs could not be sent: %s: %s", type(problem).__name__, problem)
                time.sleep(_FIRST_REST_S)

    def _pause(self) -> float:
        now = time.monotonic()
        if self._pending or self._files or self._leftovers:
            return max(self._rest_until - now, _GATHER_S)
        return max(self._beat_at - now, 0.0)

    def _round(self, items: Sequence[Item]) -> None:
        stamp = self._spool.stamp()
        parcels = gathered(items)
        size = sum(map(weight, parcels)) - sum(map(weight, items))
        with self._lock:
            self._pending.extend((stamp, parcel) for parcel in parcels)
            self._weight += size
        now = time.monotonic()
        if now >= self._rest_until:
            try:
                self._deliver()
            except AGAIN as problem:
                self._rest(problem)
            else:
                self._trouble, self._rest_s, self._rest_until = None, 0.0, 0.0
        if self._trouble and self._pending and (self._hasty or now >= self._file_after or self._heavy()):
            self._keep()
            self._file_after = time.monotonic() + _FILE_EVERY_S

    def _heavy(self) -> bool:
        return self._weight > MOST_WAITING_BYTES // 8

    def _deliver(self) -> None:
        """Send what there is, in order: files of ours that are older, then what is in memory, then any other file."""
        while self._pending:
            stamp, parcel = self._pending[0]
            if self._older(stamp):
                if self._spool.send_next(self._post_lines) == "taken":
                    return
                self._moved()
                continue
            self._send(parcel)
            with self._changed:
                self._pending.popleft()
                self._weight -= weight(parcel)
                self._progress += 1
                self._changed.notify_all()
        if self._leftovers or self._files:
            outcome = self._spool.send_next(self._post_lines)
            self._leftovers = outcome != "empty"
            self._moved()
        if not self._files and time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + BEAT_S
            for sender in list(self.senders.values()):
                if sender.beats:
                    with contextlib.suppress(GimbalError):
                        self._runs.beat(sender.id, every_s=BEAT_S)

    def _older(self, stamp: int) -> bool:
        return any(path.exists() and int(path.name.split("-")[0]) < stamp for path in self._files)

    def _moved(self) -> None:
        with self._changed:
            self._progress += 1
            self._changed.notify_all()

    def _send(self, parcel: Parcel) -> None:
        self._sending = True
        try:
            post(self._runs, parcel)
        except AGAIN:
            raise
        except GimbalError as problem:
            self._tell(parcel, problem)
        finally:
            self._sending = False

    def _tell(self, parcel: Parcel, problem: GimbalError) -> None:
        sender = self.senders.get(parcel.run)
        if sender is not None:
            sender.refused(problem)
        else:
            _log.warning("the server refused something of the run %s: %s", parcel.run, problem)

    def _post_lines(self, lines: Sequence[bytes]) -> None:
        refusal: GimbalError | None = None
        for line in lines:
            parcel = decoded(line)
            try:
                post(self._runs, parcel)
            except AGAIN:
                raise
            except GimbalError as problem:
                refusal = problem
                self._tell(parcel, problem)
        if refusal is not None:
            # Everything else is stored; the file is set aside for whoever wants to look.
            raise refusal

    def _keep(self) -> None:
        """Put on disk what is in memory, in files that keep its place in the order."""
        by_stamp: dict[int, list[Parcel]] = {}
        for stamp, parcel in self._pending:
            by_stamp.setdefault(stamp, []).append(parcel)
        for stamp, parcels in by_stamp.items():
            try:
                files = self._spool.put(encoded(parcels), stamp=stamp)
            except (OSError, GimbalError) as problem:
                if self._disk_trouble is None:
                    _log.warning("what runs log cannot be kept on disk: %s", problem)
                self._disk_trouble = problem
                return
            with self._changed:
                self._disk_trouble = None
                self._files += files
                for _ in parcels:
                    self._weight -= weight(self._pending.popleft()[1])
                self._changed.notify_all()

    def _rest(self, problem: GimbalError) -> None:
        if self._trouble is None:
            _log.warning("what runs log waits on disk until the server answers: %s", problem)
        self._trouble = problem
        self._rest_s = min(max(2 * self._rest_s, _FIRST_REST_S), _LONGEST_REST_S)
        wait = min(max(self._rest_s, problem.retry_after or 0.0), _UNWELCOME_S)
        self._rest_until = time.monotonic() + wait


# By process, too: a forked child has threads and connections of its own.
_couriers: dict[tuple[int, str, str, str], RunCourier] = {}
_making = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().update(_making=threading.Lock()))


def run_courier(client: Client) -> RunCourier:
    """Return the courier of the client's server, key and project in this process."""
    to = client.transport
    key = (os.getpid(), to.url, to.key, to.project)
    with _making:
        if key not in _couriers:
            _couriers[key] = RunCourier(client)
        return _couriers[key]


def settle_all(patience: float) -> None:
    """Send what is left when the program ends, or put it on disk; say what waits."""
    for each in list(_couriers.values()):
        if not each.here:
            continue
        try:
            if not each.settle(patience, lenient=False):
                _log.warning("%s; `gimbal runs sync` sends them, and so does the next program", each.waiting())
        except GimbalError as problem:
            _log.warning("what runs logged is lost: %s", problem)
