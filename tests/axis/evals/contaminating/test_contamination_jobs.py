"""Contamination checks as jobs: begun at once or refused at once, watched, stopped, and kept within bounds."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.axis.evals.contaminating.conftest import begun, carried, checked
from tests.axis.evals.working import ended, somebody, working
from tests.axis.evaluating import store_suite

from gimbal.axis.assets.model import FileEntry
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.contaminating.model import MOST_LISTED, MOST_NAMED, ContaminationReport
from gimbal.axis.evals.contaminating.reading import READERS, Passage
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.errors import BadInput, Forbidden, NotFound
from gimbal.kernel.operations import find, invoke

OWN = "Which of the two machines in the cellar needs new oil before the winter comes?"
OTHER = "How many ships lie in the bay behind the hill when the storm comes up?"
SLOW = "application/x-slow"


def asked(*questions: str) -> list[Example]:
    return [Example(id=f"q{at}", input={"question": text}) for at, text in enumerate(questions)]


async def test_a_worker_carries_it_out(evaluations: Evaluations, ctx: Context, services: Services) -> None:
    """It says how far it is; its result is the report, as the catalog keeps it."""
    await store_suite(ctx, asked(OWN, OTHER))
    await store_suite(ctx, asked(OWN.upper()), name="other/suite")

    async with working(services):
        check = await begun(ctx)
        job = await ended(ctx, check.job_id)

    assert (job.status, job.done, job.total, job.message) == ("succeeded", 1, 1, "versions, 1 texts compared"), (
        job.error
    )
    assert (str(check.suite), check.examples, check.against) == ("suite:help/questions@v1", 2, [])
    report = msgspec.convert(job.result, ContaminationReport)
    assert [(one.example_id, one.kind, str(one.ref)) for one in report.findings] == [
        ("q0", "exact", "suite:other/suite@v1")
    ]
    assert report == await checked(ctx)


async def test_what_was_meant_at_the_beginning_is_compared(evaluations: Evaluations, ctx: Context) -> None:
    await store_suite(ctx, asked(OWN))
    await store_suite(ctx, asked(OWN), name="other")

    check = await begun(ctx, against=["suite:other", "suite:other@v1", "suite:help/questions"])
    await store_suite(ctx, asked(OTHER))
    await store_suite(ctx, asked(OTHER), name="other")
    report = await carried(ctx, check)

    assert [str(one) for one in check.against] == ["suite:other@v1", "suite:help/questions@v1"]
    assert (str(report.suite), report.compared, str(report.against[0].ref)) == (
        "suite:help/questions@v1",
        1,
        "suite:other@v1",
    )
    assert report.found == 1


async def test_what_cannot_be_checked_is_told_at_once(evaluations: Evaluations, ctx: Context) -> None:
    await store_suite(ctx, asked(OWN))
    await ctx.get(Assets).add_version(ctx, kind="answerer", name="some/thing", manifest={"a": 1})

    with pytest.raises(BadInput, match="is not a suite"):
        await begun(ctx, "answerer:some/thing")
    with pytest.raises(BadInput, match="does not say its kind"):
        await begun(ctx, against=["help"])
    with pytest.raises(NotFound):
        await begun(ctx, "suite:absent")
    with pytest.raises(NotFound):
        await begun(ctx, against=["suite:help/questions", "prompt:absent"])

    assert (await ctx.get(Jobs).page(ctx)).items == []


async def test_who_may_not_see_the_project_does_not_see_the_report(evaluations: Evaluations, ctx: Context) -> None:
    """To begin a check, and to stop it, takes a developer; whoever sees the suite sees what was found."""
    await store_suite(ctx, asked(OWN))
    check = await begun(ctx)
    given = {"project": "default", "id": check.job_id}

    assert (await invoke(find("jobs.show"), somebody(ctx, default=Role.VIEWER), given)).id == check.job_id
    with pytest.raises(Forbidden):
        await invoke(find("jobs.show"), somebody(ctx, flights=Role.ADMIN), given)
    with pytest.raises(NotFound):
        await invoke(find("jobs.show"), ctx.within("flights"), {"project": "flights", "id": check.job_id})
    with pytest.raises(Forbidden):
        await begun(somebody(ctx, default=Role.VIEWER))


async def test_who_began_it_stands_in_the_audit(evaluations: Evaluations, ctx: Context) -> None:
    await store_suite(ctx, asked(OWN))

    await begun(somebody(ctx, default=Role.DEVELOPER))

    (record,) = (await ctx.get(AuditLog).page("default", action="suites.contamination")).items
    assert (record.actor_name, record.outcome, record.details["suite"]) == ("key", "done", "suite:help/questions@v1")


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Keep whoever reads a slow file until the event is set."""
    go = threading.Event()

    def read(path: Path) -> Iterator[Passage]:
        go.wait(20)
        yield Passage(where="", text=OWN)

    READERS[SLOW] = read
    yield go
    go.set()
    del READERS[SLOW]


async def slow_version(ctx: Context) -> None:
    blob = await ctx.get(Blobs).put(b"slow")
    entry = FileEntry(path="slow", digest=blob.digest, size=blob.size, media_type=SLOW)
    await ctx.get(Assets).add_version(ctx, kind="answerer", name="slow", manifest={}, files=[entry])


async def test_a_check_stops_while_it_reads(
    evaluations: Evaluations, ctx: Context, services: Services, held: threading.Event
) -> None:
    await store_suite(ctx, asked(OWN))
    await slow_version(ctx)

    async with working(services):
        check = await begun(ctx, against=["answerer:slow"])
        job = await ended(ctx, check.job_id, begun=True)
        assert (job.status, job.result) == ("running", None)
        await invoke(find("jobs.cancel"), ctx, {"project": "default", "id": check.job_id})
        job = await ended(ctx, check.job_id)
        held.set()

    assert (job.status, job.result) == ("cancelled", None)


async def test_a_check_whose_worker_fails_is_made_anew(
    evaluations: Evaluations, ctx: Context, services: Services
) -> None:
    """The second attempt reads again, and reports what a single one would have."""
    await store_suite(ctx, asked(OWN))
    await slow_version(ctx)
    attempts: list[Path] = []

    def read(path: Path) -> Iterator[Passage]:
        attempts.append(path)
        if len(attempts) == 1:
            raise RuntimeError
        yield Passage(where="", text=OWN)

    READERS[SLOW] = read
    async with working(services):
        check = await begun(ctx, against=["answerer:slow"])
        job = await ended(ctx, check.job_id)
    del READERS[SLOW]

    assert (job.status, job.attempt, len(attempts)) == ("succeeded", 2, 2), job.error
    assert (job.result["found"], job.result["compared"], job.result["touched"]) == (1, 1, 1)


async def test_it_tells_how_many_versions_are_read(evaluations: Evaluations, ctx: Context) -> None:
    await store_suite(ctx, asked(OWN))
    for number in range(3):
        await store_suite(ctx, asked(OTHER), name=f"other/{number}")
    told: list[tuple[int, int, str]] = []

    await carried(ctx, await begun(ctx), told)

    assert told[0] == (0, 0, "1 examples beside each other")
    assert told[-1] == (3, 3, "versions, 3 texts compared")


async def test_the_report_is_no_longer_than_a_job_can_keep(evaluations: Evaluations, ctx: Context) -> None:
    """What is not listed is counted: findings, pairs, clusters that should be one, files that nothing reads."""
    many = [
        Example(id=f"q{at:03}{'x' * 190}", input={"question": f"{OWN} {'y' * 4_000}"}, cluster=f"{at:03}{'z' * 190}")
        for at in range(300)
    ]
    others = [Example(id=f"r{at}", input={"question": f"{OTHER} {at // 2}"}) for at in range(20)]
    await store_suite(ctx, [*many, *others])
    await store_suite(ctx, many, name="copy")
    blob = await ctx.get(Blobs).put(b"x")
    files = [
        FileEntry(path=f"{at}.bin", digest=blob.digest, size=1, media_type="application/octet-stream")
        for at in range(MOST_LISTED + 5)
    ]
    await ctx.get(Assets).add_version(ctx, kind="answerer", name="weights", manifest={}, files=files)

    report = await checked(ctx, against=["suite:copy", "answerer:weights"], most=7, threshold=1.0)

    assert (len(report.findings), report.found) == (7, 300)
    assert (len(report.inside), report.repeated, report.parted) == (7, 309, 309)
    assert (len(report.split), report.splits) == (7, 11)
    assert (len(report.split[0].clusters), report.split[0].count) == (MOST_NAMED, 300)
    assert (len(report.unread), report.uncompared, report.compared) == (MOST_LISTED, MOST_LISTED + 5, 2)
    assert len(msgspec.json.encode(report)) < 200_000
