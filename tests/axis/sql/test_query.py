"""What the views say, and what answers look like."""

import csv
import io

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.axis.sql import filled

from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.sql.model import Format
from gimbal.axis.sql.service import Sql
from gimbal.axis.sql.views import VIEWS
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.operations import find, invoke


async def ask(ctx: Context, text: str, limit: int = 1000, **parameters: object) -> list[list[object]]:
    return (await ctx.get(Sql).query(ctx, text, parameters, limit)).rows


async def exported(ctx: Context, text: str, format_: Format) -> bytes:
    found = await ctx.get(Sql).export(ctx, text, {}, format_)
    return b"".join([chunk async for chunk in found.chunks])


@pytest.mark.parametrize("name", sorted(VIEWS))
async def test_each_view_has_the_columns_and_types_that_are_documented(here: Context, beside: str, name: str) -> None:
    answer = await here.get(Sql).query(here, f"SELECT * FROM {name}", {}, 1000)
    told = {one.name: one.type for one in answer.columns}
    assert list(told) == [one.name for one in VIEWS[name].columns]
    assert answer.rows
    assert filled.CANARY not in repr(answer.rows)
    described = await here.get(Columns).query("SELECT 1 AS n")
    assert described == [{"n": 1}]


@pytest.mark.parametrize("name", sorted(VIEWS))
async def test_an_empty_project_has_the_same_columns_and_no_rows(here: Context, name: str) -> None:
    answer = await here.get(Sql).query(here, f"SELECT * FROM {name}", {}, 10)
    assert [one.name for one in answer.columns] == [one.name for one in VIEWS[name].columns]
    assert answer.rows == []


async def test_sums_by_hand(here: Context, beside: str) -> None:
    assert await ask(here, "SELECT count(), sum(cost), sum(input_tokens) FROM calls") == [[50, "12.5", 5000]]
    assert await ask(here, "SELECT count(), sum(calls), sum(cost), countIf(status = 'error') FROM traces") == [
        [50, 50, "12.5", 5]
    ]
    assert await ask(here, "SELECT count(), sum(traces), sum(cost) FROM sessions") == [[5, 50, "12.5"]]
    assert await ask(here, "SELECT count() FROM spans") == [[100]]
    assert await ask(here, "SELECT count() FROM events") == [[51]]


async def test_only_the_newest_version_of_a_span_is_seen(here: Context, beside: str) -> None:
    columns = here.get(Columns)
    values = {"project": here.project}
    await columns.command(
        "INSERT INTO spans SELECT * REPLACE('newer' AS name, toDecimal128('1', 12) AS cost, 2 AS written_us, "
        "start_us + 10 AS start_us) FROM spans WHERE project = {project:String} AND kind = 'llm'",
        values,
    )
    assert await ask(here, "SELECT count(), countIf(name = 'newer') FROM spans") == [[100, 50]]
    assert await ask(here, "SELECT sum(cost) FROM calls") == [["50"]]
    await columns.command(
        "INSERT INTO spans SELECT * REPLACE(0 AS weight, 3 AS written_us) FROM spans WHERE project = {project:String}",
        values,
    )
    assert await ask(here, "SELECT count() FROM spans") == [[0]]


async def test_a_call_that_a_wrapper_of_another_request_repeats_counts_once(here: Context) -> None:
    columns = here.get(Columns)
    await filled.spans(columns, here.project or "", 4)
    # The root reports the same usage, and each came by itself: both are heads.
    await columns.command(
        "INSERT INTO spans SELECT * REPLACE(1 AS is_root, 1 AS billable, 100 AS input_tokens, 10 AS output_tokens, "
        "toDecimal128('0.25', 12) AS cost, 2 AS written_us) FROM spans WHERE project = {project:String}",
        {"project": here.project},
    )
    assert await ask(here, "SELECT count(), sum(cost) FROM calls") == [[2, "0.5"]]
    assert await ask(here, "SELECT sum(calls), sum(cost) FROM traces") == [[2, "0.5"]]


async def test_parameters_are_values_whatever_is_in_them(here: Context, beside: str) -> None:
    word = "' OR 1=1 -- {x:String} \\ \n"
    assert await ask(here, "SELECT {word:String} AS w", word=word) == [[word]]
    assert await ask(here, "SELECT count() FROM spans WHERE name = {word:String}", word=word) == [[0]]
    assert await ask(here, "SELECT count() FROM spans WHERE model IN {names:Array(String)}", names=["model-plain"]) == [
        [50]
    ]
    since = "SELECT count() FROM spans WHERE start_time >= {since:DateTime64(6)}"
    assert await ask(here, since, since="2026-02-02T02:40:50Z") == [[50]]
    with pytest.raises(BadInput, match="has no value"):
        await ask(here, since)
    with pytest.raises(BadInput, match="no parameter 'other'"):
        await ask(here, "SELECT 1", other=1)


async def test_times_narrow_what_is_read_and_change_no_answer(here: Context, beside: str) -> None:
    await filled.spans(
        here.get(Columns), here.project or "", 20, start_us=filled.START_US + 40 * 86_400_000_000, salt=10**6
    )
    whole = "SELECT count() FROM (SELECT start_time AS at FROM {} ) WHERE at {}"
    for view in ("spans", "traces", "calls"):
        for test in (
            ">= '2026-02-02 02:40:30'", "> toDateTime64('2026-02-20 00:00:00', 6, 'UTC')", "< '2026-02-10'",
            "<= toDate('2026-02-02')", "BETWEEN '2026-02-02 02:40:10' AND '2026-02-02 02:41:00'",
        ):  # fmt: skip
            narrow = await ask(here, f"SELECT count() FROM {view} WHERE start_time {test}")
            assert narrow == await ask(here, whole.format(view, test)), (view, test)


async def test_a_result_says_when_there_is_more(here: Context, beside: str) -> None:
    answer = await here.get(Sql).query(here, "SELECT span_id FROM spans ORDER BY start_time DESC", {}, 3)
    assert (len(answer.rows), answer.truncated, answer.rows[0]) == (3, True, ["0000000000000064"])
    answer = await here.get(Sql).query(here, "SELECT span_id FROM spans LIMIT 3", {}, 3)
    assert (len(answer.rows), answer.truncated) == (3, False)


async def test_values_are_exact_json(here: Context) -> None:
    text = (
        "SELECT toDecimal128('1.500000000001', 12) AS d, nan AS n, 9007199254740993 AS big, [1, 2] AS l, NULL AS z, "
        "toDateTime64('2026-01-01 00:00:00.5', 6, 'UTC') AS t, true AS b, unhex('ff41') AS bad, map('a', 1) AS m"
    )
    assert await ask(here, text) == [
        ["1.500000000001", None, 9007199254740993, [1, 2], None, "2026-01-01T00:00:00.500000Z", True, "�A", {"a": 1}]
    ]


async def test_all_formats_hold_the_same_rows(here: Context, beside: str) -> None:
    text = "SELECT trace_id, name, duration_ms, cost, start_time, refs FROM spans ORDER BY start_time"
    rows = (await here.get(Sql).query(here, text, {}, 1000)).rows
    arrow = pa.ipc.open_stream(await exported(here, text, "arrow")).read_all()
    parquet = pq.read_table(io.BytesIO(await exported(here, text, "parquet")))
    lines = [msgspec.json.decode(one) for one in (await exported(here, text, "jsonl")).splitlines()]
    sheet = list(csv.reader(io.StringIO((await exported(here, text, "csv")).decode())))
    assert sheet[0] == ["trace_id", "name", "duration_ms", "cost", "start_time", "refs"]
    assert [row[0] for row in sheet[1:]] == [row[0] for row in rows]
    assert [row[3] for row in sheet[1:]] == [row[3] or "" for row in rows]
    assert [list(line.values()) for line in lines] == rows
    assert arrow.column("trace_id").to_pylist() == parquet.column("trace_id").to_pylist() == [row[0] for row in rows]
    assert arrow.schema.field("cost").type == pa.decimal128(28, 12)


async def test_csv_quotes_what_needs_it_and_has_a_header_without_rows(here: Context) -> None:
    text = "SELECT 'a,\"b\"\nc' AS odd, '=1+1' AS formula, NULL AS none"
    assert list(csv.reader(io.StringIO((await exported(here, text, "csv")).decode()))) == [
        ["odd", "formula", "none"],
        ['a,"b"\nc', "=1+1", ""],
    ]
    assert (await exported(here, "SELECT name FROM spans", "csv")).decode().strip() == '"name"'


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("SELECT 1 +\n+ FROM spans", "line 2"),
        ("SELECT\n  nme FROM spans", "line 2, column 3"),
        ("SELECT name FROM span", "line 1, column 18"),
        ("SELECT name FROM spans GROUP BY name WITH TOTALS", "line 1"),
        ("SELECT name,\n sleep(1) FROM spans", "line 2, column 2"),
    ],
)
async def test_an_error_says_where_it_is(here: Context, text: str, where: str) -> None:
    with pytest.raises((BadInput, NotFound)) as caught:
        await ask(here, text)
    assert caught.value.where.startswith(where)
    assert caught.value.todo


async def test_what_the_engine_says_is_told_without_what_it_was_given(here: Context) -> None:
    for text in (
        "SELECT name + 1 FROM spans",
        "SELECT toDate(name, 1, 2, 3) FROM spans",
        "SELECT sum(name) FROM spans",
    ):
        with pytest.raises(GimbalError) as caught:
            await ask(here, text)
        told = str(caught.value)
        assert "written_us" not in told
        assert "project =" not in told


async def test_questions_are_audited(here: Context) -> None:

    body = find("sql.query").body
    assert body is not None
    await invoke(
        find("sql.query"), here, {"project": here.project, "body": msgspec.convert({"query": "SELECT 1"}, body.type)}
    )
    entries = await here.get(AuditLog).page(here.project)
    assert any(one.details.get("query") == "SELECT 1" for one in entries.items if one.action == "sql.query")


def test_services_have_it(axis: Services, sql: Sql) -> None:
    assert axis.get(Sql) is sql


async def test_functions_are_those_that_were_written(here: Context, beside: str) -> None:
    text = (
        "SELECT toTypeName(rand()) AS r, toTypeName(toStartOfHour(start_time)) AS h, leftPad('x', 3, '.') AS p, "
        "if(cost > 0, 'paid', 'free') AS paid, quantileExact(0.5)(duration_ms) OVER () AS q, date_diff('second', start_time, "
        "end_time) AS d, JSONExtractString(attributes, 'said') AS said, count() FILTER (WHERE status = 'ok') OVER () AS n "
        "FROM spans WHERE span_id = '0000000000000002'"
    )
    assert await ask(here, text) == [["UInt32", "DateTime('UTC')", "..x", "paid", 250.0, 0, "plain", 0]]
