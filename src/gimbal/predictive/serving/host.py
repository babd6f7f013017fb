"""Keeps one process per model version in use: starts what is wanted, restarts what crashes, stops what is idle.

What is wanted is a folder of files that `pool` writes and touches; the state of each process is a file beside it.
"""

import asyncio
import contextlib
import logging
import shutil
import sys
import time
from pathlib import Path

import msgspec

from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.errors import DiskFull, GimbalError, Unavailable
from gimbal.predictive.serving import wire
from gimbal.predictive.serving.child import REFUSED
from gimbal.predictive.serving.sockets import Sockets

_log = logging.getLogger(__name__)
_SCAN_S = 0.25
_IDLE_S = 1800.0
_LONGEST_PAUSE_S = 30.0
_MOST_FAILURES = 4


def run_folder(data: Path) -> Path:
    """Return the folder of wishes, states and (where paths are not too long) sockets below the data folder."""
    return data / "run" / "models"


class _Kept:
    """One version's process."""

    def __init__(self, wanted: wire.Wanted) -> None:
        self.wanted = wanted
        self.process: asyncio.subprocess.Process | None = None
        self.task: asyncio.Task[None] | None = None
        self.was_ready = False
        self.failures = 0
        """Times in a row that the process ended before it was ready."""


class ModelHost:
    """The `model` role of one installation."""

    def __init__(self, data: Path, blobs: Blobs) -> None:
        self._folder = run_folder(data)
        self._sockets = Sockets(self._folder)
        self._blobs = blobs
        self._kept: dict[str, _Kept] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the folder of wishes until stopped."""
        wishes = self._folder / "wanted"
        await asyncio.to_thread(wishes.mkdir, parents=True, exist_ok=True)
        # What an earlier life left says nothing about now; a version that was refused gets another chance.
        self._sockets.empty()
        for left in self._folder.glob("*.state"):
            left.unlink()
        try:
            while not stop.is_set():
                self._follow(wishes)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _SCAN_S)
            await asyncio.gather(*(self._stop(kept) for kept in self._kept.values()))
        finally:
            self._sockets.remove()

    def _follow(self, wishes: Path) -> None:
        for path in wishes.glob("*.json"):
            if path.stem in self._kept:
                continue
            if time.time() - path.stat().st_mtime > _IDLE_S:
                path.unlink(missing_ok=True)
                continue
            with contextlib.suppress(msgspec.DecodeError, OSError):
                kept = _Kept(msgspec.json.decode(path.read_bytes(), type=wire.Wanted))
                self._kept[path.stem] = kept
                kept.task = asyncio.create_task(self._keep(path, kept), name=f"model-{path.stem}")

    async def _keep(self, path: Path, kept: _Kept) -> None:
        """Keep the process up until its wish is old; restart it later each time it crashes."""
        restarts, pause, said = 0, 0.0, ""
        while path.exists() and time.time() - path.stat().st_mtime < _IDLE_S:
            self._tell(kept, "restarting" if restarts else "loading", restarts=restarts, error=said)
            started = time.monotonic()
            kept.was_ready = False
            try:
                code, said = await self._once(kept, restarts)
            except (Unavailable, DiskFull, OSError) as problem:
                code, said = None, str(problem)
            except GimbalError as problem:
                code, said = REFUSED, problem.message
            kept.failures = 0 if kept.was_ready else kept.failures + (code is not None)
            if code != REFUSED and kept.failures >= _MOST_FAILURES:
                code, said = REFUSED, f"Its process ended with {code} each of {kept.failures} times while it loaded."
            if code == REFUSED:
                self._tell(kept, "refused", restarts=restarts, error=said)
                _log.error("%s is not served: %s", kept.wanted.ref, said)
                path.unlink(missing_ok=True)
                break
            pause = 0.0 if time.monotonic() - started > 60 else min(max(0.5, pause * 2), _LONGEST_PAUSE_S)
            restarts += 1
            said = said or f"its process ended with {code}"
            _log.error("%s: %s; again in %.1f s", kept.wanted.ref, said, pause)
            self._tell(kept, "restarting", restarts=restarts, error=said)
            await asyncio.sleep(pause)
        self._kept.pop(path.stem, None)

    async def _once(self, kept: _Kept, restarts: int) -> tuple[int, str]:
        """Run the process once; return its exit code and what it said when it refused."""
        folder = self._folder / wire.key(kept.wanted.digest)
        await self._lay_out(kept.wanted, folder)
        sock = self._sockets.make(kept.wanted.digest)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gimbal.predictive.serving.child", str(folder), str(sock),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        kept.process = process
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode().strip()
        if said == "ready":
            said = ""
            kept.was_ready = True
            self._tell(kept, "ready", pid=process.pid, restarts=restarts)
            _log.info("%s is served by process %d", kept.wanted.ref, process.pid)
        code = await process.wait()
        sock.unlink(missing_ok=True)
        return code, said.removeprefix("refused ")

    async def _lay_out(self, wanted: wire.Wanted, folder: Path) -> None:
        """Write the files of a version, each checked against its digest, into a fresh folder."""
        shutil.rmtree(folder, ignore_errors=True)
        for path, digest in wanted.files.items():
            await self._blobs.save(digest, folder / "files" / path)
        await asyncio.to_thread((folder / "wanted.json").write_bytes, msgspec.json.encode(wanted))

    def _tell(self, kept: _Kept, state: str, *, pid: int | None = None, restarts: int = 0, error: str = "") -> None:
        row = wire.ProcessState(ref=kept.wanted.ref, state=state, pid=pid, restarts=restarts, error=error)
        path = self._folder / f"{wire.key(kept.wanted.digest)}.state"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(row))
        fresh.replace(path)

    @staticmethod
    async def _stop(kept: _Kept) -> None:
        if kept.task is not None:
            kept.task.cancel()
        process = kept.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()
