"""The process that `gimbal up` is: starts the children, restarts what crashes, stops all of them in order.

It imports nothing heavy, so that it costs a few megabytes and never fails with its children. Children hold the other
end of a pipe and stop when it closes: also a killed supervisor leaves no process behind.
"""

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from gimbal.faces.server import preflight
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings import Settings

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEADY_S = 60.0
_GIVE_UP_AFTER = 5


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of one installation share: how the worker and models reach the server's columns."""

    columns_port: int
    token: str


class _Child:
    """One process that should be up."""

    def __init__(self, role: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.role = role
        self._start = start
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.failures = 0
        self.next_start = 0.0

    def poll(self, now: float) -> None:
        """Start it when it is due; notice when it has died and set the next start, later each time."""
        if self.process is None:
            if now >= self.next_start:
                self.process, self.started = self._start(), now
            return
        code = self.process.poll()
        if code is None:
            if self.failures and now - self.started > _STEADY_S:
                self.failures = 0
            return
        self.process = None
        self.failures += 1
        pause = min(_FIRST_PAUSE_S * 2 ** (self.failures - 1), _LONGEST_PAUSE_S)
        self.next_start = now + pause
        _log.error("the %s process ended with %s; it is started again in %.1f s", self.role, code, pause)

    def stop(self, grace_s: float) -> None:
        """Ask it to end, and end it when it has not after `grace_s`."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            _log.warning("the %s process did not stop within %.0f s and is killed", self.role, grace_s)
            self.process.kill()
            self.process.wait()


def _spawn(role: str, settings: Settings, link: Link) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "GIMBAL_RESOLVED_SETTINGS": msgspec.json.encode(settings).decode(),
        "GIMBAL_LINK": msgspec.json.encode(link).decode(),
    }
    command = [sys.executable, "-m", "gimbal.faces.server.process", role]
    # A session of its own: Ctrl-C in the terminal reaches the supervisor only, which stops the children in order.
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)  # noqa: S603


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Supervisor:
    """Runs one installation on this machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        roles = ("server", "worker", "model", *["gateway"] * settings.gateway.processes)
        link = Link(columns_port=free_port(), token=secrets.token_urlsafe(32))
        self._children = [_Child(role, lambda role=role: _spawn(role, settings, link)) for role in roles]
        self._stop = threading.Event()

    def stop(self) -> None:
        """Make `run` return after an orderly stop; safe in signal handlers."""
        self._stop.set()

    def run(self, on_ready: Callable[[float], None]) -> int:
        """Start everything, call `on_ready` with the seconds it took, watch until stopped; return the exit code."""
        with preflight.folder_lock(self.settings):
            preflight.check(self.settings)

            def asked(_number: int, _frame: object) -> None:
                self.stop()

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, asked)
            try:
                return self._watch(on_ready)
            finally:
                self._shut_down()

    def _watch(self, on_ready: Callable[[float], None]) -> int:
        started = time.monotonic()
        server, others = self._children[0], self._children[1:]
        ready = False
        while not self._stop.is_set():
            now = time.monotonic()
            server.poll(now)
            if not ready and server.process is not None and preflight.answers(self.settings, "/readyz"):
                ready = True
                on_ready(time.monotonic() - started)
            if not ready and server.failures >= _GIVE_UP_AFTER:
                raise ConfigurationError(
                    f"The server did not come up in {server.failures} tries.",
                    kept="the data folder as it was",
                    todo="Read the messages above; `gimbal doctor` checks what it needs.",
                )
            if ready:
                for child in others:
                    child.poll(now)
            self._stop.wait(0.5 if ready else 0.05)
        return 0

    def _shut_down(self) -> None:
        # The server last: the others still write through it while they finish.
        grace = self.settings.worker.grace_s + 5
        for child in reversed(self._children):
            child.stop(grace)


def watch_parent(on_gone: Callable[[], None]) -> None:
    """In a child: call `on_gone` when the supervisor has gone, however it went."""

    def wait() -> None:
        # Below Python's buffer, whose lock a daemon thread must not hold when the interpreter ends.
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        on_gone()

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
