"""What processes of a Ray cluster open and do in tests: a catalog, and jobs that note who did what."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

import gimbal.engines.compute.worker as worker_module
from gimbal.engines.compute.jobs import JobContext, Jobs, job
from gimbal.engines.compute.ray_executor import RayExecutor
from gimbal.engines.compute.ray_wire import RaySetup
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Services
from gimbal.kernel.errors import ConfigurationError, Unprocessable
from gimbal.kernel.ids import new_id

LEASE_S = 5.0
STEPS = 6
_PATIENCE_S = 60


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a job is to do, and where it notes what it did."""

    journal: str
    do: str = "steps"
    permit: str = ""
    """File with how many steps may be done; without it, all."""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stores are."""

    catalog: str
    journal: str
    """Where it notes that it was opened."""
    closed: str = ""
    """File that keeps it from being opened as long as it is there."""


def note(journal: str, line: str) -> None:
    """Append a line, so that a reader sees all of it or nothing."""
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


@contextlib.asynccontextmanager
async def opened(given: str) -> AsyncIterator[Services]:
    """Open a catalog as a worker does, and note by which process."""
    where = msgspec.json.decode(given, type=Open)
    if where.closed and Path(where.closed).exists():
        raise ConfigurationError("The catalog is closed.", todo="Open it.")
    note(where.journal, f"opened {os.getpid()}")
    catalog, clock, services = Catalog.open(where.catalog), SystemClock(), Services()
    services.register(Clock, clock)
    services.register(Catalog, catalog)
    services.register(Jobs, Jobs(catalog, clock))
    try:
        yield services
    finally:
        await catalog.close()
        note(where.journal, f"closed {os.getpid()}")


@contextlib.contextmanager
def alone(path: str) -> Iterator[bool]:
    """Hold a lock that ends with the process; tell whether it was to be had."""
    with Path(path).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@job("rayable.do", retries=4, retry_delay_s=0.05)
async def do(jc: JobContext, payload: Told) -> Any:
    """Do what is asked; say so when another attempt does it at the same time."""
    with alone(f"{payload.journal}.{jc.job_id}") as is_alone:
        if not is_alone:
            note(payload.journal, f"twice {os.getpid()}")
        note(payload.journal, f"began {os.getpid()}")
        if payload.do == "refuse":
            raise Unprocessable("The suite has no examples.", where="suite", todo="Add some.")
        if payload.do == "fail":
            message = "no luck"
            raise ArithmeticError(message)
        return [await _step(jc, payload, number) for number in range(STEPS)]


async def _step(jc: JobContext, payload: Told, number: int) -> str:
    async def draw() -> str:
        async with asyncio.timeout(_PATIENCE_S):
            while payload.permit and int(Path(payload.permit).read_text()) <= number:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        word = new_id()
        note(payload.journal, f"step {number} {word}")
        return word

    word = await jc.step(f"step {number}", draw)
    await jc.progress(number + 1, STEPS, f"{number + 1} drawn")
    return word


def setup(catalog: str, journal: Path, address: str, *, closed: str = "") -> RaySetup:
    """Return what a worker says to the cluster at an address."""
    given = msgspec.json.encode(Open(catalog=catalog, journal=str(journal), closed=closed)).decode()
    return RaySetup(address=address, resources={"CPU": 1}, assembly="tests.engines.compute.rayable:opened", given=given)


async def _work(catalog: str, journal: Path, address: str) -> None:
    async with opened(setup(catalog, journal, address).given) as services:
        executor = RayExecutor(setup(catalog, journal, address))
        await Worker(services, name="killed", executor=executor).run(asyncio.Event())


def main(catalog: str, journal: Path, address: str) -> None:
    """Be a worker whose jobs are done on Ray, until the end."""
    worker_module._LEASE_S = LEASE_S
    worker_module._POLL_S = 0.05
    asyncio.run(_work(catalog, journal, address))
