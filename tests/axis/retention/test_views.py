"""What SQL shows after content expired and after a user was erased: nothing of what went, and the same sums."""

from datetime import timedelta
from typing import Any

import pytest
from tests.axis.retention.conftest import Place
from tests.axis.retention.stored import canary, chat, erase, judge
from tests.axis.retention.test_terms import FROM, kept
from tests.axis.traces import wire

from gimbal.axis.scores.model import ScoreTarget
from gimbal.axis.sql.service import Sql
from gimbal.axis.sql.views import VIEWS
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.ingest_logs import ingest as ingest_logs
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.settings import SqlSettings
from gimbal.testing.clock import FrozenClock

SUMS = "sum(cost), sum(input_tokens), sum(output_tokens)"


@pytest.fixture
def sql(here: Context) -> Sql:
    return Sql(here.get(Columns), SqlSettings())


async def ask(sql: Sql, ctx: Context, text: str) -> list[list[Any]]:
    return (await sql.query(ctx, text, {}, 1000)).rows


async def everything(sql: Sql, ctx: Context) -> str:
    return repr([await ask(sql, ctx, f"SELECT * FROM {view}") for view in VIEWS])


async def sums(sql: Sql, ctx: Context) -> dict[str, Any]:
    return {view: await ask(sql, ctx, f"SELECT {SUMS} FROM {view}") for view in ("calls", "traces")}


async def talk(ctx: Context, said: str, user: str, session: str) -> str:
    """Store a trace with two calls, events in its span and by themselves, tags, and a score."""
    trace = await chat(ctx, said, user=user, session=session, note=said)
    event = {"name": said, "time_unix_nano": wire.START * 1000, "attributes": wire.pairs({"said": said})}
    await ingest(ctx, wire.request(wire.chat(trace, 3, 1, attributes={"tag.tags": [said]}, events=[event])))
    body = {"gen_ai.input.messages": said}
    await ingest_logs(ctx, wire.logs(wire.event(trace, 2, "gen_ai.client.inference.operation.details", body)))
    await judge(ctx, ScoreTarget.TRACE, trace, said)
    return trace


async def test_views_show_expired_content_as_such_and_the_rest_as_it_was(
    here: Context, sql: Sql, clock: FrozenClock
) -> None:
    said = canary()
    await talk(here, said, "ann", "s1")
    assert said in await everything(sql, here)
    assert await ask(sql, here, "SELECT count() FROM events") == [[2]]
    before = await sums(sql, here)
    clock.move_to(FROM + timedelta(days=31))
    await kept(here, content=30)
    assert await ask(sql, here, "SELECT count(), countIf(content_expired), countIf(erased) FROM spans") == [[3, 3, 0]]
    assert await ask(sql, here, "SELECT count(), countIf(content_expired) FROM calls") == [[2, 2]]
    assert await ask(sql, here, "SELECT content_expired, erased, calls, user_id FROM traces") == [
        [True, False, 2, "ann"]
    ]
    assert await ask(sql, here, "SELECT session_id, calls FROM sessions") == [["s1", 2]]
    assert await ask(sql, here, "SELECT * FROM events") == []
    assert await ask(sql, here, "SELECT DISTINCT input, output, documents FROM spans") == [["", "", ""]]
    assert await sums(sql, here) == before
    shown = [await ask(sql, here, f"SELECT * FROM {view}") for view in VIEWS if view != "scores"]
    assert said not in repr([[value for value in row if not isinstance(value, list)] for rows in shown for row in rows])


async def test_views_show_of_an_erased_user_what_it_cost_and_nothing_else(
    here: Context, place: Place, sql: Sql
) -> None:
    said, other = canary(), canary()
    trace = await talk(here, said, "ann", "s1")
    theirs = await talk(here, other, "bob", "s2")
    before = await sums(sql, here)
    assert said in await everything(sql, here)
    await erase(here, "ann")
    after = await everything(sql, here)
    assert said not in after
    assert trace not in after
    assert "'ann'" not in after
    assert other in after
    assert await sums(sql, here) == before
    # Each call that stays is one span and one trace, at the hour, of nobody, in no session and without events.
    left = "name, user_id, session_id, content_expired, toStartOfHour(start_time) = start_time"
    assert (
        await ask(sql, here, f"SELECT {left}, input, output, tags, refs FROM spans WHERE erased")
        == [["erased", "", "", True, 1, "", "", [], []]] * 2
    )
    assert await ask(sql, here, f"SELECT {left} FROM traces WHERE erased") == [["erased", "", "", True, 1]] * 2
    assert await ask(sql, here, "SELECT count(), uniqExact(trace_id), countIf(cost > 0) FROM calls WHERE erased") == [
        [2, 2, 2]
    ]
    assert await ask(sql, here, "SELECT sum(arraySum(mapValues(cost_parts))) = sum(cost) FROM calls WHERE erased") == [
        [1]
    ]
    assert await ask(sql, here, "SELECT session_id FROM sessions") == [["s2"]]
    assert await ask(sql, here, "SELECT DISTINCT trace_id FROM events") == [[theirs]]
    assert await ask(sql, here, "SELECT target_id FROM scores") == [[theirs]]
    # Costs that do not stay leave nothing.
    await erase(here, "bob", keep_costs=False)
    assert await ask(sql, here, "SELECT count(), countIf(erased) FROM spans") == [[2, 2]]
    assert await ask(sql, here, "SELECT * FROM sessions") == []
