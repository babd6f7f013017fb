"""Carries jobs out on a Ray cluster (https://docs.ray.io); the worker claims them and watches, the cluster works.

The process of the cluster that has a job renews its lease and notes how it ended. If that process dies, or this one, or
the machine of either, the lease runs out and the job is tried again from its last checkpoint, never before.
"""

import asyncio
import contextlib
import importlib.util
import logging
import os
import secrets
import signal
import sys
import time

import msgspec

from gimbal.engines.compute.attempt import Claim
from gimbal.engines.compute.ray_wire import Order, RaySetup, Report
from gimbal.kernel.errors import ConfigurationError, GimbalError, MissingExtra, Unavailable

_log = logging.getLogger(__name__)
_UP_S = 90.0
"""Within which a cluster is joined or started."""
_ANSWER_S = 5.0
_AWAY_S = 10.0
"""Between two attempts to reach a cluster that is away."""
_PARK_S = 4.0
_CLOSE_S = 10.0
_LINE = 1 << 26
"""Bytes that a message may have."""


class RayExecutor:
    """A worker's side. The cluster is joined when the first job is due."""

    mark = "@ray"

    def __init__(self, setup: RaySetup) -> None:
        self._setup = setup
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._up = False
        self._begun = 0.0
        self._answer: asyncio.Future[Report] | None = None
        self._under_way: dict[str, asyncio.Future[str]] = {}
        self._problem: GimbalError | None = None
        self._retry_at = 0.0

    async def ready(self) -> bool:
        """Tell whether a process of the cluster waits for a job; raise Unavailable while the cluster is away.

        Raise MissingExtra without Ray, ConfigurationError where the cluster could not reach the stores.
        """
        if self._problem is not None:
            if time.monotonic() < self._retry_at:
                raise self._problem
            self._problem = None
        if self._process is None:
            self._check()
            try:
                await self._begin()
            except OSError as problem:
                self._away(f"what speaks to it cannot be started: {problem}")
        if not self._up:
            if time.monotonic() - self._begun > _UP_S:
                self._away(f"it did not answer within {_UP_S:g} s")
                await self._end()
            if self._problem is not None:
                raise self._problem
            return False
        return await self._ask()

    def _check(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise MissingExtra("Jobs are to run on Ray.", todo="Install it: pip install 'gimbal-ops[ray]'.")
        if self._setup.here and self._setup.address.startswith("ray://"):
            raise ConfigurationError(
                "A cluster elsewhere does not reach stores in the data folder.",
                where="worker.ray_address",
                kept="the jobs, which wait",
                todo="Set catalog.url, columns.url and blobs.url, or name a cluster of which this machine is a node.",
            )

    async def _begin(self) -> None:
        """Start the process that speaks to Ray; it says when it is up."""
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        if not self._setup.address:
            # Whoever reaches a cluster may run code in it: ours listens on loopback only, and wants a token.
            environment |= {
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": secrets.token_hex(32),
            }
        self._begun = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gimbal.engines.compute.ray_bridge",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment, limit=_LINE,
            start_new_session=True,  # Ctrl-C is the worker's to pass on
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self._process), name="ray")
        self._write(msgspec.json.encode(self._setup))

    def _write(self, message: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(message + b"\n")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Take reports until the process has ended."""
        if process.stdout is None:
            return
        try:
            while line := await process.stdout.readline():
                self._take(msgspec.json.decode(line, type=Report))
        finally:
            code = await process.wait()
            if self._process is process:
                if not self._up and self._problem is None:
                    self._away(f"what speaks to it ended with {code}; see the worker's log")
                self._process, self._up = None, False
                self._answered(Report(what="none_yet"))
                for owner in list(self._under_way):
                    self._ended(owner, f"What speaks to Ray ended with {code}.")

    def _take(self, report: Report) -> None:
        if report.what == "up":
            self._up = True
        elif report.what == "ended":
            self._ended(report.owner, report.why)
        else:
            if report.what == "away":
                self._away(report.why)
            self._answered(report)

    def _answered(self, report: Report) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(report)

    def _ended(self, owner: str, why: str) -> None:
        ended = self._under_way.pop(owner, None)
        if ended is not None and not ended.done():
            ended.set_result(why)

    def _away(self, why: str) -> None:
        place = f"at {self._setup.address}" if self._setup.address else "on this machine"
        self._retry_at = time.monotonic() + _AWAY_S
        self._problem = Unavailable(
            f"The Ray cluster {place} takes no job: {why}",
            where="worker.ray_address",
            todo="Jobs begin when it does; see that it is up and has room.",
        )

    async def _ask(self) -> bool:
        self._answer = asyncio.get_running_loop().create_future()
        self._write(msgspec.json.encode(Order(what="room")))
        try:
            report = await asyncio.wait_for(self._answer, _ANSWER_S)
        except TimeoutError:
            return False
        finally:
            self._answer = None
        if report.what == "away" and self._problem is not None:
            raise self._problem
        return report.what == "room"

    async def carry_out(self, claim: Claim) -> None:
        """Have the attempt made by a process of the cluster; when that dies, leave the job to its lease."""
        if self._process is None:
            # It died since it said that there is room: nobody would ever answer.
            _log.warning("nobody carries job %s out any more: what speaks to Ray has ended", claim.job.id)
            return
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._under_way[claim.owner] = ended
        self._write(msgspec.json.encode(Order(what="carry_out", claim=claim)))
        try:
            why = await asyncio.shield(ended)
        except asyncio.CancelledError:
            self._write(msgspec.json.encode(Order(what="park", owner=claim.owner)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended, _PARK_S)
            raise
        if why:
            _log.warning("nobody carries job %s out any more: %s", claim.job.id, why)

    async def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _CLOSE_S)
        await self._end()

    async def _end(self) -> None:
        """End the process, and with it the cluster that it started."""
        process, self._process, self._up = self._process, None, False
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._reading is not None:
            await self._reading
