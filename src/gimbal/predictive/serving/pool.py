"""The server's side of model processes: asks for one, waits until it is ready, sends rows, keeps connections."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

import msgspec
import pyarrow as pa

from gimbal.axis.assets.model import Version
from gimbal.kernel.errors import DeadlineExceeded, Forbidden, GimbalError, Unavailable, Unprocessable
from gimbal.predictive.flavors.model import quarantined
from gimbal.predictive.serving import wire
from gimbal.predictive.serving.host import run_folder
from gimbal.predictive.serving.sockets import Sockets

_TOUCH_S = 60.0
_POLL_S = 0.05
_MOST_IDLE = 4
_MOST_DEATHS = 2

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ModelPool:
    """Connections to model processes, by version."""

    def __init__(self, data: Path) -> None:
        self._folder = run_folder(data)
        self._sockets = Sockets(self._folder)
        self._idle: dict[str, list[Connection]] = {}
        self._touched: dict[str, float] = {}

    async def infer(self, version: Version, rows: pa.Table, *, timeout_s: float = 60.0) -> pa.Table:
        """Return the predictions of a version for rows that fit its signature.

        Waits while its process loads or restarts. Raise Unprocessable when the version cannot be served, Unavailable
        when its process dies of these rows, DeadlineExceeded when there is no answer in time.
        """
        self._want(version)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(version, rows, timeout_s)
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
        state = self.state(version)
        if state is not None and state.state == "refused":
            raise self._refused(version, state)
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

    async def _ask(self, version: Version, rows: pa.Table, timeout_s: float) -> pa.Table:
        key = wire.key(version.digest)
        deaths = 0
        while True:
            idle = self._idle.get(key)
            connection = idle.pop() if idle else None
            reader, writer = connection or await self._connect(version)
            try:
                await wire.send_request(writer, rows, timeout_s=timeout_s)
                answer = await wire.read_answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                # The process died under the request; nothing was recorded yet, so asking again is safe. Connections
                # from before say nothing about these rows: their process may have died long ago.
                writer.close()
                self._forget(key)
                deaths += connection is None
                if deaths == _MOST_DEATHS:
                    raise Unavailable(
                        f"The process of {version.ref} died {deaths} times of this request.",
                        kept="nothing",
                        todo="Send other rows or fewer; see the model's log.",
                        retry_after=1.0,
                    ) from None
                continue
            except GimbalError:
                self._keep(key, (reader, writer))
                raise
            except BaseException:
                writer.close()
                raise
            self._keep(key, (reader, writer))
            return answer

    def idle(self, version: Version) -> int:
        """Return how many open connections to a version's process wait for a request."""
        return len(self._idle.get(wire.key(version.digest), []))

    def _keep(self, key: str, connection: Connection) -> None:
        idle = self._idle.setdefault(key, [])
        if len(idle) < _MOST_IDLE:
            idle.append(connection)
        else:
            connection[1].close()

    def _forget(self, key: str) -> None:
        for _, writer in self._idle.pop(key, []):
            writer.close()

    async def _connect(self, version: Version) -> Connection:
        while True:
            path = self._sockets.find(version.digest)
            with contextlib.suppress(OSError):
                if path is not None:
                    return await asyncio.open_unix_connection(str(path), limit=1 << 20)
            state = self.state(version)
            if state is not None and state.state == "refused":
                raise self._refused(version, state)
            await asyncio.sleep(_POLL_S)

    def _refused(self, version: Version, state: wire.ProcessState) -> Unprocessable:
        self._touched.pop(wire.key(version.digest), None)
        return Unprocessable(
            f"{version.ref} cannot be served: {state.error}",
            where="model",
            kept="the version, unloaded",
            todo="Register a version that can be loaded, and move the alias to it or back.",
        )

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
        if state is not None and state.state == "refused":
            raise self._refused(version, state)
        if state is None or state.state != "ready":
            raise Unavailable(
                f"{version.ref} is {state.state if state else 'starting'}.", todo="Try again.", retry_after=1.0
            )
