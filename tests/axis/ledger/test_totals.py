"""Totals are the sums over traces to the last decimal, by any dimension and stretch of time; budget lines stand on them."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.axis.ledger.spending import BEGIN, OLD, call, day, price, record

from gimbal.axis.ledger import budgets, totals
from gimbal.axis.ledger.model import SetBudget
from gimbal.axis.ledger.narrowing import one_value
from gimbal.axis.ledger.totals import Asked
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.ids import new_id
from gimbal.testing.clock import FrozenClock

ODD = PriceBook([price("odd", "0.333", "7.77"), price("even", "2", "10")], "odd")


def beneath(span: Span, **more: object) -> Span:
    return msgspec.structs.replace(span, **more)


async def test_by_day_and_model(ledger: Context) -> None:
    """2 and 10 dollars per million: 1,000 in and 100 out are 0.003; what has no price is beside, not in it."""
    calls = [
        call("m1", 1000, 100, at=day(0)),
        call("m1", 1000, 100, at=day(0) + timedelta(hours=23)),
        call("m2", 1_000_000, 0, at=day(1)),
        call("m3", 5, 5, at=day(1)),
    ]
    await record(ledger, OLD, *calls)

    found = await totals.totals(ledger, Asked(by=("model",), every="day"))

    assert [
        (day(0), ["m1"], 2, 0, Decimal("0.006"), 2000),
        (day(1), ["m2"], 1, 0, Decimal(1), 1_000_000),
        (day(1), ["m3"], 1, 1, None, 5),
    ] == [(row.start, row.group, row.calls, row.unpriced, row.cost, row.input_tokens) for row in found.rows]
    assert (4, 1, Decimal("1.006"), False) == (
        found.total.calls, found.total.unpriced, found.total.cost, found.more,
    )  # fmt: skip


async def test_weeks_begin_on_monday_and_months_on_the_first(ledger: Context) -> None:
    """The first of December 2025 was a Monday."""
    await record(ledger, OLD, *(call("m2", 1_000_000, 0, at=day(n)) for n in (0, 6, 7, 31, 40)))

    weeks = await totals.totals(ledger, Asked(every="week"))
    months = await totals.totals(ledger, Asked(every="month"))

    assert [(day(0), 2), (day(7), 1), (day(28), 1), (day(35), 1)] == [(row.start, row.calls) for row in weeks.rows]
    assert [(day(0), 3), (day(31), 2)] == [(row.start, row.calls) for row in months.rows]


async def test_what_was_wasted_is_part_of_the_cost_and_what_was_saved_is_not(ledger: Context) -> None:
    """A call that failed was paid for in vain; an answer of the own cache cost nothing and saved its price."""
    failed = beneath(call("m2", 1_000_000, 0), status="error")
    cached = beneath(call("m2", 3_000_000, 0), cached=True)
    await record(ledger, OLD, failed, cached, call("m2", 1_000_000, 0))

    found = (await totals.totals(ledger, Asked())).total

    assert (Decimal(2), Decimal(3), Decimal(1)) == (found.cost, found.saved, found.wasted)


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["odd", "even", "none"]), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 4)
        ),
        min_size=1,
        max_size=12,
    )
)
async def test_totals_are_the_sum_over_traces(ledger: Context, drawn: list[tuple[str, int, int, int]]) -> None:
    """However calls are grouped, the groups add up to what the traces say, to the last decimal."""
    here = ledger.within(f"l{new_id()[-12:]}")
    calls = [call(model, i, o, at=day(when), feature=f"f{when % 2}") for model, i, o, when in drawn]
    await record(here, ODD, *calls, *calls[:3])
    summed = [(await here.get(Traces).get(here, one.trace_id)).summary for one in calls]
    known = [one.cost for one in summed if one.cost is not None]

    for asked in (Asked(), Asked(by=("model",)), Asked(by=("feature", "model"), every="day"), Asked(every="hour")):
        found = await totals.totals(here, asked)
        costs = [row.cost for row in found.rows if row.cost is not None]
        assert (sum(known) if known else None) == found.total.cost
        assert sum(known) == sum(costs)
        assert len(calls) == sum(row.calls for row in found.rows) == found.total.calls
        assert sum(one.unpriced for one in summed) == sum(row.unpriced for row in found.rows)


async def test_the_file_says_the_same_and_unknown_is_empty(ledger: Context) -> None:
    """Every row and figure; a name that a spreadsheet would run is quoted."""
    await record(
        ledger, OLD, call("m1", 1000, 100), call("m3", 5, 5, feature="=cmd()"), call("m2", 1, 0, feature="b,c")
    )

    download = await totals.as_csv(ledger, Asked(by=("model", "feature"), every="day"))
    text = b"".join([chunk async for chunk in download.chunks]).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))

    assert {("m1", "", "0.003"), ("m3", "'=cmd()", ""), ("m2", "b,c", "0.000001")} == {
        (row["model"], row["feature"], row["cost"]) for row in rows
    }
    assert {"USD"} == {row["currency"] for row in rows}


async def test_only_some_calls(ledger: Context) -> None:
    """One value of a dimension or attribute; of another project nothing."""
    await record(ledger, OLD, call("m1", 1_000_000, 0, feature="a"), call("m2", 1_000_000, 0, attributes={"team": "x"}))

    one = await totals.totals(ledger, Asked(narrowed=one_value("feature", "a", since=None)))
    team = await totals.totals(ledger, Asked(narrowed=one_value("attribute:team", "x", since=None)))
    other = await totals.totals(ledger.within("default-none"), Asked())

    assert (Decimal(2), Decimal(1), None, 0) == (
        one.total.cost, team.total.cost, other.total.cost, other.total.calls,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        pytest.param(Asked(every="fortnight"), "'every' cannot be", id="time"),
        pytest.param(Asked(by=("nothing",)), "no dimension", id="dimension"),
        pytest.param(Asked(by=("model", "model")), "two different", id="twice"),
        pytest.param(Asked(limit=0), "0 rows", id="limit"),
    ],
)
async def test_bad_questions(ledger: Context, asked: Asked, says: str) -> None:
    """Each says what is wrong with it."""
    with pytest.raises(BadInput, match=says):
        await totals.totals(ledger, asked)


def test_a_dimension_that_there_is_not() -> None:
    """And a value with nothing to be a value of."""
    with pytest.raises(BadInput, match="cannot be told by 'colour'"):
        one_value("colour", "red", since=None)


async def test_a_budget_line_tells_what_was_spent_and_what_it_comes_to(ledger: Context, clock: FrozenClock) -> None:
    """Ten dollars in ten of thirty-one days come to thirty-one by the end of the month."""
    clock.move_to(datetime(2026, 1, 11, tzinfo=UTC))
    await record(
        ledger,
        OLD,
        call("m2", 10_000_000, 0, at=datetime(2026, 1, 3, tzinfo=UTC)),
        call("m2", 5_000_000, 0, at=datetime(2025, 12, 31, 23, 59, tzinfo=UTC)),
        call("m3", 1, 1, at=datetime(2026, 1, 4, tzinfo=UTC)),
    )

    line = await budgets.set_budget(ledger, SetBudget(name="all", amount=Decimal(20), period="month"))
    week = await budgets.set_budget(ledger, SetBudget(name="week", amount=Decimal(1), period="week"))
    other = await budgets.set_budget(
        ledger, SetBudget(name="m1", amount=Decimal(1), period="month", dimension="model", value="m1")
    )

    assert (Decimal(10), 1, 0.5) == (line.spent, line.unpriced, line.share)
    assert line.forecast == Decimal(31)
    assert (datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC)) == (week.starts, week.ends)
    assert (other.spent, other.forecast, other.unpriced) == (None, None, 0)
    assert [one.name for one in await budgets.all_budgets(ledger)] == ["all", "m1", "week"]


async def test_budget_lines_are_replaced_and_removed(ledger: Context) -> None:
    """By name, in their own project only."""
    await budgets.set_budget(ledger, SetBudget(name="all", amount=Decimal(20), period="month"))
    await budgets.set_budget(ledger, SetBudget(name="all", amount=Decimal("0.5"), period="day"))

    with pytest.raises(NotFound):
        await budgets.remove(ledger.within("default"), "all")
    [kept] = await budgets.all_budgets(ledger)
    await budgets.remove(ledger, "all")

    assert (Decimal("0.5"), "day") == (kept.amount, kept.period)
    assert await budgets.all_budgets(ledger) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(SetBudget(name=" ", amount=Decimal(1), period="day"), "needs a name", id="name"),
        pytest.param(SetBudget(name="a", amount=Decimal(0), period="day"), "says nothing", id="zero"),
        pytest.param(SetBudget(name="a", amount=Decimal(-1), period="day"), "not an amount", id="negative"),
        pytest.param(SetBudget(name="a", amount=Decimal("NaN"), period="day"), "not an amount", id="not a number"),
        pytest.param(SetBudget(name="a", amount=Decimal(1), period="day", dimension="model"), "belong", id="half"),
        pytest.param(
            SetBudget(name="a", amount=Decimal(1), period="day", dimension="x", value="y"),
            "told by 'x'",
            id="dimension",
        ),
    ],
)
async def test_budget_lines_that_cannot_be(ledger: Context, body: SetBudget, says: str) -> None:
    """Each says why, and none is stored."""
    with pytest.raises(BadInput, match=says):
        await budgets.set_budget(ledger, body)
    assert await budgets.all_budgets(ledger) == []


def test_periods() -> None:
    """December ends with the year."""
    assert budgets.period_of("month", BEGIN) == (BEGIN, datetime(2026, 1, 1, tzinfo=UTC))
