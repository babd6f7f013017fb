"""The server's side of model processes: asks for one, waits until it is ready, sends rows, keeps connections."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

import msgspec
import pyarrow as pa

from gimbal.axis.assets.model import Version
from gimbal.kernel.errors import BadInput, DeadlineExceeded, Forbidden, Unavailable
from gimbal.predictive.flavors.model import quarantined
from gimbal.predictive.serving import wire
from gimbal.predictive.serving.host import run_folder

_TOUCH_S = 60.0
_POLL_S = 0.05
_MOST_IDLE = 4

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ModelPool:
    """Connections to model processes, by version."""

    def __init__(self, data: Path) -> None:
        self._folder = run_folder(data)
        self._idle: dict[str, list[Connection]] = {}
        self._touched: dict[str, float] = {}

    async def infer(self, version: Version, rows: pa.Table, *, timeout_s: float = 60.0) -> pa.Table:
        """Return the predictions of a version for rows that fit its signature.

        Raise Unavailable while its process loads or restarts, BadInput when it was refused, DeadlineExceeded.
        """
        self._want(version)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(version, rows)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The process of {version.ref} did not answer within {timeout_s:g} s.",
                kept="nothing",
                todo="Send fewer rows, or try again when it has loaded.",
            ) from None

    def _want(self, version: Version) -> None:
        """Put the wish for a process into the folder, and keep it fresh."""
        bad = quarantined(version.files)
        if bad:
            raise Forbidden(
                f"{version.ref} holds files that run code when they are loaded: {', '.join(bad)}.",
                where="files",
                kept="the version, quarantined",
                todo="Save it with a flavor that needs no pickle: `gimbal.log_model` does.",
            )
        key = wire.key(version.digest)
        if time.monotonic() - self._touched.get(key, -_TOUCH_S) < _TOUCH_S:
            return
        path = self._folder / "wanted" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            os.utime(path)
        else:
            (self._folder / f"{key}.state").unlink(missing_ok=True)
            wanted = wire.Wanted(
                ref=str(version.ref),
                digest=version.digest,
                manifest=version.manifest,
                files={f.path: f.digest for f in version.files},
            )
            fresh = path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(wanted))
            fresh.replace(path)
        self._touched[key] = time.monotonic()

    async def _ask(self, version: Version, rows: pa.Table) -> pa.Table:
        while True:
            reader, writer = await self._connection(version)
            try:
                await wire.send_request(writer, rows)
                answer = await wire.read_answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                # The process died under the request; nothing was recorded yet, so asking again is safe.
                writer.close()
                self._idle.pop(wire.key(version.digest), None)
                continue
            except BaseException:
                writer.close()
                raise
            idle = self._idle.setdefault(wire.key(version.digest), [])
            if len(idle) < _MOST_IDLE:
                idle.append((reader, writer))
            else:
                writer.close()
            return answer

    async def _connection(self, version: Version) -> Connection:
        idle = self._idle.get(wire.key(version.digest))
        if idle:
            return idle.pop()
        path = wire.socket_path(self._folder, version.digest)
        while True:
            with contextlib.suppress(OSError):
                return await asyncio.open_unix_connection(str(path), limit=1 << 20)
            state = self.state(version)
            if state is not None and state.state == "refused":
                self._touched.pop(wire.key(version.digest), None)
                raise BadInput(
                    f"{version.ref} cannot be served: {state.error}", where="model", todo="Mend the version."
                )
            await asyncio.sleep(_POLL_S)

    def state(self, version: Version) -> wire.ProcessState | None:
        """Return how the process of a version is, or None when there is none."""
        path = self._folder / f"{wire.key(version.digest)}.state"
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(path.read_bytes(), type=wire.ProcessState)
        return None

    def require_ready(self, version: Version) -> None:
        """Raise Unavailable unless the process answers; asks for one when there is none."""
        self._want(version)
        state = self.state(version)
        if state is None or state.state != "ready":
            raise Unavailable(
                f"{version.ref} is {state.state if state else 'starting'}.", todo="Try again.", retry_after=1.0
            )
