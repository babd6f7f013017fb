"""The views show of usage and money what spans say, and no table but those behind them can be reached."""

import random
from decimal import Decimal

import pytest
from tests.axis.sql.filled import START_US

from gimbal.axis.pricing.model import TOKENS, Usage
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.sql import guard, views
from gimbal.axis.sql.formats import rows
from gimbal.axis.sql.service import Sql, engine_filters
from gimbal.axis.traces.charging import charged
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows
from gimbal.engines.storage.bounded import BoundedReads, Bounds, Refused
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound

_BOUNDS = Bounds(seconds=10, memory_bytes=1 << 30, rows_read=10**8, rows=1000)
_TIERS = ("standard", "batch", "flex", "priority", "other")
_PRICED = ("input", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "output", "reasoning")


async def ask(ctx: Context, text: str) -> list[list[object]]:
    return (await ctx.get(Sql).query(ctx, text, {}, 1000)).rows


def any_usage(chance: random.Random) -> Usage | None:
    if chance.random() < 0.1:
        return None
    # Most have what the book has prices for, some anything.
    names = TOKENS if chance.random() < 0.3 else _PRICED
    return Usage(
        **{name: chance.choice([0, 0, chance.randint(1, 10**6)]) for name in names},
        requests={name: chance.randint(1, 9) for name in ("web_search", "file_search") if chance.random() < 0.2},
        tier=chance.choice(_TIERS) if chance.random() < 0.3 else "standard",
        contradictory=chance.random() < 0.1,
    )


def any_calls(count: int) -> list[Span]:
    """Return calls with whatever usage, priced by the book, each in a trace of its own."""
    chance, book = random.Random(5), PriceBook.read()
    return [
        charged(
            Span(
                trace_id=f"{number:032x}", span_id=f"{number:016x}", name="chat", kind="llm", start_us=START_US,
                end_us=START_US + 1, provider="anthropic", model="claude-sonnet-4", usage=any_usage(chance),
                status=chance.choice(["ok", "error", "cancelled"]), cached=chance.random() < 0.3, session_id="s",
                endpoint="gateway/chat", key_id=f"key-{number % 3}", tags=["b", f"team:{number % 2}"], refs=["prompt:a@v1"],
            ),
            book,
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


def told_of(span: Span) -> list[object]:
    """Return what the view of spans must say of one."""
    usage = span.usage
    classes = {} if usage is None else {name: n for name in TOKENS if (n := getattr(usage, name))}
    if usage is not None:
        classes |= {f"requests.{tool}": uses for tool, uses in usage.requests.items()}
    return [
        classes, usage is not None and usage.contradictory, "" if usage is None else usage.tier, money(span.cost),
        {name: money(part) for name, part in span.parts.items() if part or name in {"input", "output"}}, span.cached,
        money(span.saved), money(span.wasted), span.endpoint, span.key_id, span.tags, span.refs,
    ]  # fmt: skip


def money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{round(amount, 12).normalize() + 0:f}"


async def test_views_show_usage_and_money_as_spans_have_them(here: Context) -> None:
    calls = any_calls(200)
    await here.get(Writer).write("spans", to_rows(str(here.project), calls))
    shown = "usage, contradictory, tier, cost, cost_parts, cached, saved, wasted, endpoint, key_id, tags, refs"
    for view in ("spans", "calls"):
        found = {row[0]: row[1:] for row in await ask(here, f"SELECT span_id, {shown} FROM {view}")}
        expected = {one.span_id: told_of(one) for one in calls}
        if view == "calls":
            expected = {one.span_id: told_of(one) for one in calls if one.usage is not None or one.unpriced}
        assert found == expected
    assert any(one.cost for one in calls)
    assert any(one.saved for one in calls)
    assert any(one.wasted for one in calls)
    # The parts come to the cost, and each view comes to the same sums.
    off = "SELECT countIf(arraySum(mapValues(cost_parts)) != cost), countIf(notEmpty(cost_parts)) FROM spans"
    (differing, split), *_ = await ask(here, off)
    assert (differing, split) == (0, sum(bool(one.parts) for one in calls))
    assert sum(bool(one.parts) for one in calls) > 50
    sums = [money(sum((getattr(one, name) or Decimal(0) for one in calls), Decimal(0))) for name in ("saved", "wasted")]
    for view in ("spans", "calls", "traces", "sessions"):
        assert await ask(here, f"SELECT sum(saved), sum(wasted) FROM {view}") == [sums], view
    assert await ask(here, "SELECT DISTINCT tags, refs FROM traces ORDER BY tags") == [
        [["b", "team:0"], ["prompt:a@v1"]],
        [["b", "team:1"], ["prompt:a@v1"]],
    ]
    assert await ask(here, "SELECT tags FROM sessions") == [[["b", "team:0", "team:1"]]]


@pytest.mark.parametrize("name", sorted(views.VIEWS))
async def test_each_view_has_the_types_that_are_documented(here: Context, beside: str, name: str) -> None:
    answer = await here.get(Sql).query(here, f"SELECT * FROM {name}", {}, 1)
    told = {one.name: one.type for one in answer.columns}
    assert told == {one.name: one.type for one in views.VIEWS[name].columns}


async def test_no_table_but_those_behind_views_can_be_reached(here: Context, beside: str) -> None:
    """Each table of the database, whatever rooms brought it: by name as it is, and with the database before it."""
    columns = here.get(Columns)
    found = await columns.query("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
    tables = {row["name"] for row in found}
    of_projects = await columns.query(
        "SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'project'"
    )
    ours = {row["table"] for row in of_projects} & {row["name"] for row in found if row["engine"].endswith("MergeTree")}
    for table in sorted(ours):
        # Verdicts of long ago go by themselves.
        name, value = (", round", ", toUnixTimestamp64Micro(now64(6))") if table == "trace_verdicts" else ("", "")
        for project in (str(here.project), beside):
            await columns.command(
                f"INSERT INTO `{table}` (project{name}) SELECT {{project:String}}{value}", {"project": project}
            )
    assert {"spans", "labels", "erased_traces", "cost_changes", "trace_verdicts", "span_events"} <= tables
    reads = BoundedReads(columns, most=1)
    filters = engine_filters(await reads.tables(), str(here.project))
    for table in sorted(tables):
        for text in (
            f"SELECT * FROM gimbal.{table}", f"SELECT 1 FROM spans WHERE name IN gimbal.{table}",
            f"SELECT * FROM merge('gimbal', '{table}')", f"SELECT (SELECT count() FROM gimbal.`{table}`)",
            *([f"SELECT * FROM {table}", f"SELECT * FROM `{table}`"] if table not in views.VIEWS else []),
        ):  # fmt: skip
            with pytest.raises((BadInput, NotFound)):
                guard.check(text)
        # The engine alone: nothing but the project's own rows of tables that say whose they are.
        try:
            async with reads.read(f"SELECT * FROM gimbal.`{table}`", {}, _BOUNDS, filters) as reading:
                shown = [
                    dict(zip(batch.schema.names, row, strict=True)) async for batch in reading for row in rows(batch)
                ]
        except Refused:
            assert table not in ours
            continue
        assert {row.get("project") for row in shown} <= {here.project}, table
        # It is the filter that holds them back, not that there is nothing.
        assert table not in ours or shown, table
    reads.close()
