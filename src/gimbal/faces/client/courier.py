"""Spans on their way to one project of one server: a queue in memory, and a spool on disk for when it does not answer.

A thread sends what is queued. When the server is away or busy, what waits goes to the spool; so does what is still
queued when the program ends, and what no longer fits into the queue. Spooled spans are sent, oldest first, as soon as
the server answers: by this process, or by the next one that traces to the same project of the same server.
"""

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import msgspec

from gimbal.faces.client.client import Client
from gimbal.faces.client.outbox import PASSING, Outbox
from gimbal.faces.client.spool import Spool
from gimbal.faces.client.transport import Transport
from gimbal.kernel.errors import DeadlineExceeded, GimbalError

_log = logging.getLogger("gimbal")
MOST_WAITING_BYTES = 32 * 2**20
_MOST_PER_REQUEST = 2**20
_ANSWER_S = 20.0
_FAREWELL_S = 5.0
_FIRST_REST_S, _LONGEST_REST_S, _UNWELCOME_S = 0.1, 5.0, 60.0
# How often to look whether another process, or our own thread, has done its turn.
_TURN_S = 0.02
# While the server is away: spans of a second share a file, and a crash loses no more than about those.
_FILE_EVERY_S = 1.0
Quiet = Callable[[], AbstractContextManager[None]]


class Tally:
    """Counts losses and tells of them at 1, 2, 4, 8 …: told, but never a flood."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._n = 0

    def add(self, n: int, why: object) -> None:
        """Count `n` more."""
        before, self._n = self._n, self._n + n
        if before.bit_length() != self._n.bit_length():
            _log.warning("%d spans %s: %s", self._n, self._what, why)


class Courier:
    """The spans of one destination."""

    def __init__(self, url: str, key: str, project: str, *, timeout: float, patience: float) -> None:
        # A connection of its own: it outlives the client's, and a server that is busy does not hold the thread up.
        self._transport = Transport(url, key, project, timeout=min(timeout, _ANSWER_S), patience=0)
        self._spool = Spool(url, project)
        self._quiet = False
        self._rest_s = 0.0
        self._rest_until = 0.0
        self._file_after = 0.0
        self._hasty = 0
        self._patience = patience
        self._trouble: GimbalError | None = None
        self._disk_fine = True
        self._spilling: threading.Thread | None = None
        self._dropped = Tally("were dropped")
        self.spooled = True  # until it has been looked at
        self.outbox: Outbox[bytes] = Outbox(
            self._send,
            name="gimbal-traces",
            weigh=len,
            describe=lambda rows: f"{sum(1 for _ in rows):,} spans",
            most=MOST_WAITING_BYTES,
            per_batch=_MOST_PER_REQUEST,
            patience=patience,
            between=self._between,
        )

    def offer(self, line: bytes) -> None:
        """Queue a span; never wait and never raise. What does not fit into memory goes to disk, or is counted."""
        if self.outbox.offer(line):
            return
        self._spill()
        if not self.outbox.offer(line):
            self._dropped.add(1, "too many wait for the server")

    @property
    def spilling(self) -> bool:
        """Whether a thread is putting on disk what did not fit into memory."""
        return self._spilling is not None and self._spilling.is_alive()

    def flush(self, patience: float | None = None) -> None:
        """Wait until queue and spool are sent; raise when nothing moves for `patience` seconds."""
        self._hasten(patience)
        patience = self._patience if patience is None else patience
        until, pause = time.monotonic() + patience, _FIRST_REST_S
        while True:
            problem: GimbalError | None = None
            try:
                outcome = self._spool.send_next(self._post)
            except PASSING as trouble:
                problem, outcome = trouble, "taken"
            if outcome == "empty":
                self._well()
                return
            if outcome == "sent":
                until, pause = time.monotonic() + patience, _FIRST_REST_S
                continue
            left = until - time.monotonic()
            if left <= 0:
                raise self._stuck(problem, patience)
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_REST_S)

    def farewell(self) -> None:
        """Send what is left, and what cannot be sent put on disk; say so. Takes some seconds at most."""
        if not self.outbox.here:
            return
        why: object = "the program ended"
        try:
            self._hasten(_FAREWELL_S)
        except GimbalError as problem:
            why = problem
        # What is on its way is kept, too: arriving twice is harmless.
        left = self.outbox.take(flying=True)
        if left and not self._keep(left):
            _log.warning("%d spans were not sent and are lost: %s", len(left), why)
        until = time.monotonic() + _FAREWELL_S
        with contextlib.suppress(GimbalError):
            while self._trouble is None and time.monotonic() < until:
                outcome = self._spool.send_next(self._post)
                if outcome == "empty":
                    break
                if outcome == "taken":
                    time.sleep(_TURN_S)
        if waiting := self._spool.count():
            _log.warning("%d spans wait in %s until the server answers", waiting, self._spool.folder)

    def _hasten(self, patience: float | None) -> None:
        """Wait until nothing is queued any more: each span is stored, or on disk."""
        self._rest_until = 0.0
        self._hasty += 1
        try:
            self.outbox.flush(patience)
        finally:
            self._hasty -= 1
        if self._spilling is not None:
            self._spilling.join(patience)

    def _stuck(self, problem: GimbalError | None, patience: float) -> GimbalError:
        kind = type(problem) if problem else DeadlineExceeded
        why = problem.message if problem else "another process is sending."
        return kind(
            f"Nothing could be sent for {patience:g} s: {why}",
            kept=f"what was stored before; {self._spool.count():,} spans wait in {self._spool.folder}",
            todo=(problem.todo if problem else "") or "Flush again.",
        )

    def _post(self, lines: Sequence[bytes]) -> None:
        scope = {"scope": {"name": "gimbal"}, "spans": [msgspec.Raw(line) for line in lines]}
        body = {"resourceSpans": [{"resource": {}, "scopeSpans": [scope]}]}
        with quiet[0]():
            partial = self._transport.dialect("POST", "/v1/traces", body).get("partialSuccess") or {}
        if rejected := int(partial.get("rejectedSpans") or 0):
            _log.warning("%d spans were rejected: %s", rejected, partial.get("errorMessage", ""))

    def _send(self, lines: Sequence[bytes]) -> None:
        """Send a batch, or put it on disk; raise what passes when it has to wait in memory."""
        now = time.monotonic()
        if now >= self._rest_until:
            try:
                self._post(lines)
            except PASSING as problem:
                self._rest(problem)
            except GimbalError as problem:
                _log.warning("%d spans were refused and are lost: %s", len(lines), problem)
                return
            else:
                self._well()
                return
        trouble = self._trouble or DeadlineExceeded("The server is given a rest.")
        company = not self._hasty and now < self._file_after and sum(map(len, lines)) < _MOST_PER_REQUEST // 2
        if company or not self._keep(lines):
            raise trouble
        self._file_after = now + _FILE_EVERY_S

    def _between(self) -> float | None:
        """Send a spooled file if there is one; tell when to come again."""
        if not self.spooled:
            return None
        if (rest := self._rest_until - time.monotonic()) > 0:
            return rest
        try:
            outcome = self._spool.send_next(self._post)
        except PASSING as problem:
            self._rest(problem)
            return self._rest_s
        except Exception as problem:  # noqa: BLE001 - the thread must live
            if self.spooled:
                _log.warning("spooled spans were not sent: %s", problem)
            self.spooled = False
            return None
        self.spooled = outcome != "empty"
        if outcome == "sent":
            self._well()
            return 0.0
        return _FILE_EVERY_S if self.spooled else None

    def _keep(self, lines: Sequence[bytes]) -> bool:
        """Put spans on disk; tell whether it could be done."""
        try:
            self._spool.put(lines)
        except (OSError, GimbalError) as problem:
            if self._disk_fine:
                _log.warning("spans cannot be kept on disk: %s", problem)
            self._disk_fine = False
            return False
        self._disk_fine = self.spooled = True
        return True

    def _spill(self) -> None:
        """Let a thread put on disk what waits, so that the program need not wait for the disk."""
        if not self._disk_fine or self.spilling:
            return
        lines = self.outbox.take()
        self._spilling = threading.Thread(target=self._spilled, args=(lines,), name="gimbal-spill", daemon=True)
        self._spilling.start()

    def _spilled(self, lines: Sequence[bytes]) -> None:
        if not self._keep(lines):
            self._dropped.add(len(lines), "they fit neither into memory nor on disk")

    def _rest(self, problem: GimbalError) -> None:
        if not self._quiet:
            _log.warning("spans wait to be sent: %s", problem)
        self._quiet, self._trouble = True, problem
        self._rest_s = min(max(2 * self._rest_s, _FIRST_REST_S), _LONGEST_REST_S)
        wait = min(max(self._rest_s, problem.retry_after or 0.0), _UNWELCOME_S)
        self._rest_until = time.monotonic() + wait

    def _well(self) -> None:
        self._quiet, self._trouble, self._rest_s, self._rest_until = False, None, 0.0, 0.0


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


# What to send within, so that no instrumentation traces the sending of traces; `instrument` sets it.
quiet: list[Quiet] = [_nothing]
# By process, too: a forked child has threads and connections of its own, and a lock might be held when it is forked.
_couriers: dict[tuple[int, str, str, str], Courier] = {}


def courier(client: Client) -> Courier:
    """Return the courier of the client's server, key and project in this process."""
    to = client.transport
    key = (os.getpid(), to.url, to.key, to.project)
    found = _couriers.get(key)
    if found is None:
        made = Courier(to.url, to.key, to.project, timeout=to.timeout, patience=to.patience)
        found = _couriers.setdefault(key, made)
        if found is not made:
            made.outbox.close()
    if found.farewell not in to.before_close:
        to.before_close.append(found.farewell)
    return found


@atexit.register
def _farewell_all() -> None:
    """Send or spool what is left when the program ends."""
    for each in list(_couriers.values()):
        each.farewell()
