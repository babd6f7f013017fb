"""The page of costs over HTTP: figures computed by hand, what links narrow to, budget lines, and what cannot be."""

import html
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import msgspec
import pytest
from tests.axis.ledger.spending import OLD, call, day, price, record

from gimbal.axis.ledger import budgets
from gimbal.axis.ledger.model import SetBudget
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.traces.model import Span
from gimbal.kernel.context import Context
from gimbal.kernel.ids import new_id
from gimbal.testing.clock import FrozenClock

HOSTILE = '</td><script>alert("x")</script><img src=x onerror=alert(1)>'
RANGE = "since=2025-12-01&until=2025-12-11"


async def text(site: httpx.AsyncClient, ctx: Context, path: str, status: int = 200) -> str:
    """Return a page without its tags between words, entities as what they mean."""
    reply = await site.get(f"/p/{ctx.project}{path}")
    assert reply.status_code == status, reply.text
    assert "<script>alert" not in reply.text
    assert "<img src=x" not in reply.text
    return reply.text


def words(page: str) -> str:
    """Return what a person reads."""
    inside = re.sub(r"<(script|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", inside)).split())


def hrefs(page: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'href="([^"]*)"', page)]


def like(span: Span, **more: object) -> Span:
    return msgspec.structs.replace(span, **more)


async def spent(ctx: Context) -> None:
    """Ten days of which the first has 2 + 1 dollars, the second 1 that failed and an answer that saved 3, and one unpriced.

    In the ten days before there was one call of 2 dollars.
    """
    await record(
        ctx,
        OLD,
        call("m1", 1_000_000, 0, at=day(0), feature="help", tags=["team:red", "new"]),
        call("m2", 1_000_000, 0, at=day(0), feature="help", tags=["team:blue"]),
        like(call("m2", 500_000, 500_000, at=day(1), feature="search"), status="error"),
        like(call("m2", 3_000_000, 0, at=day(1)), cached=True),
        call("nobody-knows", 70, 7, at=day(2), feature="search"),
        call("m1", 1_000_000, 0, at=day(-3)),
    )


async def test_the_figures_of_a_range(site: httpx.AsyncClient, ledger: Context) -> None:
    """2 + 1 + 1 dollars against 2 before: 100 % more; 4 for three priced calls that were billed."""
    await spent(ledger)

    shown = words(await text(site, ledger, f"/costs?{RANGE}&part=figures"))

    assert "Spent $4.00 + 1 call unpriced" in shown
    assert "+100.0 % $2.00 from 2025-11-21 to 2025-12-01" in shown
    assert "Saved by caches $3.00" in shown
    assert "Wasted $1.00 25.0 % of it" in shown


async def test_nothing_known_is_not_free(site: httpx.AsyncClient, ledger: Context) -> None:
    """Calls without a price are unknown in the figures, the table and the chart; nowhere stands a zero."""
    await record(ledger, OLD, call("nobody-knows", 70, 7, at=day(2)))

    page = await text(site, ledger, f"/costs?{RANGE}&whole=1")

    assert "Spent unknown + 1 call unpriced" in words(page)
    assert "No call of this time has a known cost" in page
    assert "$0" not in page
    assert any(one.startswith(f"/p/{ledger.project}/costs/unpriced?days=") for one in hrefs(page))


async def test_what_stands_for_others_is_called_an_estimate(site: httpx.AsyncClient, ledger: Context) -> None:
    """A call of a dollar that stands for four counts four times, and the page says so; without one it says nothing."""
    await record(ledger, OLD, call("m2", 1_000_000, 0, at=day(0)))
    before = words(await text(site, ledger, f"/costs?{RANGE}&part=figures"))
    await record(ledger, OLD, like(call("m2", 1_000_000, 0, at=day(0)), weight=4.0))
    after = words(await text(site, ledger, f"/costs?{RANGE}&part=figures"))

    assert "Spent $1.00" in before
    assert "estimates" not in before
    assert "Spent $5.00" in after
    assert "the figures are estimates" in after


async def test_the_page_itself_reads_no_call(site: httpx.AsyncClient, ledger: Context) -> None:
    """The parts are fetched behind it; without a script a link leads to all of them in the page."""
    await spent(ledger)

    page = await text(site, ledger, f"/costs?{RANGE}")
    whole = next(one for one in hrefs(page) if "whole=1" in one)

    assert re.findall(r'data-load="[^"]*part=(\w+)"', page) == ["figures", "chart", "table"]
    assert "$4.00" not in page
    assert "$4.00" in (await site.get(whole)).text


async def test_a_table_by_two_dimensions_sorted_on_the_server(site: httpx.AsyncClient, ledger: Context) -> None:
    """Rows by cost, then by what is asked; shares are of all; each has its calls and tokens."""
    await spent(ledger)

    rows = re.findall(
        r"<tr>(.*?)</tr>", await text(site, ledger, f"/costs?{RANGE}&part=table&by=model&then=feature"), re.DOTALL
    )
    told = [words(row) for row in rows[1:]]
    by_calls = words(await text(site, ledger, f"/costs?{RANGE}&part=table&by=model&sort=output"))

    assert told[0].startswith("m1 help $2.00 50.0 % 1 $2.00")
    assert told[1].startswith("m2 help $1.00 25.0 %")
    assert told[2].startswith("m2 search $1.00 25.0 %")
    assert any(one.startswith("m2 not told") and "$3.00" in one for one in told)
    assert any(one.startswith("nobody-knows search unknown + 1 unpriced") for one in told)
    assert by_calls.index("m2") < by_calls.index("nobody-knows") < by_calls.index("m1")


async def test_the_cost_by_token_class(site: httpx.AsyncClient, ledger: Context) -> None:
    """A million in at 2 and a hundred thousand out at 10: 2 and 1 dollars."""
    await record(ledger, OLD, call("m1", 1_000_000, 100_000, at=day(0)))

    shown = await text(site, ledger, f"/costs?{RANGE}&part=table&show=classes")

    assert '<td data-label="Input" class="num">$2.00</td>' in shown
    assert '<td data-label="Output" class="num">$1.00</td>' in shown


async def test_rows_link_to_their_traces_and_to_themselves_alone(site: httpx.AsyncClient, ledger: Context) -> None:
    """The list of traces with the same time and value has just its calls; a value leads to the page of it alone."""
    await spent(ledger)

    page = await text(site, ledger, f"/costs?{RANGE}&part=table&by=tag:team&where=feature=help")
    traces = [one for one in hrefs(page) if "/traces?" in one and "tag=team:red" in one]
    listed = await site.get(traces[0])
    drilled = next(one for one in hrefs(page) if ("/costs?" in one and "team%3Dred" in one) or "team=red" in one)
    alone = words((await site.get(f"{drilled}&whole=1")).text)

    assert "feature=help" in traces[0]
    assert listed.text.partition("<tbody")[2].count("<tr") == 1
    assert "Spent $2.00" in alone
    assert "Tag team red" in alone


async def test_the_file_has_the_same(site: httpx.AsyncClient, ledger: Context) -> None:
    """The link of the page, with its filters and dimensions."""
    await spent(ledger)

    page = await text(site, ledger, f"/costs?{RANGE}&by=model&where=feature=search&where=provider=acme")
    link = next(one for one in hrefs(page) if "totals.csv" in one)
    lines = (await site.get(link)).text.splitlines()

    assert [line.split(",")[1:5] for line in lines[1:]] == [["m2", "1", "1", "0"], ["nobody-knows", "1", "0", "1"]]


async def test_bars_by_day_with_the_line_and_what_is_expected(
    site: httpx.AsyncClient, ledger: Context, clock: FrozenClock
) -> None:
    """On the tenth 5 dollars were spent: 15 by the end of a month of 30 days, half a dollar on each of the 20 days to come."""
    now = clock.now().astimezone(UTC)
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    length = ((first + timedelta(days=32)).replace(day=1) - first).days
    clock.advance(seconds=(first + timedelta(days=10) - now).total_seconds())
    await record(ledger, OLD, call("m1", 2_500_000, 0, at=first + timedelta(days=1)))
    await budgets.set_budget(ledger, SetBudget(name="all", amount=Decimal(2 * length), period="month"))

    page = await text(site, ledger, "/costs?range=month&part=chart")
    [spec] = [msgspec.json.decode(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    rows = spec["data"]["values"]

    assert [row["y"] for row in rows if row["series"] == "m1"] == [5.0]
    assert [0.5] * (length - 11) == [row["y"] for row in rows if row["series"] == "expected"]
    assert "all: $2.00 a day" in str(spec)
    assert "$5.00 of" in words(page)


async def test_a_chart_keeps_the_most_expensive_and_sums_up_the_rest(site: httpx.AsyncClient, ledger: Context) -> None:
    """Of seven users five have their own colour; what two others cost stands together."""
    calls = [call("m2", (number + 1) * 1_000_000, 0, at=day(1), user_id=f"u{number}") for number in range(7)]
    await record(ledger, OLD, *calls)

    page = await text(site, ledger, f"/costs?{RANGE}&part=chart&by=user")
    [spec] = [msgspec.json.decode(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', page)]

    assert {row["series"]: row["y"] for row in spec["data"]["values"]} == {
        "u6": 7,
        "u5": 6,
        "u4": 5,
        "u3": 4,
        "u2": 3,
        "all other": 3,
    }


async def test_budget_lines_are_set_changed_and_removed_there(site: httpx.AsyncClient, ledger: Context) -> None:
    """By forms without any script; what is wrong is told beside its field, with what was given."""
    here = f"/p/{ledger.project}/costs/budgets"
    origin = {"origin": str(site.base_url).rstrip("/")}
    good = {
        "name": f"all {HOSTILE}",
        "amount": "12.50",
        "period": "week",
        "dimension": "tag:",
        "key": "team",
        "value": "red",
    }

    for wrong, field in (
        ({"amount": "much"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"name": " "}, "name"),
        ({"period": "year"}, "period"),
        ({"key": ""}, "key"),
        ({"value": ""}, "value"),
        ({"dimension": "colour"}, "dimension"),
    ):
        reply = await site.post(here, data={**good, **wrong}, headers=origin)
        assert (reply.status_code, f'id="e-{field}"' in reply.text) == (400, True), wrong
        assert "<script>alert" not in reply.text
    made = await site.post(here, data=good, headers=origin)
    [line] = await budgets.all_budgets(ledger)
    form = await text(site, ledger, f"/costs/budgets?change={line.name}")
    gone = await site.post(f"{here}/remove", data={"name": line.name}, headers=origin)

    assert (made.status_code, gone.status_code) == (303, 303)
    assert ("tag:team", "red", Decimal("12.5")) == (line.dimension, line.value, line.amount)
    assert 'value="12.5"' in form
    assert "stop nothing" in form
    assert await budgets.all_budgets(ledger) == []


async def test_bad_input_stands_beside_its_field(site: httpx.AsyncClient, ledger: Context) -> None:
    """Every field of the address, with the form as it was given."""
    await spent(ledger)

    for query, field in (
        ("since=never", "since"),
        ("since=2025-12-05&until=2025-12-01", "until"),
        ("since=1999-01-01&until=2025-01-01", "since"),
        ("range=ever", "range"),
        ("by=colour", "by"),
        ("by=model&then=colour", "then"),
        ("by=tag:", "by_key"),
        ("where=model", "where"),
        ("where=colour=red", "where"),
        ("where=model=a&where=model=b", "where"),
    ):
        page = await text(site, ledger, f"/costs?{query}", 400)
        assert f'id="e-{field}"' in page, query
    assert "cannot be" in await text(site, ledger, f"/costs?{RANGE}&part=table&sort=colour")


async def test_another_project_is_never_in_it(site: httpx.AsyncClient, ledger: Context) -> None:
    """Neither figures nor rows nor lines, whatever is filtered."""
    other = ledger.within(f"l{new_id()[-12:]}")
    await record(other, OLD, call("m1", 1_000_000, 0, at=day(0), feature="secret"))
    await record(ledger, OLD, call("m2", 1_000_000, 0, at=day(0), feature="mine"))

    for query in ("", "&by=feature", "&where=feature=secret", "&where=model=m1&by=user"):
        page = await text(site, ledger, f"/costs?{RANGE}&whole=1{query}")
        assert "$2.00" not in page
        assert "secret" not in page.replace("feature=secret", "").replace('chip-value">secret', "") or "where" in query


async def test_names_of_strangers_do_no_harm(site: httpx.AsyncClient, ledger: Context) -> None:
    """In the table, the chart, the chips and the links."""
    book = PriceBook([price(HOSTILE, "2", "10")], "odd")
    await record(ledger, book, call(HOSTILE, 1_000_000, 0, at=day(0), feature=HOSTILE))

    page = await text(site, ledger, f"/costs?{RANGE}&whole=1&by=model&then=feature")
    for link in {one for one in hrefs(page) if "where=" in one and "/costs" in one}:
        assert "Spent $2.00" in words((await site.get(link)).text)


async def test_a_project_without_calls_says_what_to_do(site: httpx.AsyncClient, ledger: Context) -> None:
    """An address to send to when nothing ever came; a wider time when it did."""
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=" in await text(site, ledger, "/costs")
    await record(ledger, OLD, call("m1", 1, 1, at=day(0)))
    assert "No call in this time" in await text(site, ledger, "/costs?range=24h&whole=1")


@pytest.mark.parametrize("path", ["/costs", "/costs/budgets", "/costs/unpriced", "/costs/reconcile"])
async def test_one_word_of_the_sidebar_leads_to_all_of_them(
    site: httpx.AsyncClient, ledger: Context, path: str
) -> None:
    """Costs is marked on each, and the pages stand beside each other."""
    page = await text(site, ledger, path)
    side = re.findall(r'<nav aria-label="Pages">(.*?)</nav>', page, re.DOTALL)[0]
    tabs = re.findall(r'<nav class="tabs" aria-label="Pages beside this one">(.*?)</nav>', page, re.DOTALL)[0]

    assert re.findall(r'aria-current="page">.*?<span>(\w+)', side, re.DOTALL) == ["Costs"]
    assert {"Overview", "Budgets", "Unpriced", "Reconcile"} <= set(words(tabs).split())
    assert tabs.count('aria-current="page"') == 1
