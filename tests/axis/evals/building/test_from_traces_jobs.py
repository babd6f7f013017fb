"""Suites from traces as jobs: begun at once or refused at once, stored once whatever dies, watched, stopped, and bounded."""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.axis.evals.building.conftest import Build, Steps, asked, begun, carried, judge, keep, trace_id
from tests.axis.evals.working import ended, somebody, working

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.building.model import MOST_PARTS, MOST_SAMPLED, BuiltSuite
from gimbal.axis.evals.model import AddExamples, CreateSuite, Example
from gimbal.axis.evals.suites import Suites
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.errors import BadInput, Forbidden, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref

SUITE = Ref("suite", "help/real")


class Dying(Suites):
    """Suites of a process that dies while it stores one, for the first time: before it is there, or just after."""

    def __init__(self, here: Context, *, stored: bool) -> None:
        super().__init__(here.get(Assets), here.get(Blobs))
        self._stored = stored
        self.died = 0

    async def _store(self, *given: Any, **named: Any) -> Version:
        if self.died:
            return await super()._store(*given, **named)
        self.died += 1
        if self._stored:
            await super()._store(*given, **named)
        raise RuntimeError


async def versions(here: Context) -> list[Version]:
    return (await here.get(Assets).versions(here, "suite", SUITE.name)).items


async def test_a_worker_carries_it_out(build: Build, here: Context, services: Services) -> None:
    """Its result is what came of it, as the catalog keeps it; the suite is there."""
    await keep(here, *(asked(n, answer="yes") for n in range(1, 5)))

    async with working(services):
        draw = await begun(here, most=3)
        job = await ended(here, draw.job_id)

    assert (job.status, job.done, job.total, job.message) == ("succeeded", 3, 3, "examples of 3 traces"), job.error
    built = msgspec.convert(job.result, BuiltSuite)
    assert (draw.newest, str(built.ref), built.examples, built.looked_at) == (None, "suite:help/real@v1", 3, 4)
    assert built.samples == await here.get(Suites).examples((await versions(here))[0])


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("stored", [False, True])
async def test_a_crash_makes_no_second_version(build: Build, here: Context, *, stored: bool, add: bool) -> None:
    """Before or after the suite was stored; traces and scores that came meanwhile do not change what was drawn."""
    await keep(here, asked(1), asked(2))
    if add:
        await here.get(Suites).create(
            here, CreateSuite(name=SUITE.name, examples=[Example(id="mine", input={"q": 1})], scorers=["exact_match"])
        )
    before = len(await versions(here)) if add else 0
    draw = await begun(here, add=add, scorers=[] if add else ["exact_match"])
    steps = Steps()
    dying = Dying(here, stored=stored)
    here.services.register(Suites, dying)
    with pytest.raises(RuntimeError):
        await carried(here, draw, steps)
    await keep(here, asked(3))
    await judge(here, 1, "thumbs", value=1, metadata={"correction": "Better."})

    built = await carried(here, draw, steps)

    made = await versions(here)
    assert (dying.died, len(made), built.ref) == (1, before + 1, made[0].ref)
    ids = {one.id for one in await here.get(Suites).examples(made[0])}
    assert ids == {trace_id(1), trace_id(2)} | ({"mine"} if add else set())
    assert (built.examples, built.looked_at, built.expected, len(built.samples)) == (2, 2, 0, 2)


async def test_what_others_added_meanwhile_stays_beside_it(build: Build, here: Context) -> None:
    """The version that is told is the one with the examples, though another one came after it before the retry."""
    await keep(here, asked(1), asked(2))
    await build(most=1)
    draw = await begun(here, add=True, scorers=[])
    steps = Steps()
    here.services.register(Suites, Dying(here, stored=True))
    with pytest.raises(RuntimeError):
        await carried(here, draw, steps)
    other = AddExamples(examples=[Example(id="mine", input={"q": 1})])
    await here.get(Suites).add(here, SUITE, other)

    built = await carried(here, draw, steps)

    assert str(built.ref) == "suite:help/real@v2"
    assert [one.manifest["examples"] for one in await versions(here)] == [3, 2, 1]


async def test_a_worker_that_fails_after_it_stored_does_not_store_again(
    build: Build, here: Context, services: Services
) -> None:
    await keep(here, asked(1))
    services.register(Suites, Dying(here, stored=True))

    async with working(services):
        draw = await begun(here)
        job = await ended(here, draw.job_id)

    assert (job.status, job.attempt, job.result["ref"]["number"]) == ("succeeded", 2, 1), job.error
    assert len(await versions(here)) == 1


async def test_what_cannot_be_meant_is_told_at_once(build: Build, here: Context) -> None:
    """What only the traces can tell fails in the job, with what is to do."""
    for said in ({"name": "A b"}, {"scorers": []}, {"by": "colour"}, {"keep": ["secret"]}, {"good": ["thumbs:<x"]}):
        with pytest.raises(BadInput):
            await begun(here, **said)
    with pytest.raises(NotFound):
        await begun(here, add=True, scorers=[])
    assert (await here.get(Jobs).page(here)).items == []


async def test_a_job_without_examples_fails_with_the_reasons(build: Build, here: Context, services: Services) -> None:
    await keep(here, asked(1, ""))

    async with working(services):
        job = await ended(here, (await begun(here)).job_id)

    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error.message == "No example came of 1 traces: 1 no_input."
    assert "dry_run" in job.error.todo


class Hanging(Blobs):
    """Blobs that take nothing until the end."""

    async def put(self, *given: Any, **named: Any) -> Any:
        await asyncio.Event().wait()


async def test_a_draw_stops_and_stores_nothing(build: Build, here: Context, services: Services, blobs: Blobs) -> None:
    """Stopped while it draws; tried again, it draws anew."""
    await keep(here, asked(1))
    hanging = Hanging.__new__(Hanging)
    services.register(Blobs, hanging)

    async with working(services):
        draw = await begun(here)
        assert (await ended(here, draw.job_id, begun=True)).status == "running"
        given = {"project": here.project, "id": draw.job_id}
        await invoke(find("jobs.cancel"), here, given)
        job = await ended(here, draw.job_id)
        assert (await here.get(Assets).page(here, kind="suite")).items == []
        services.register(Blobs, blobs)
        await invoke(find("jobs.retry"), here, given)
        again = await ended(here, draw.job_id)

    assert (job.status, job.result, again.status) == ("cancelled", None, "succeeded")
    assert len(await versions(here)) == 1


async def test_a_draw_tells_how_far_it_is(build: Build, here: Context) -> None:
    await keep(here, asked(1), asked(2, ""))
    steps = Steps()

    await carried(here, await begun(here), steps)

    assert steps.told[0] == (0, 0, "2 traces looked at")
    assert steps.told[-1] == (1, 1, "examples of 2 traces")


async def test_who_may_not_see_the_project_does_not_see_the_samples(build: Build, here: Context) -> None:
    draw = await begun(here)
    given = {"project": here.project, "id": draw.job_id}

    assert (await invoke(find("jobs.show"), somebody(here, **{str(here.project): Role.VIEWER}), given)).name
    with pytest.raises(Forbidden):
        await invoke(find("jobs.show"), somebody(here, default=Role.ADMIN), given)
    with pytest.raises(Forbidden):
        await begun(somebody(here, **{str(here.project): Role.VIEWER}))
    (record,) = [
        one for one in (await here.get(AuditLog).page(here.project, action="suites.from_traces")).items
        if one.outcome == "done"
    ]  # fmt: skip
    assert record.details == {"suite": "help/real"}


async def test_the_report_is_no_longer_than_a_job_can_keep(build: Build, here: Context) -> None:
    """Long examples are not all shown, and of very many parts those of the most traces are listed."""
    count = MOST_PARTS + 20
    rows = [asked(n, {"question": f"{n} {n * 7} {n * 31}"}, feature=f"f{n:04}") for n in range(1, count)]
    twice = [asked(count + n, {"question": f"again {count + n} {n * 13}"}, feature=f"f{n:04}") for n in range(900, 903)]
    await keep(here, *rows, *(msgspec.structs.replace(one, feature="f0519") for one in twice))
    parted = await build(dry_run=True, most=10, by="feature")

    long = [asked(n, {"question": f"{n} " + f"{n}" * 60_000}, feature="long") for n in range(1000, 1003)]
    await keep(here, *long)
    shown = await build(dry_run=True, feature="long", near=1.0)

    assert (len(parted.parts), parted.more_parts) == (MOST_PARTS, count - 1 - MOST_PARTS)
    assert parted.parts[-1].name == "f0519"
    assert (shown.examples, len(shown.samples)) == (3, MOST_SAMPLED // 240_000)
    assert len(msgspec.json.encode(shown)) < MOST_SAMPLED + 10_000
