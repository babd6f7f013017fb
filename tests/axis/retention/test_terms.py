"""Terms: what is past its own goes and nothing newer does, content before its spans, and a hold keeps everything."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.axis.retention.conftest import NOW, Place
from tests.axis.retention.stored import LONG, canary, chat, costs, count, erase, judge, tell
from tests.axis.traces import wire

import gimbal.axis.endpoints.retained
import gimbal.axis.evals.retained  # noqa: F401 - fill the table
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.retention.classes import CLASSES
from gimbal.axis.retention.collecting import Collecting
from gimbal.axis.retention.model import EraseUser, RunReport, SetRetention
from gimbal.axis.retention.service import Retaining
from gimbal.axis.retention.store import proofs
from gimbal.axis.scores.model import ScoreTarget
from gimbal.axis.traces.facts.model import INFO, METADATA, OLD_PREVIEWS, REQUEST, RESPONSE, STATE, TAG, Fact
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.service import Traces
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import ENDED
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.ids import new_id
from gimbal.testing.clock import FrozenClock

FROM = from_us(wire.START)
"""When the spans of these tests start."""


async def once(name: str, run: Any) -> Any:
    """Run a step, as a job does that is tried once."""
    return await run()


async def kept(ctx: Context, **days: int | None) -> RunReport:
    """Set terms and run."""
    await ctx.get(Retaining).set(ctx, SetRetention(keep_days=dict(days)))
    return await ctx.get(Retaining).run(ctx, new_id(), once)


async def test_traces_go_after_their_term_and_not_before(here: Context, place: Place, clock: FrozenClock) -> None:
    elsewhere = await place()
    for ctx in (here, elsewhere):
        await chat(ctx, canary(), user="ann")
    clock.move_to(FROM + timedelta(days=10))
    assert (await kept(here, traces=10)).rows == {}
    assert await count(here, "spans") == 2
    clock.advance(seconds=1)
    report = await kept(here, traces=10)
    assert report.rows == {"traces": 2}
    assert await count(here, "spans") == 0
    assert await count(elsewhere, "spans") == 2
    assert (await kept(here, traces=10)).rows == {}


async def test_content_goes_and_the_span_stays_with_its_costs(here: Context, clock: FrozenClock) -> None:
    said, blobs = canary(), here.get(Blobs)
    long = said + "x" * LONG
    trace = await chat(here, said, user="ann", long=long, note=said, number=7)
    before = await costs(here)
    clock.move_to(FROM + timedelta(days=31))
    await kept(here, content=30, traces=400)
    assert await count(here, "spans") == 2
    assert (
        await count(here, "spans", "input != '' OR output != '' OR attributes LIKE {said:String}", said=f"%{said}%")
        == 0
    )
    assert await costs(here) == before
    shown = await here.get(Traces).get(here, trace)
    call = next(span for span in shown.spans if span.model)
    assert call.attributes["gimbal.retention"] == {"content": "expired"}
    assert call.attributes["number"] == 7
    assert (call.model, call.usage is not None, call.cost is not None) == ("gpt-4o", True, True)
    # Nothing refers to the payload any more: once it is old enough the collector takes it.
    collecting = Collecting(here.get(Catalog), here.get(Columns), blobs)
    assert digest_of(long.encode()) not in await collecting.references()
    found = await collecting.collect(2**62)
    assert found.deleted >= 1
    assert not await blobs.exists(digest_of(long.encode()))


async def test_previews_of_a_trace_go_with_its_content(here: Context, clock: FrozenClock) -> None:
    """In the words of either of MLflow's interfaces; tags and times of the trace stay."""
    trace, said = new_id().replace("-", ""), canary()
    previews = [Fact(kind=INFO, name=name, value=said) for name in (REQUEST, RESPONSE)]
    previews += [Fact(kind=METADATA, name=name, value=said) for name in OLD_PREVIEWS]
    await tell(here, trace, *previews, Fact(kind=TAG, name="team", value="a"), Fact(kind=INFO, name=STATE, value="OK"))
    clock.move_to(datetime.now(UTC) + timedelta(days=31))
    assert (await kept(here, content=32)).rows == {}
    state = {one.name: one for one in (await here.get(Retaining).get(here)).classes}
    assert (state["content"].rows, state["traces"].rows) == (4, 6)
    assert (await kept(here, content=30)).rows == {"content": 4}
    assert await count(here, "trace_facts", "value = {said:String}", said=said) == 0
    assert await count(here, "trace_facts") == 2


async def test_content_that_came_late_goes_with_the_next_run(here: Context, clock: FrozenClock) -> None:
    clock.move_to(FROM + timedelta(days=31))
    await chat(here, canary())
    assert (await kept(here, content=30)).rows == {"content": 2}
    await chat(here, canary())
    assert (await kept(here, content=30)).rows == {"content": 2}
    assert (await kept(here, content=30)).rows == {}


async def test_a_sender_cannot_mark_its_content_as_gone_already(here: Context, clock: FrozenClock) -> None:
    said = canary()
    marked = wire.chat("ab" * 16, 1, attributes={"note": said, "gimbal.retention": {"content": "expired"}})
    await ingest(here, wire.request(marked))
    clock.move_to(FROM + timedelta(days=31))
    await kept(here, content=30)
    assert await count(here, "spans", "position(attributes, {said:String}) > 0", said=said) == 0


async def test_each_class_has_a_term_of_its_own(here: Context, clock: FrozenClock) -> None:
    trace = await chat(here, canary())
    await judge(here, ScoreTarget.TRACE, trace, canary())
    clock.advance(days=20)
    assert (await kept(here, scores=19)).rows == {"scores": 1}
    assert await count(here, "spans") == 2


async def test_every_table_of_the_columns_is_of_some_class(here: Context) -> None:
    rows = await here.get(Columns).query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    ours = {"erased_traces", "schema_migrations", "run_metrics", "run_metrics_latest", "run_points"}
    covered = {table.name for name in CLASSES for table in CLASSES.get(name).tables}
    assert {row["name"] for row in rows if not row["name"].startswith("conformance")} - ours <= covered


async def test_under_a_legal_hold_nothing_expires(here: Context, clock: FrozenClock) -> None:
    await chat(here, canary())
    clock.move_to(FROM + timedelta(days=31))
    retaining = here.get(Retaining)
    await retaining.set(here, SetRetention(keep_days={"traces": 1}, hold=True, hold_reason="case 12"))
    report = await retaining.run(here, new_id(), once)
    assert report.held
    assert await count(here, "spans") == 2
    assert (await retaining.get(here)).hold_reason == "case 12"
    await retaining.set(here, SetRetention(hold=False))
    assert (await retaining.run(here, new_id(), once)).rows == {"traces": 2}


@pytest.mark.parametrize(
    "body",
    [
        SetRetention(keep_days={"nothing": 3}),
        SetRetention(keep_days={"traces": 0}),
        SetRetention(keep_days={"traces": -1}),
        SetRetention(keep_days={"traces": 40_000}),
        SetRetention(keep_days={"traces": 10, "content": 11}),
        SetRetention(hold=True),
        SetRetention(hold=True, hold_reason="  "),
    ],
)
async def test_terms_that_cannot_be_meant_are_refused(here: Context, body: SetRetention) -> None:
    with pytest.raises(BadInput):
        await here.get(Retaining).set(here, body)


async def test_the_state_says_what_is_stored_and_due(here: Context, clock: FrozenClock) -> None:
    await chat(here, canary())
    clock.move_to(FROM + timedelta(days=31))
    await here.get(Retaining).set(here, SetRetention(keep_days={"content": 30, "traces": 400}))
    state = {one.name: one for one in (await here.get(Retaining).get(here)).classes}
    assert (state["traces"].rows, state["traces"].due, state["traces"].keep_days) == (2, 0, 400)
    assert (state["content"].due, state["content"].oldest) == (2, from_us(wire.START + 1000))
    assert state["traces"].bytes > 0
    assert (state["scores"].rows, state["scores"].oldest, state["scores"].keep_days) == (0, None, None)


async def test_the_daily_job_does_it(here: Context, clock: FrozenClock) -> None:
    await chat(here, canary())
    clock.move_to(FROM + timedelta(days=31))
    await here.get(Retaining).set(here, SetRetention(keep_days={"traces": 30}))
    clock.advance(days=1)
    assert await here.get(Schedules).fire_due() == 2
    assert await worked(here) == {"succeeded"}
    assert await count(here, "spans") == 0
    assert (await here.get(Retaining).proofs.page(here)).items[0].subject == "traces"


async def test_the_hourly_job_erases_what_came_late(here: Context, clock: FrozenClock) -> None:
    """An erasure sets the schedule; within the hour what a sender still had of the user is gone, and proved."""
    await chat(here, canary(), user="ann")
    await here.get(Retaining).erase(here, EraseUser(user="ann", reason="a request", keep_costs=False))
    assert await worked(here) == {"succeeded"}
    assert await count(here, "spans") == 0
    said, others = canary(), canary()
    await chat(here, said, user="ann")
    await chat(here, others, user="bob")
    assert await here.get(Schedules).fire_due() == 0
    clock.advance(hours=1)
    assert await here.get(Schedules).fire_due() == 1
    assert await worked(here) == {"succeeded"}
    assert await count(here, "spans") == 2
    assert await count(here, "spans", "position(attributes, {said:String}) > 0", said=said) == 0
    assert await count(here, "spans", "position(attributes, {said:String}) > 0", said=others) == 1
    assert sorted(one.kind for one in (await here.get(Retaining).proofs.page(here)).items) == ["again", "erasure"]
    # There is no more of it: the next one finds nothing, and proves nothing.
    clock.advance(hours=1)
    assert await here.get(Schedules).fire_due() == 1
    assert await worked(here) == {"succeeded"}
    assert len((await here.get(Retaining).proofs.page(here)).items) == 2


async def worked(ctx: Context) -> set[str]:
    """Let a worker do all jobs of the project; return how they ended."""
    stop, jobs = asyncio.Event(), ctx.get(Jobs)
    working = asyncio.create_task(Worker(ctx.services, name="test").run(stop))
    for _ in range(600):
        if all(one.status in ENDED for one in (await jobs.page(ctx)).items):
            break
        await asyncio.sleep(0.05)
    stop.set()
    await working
    return {one.status for one in (await jobs.page(ctx)).items}


async def test_a_run_that_was_cut_off_proves_what_it_had_found_first(here: Context, clock: FrozenClock) -> None:
    await chat(here, canary())
    clock.move_to(FROM + timedelta(days=31))
    steps: dict[str, Any] = {}

    async def remembered(name: str, run: Any) -> Any:
        if name not in steps:
            steps[name] = msgspec.json.decode(msgspec.json.encode(await run()))
        return steps[name]

    retaining, run_id = here.get(Retaining), new_id()
    await retaining.set(here, SetRetention(keep_days={"traces": 30}))
    first = await retaining.run(here, run_id, remembered)
    # What came after the first attempt began is not of this run, and what it had counted is still in the proof.
    again = await retaining.run(here, run_id, remembered)
    assert first.proofs == again.proofs
    assert again.rows == {"traces": 2}


async def test_proofs_never_change_are_chained_and_can_be_verified(here: Context, clock: FrozenClock) -> None:
    await chat(here, canary(), user="ann")
    proof = await erase(here, "ann", keep_costs=False)
    held = here.get(Retaining).proofs
    check = await held.verify(here, proof.id)
    assert check.rows == {one.table: 0 for one in proof.tables}
    assert check.findings in ([], [f"{len(check.parts_left)} old parts are still on the disk"])
    record = (await here.get(AuditLog).page(str(here.project), action="retention.proof")).items[0]
    assert record.details["hash"] == proof.hash
    assert (await here.get(AuditLog).verify()).sound
    with pytest.raises(Exception, match="append-only"):
        async with here.get(Catalog).write() as tx:
            await tx.execute(sa.update(proofs).values(kind="x"))
    # Something of the user comes back: the proof does not hold any more, until the next run.
    await chat(here, canary(), user="ann")
    check = await held.verify(here, proof.id)
    assert not check.holds
    assert check.rows["spans"] == 1


async def test_pages_of_proofs_are_newest_first_and_none_comes_twice(here: Context, clock: FrozenClock) -> None:
    made: list[str] = []
    clock.move_to(FROM + timedelta(days=31))
    for _ in range(3):
        await chat(here, canary())
        made += (await kept(here, traces=30)).proofs
    held, found = here.get(Retaining).proofs, list[str]()
    cursor = None
    while True:
        page = await held.page(here, cursor=cursor, limit=1)
        found += [one.id for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(found) == sorted(made)
    assert len(found) == 3


async def test_blobs_that_something_refers_to_or_that_are_new_stay(here: Context, clock: FrozenClock) -> None:
    blobs = here.get(Blobs)
    fresh = await blobs.put(canary().encode())
    collecting = Collecting(here.get(Catalog), here.get(Columns), blobs)
    listed = [one async for some in blobs.listing() for one in some]
    touched = next(one.touched_us for one in listed if one.digest == fresh.digest)
    assert not await blobs.delete_unwanted(fresh.digest, touched)
    assert (await collecting.collect(touched)).deleted == 0
    assert await blobs.exists(fresh.digest)
    assert (await collecting.collect(touched + 1)).deleted == 1
    assert not await blobs.exists(fresh.digest)
    assert clock.now() == NOW
