"""Erasure of a user: everything that is theirs goes, nothing else does, and it stays gone."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.axis.retention.conftest import Place
from tests.axis.retention.stored import LONG, canary, chat, costs, count, erase, judge, progress, tell
from tests.axis.traces import wire

from gimbal.axis.retention.model import EraseUser, SetRetention
from gimbal.axis.retention.service import Retaining
from gimbal.axis.scores.model import ScoreTarget
from gimbal.axis.traces.facts.model import METADATA, SESSION, TAG, USER, Fact
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.ingest_logs import ingest as ingest_logs
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict
from gimbal.testing.clock import FrozenClock


async def test_everything_of_a_user_goes_and_nothing_of_others(here: Context, place: Place) -> None:
    elsewhere = await place()
    user, said, other = "ann@example.com", canary(), canary()
    mine = await chat(here, said, user=user, session="s1")
    theirs = await chat(here, other, user="bob", session="s2")
    same_id_there = await chat(elsewhere, other, user=user)
    await judge(here, ScoreTarget.TRACE, mine, said)
    await judge(here, ScoreTarget.SPAN, f"{2:016x}", said, trace=mine)
    await judge(here, ScoreTarget.SESSION, "s1", said)
    await judge(here, ScoreTarget.TRACE, theirs, other)
    proof = await erase(here, user, keep_costs=False)
    assert await count(here, "spans") == 2
    assert await count(here, "spans", "trace_id = {id:String}", id=theirs) == 2
    assert await count(here, "scores") == 1
    assert await count(elsewhere, "spans", "trace_id = {id:String}", id=same_id_there) == 2
    assert {one.table: one.rows_before for one in proof.tables if one.rows_before} == {"spans": 2, "scores": 3}
    assert all(one.rows_after == 0 for one in proof.tables)
    assert user not in msgspec.json.encode(proof).decode()


async def test_the_dry_run_counts_and_changes_nothing(here: Context) -> None:
    said = canary()
    await chat(here, said + "x" * LONG, user="ann", session="s1")
    await chat(here, said, session="s1")
    await judge(here, ScoreTarget.SESSION, "s1", said)
    found = await here.get(Retaining).erase(here, EraseUser(user="ann", reason="a request", dry_run=True))
    assert found.counts is not None
    assert found.status == "dry_run"
    assert (found.counts.traces, found.counts.sessions, found.counts.session_traces) == (1, 1, 1)
    assert found.counts.rows["spans"] == 2
    assert found.counts.rows["scores"] == 1
    assert found.counts.blobs == 1
    assert await count(here, "spans") == 4
    assert not (await here.get(Retaining).erasures(here)).items


async def test_traces_of_the_sessions_go_only_where_they_are_asked_for(here: Context) -> None:
    await chat(here, canary(), user="ann", session="s1")
    unnamed = await chat(here, canary(), session="s1")
    await chat(here, canary(), session="s2")
    await erase(here, "ann", keep_costs=False)
    assert await count(here, "spans", "trace_id = {id:String}", id=unnamed) == 2
    await chat(here, canary(), user="ann", session="s1")
    await erase(here, "ann", keep_costs=False, sessions=True)
    assert await count(here, "spans") == 2
    assert await count(here, "spans", "session_id = 's1'") == 0


async def test_a_user_whom_only_words_on_a_trace_name_is_found(here: Context, clock: FrozenClock) -> None:
    """MLflow's clients say of a whole trace whose it is: its spans, if any came, and its scores go with it."""
    clock.move_to(datetime.now(UTC) + timedelta(minutes=1))
    mine, same_talk, theirs = await chat(here, canary()), secrets.token_hex(16), secrets.token_hex(16)
    talk = Fact(kind=METADATA, name=SESSION, value="s1")
    await tell(here, mine, Fact(kind=METADATA, name=USER, value="ann"), talk)
    await tell(here, same_talk, talk)
    await tell(here, theirs, Fact(kind=METADATA, name=USER, value="bob"), Fact(kind=TAG, name="note", value="ann"))
    await judge(here, ScoreTarget.TRACE, mine, canary())
    await judge(here, ScoreTarget.SESSION, "s1", canary())
    await erase(here, "ann", keep_costs=False)
    assert await count(here, "spans") == await count(here, "scores") == 0
    assert await count(here, "trace_facts") == 3
    # What is said later of another trace of that time is found by itself.
    await tell(here, secrets.token_hex(16), Fact(kind=METADATA, name=USER, value="ann"), talk)
    assert [one.kind for one in await here.get(Retaining).erasing.again(here)] == ["again"]
    assert await count(here, "trace_facts") == 3
    await tell(here, mine, Fact(kind=METADATA, name=USER, value="ann"), talk)
    await erase(here, "ann", keep_costs=False, sessions=True)
    assert (
        await count(here, "trace_facts") == await count(here, "trace_facts", "trace_id = {id:String}", id=theirs) == 2
    )


@pytest.mark.parametrize("key", ["enduser.id", "langfuse.user.id", "ai.telemetry.metadata.userId"])
async def test_a_user_who_is_named_by_another_attribute_is_found(here: Context, key: str) -> None:
    trace = secrets.token_hex(16)
    await ingest(here, wire.request(wire.span(trace, 1, attributes={"user.id": "bob", key: "ann"})))
    await ingest(here, wire.request(wire.span(secrets.token_hex(16), 1), resource={key: "ann"}))
    await ingest(here, wire.request(wire.span(secrets.token_hex(16), 1, attributes={"note": "ann"})))
    await erase(here, "ann")
    assert await count(here, "spans") == 1


async def test_costs_stay_without_the_user_or_go_with_them(here: Context, place: Place) -> None:
    await chat(here, canary(), user="ann", session="s1")
    await chat(here, canary(), user="bob")
    before = await costs(here)
    assert before[0][2] == 2
    proof = await erase(here, "ann")
    assert await costs(here) == before
    left = await count(here, "spans", "dialect = 'gimbal.erased' AND user_id = '' AND session_id = '' AND input = ''")
    assert left == 1
    assert await count(here, "spans", "start_us % 3600000000 = 0") == 1
    # A second attempt, as after a kill, writes no call twice.
    await here.get(Retaining).carry_out(here, proof.subject, progress)
    assert await costs(here) == before
    there = await place()
    await chat(there, canary(), user="ann")
    await erase(there, "ann", keep_costs=False)
    assert await costs(there) == []


async def test_payloads_go_unless_something_else_refers_to_them(here: Context, place: Place) -> None:
    elsewhere, blobs = await place(), here.get(Blobs)
    alone, shared = canary() + "a" * LONG, canary() + "b" * LONG
    await chat(here, "hi", user="ann", alone=alone, shared=shared)
    await chat(elsewhere, "hi", user="bob", shared=shared)
    assert await blobs.exists(digest_of(alone.encode()))
    proof = await erase(here, "ann")
    assert not await blobs.exists(digest_of(alone.encode()))
    assert await blobs.exists(digest_of(shared.encode()))
    assert (proof.blobs.deleted, proof.blobs.kept) == (1, 1)


async def test_events_that_came_by_themselves_go_too(here: Context) -> None:
    trace = await chat(here, "hi", user="ann")
    body = {"gen_ai.input.messages": canary()}
    await ingest_logs(here, wire.logs(wire.event(trace, 2, "gen_ai.client.inference.operation.details", body)))
    assert await count(here, "span_events") == 1
    await erase(here, "ann")
    assert await count(here, "span_events") == 0


async def test_late_spans_are_erased_again_and_new_ones_stay(here: Context, clock: FrozenClock) -> None:
    trace = await chat(here, canary(), user="ann")
    await erase(here, "ann", keep_costs=False)
    # Late: of the erased trace without a name, and another one of the user; both of before the erasure.
    await ingest(here, wire.request(wire.span(trace, 3, 1)))
    await chat(here, canary(), user="ann")
    proofs = await here.get(Retaining).erasing.again(here)
    assert [proof.kind for proof in proofs] == ["again"]
    assert await count(here, "spans") == 0
    assert not await here.get(Retaining).erasing.again(here)


async def test_what_the_user_does_after_the_erasure_is_new(here: Context, clock: FrozenClock) -> None:
    clock.move_to(clock.now().replace(month=1))
    asked = await here.get(Retaining).erase(here, EraseUser(user="ann", reason="a request"))
    await chat(here, canary(), user="ann")
    await here.get(Retaining).carry_out(here, asked.id, progress)
    assert await count(here, "spans") == 2


async def test_under_a_legal_hold_nothing_is_erased(here: Context) -> None:
    await chat(here, canary(), user="ann")
    retaining = here.get(Retaining)
    await retaining.set(here, SetRetention(hold=True, hold_reason="case 12"))
    with pytest.raises(Conflict, match="case 12"):
        await erase(here, "ann")
    await retaining.set(here, SetRetention(hold=False))
    asked = await retaining.erase(here, EraseUser(user="ann", reason="a request"))
    await retaining.set(here, SetRetention(hold=True, hold_reason="case 13"))
    with pytest.raises(Conflict, match="case 13"):
        await retaining.carry_out(here, asked.id, progress)
    assert await count(here, "spans") == 2


@pytest.mark.parametrize(
    ("user", "reason"), [("", "x"), ("a" * 1001, "x"), ("ann", " "), ("ann", "because ann asked"), ("ann", "r" * 3000)]
)
async def test_requests_that_cannot_be_meant_are_refused(here: Context, user: str, reason: str) -> None:
    with pytest.raises(BadInput):
        await here.get(Retaining).erase(here, EraseUser(user=user, reason=reason))


async def test_ids_that_look_like_sql_or_json_are_only_ids(here: Context) -> None:
    for user in ("' OR 1=1 --", '{"user.id":"x"}', 'ünï \\ "quoted"', "{project:String}"):
        await chat(here, canary(), user=user)
        await chat(here, canary(), user="bob")
        await erase(here, user, keep_costs=False)
        assert await count(here, "spans", "user_id = {user:String}", user=user) == 0
        assert await count(here, "spans", "user_id = 'bob'") >= 1


async def test_ingest_goes_on_while_a_user_is_erased(here: Context) -> None:
    for _ in range(5):
        await chat(here, canary(), user="ann")

    async def others() -> None:
        for _ in range(30):
            await chat(here, canary(), user="bob")

    await asyncio.gather(erase(here, "ann", keep_costs=False), others())
    assert await count(here, "spans") == 60
