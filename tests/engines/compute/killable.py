"""A worker process of its own, for tests that kill it; it notes in a journal what its jobs really did."""

import asyncio
import logging
import os
import signal
from pathlib import Path

import msgspec

import gimbal.engines.compute.worker as worker_module
from gimbal.engines.compute.jobs import JobContext, Jobs, job
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Services
from gimbal.kernel.ids import new_id

STEPS = 60


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job notes what it did."""

    path: str
    permit: str = ""
    """File with how many steps may be done; without it, as many as there are."""


def note(payload: Journal, line: str) -> None:
    """Append a line, so that a reader sees all of it or nothing."""
    file = os.open(payload.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


@job("killable.count", retries=50)
async def count(jc: JobContext, payload: Journal) -> list[str]:
    """Draw a word in each of many steps; no two draws are alike, so the result tells which draws counted."""
    words: list[str] = []
    for number in range(STEPS):

        async def draw(number: int = number) -> str:
            while payload.permit and int(Path(payload.permit).read_text()) <= number:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.001)
            word = new_id()
            note(payload, f"{number} {word}")
            return word

        words.append(await jc.step(f"step {number}", draw))
        await jc.progress(number + 1, STEPS)
    return words


@job("killable.poison", retries=2)
async def poison(jc: JobContext, payload: Journal) -> None:
    """Take the worker down, as a job that needs more memory than there is does."""
    note(payload, f"attempt {jc.attempt}")
    os.kill(os.getpid(), signal.SIGKILL)


async def _work(url: str) -> None:
    catalog, clock = Catalog.open(url), SystemClock()
    services = Services()
    services.register(Clock, clock)
    services.register(Catalog, catalog)
    services.register(Jobs, Jobs(catalog, clock))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Worker(services, name="embedded", grace_s=0).run(stop)
    await catalog.close()


def main(url: str, log: Path) -> None:
    """Work until SIGTERM comes, or the end does."""
    logging.basicConfig(filename=log)
    worker_module._POLL_S = 0.02
    asyncio.run(_work(url))
