"""Another project's rows are never reachable: by either wall alone, by any statement, parameter, filter, cursor or export."""

import random
import re
from collections.abc import Sequence

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from tests.axis.sql.filled import CANARY
from tests.axis.sql.hostile import ALLOWED_BUT_OWN, HOSTILE

from gimbal.axis.sql import guard, views
from gimbal.axis.sql.formats import rows
from gimbal.axis.sql.service import Sql, engine_filters
from gimbal.engines.storage.bounded import BoundedReads, Bounds, Refused
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, NotFound

_BOUNDS = Bounds(seconds=10, memory_bytes=1 << 30, rows_read=10**8, rows=1000)
# These tell of the server or the shape of its tables, never of rows: the second wall does not hold them back by itself.
_NO_ROWS = ("file(", "FILE(", "file,", '"file"', "`file`", "file/**/", "OUTFILE", "SHOW", "EXPLAIN", "DESCRIBE")


def named(statements: Sequence[str], other: str) -> list[str]:
    return [one.replace("OTHER", other) for one in statements]


async def test_hostile_statements_are_refused_and_tell_nothing(here: Context, beside: str) -> None:
    assert len(HOSTILE) >= 80
    let_through: list[str] = []
    told: list[str] = []
    for text in named(HOSTILE, beside):
        for parameters in ({}, {"t": "gimbal.spans"}, {"x": "1"}):
            try:
                await here.get(Sql).query(here, text, parameters, 100)
            except (BadInput, NotFound) as refused:
                told.append(str(refused))
            else:
                let_through.append(text)
    assert let_through == []
    assert CANARY not in "".join(told)


@pytest.mark.parametrize("text", ALLOWED_BUT_OWN)
async def test_what_is_answered_is_of_this_project_alone(here: Context, beside: str, text: str) -> None:
    answer = await here.get(Sql).query(here, text, {}, 1000)
    assert CANARY not in repr(answer.rows)
    export = await here.get(Sql).export(here, text, {}, "jsonl")
    assert CANARY.encode() not in b"".join([chunk async for chunk in export.chunks])


@pytest.mark.parametrize("text", ALLOWED_BUT_OWN)
async def test_the_first_wall_holds_alone(here: Context, beside: str, text: str) -> None:
    """The statement that is written anew, given to an engine without limits or filters."""
    sql = guard.check(text).sql({})
    found = await here.get(Columns).query(sql, {"project": here.project})
    assert CANARY not in repr(found)


async def test_the_second_wall_holds_alone(here: Context, beside: str) -> None:
    """What the caller wrote, given to the engine as it is."""
    reads = BoundedReads(here.get(Columns), most=1)
    filters = engine_filters(await reads.tables(), here.project or "")
    answered = 0
    told: list[str] = []
    for text in named((*HOSTILE, *ALLOWED_BUT_OWN), beside):
        if any(word in text for word in _NO_ROWS):
            continue
        unqualified = text if "gimbal" in text else text.replace("FROM ", "FROM gimbal.", 1)
        for one in {text, unqualified}:
            try:
                async with reads.read(one, {}, _BOUNDS, filters) as reading:
                    found = [row async for batch in reading for row in rows(batch)]
            except Refused as refused:
                told.append(refused.message)
            else:
                answered += bool(found)
                assert CANARY not in repr(found), one
    reads.close()
    assert CANARY not in "".join(told)
    # It is the filter that holds them back, not that everything fails.
    assert answered > 40


async def test_without_the_walls_the_same_statements_do_bring_canaries(here: Context, beside: str) -> None:
    reads = BoundedReads(here.get(Columns), most=1)
    whole, brought = msgspec.structs.replace(_BOUNDS, rows=20_000), 0
    for text in named(HOSTILE[:60], beside):
        try:
            async with reads.read(text, {}, whole, {"gimbal.nothing": "0"}) as reading:
                brought += CANARY in repr([row async for batch in reading for row in rows(batch)])
        except Refused:
            continue
    reads.close()
    assert brought > 10


# What fails on a row of the other project alone, and tells so: by a number, or by its very words.
_TRIPWIRES = ("intDiv(1, position(toString({}), 'canary') = 0) = 1", "toInt64(if(position(toString({0}), 'canary') > 0, toString({0}), '1')) = 1")  # fmt: skip

_TELLING = {"name", "input", "user_id", "label", "entity", "run_id"}


@pytest.mark.parametrize("wall", ["both", "first", "second"])
async def test_errors_tell_nothing_of_rows_that_lie_beside(here: Context, beside: str, wall: str) -> None:
    """Conditions are never tried on another project's rows: an error for those alone would be an answer."""
    columns = here.get(Columns)
    reads = BoundedReads(columns, most=1)
    filters = engine_filters(await reads.tables(), here.project or "")
    tried = 0
    for view in views.VIEWS.values():
        names = [f"x.{one.name}" for one in view.columns if one.name in _TELLING]
        if wall == "second" and view.base not in {"spans", "table"}:
            continue
        table = view.name if wall != "second" else f"gimbal.{view.table}"
        for name in names:
            for tripwire in _TRIPWIRES:
                test = tripwire.format(name)
                for text in (
                    f"SELECT count() AS n FROM {table} AS x WHERE {test}",
                    f"SELECT count() AS n FROM {table} AS x WHERE {test} AND 1 = 1 AND {name} != 'nobody'",
                    f"SELECT count() AS n FROM {table} AS x WHERE {name} = 'nobody' OR {test}",
                    f"SELECT {name} AS n FROM {table} AS x GROUP BY {name} HAVING {test}",
                ):
                    tried += 1
                    if wall == "both":
                        assert (await here.get(Sql).query(here, text, {}, 10)).rows, text
                    elif wall == "first":
                        await columns.query(guard.check(text).sql({}), {"project": here.project})
                    else:
                        async with reads.read(text, {}, _BOUNDS, filters) as reading:
                            assert [row async for batch in reading for row in rows(batch)]
    reads.close()
    assert tried > 30


async def test_the_second_wall_shows_own_rows_only(here: Context, beside: str) -> None:
    reads = BoundedReads(here.get(Columns), most=1)
    filters = engine_filters(await reads.tables(), here.project or "")
    counts = {}
    for table in ("spans", "scores", "labels", "predictions", "metric_points", "span_events"):
        async with reads.read(
            f"SELECT uniqExact(project), any(project) FROM gimbal.{table}", {}, _BOUNDS, filters
        ) as one:
            counts[table] = next(iter([row async for batch in one for row in rows(batch)]))
    for table in ("system.tables", "system.processes", "system.settings", "system.columns"):
        async with reads.read(f"SELECT count() FROM {table}", {}, _BOUNDS, filters) as one:
            counts[table] = next(iter([row async for batch in one for row in rows(batch)]))
    reads.close()
    assert counts == {
        **{
            name: [1, here.project]
            for name in ("spans", "scores", "labels", "predictions", "metric_points", "span_events")
        },
        **{name: [0] for name in ("system.tables", "system.processes", "system.settings", "system.columns")},
    }


@pytest.mark.parametrize(
    "text",
    [
        "SET readonly = 0", "SET max_execution_time = 0", "SELECT 1 SETTINGS readonly = 0",
        "SELECT * FROM gimbal.spans SETTINGS additional_table_filters = {}", "INSERT INTO gimbal.spans (project) VALUES ('x')",
        "DROP TABLE gimbal.spans", "CREATE TABLE gimbal.x (a Int8) ENGINE = Memory", "SELECT * FROM file('/etc/passwd', LineAsString)",
        "SELECT * FROM url('http://127.0.0.1:9/', CSV, 'a String')", "ALTER TABLE gimbal.spans DELETE WHERE 1", "SYSTEM FLUSH LOGS",
    ],
)  # fmt: skip
async def test_the_engine_lets_nothing_be_changed(here: Context, text: str) -> None:
    reads = BoundedReads(here.get(Columns), most=1)
    with pytest.raises(Refused) as caught:
        async with reads.read(text, {}, _BOUNDS, {"gimbal.spans": "0"}) as reading:
            assert [batch async for batch in reading] == []
    reads.close()
    # Read-only, not a statement that streams, or not one at all.
    assert caught.value.code in {164, 36, 62, 392}


async def test_a_slug_cannot_leave_the_filter(here: Context, beside: str) -> None:
    reads = BoundedReads(here.get(Columns), most=1)
    for slug in ("x' OR 1 = 1 OR project = 'x", "x\\' OR 1 = 1 --", "'", "\\"):
        filters = engine_filters({"gimbal.spans": True}, slug)
        async with reads.read("SELECT count() FROM gimbal.spans", {}, _BOUNDS, filters) as reading:
            assert [row async for batch in reading for row in rows(batch)] == [[0]]
    reads.close()


async def test_parameters_do_not_inject(here: Context, beside: str) -> None:
    for word in (
        "x' OR 1=1 OR 'a'='", "x') UNION ALL SELECT input FROM gimbal.spans --", "\\' OR 1=1 --", "{project:String}", "%(x)s",
        "$$", "x\n\t\\N", beside, f"{beside}' AND '1'='1",
    ):  # fmt: skip
        for text in ("SELECT input FROM spans WHERE name = {w:String}", "SELECT {w:String} AS w, count() FROM spans"):
            answer = await here.get(Sql).query(here, text, {"w": word}, 10)
            assert CANARY not in repr(answer.rows)
        for kind in ("Array(String)", "UInt64", "DateTime64(6)", "Map(String, String)", "Tuple(String, String)"):
            with pytest.raises(BadInput):
                await here.get(Sql).query(here, f"SELECT {{w:{kind}}}", {"w": word + "'"}, 10)
    with pytest.raises(BadInput):
        await here.get(Sql).query(here, "SELECT * FROM spans", {"project": beside}, 10)


_PIECES = (
    "SELECT", "*", "FROM", "spans", "gimbal.spans", "traces", "scores", "merge('gimbal','.*')", "UNION ALL", "(", ")", ",", "AS",
    "x", "WHERE", "project", "=", "'OTHER'", "IN", "labels", "WITH", "JOIN", "ON", "1", "USING", "span_id", "ARRAY JOIN", "refs",
    "count()", "GROUP BY", "LIMIT", "BY", "FINAL", "SETTINGS", "readonly", "system.tables", "--", "/*", "*/", "`", '"', "'", "\\",
    ";", "{", "}", ":", "String", "->", "file(", "EXCEPT", "INTERSECT", "OVER", "WINDOW", "PREWHERE", "input", "any(", "\n",
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_passes_the_guard_names_views_alone(data: st.DataObject) -> None:
    """Random statements, and real ones with pieces changed: the tables of what is written are the views'."""
    start = data.draw(st.sampled_from([*HOSTILE, *ALLOWED_BUT_OWN]))
    words = start.split(" ")
    for _ in range(data.draw(st.integers(0, 5))):
        place = data.draw(st.integers(0, len(words)))
        words[place : place + data.draw(st.integers(0, 2))] = [data.draw(st.sampled_from(_PIECES))]
    try:
        checked = guard.check(" ".join(words))
    except GimbalError:
        return
    written = checked.sql({})
    for one in checked.views:
        written = written.replace(views.select(one.view, one.bounds, views.State()), "")
    bare = re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", written)
    assert "gimbal." not in bare, " ".join(words)
    assert "system." not in bare
    assert "merge(" not in bare


async def test_mutated_statements_never_bring_a_canary(here: Context, beside: str) -> None:
    chance = random.Random(7)
    answered = 0
    told: list[tuple[str, str]] = []
    for _ in range(600):
        words = chance.choice([*HOSTILE, *ALLOWED_BUT_OWN * 10]).split(" ")
        for _ in range(chance.randint(1, 2)):
            place = chance.randint(0, len(words))
            words[place : place + chance.randint(0, 1)] = [chance.choice(_PIECES)]
        text = " ".join(words).replace("OTHER", beside)
        try:
            answer = await here.get(Sql).query(here, text, {}, 100)
        except GimbalError as refused:
            told.append((text, str(refused)))
        else:
            answered += 1
            assert CANARY not in repr(answer.rows), text
    assert answered > 10
    assert [one for one in told if CANARY in one[1]] == []
