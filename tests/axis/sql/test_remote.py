"""The same walls and answers where the columns are another process: ClickHouse's HTTP dialect."""

import pytest
from tests.axis.sql.filled import CANARY
from tests.axis.sql.hostile import ALLOWED_BUT_OWN, HOSTILE

from gimbal.axis.sql.formats import rows
from gimbal.axis.sql.service import Sql, engine_filters
from gimbal.axis.sql.views import VIEWS
from gimbal.engines.storage.bounded import BoundedReads, Bounds, Refused
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import DeadlineExceeded
from gimbal.kernel.settings import SqlSettings

_BOUNDS = Bounds(seconds=10, memory_bytes=1 << 30, rows_read=10**8, rows=1000)


async def test_answers_are_the_same(here: Context, beside: str, remote: Columns) -> None:
    far = Sql(remote, SqlSettings())
    for name in VIEWS:
        text = f"SELECT * FROM {name} ORDER BY ALL"
        a, b = await here.get(Sql).query(here, text, {}, 1000), await far.query(here, text, {}, 1000)
        assert (a.columns, a.rows) == (b.columns, b.rows)
    text = "SELECT count() FROM spans WHERE start_time > {since:DateTime64(6)} AND model = {model:String}"
    given = {"since": "2026-02-02T02:40:49Z", "model": "model-plain"}
    assert (await far.query(here, text, given, 1)).rows == [[25]]


async def test_limits_hold(here: Context, beside: str, remote: Columns) -> None:
    far = Sql(remote, SqlSettings(max_seconds=0.5))
    with pytest.raises(DeadlineExceeded):
        await far.query(
            here, "SELECT sum(cityHash64(a.name, b.name, c.name, d.name, e.name)) FROM spans AS a, spans AS b, spans AS c, spans AS d, spans AS e", {}, 1
        )  # fmt: skip
    # The handles that others use are as they were.
    assert await remote.query("SELECT getSetting('readonly') AS r, 1 AS n SETTINGS max_threads = 2") == [
        {"r": 0, "n": 1}
    ]


async def test_the_second_wall_holds_alone(here: Context, beside: str, remote: Columns) -> None:
    reads = BoundedReads(remote, most=1)
    filters = engine_filters(await reads.tables(), here.project or "")
    answered = 0
    told: list[str] = []
    for text in (*HOSTILE[:60], *ALLOWED_BUT_OWN):
        one = text if "gimbal" in text else text.replace("FROM ", "FROM gimbal.", 1)
        try:
            async with reads.read(one.replace("OTHER", beside), {}, _BOUNDS, filters) as reading:
                found = [row async for batch in reading for row in rows(batch)]
        except Refused as refused:
            told.append(refused.message)
        else:
            answered += bool(found)
            assert CANARY not in repr(found), one
    reads.close()
    assert CANARY not in "".join(told)
    assert answered > 10
