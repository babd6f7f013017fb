"""The process that speaks to Ray for a worker: `python -m gimbal.engines.compute.ray_bridge`, orders in, reports out.

Ray ends the process that is connected to it when its cluster has been away for a minute, and costs memory and threads:
so that process is not the worker's. It parks what runs and leaves the cluster when the worker's end of the pipe closes.
"""

import asyncio
import contextlib
import importlib
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import msgspec

from gimbal.engines.compute.executor import SHUTDOWN
from gimbal.engines.compute.ray_node import Node
from gimbal.engines.compute.ray_wire import Order, RaySetup, Report

_CONNECT_S = 5.0
_START_S = 60.0
_PAUSE_S = 10.0
_PING_S = 2.0
_PARK_S = 10.0
_OBJECTS = 80 * 1024 * 1024
"""Memory that Ray shares between processes, in bytes: nearly the least it takes, for jobs and results do not go through it."""
_OWN = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""Resources that Ray takes by names of their own."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Tell = Callable[[Report], None]


def connect(setup: RaySetup) -> Any:
    """Join the cluster, or start one, and return Ray; raise OSError, or what Ray raises, when that cannot be."""
    if setup.address:
        _knock(setup.address)
    ray: Any = importlib.import_module("ray")
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "namespace": "gimbal"}
    if setup.address:
        ray.init(address=setup.address, **quiet)
        return ray
    cpus = max(os.cpu_count() or 1, round(setup.most * setup.resources.get("CPU", 0)))
    ray.init(address="local", num_cpus=cpus, object_store_memory=_OBJECTS, include_dashboard=False, **quiet)
    return ray


def _knock(address: str) -> None:
    """Raise OSError where nobody listens; Ray itself would try for minutes."""
    place = urlsplit(address if "://" in address else f"ray://{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), timeout=_CONNECT_S).close()


class Bridge:
    """Our processes in the cluster, and who of them does what."""

    def __init__(self, ray: Any, setup: RaySetup, tell: Tell) -> None:
        self._ray = ray
        self._setup = setup
        self._tell = tell
        self._idle: list[Any] = []
        self._busy: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._failure = ""
        """Why the last process could not be started, until that has been told."""

    def take(self, order: Order) -> None:
        """Begin to do what the worker wants."""
        if order.what == "room":
            self._spawn(self._room())
        elif order.what == "carry_out" and order.claim is not None:
            # The one that answered last is at the end.
            node = self._idle.pop() if self._idle else None
            if node is not None:
                # At once: the order to park it may be the next one.
                self._busy[order.claim.owner] = node
            self._spawn(self._carry_out(node, order.claim.owner, msgspec.json.encode(order.claim)))
        elif order.owner in self._busy:
            self._busy[order.owner].park.remote(order.owner, SHUTDOWN)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _room(self) -> None:
        while self._idle:
            node = self._idle[-1]
            try:
                await asyncio.wait_for(node.ping.remote(), _PING_S)
            except Exception:  # noqa: BLE001 - whatever it is, this process is of no use
                self._idle = [other for other in self._idle if other is not node]
            else:
                self._tell(Report(what="room"))
                return
        if self._failure:
            self._tell(Report(what="away", why=self._failure))
            self._failure = ""
            return
        if self._starting is None and len(self._busy) < self._setup.most:
            self._starting = asyncio.create_task(self._start())
        self._tell(Report(what="none_yet"))

    async def _start(self) -> None:
        """Start one more process; what keeps it from starting is told at the next question, unless others are at work."""
        problem = ""
        try:
            node = self._node()
            problem = await asyncio.wait_for(node.start.remote(), _START_S)
            if not problem:
                self._idle.append(node)
        except TimeoutError:
            problem = f"The cluster has had no room for {self._setup.resources} for {_START_S:g} s."
        except Exception as found:  # noqa: BLE001 - told, whatever it is
            problem = words_of(found)
        if not self._busy:
            self._failure = problem
        elif problem:
            # One more would be good to have: there is no haste.
            await asyncio.sleep(_PAUSE_S)
        self._starting = None

    def _node(self) -> Any:
        options: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 8, "num_cpus": 0}
        for name, amount in self._setup.resources.items():
            if name in _OWN:
                options[_OWN[name]] = amount
            else:
                options.setdefault("resources", {})[name] = amount
        if self._setup.here:
            strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
            own = self._ray.get_runtime_context().get_node_id()
            options["scheduling_strategy"] = strategies.NodeAffinitySchedulingStrategy(own, soft=False)
        return self._ray.remote(Node).options(**options).remote(self._setup.assembly, self._setup.given)

    async def _carry_out(self, node: Any, owner: str, claim: bytes) -> None:
        why = "There was no process for it."
        if node is not None:
            try:
                await node.carry_out.remote(claim)
            except Exception as problem:  # noqa: BLE001 - the job's own errors are noted by its attempt: this is Ray's
                why = words_of(problem)
            else:
                why = ""
                self._idle.append(node)
            finally:
                del self._busy[owner]
        self._tell(Report(what="ended", owner=owner, why=why))

    async def close(self) -> None:
        """Park what is under way, and close the services of every process."""
        for node in self._busy.values():
            node.park.remote()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PARK_S)
        closing = [asyncio.ensure_future(asyncio.wait_for(node.close.remote(), _PARK_S)) for node in self._idle]
        if closing:
            await asyncio.wait(closing)


def words_of(problem: Exception) -> str:
    """Return the first line of what Ray says and, of a trace, the last, which names what went wrong; without colours."""
    lines = _COLOUR.sub("", str(problem)).strip().splitlines() or [type(problem).__name__]
    return " … ".join(line.strip()[:400] for line in dict.fromkeys((lines[0], lines[-1])))


async def serve(ray: Any, setup: RaySetup, tell: Tell) -> None:
    """Take orders from the standard input until it ends; park then what is under way."""
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    bridge = Bridge(ray, setup, tell)
    tell(Report(what="up"))
    # A line without its end is what a worker wrote as it died.
    while (line := await reader.readline()).endswith(b"\n"):
        bridge.take(msgspec.json.decode(line, type=Order))
    await bridge.close()


def _teller(output: BinaryIO) -> Tell:
    def tell(report: Report) -> None:
        # The worker may be gone; what is left to do is done all the same.
        with contextlib.suppress(OSError):
            output.write(msgspec.json.encode(report) + b"\n")
            output.flush()

    return tell


def main() -> None:
    """Read the setup, join the cluster, and take orders until the input ends."""
    # Unbuffered: what follows the first line is the event loop's to read.
    setup = msgspec.json.decode(_line(0), type=RaySetup)
    output = os.fdopen(os.dup(1), "wb")
    # What Ray prints is for the log, not for the worker.
    os.dup2(2, 1)
    tell = _teller(output)
    try:
        ray = connect(setup)
    except Exception as problem:  # noqa: BLE001 - Ray raises all kinds of errors when its cluster is away
        tell(Report(what="away", why=words_of(problem)))
        return
    # Who stops a whole group of processes means the worker: that parks its jobs first, and closes our input then.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        asyncio.run(serve(ray, setup, tell))
    finally:
        ray.shutdown()


def _line(file: int) -> bytes:
    read = bytearray()
    while not read.endswith(b"\n") and (byte := os.read(file, 1)):
        read += byte
    return bytes(read)


if __name__ == "__main__":
    main()
