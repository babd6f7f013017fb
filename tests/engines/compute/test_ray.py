"""Jobs on a true Ray cluster of this machine: done as they are here, whoever is killed in their middle, never by two.

To join a cluster takes seconds: one worker's side serves all tests that do not end it, over one catalog that is emptied.
"""

import asyncio
import importlib.util
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
import sqlalchemy as sa
from tests.engines.compute import rayable
from tests.engines.compute.conftest import Crew
from tests.engines.compute.rayable import LEASE_S, STEPS, Told

import gimbal.engines.compute.ray_executor as executor_module
import gimbal.engines.compute.worker as worker_module
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import Job
from gimbal.engines.compute.ray_executor import RayExecutor
from gimbal.engines.compute.ray_wire import RaySetup
from gimbal.engines.compute.store import job_steps
from gimbal.engines.compute.store import jobs as rows
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import ConfigurationError, MissingExtra

pytestmark = pytest.mark.slow
ON_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
"""What the shared executor waits for is the loop's that it was made on."""
ROOT = Path(__file__).resolve().parents[3]
HEAD = """
import sys, time, ray
ray.init(num_cpus=3, object_store_memory=80_000_000, include_dashboard=False, logging_level="ERROR")
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
DEADLINE_S = 60
RAY = {
    # On loopback only, behind a token of its own, and nothing is told to anybody.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "PYTHONPATH": str(ROOT),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a cluster of three cores, which our processes join as they would another's; give its address."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY.items():
            patch.setenv(name, value)
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )  # fmt: skip
        assert head.stdout is not None
        assert head.stdin is not None
        yield head.stdout.readline().strip()
        head.stdin.close()
        head.wait(30)


@pytest.fixture
def clock() -> SystemClock:
    """Give the clock that the cluster's processes have, too."""
    return SystemClock()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Give the file where jobs note what they did."""
    return tmp_path / "journal"


@pytest.fixture(scope="module")
def catalog_address(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the address of a catalog that processes of the cluster keep open from test to test."""
    path = tmp_path_factory.mktemp("ray") / "catalog.sqlite"
    shutil.copy(sqlite_template, path)
    return sqlite_url(path)


@pytest_asyncio.fixture(loop_scope="module")
async def catalog(catalog_address: str) -> AsyncIterator[Catalog]:
    """Open that catalog; what an earlier test left there is gone."""
    store = Catalog.open(catalog_address)
    async with store.write() as tx:
        await tx.execute(sa.delete(job_steps))
        await tx.execute(sa.delete(rows))
    yield store
    await store.close()


@pytest_asyncio.fixture(loop_scope="module")
async def crew(services: Services, queue: Jobs, ctx: Context) -> AsyncIterator[Crew]:
    """Give workers; those that still run after the test are stopped."""
    found = Crew(services, queue, ctx)
    yield found
    await found.stop_all()


@pytest.fixture(scope="module")
def openings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file where processes of the cluster note that they opened and closed their services."""
    return tmp_path_factory.mktemp("ray") / "openings"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(cluster: str, catalog_address: str, openings: Path) -> AsyncIterator[RayExecutor]:
    """Give the shared executor on the cluster, for one job at a time."""
    found = RayExecutor(rayable.setup(catalog_address, openings, cluster))
    yield found
    await found.close()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LEASE_S", LEASE_S)


def lines(journal: Path, first: str) -> list[list[str]]:
    """Return what was noted under a word."""
    noted = journal.read_text().splitlines() if journal.exists() else []
    return [line.split()[1:] for line in noted if line.startswith(f"{first} ")]


def allow(permit: Path, steps: int) -> Path:
    """Let a job go on to so many steps."""
    fresh = permit.with_suffix(".new")
    fresh.write_text(str(steps))
    return fresh.replace(permit)


async def until(crew: Crew, job: Job, what: str) -> Job:
    """Return a job once an expression over `job` holds."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not eval(what, {"job": await crew.state(job)}):  # noqa: ASYNC110 - a database has no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not {what}: {await crew.state(job)}")
    return await crew.state(job)


async def drawn(catalog: Catalog) -> dict[str, str]:
    async with catalog.read() as tx:
        return {row.step: row.result for row in await tx.execute(sa.select(job_steps).order_by(job_steps.c.step))}


@ON_ONE_LOOP
async def test_jobs_are_done_as_here_by_one_process_after_another_job(
    crew: Crew, queue: Jobs, ctx: Context, catalog: Catalog, executor: RayExecutor, journal: Path, openings: Path
) -> None:
    """Results, checkpoints, progress, refusals, repeated failures: as from a worker. The services are opened once."""
    told = Told(journal=str(journal))
    first = await queue.enqueue(ctx, "rayable.do", told)
    crew.start(executor=executor, concurrency=1)
    done = await until(crew, first, "job.finished_at")
    assert (done.status, done.error, done.attempt) == ("succeeded", None, 1)
    assert (done.done, done.total, done.message) == (STEPS, STEPS, f"{STEPS} drawn")
    assert done.result == list((await drawn(catalog)).values())

    refused = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal), do="refuse"))
    failing = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal), do="fail"))
    odd = await queue.enqueue(ctx, "rayable.do", {"journal": 7})
    no = await until(crew, refused, "job.finished_at")
    assert (no.status, no.attempt, no.error and no.error.code) == ("failed", 1, "unprocessable")
    assert no.error is not None
    assert (no.error.message, no.error.todo) == ("The suite has no examples.", "Add some.")
    tried = await until(crew, failing, "job.finished_at")
    assert (tried.status, tried.attempt, tried.error and tried.error.code) == ("failed", 5, "ArithmeticError")
    assert (await until(crew, odd, "job.finished_at")).status == "failed"

    (by,) = {pid for (pid,) in lines(journal, "began")}
    assert lines(openings, "opened").count([by]) == 1
    assert by != str(os.getpid())


@ON_ONE_LOOP
async def test_a_job_is_cancelled_and_tried_again(
    crew: Crew, queue: Jobs, ctx: Context, catalog: Catalog, executor: RayExecutor, journal: Path, tmp_path: Path
) -> None:
    """It stops in its middle; tried again it goes on from its last checkpoint, in the same process."""
    permit = allow(tmp_path / "permit", 2)
    made = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal), permit=str(permit)))
    crew.start(executor=executor, concurrency=1)
    await until(crew, made, "job.done == 2")
    await queue.cancel(ctx, made.id)
    assert (await until(crew, made, "job.finished_at")).status == "cancelled"
    kept = await drawn(catalog)
    allow(permit, STEPS)
    await queue.retry(ctx, made.id)

    done = await until(crew, made, "job.finished_at")
    assert (done.status, list(done.result)[:2]) == ("succeeded", list(kept.values()))
    assert len(lines(journal, "step")) == STEPS
    assert len({pid for (pid,) in lines(journal, "began")}) == 1


@ON_ONE_LOOP
async def test_a_killed_process_of_the_cluster_costs_an_attempt(
    crew: Crew, queue: Jobs, ctx: Context, catalog: Catalog, executor: RayExecutor, journal: Path, tmp_path: Path
) -> None:
    """Once its lease has run out, another process goes on from the last checkpoint; nobody works beside anybody."""
    permit = allow(tmp_path / "permit", 3)
    made = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal), permit=str(permit)))
    crew.start(executor=executor, concurrency=1)
    await until(crew, made, "job.done == 3")
    kept = await drawn(catalog)
    os.kill(int(lines(journal, "began")[0][0]), signal.SIGKILL)
    allow(permit, STEPS)

    done = await until(crew, made, "job.finished_at")
    assert (done.status, done.attempt) == ("succeeded", 2)
    assert kept.items() <= (await drawn(catalog)).items()
    assert len({pid for (pid,) in lines(journal, "began")}) == 2
    assert (lines(journal, "twice"), len(lines(journal, "step"))) == ([], STEPS)


@ON_ONE_LOOP
async def test_a_stopping_worker_parks(
    crew: Crew, queue: Jobs, ctx: Context, executor: RayExecutor, journal: Path, tmp_path: Path
) -> None:
    """As jobs of its own process; the next one goes on, and no attempt is lost."""
    permit = allow(tmp_path / "permit", 1)
    made = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal), permit=str(permit)))
    crew.start(executor=executor, concurrency=1)
    await until(crew, made, "job.done == 1")
    await crew.stop()
    parked = await crew.state(made)
    assert (parked.status, parked.message) == ("parked", "parked at shutdown")
    allow(permit, STEPS)
    crew.start("another", executor=executor, concurrency=1)

    done = await until(crew, made, "job.finished_at")
    assert (done.status, done.attempt, lines(journal, "twice")) == ("succeeded", 1, [])


@ON_ONE_LOOP
@pytest.mark.parametrize(("way", "attempt"), [("alone", 1), ("both", 2), ("unseen", 1)])
async def test_a_killed_worker_leaves_no_job_to_two(
    crew: Crew, queue: Jobs, ctx: Context, catalog: Catalog, catalog_address: str, cluster: str, executor: RayExecutor,
    journal: Path, openings: Path, tmp_path: Path, way: str, attempt: int,
) -> None:  # fmt: skip
    """What speaks to Ray for it parks the job; killed too, the cluster ends the work; where nobody sees it, the work goes on."""
    permit = allow(tmp_path / "permit", 3)
    made = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal), permit=str(permit)))
    forks = multiprocessing.get_context("spawn")
    killed = forks.Process(target=rayable.main, args=(catalog_address, openings, cluster), daemon=True)
    killed.start()
    await until(crew, made, "job.done == 3")
    kept = await drawn(catalog)
    (bridge,) = psutil.Process(killed.pid).children()
    async with asyncio.timeout(DEADLINE_S):
        while not await executor.ready():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    node = psutil.Process(int(lines(journal, "began")[0][0]))
    if way == "both":
        bridge.kill()
    elif way == "unseen":
        bridge.suspend()
    psutil.Process(killed.pid).kill()
    killed.join(10)
    if way == "both":
        await asyncio.to_thread(node.wait, DEADLINE_S)
    # The next one has the dead one's name and could begin at once; it must not take a job back before it is let go.
    crew.start("killed", executor=executor, concurrency=1)
    if way == "unseen":
        await renewed(catalog, made)
        behind = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal), do="refuse"))
        await until(crew, behind, "job.finished_at")
    else:
        # What is let go may end a step that is allowed meanwhile, and nobody would keep its result.
        async with asyncio.timeout(DEADLINE_S):
            while len(lines(journal, "began")) < 2:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
    allow(permit, STEPS)
    done = await until(crew, made, "job.finished_at")
    if way == "unseen":
        bridge.kill()

    assert (done.status, done.attempt) == ("succeeded", attempt)
    assert kept.items() <= (await drawn(catalog)).items()
    assert (lines(journal, "twice"), len(lines(journal, "step"))) == ([], STEPS)


async def renewed(catalog: Catalog, job: Job) -> None:
    """Wait until a lease is renewed for the second time from now."""
    query, seen = sa.select(rows.c.lease_until).where(rows.c.id == job.id), set()
    async with asyncio.timeout(DEADLINE_S):
        while len(seen) < 3:
            async with catalog.read() as tx:
                seen.add((await tx.execute(query)).scalar())
            await asyncio.sleep(0.05)


@ON_ONE_LOOP
async def test_jobs_wait_for_a_cluster_that_is_away(
    crew: Crew, queue: Jobs, ctx: Context, catalog_address: str, executor: RayExecutor, journal: Path, openings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """They say why, keep their attempts, can be cancelled, and begin when it is there."""
    monkeypatch.setattr(executor_module, "_AWAY_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    made = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal)))
    other = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal)))
    away = RayExecutor(rayable.setup(catalog_address, openings, nobody))
    crew.start(executor=away, concurrency=1)
    for row in (made, other):
        waiting = await until(crew, row, "job.status == 'parked'")
        assert waiting.message.startswith(f"waits: The Ray cluster at {nobody} takes no job: ")
        assert "refused" in waiting.message
    assert (await queue.cancel(ctx, other.id)).status == "cancelled"
    await crew.stop_all()
    await away.close()

    crew.start(executor=executor, concurrency=1)
    done = await until(crew, made, "job.finished_at")
    assert (done.status, done.attempt) == ("succeeded", 1)
    assert (await crew.state(other)).status == "cancelled"


@ON_ONE_LOOP
async def test_what_keeps_a_process_from_its_services_is_said(
    crew: Crew, queue: Jobs, ctx: Context, catalog_address: str, cluster: str, journal: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Where the cluster does not reach the stores, jobs wait and say so; they begin when it does. Who leaves closes them."""
    monkeypatch.setattr(executor_module, "_AWAY_S", 0.2)
    closed, openings = tmp_path / "closed", tmp_path / "openings"
    closed.touch()
    made = await queue.enqueue(ctx, "rayable.do", Told(journal=str(journal)))
    blind = RayExecutor(rayable.setup(catalog_address, openings, cluster, closed=str(closed)))
    crew.start(executor=blind, concurrency=1)
    waiting = await until(crew, made, "job.status == 'parked'")
    assert "The catalog is closed. To do: Open it." in waiting.message
    closed.unlink()
    done = await until(crew, made, "job.finished_at")
    await crew.stop_all()
    await blind.close()

    assert (done.status, done.attempt) == ("succeeded", 1)
    assert lines(openings, "closed") == lines(openings, "opened")
    assert len(lines(openings, "opened")) == 1


@ON_ONE_LOOP
async def test_an_idle_worker_starts_no_ray(crew: Crew, catalog_address: str, openings: Path) -> None:
    """Not before a job is due."""
    idle = RayExecutor(rayable.setup(catalog_address, openings, ""))
    crew.start(executor=idle)
    await asyncio.sleep(0.3)

    assert idle._process is None


async def test_without_ray_or_with_stores_out_of_reach_jobs_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra, or the settings."""
    far = RayExecutor(RaySetup(address="ray://far:10001", resources={}, here=True, assembly="a:b"))
    with pytest.raises(ConfigurationError, match=r"data folder.*worker\.ray_address.*catalog\.url"):
        await far.ready()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"gimbal-ops\[ray\]"):
        await far.ready()


def test_a_worker_that_uses_no_ray_does_not_import_it() -> None:
    code = "import sys, gimbal.faces.server.process; sys.exit('ray' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
