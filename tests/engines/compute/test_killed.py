"""Durable means: a worker is killed in mid-job again and again, and the job is finished with every step done once."""

import asyncio
import multiprocessing
import random
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.engines.compute import killable
from tests.engines.compute.conftest import until

from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.store import job_steps
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context

KILLS, SEED = 8, 11
Start = Callable[[], ForkServerProcess]


@pytest.fixture
def start(catalog_address: str, tmp_path: Path) -> Iterator[Start]:
    """Start worker processes, one after the other; none is left behind."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tests.engines.compute.killable"])
    started: list[ForkServerProcess] = []

    def one() -> ForkServerProcess:
        process = forks.Process(target=killable.main, args=(catalog_address, tmp_path / "log"), daemon=True)
        process.start()
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.join(10)


def lines(journal: Path) -> list[list[str]]:
    return [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []


def allow(permit: Path, steps: int) -> None:
    """Let the job go on to so many steps; the file is replaced, so that its reader never sees half of it."""
    fresh = permit.with_suffix(".new")
    fresh.write_text(str(steps))
    fresh.replace(permit)


async def recorded(catalog: Catalog) -> dict[str, str]:
    async with catalog.read() as tx:
        return {row.step: row.result for row in await tx.execute(sa.select(job_steps))}


async def test_a_job_outlives_the_death_of_eight_workers(
    catalog: Catalog, ctx: Context, tmp_path: Path, start: Start
) -> None:
    """Killed at chance moments, it ends with the words of its recorded steps; no recorded step was done again."""
    chance, journal, permit = random.Random(SEED), tmp_path / "journal", tmp_path / "permit"
    queue = Jobs(catalog, SystemClock())
    payload = killable.Journal(path=str(journal), permit=str(permit))
    made = await queue.enqueue(ctx, "killable.count", payload)
    kept: dict[str, str] = {}
    for _ in range(KILLS):
        written = len(lines(journal))
        more = chance.randint(1, 4)
        goal = written + more
        # However slow this machine is to look, the job does not end before its eighth worker does.
        allow(permit, len(kept) + more + 2)
        process = start()

        async def far_enough(goal: int = goal) -> bool:
            return len(lines(journal)) >= goal

        await until(far_enough, (tmp_path / "log").read_text() if (tmp_path / "log").exists() else "no worker")
        # Somewhere in the next step: while it draws, while it is recorded, while the progress is told.
        await asyncio.sleep(chance.random() * 0.01)
        process.kill()
        process.join(10)
        repeated = {f"step {number}" for number, _ in lines(journal)[written:]} & set(kept)
        assert repeated == set()
        now = await recorded(catalog)
        assert kept.items() <= now.items()
        kept = now
        assert (await queue.get(ctx, made.id)).status == "running"
    written = len(lines(journal))
    allow(permit, killable.STEPS)
    last = start()

    async def over() -> bool:
        return (await queue.get(ctx, made.id)).status != "running" and len(lines(journal)) > written

    await until(over, "nobody finishes the job")
    done = await queue.get(ctx, made.id)
    last.terminate()
    last.join(10)

    assert last.exitcode == 0
    assert (done.status, done.error, done.attempt) == ("succeeded", None, KILLS + 1)
    steps = await recorded(catalog)
    assert done.result == [steps[f"step {number}"] for number in range(killable.STEPS)]
    assert {f"step {number}" for number, _ in lines(journal)[written:]} & set(kept) == set()
    # A step that was cut off before it was recorded is drawn anew; that is at most one for each death.
    assert killable.STEPS <= len(lines(journal)) <= killable.STEPS + KILLS
    assert (done.done, done.total) == (killable.STEPS, killable.STEPS)


async def test_a_job_that_kills_its_worker_is_given_up(
    catalog: Catalog, ctx: Context, tmp_path: Path, start: Start
) -> None:
    """After three attempts it fails with words that name the cause; the fourth worker lives and does the rest."""
    journal = tmp_path / "journal"
    queue = Jobs(catalog, SystemClock())
    made = await queue.enqueue(ctx, "killable.poison", killable.Journal(path=str(journal)))
    behind = await queue.enqueue(ctx, "killable.count", killable.Journal(path=str(tmp_path / "other")))
    await queue.cancel(ctx, behind.id)
    for _ in range(3):
        process = start()
        await asyncio.to_thread(process.join, 20)
        assert process.exitcode == -9
    survivor = start()

    async def given_up() -> bool:
        return (await queue.get(ctx, made.id)).status == "failed"

    await until(given_up, "it is not given up")
    done = await queue.get(ctx, made.id)
    assert lines(journal) == [["attempt", "1"], ["attempt", "2"], ["attempt", "3"]]
    assert done.error is not None
    assert (done.error.code, done.attempt) == ("worker_died", 3)
    await queue.retry(ctx, behind.id)

    async def finished() -> bool:
        return (await queue.get(ctx, behind.id)).status == "succeeded"

    await until(finished, "the worker does not go on")
    survivor.terminate()
    survivor.join(10)
    assert survivor.exitcode == 0


async def test_sigterm_parks_and_the_next_worker_goes_on(
    catalog: Catalog, ctx: Context, tmp_path: Path, start: Start
) -> None:
    """Stopped as a service is, the worker ends well and the job has lost neither a step nor an attempt."""
    journal = tmp_path / "journal"
    queue = Jobs(catalog, SystemClock())
    made = await queue.enqueue(ctx, "killable.count", killable.Journal(path=str(journal)))
    first = start()

    async def begun() -> bool:
        return len(lines(journal)) >= 3

    await until(begun, "it does not begin")
    first.terminate()
    await asyncio.to_thread(first.join, 20)
    parked = await queue.get(ctx, made.id)
    assert (first.exitcode, parked.status) == (0, "parked")
    kept = await recorded(catalog)
    start()

    async def finished() -> bool:
        return (await queue.get(ctx, made.id)).status == "succeeded"

    await until(finished, "the job does not go on")
    done = await queue.get(ctx, made.id)
    assert done.attempt == 1
    assert kept.items() <= (await recorded(catalog)).items()
    assert len(kept) >= 2
