"""The list, the live tail and a session in Chromium: what is found, what comes in while one looks, hostile words in all."""

import re
import time
from typing import Any

import httpx
import msgspec
import pytest
from playwright.async_api import Page, expect
from tests.axis.traces.test_aggregate import HOUR, call, keep, step
from tests.browser import OpenPage, browser_page

from gimbal.axis.scores.model import NewScore, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.tail import Tails
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context

__all__ = ["browser_page"]
pytestmark = pytest.mark.browser
HOSTILE = "<script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=1>"
EVERY_S = 0.1


def now_us() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def tails(site: httpx.AsyncClient, here: Context) -> Tails:
    """Let the tail be quick."""
    found = Tails(here.get(Columns), every_s=EVERY_S, quiet_s=0.3)
    here.services.register(Tails, found)
    return found


async def text(site: httpx.AsyncClient, here: Context, path: str, status: int = 200) -> str:
    reply = await site.get(f"/p/{here.project}{path}")
    assert reply.status_code == status, reply.text
    return reply.text


async def pwned(page: Page) -> bool:
    return bool(await page.evaluate("window.pwned === 1"))


async def test_every_filter_is_a_field_and_a_chip_that_takes_it_away(site: httpx.AsyncClient, here: Context) -> None:
    await keep(here, call(1, name="kept", attributes={"a": "1", "b": "2"}))
    asked = "model=m1&attribute=a:1&attribute=b:2&min_tokens=3&range=7d&since=2025-01-01"
    shown = await text(site, here, f"/traces?{asked}")
    assert ">kept</a>" in shown
    chips = re.findall(r'class="chip-value">([^<]*)<', shown)
    assert sorted(chips) == ["2025-01-01", "3", "a:1", "b:2", "m1"]
    # Each chip's cross leaves all others as they are.
    (without,) = re.findall(r'chip-value">a:1</span><a href="([^"]*)"', shown)
    assert "attribute=b:2" in without
    assert "a:1" not in without
    assert "model=m1" in without
    fields = set(re.findall(r'name="(\w+)"', shown))
    assert {"endpoint", "key", "tag", "score", "scored_by", "ref", "session", "max_usd", "search", "unpriced"} <= fields


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("min_ms=soon", "&#39;soon&#39; is no number."),
        ("since=soon", "is not a time"),
        ("since=2026-02-02&until=2026-02-01", "ends before it begins"),
        ("score=helpful:", "says nothing of a score"),
        ("attribute=acme", "is not an attribute"),
        ("min_tokens=9&max_tokens=3", "smaller"),
        ("search=" + "+".join(f"w{n}" for n in range(30)), "too many"),
    ],
)
async def test_a_filter_that_is_wrong_is_told_beside_its_field(
    site: httpx.AsyncClient, here: Context, query: str, words: str
) -> None:
    shown = await text(site, here, f"/traces?{query}", 400)
    assert words in shown
    assert 'aria-invalid="true"' in shown
    # What was written is still there.
    given = httpx.QueryParams(query)
    name = next(iter(given.keys()))
    assert re.search(rf'name="{name}" value="{re.escape(given[name])}"', shown)


async def test_the_sums_of_the_list_are_those_of_its_traces(site: httpx.AsyncClient, here: Context) -> None:
    at = now_us() - 5 * HOUR
    await keep(
        here,
        *(
            call(n, trace=n, at_us=at + n * HOUR // 4, ms=n * 100, status="error" if n == 3 else "ok")
            for n in range(1, 11)
        ),
        call(99, trace=99, at_us=at, model="other", cost=None, unpriced="no_price"),
    )
    part = await text(site, here, "/traces?part=overview&model=m1")
    words = " ".join(re.sub(r"<[^>]+>", " ", part).split())
    assert "Traces 10 Failed 10.0 % 1 Cost $0.10" in words
    assert "Half within 500 ms 95 % within 1 s" in words
    bars = re.findall(r'aria-label="(\d+) traces, (\d+) failed', part)
    assert sum(int(count) for count, _ in bars) == 10
    assert sum(int(failed) for _, failed in bars) == 1
    assert "1 in part unpriced" in await text(site, here, "/traces?part=overview")
    assert "overview-facts" not in await text(site, here, "/traces?part=overview&model=none")


async def test_dragging_over_bars_narrows_the_time(
    site: httpx.AsyncClient, here: Context, browser_page: OpenPage
) -> None:
    at = now_us() - 5 * HOUR
    await keep(here, *(call(n, trace=n, name=f"n{n}", at_us=at + n * HOUR) for n in range(1, 5)))
    shown = await browser_page(f"{site.base_url}/p/{here.project}/traces")
    bars = shown.page.locator("[data-bars] a")
    await expect(bars.first).to_be_visible()
    first, last = await bars.nth(0).bounding_box(), await bars.nth(await bars.count() // 2).bounding_box()
    assert first is not None and last is not None  # noqa: PT018 - one thought
    await shown.page.mouse.move(first["x"] + 2, first["y"] + 20)
    await shown.page.mouse.down()
    await shown.page.mouse.move(last["x"] + 2, last["y"] + 20, steps=4)
    await shown.page.mouse.up()
    await expect(shown.page).to_have_url(re.compile("since=.*until="))
    await expect(shown.page.locator("tbody tr").first).to_be_visible()
    assert 1 <= await shown.page.locator("[data-rows] tr").count() < 4
    assert shown.complaints == []


async def test_new_traces_appear_and_wait_while_someone_reads(
    site: httpx.AsyncClient, here: Context, tails: Tails, browser_page: OpenPage
) -> None:
    await keep(here, step(1, trace=1, name="before", at_us=now_us()))
    shown = await browser_page_live(browser_page, site, here)
    rows = shown.page.locator("[data-rows] tr")
    await keep(here, step(2, trace=2, name=f"came {HOSTILE}", at_us=now_us()))
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text(f"came {HOSTILE}")
    # Whoever has the pointer in the rows finds them where they were.
    await rows.nth(1).hover()
    await keep(here, step(3, trace=3, name="later", at_us=now_us()))
    more = shown.page.locator("[data-tail-more]")
    await expect(more).to_have_text("1 new")
    await expect(rows).to_have_count(2)
    await more.click()
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("later")
    # What changes comes to its newest place, once.
    await shown.page.mouse.move(2, 2)
    await keep(here, call(4, trace=2, parent_id=f"{2:016x}", status="error", at_us=now_us()))
    await expect(rows.first).to_contain_text("error")
    await expect(rows).to_have_count(3)
    assert not await pwned(shown.page)
    assert shown.complaints == []


async def browser_page_live(browser_page: OpenPage, site: httpx.AsyncClient, here: Context, query: str = "") -> Any:
    # A page that waits for news is never idle: it is opened first, and then switched on.
    shown = await browser_page(f"{site.base_url}/p/{here.project}/traces?limit=50{query}")
    await shown.page.get_by_role("link", name="Live").click()
    await expect(shown.page.locator("[data-tail-state]")).to_contain_text("appear here")
    return shown


async def test_the_tail_goes_on_after_the_network_was_away(
    site: httpx.AsyncClient, here: Context, tails: Tails, browser_page: OpenPage
) -> None:
    await keep(here, step(1, trace=1, name="before", at_us=now_us()))
    shown = await browser_page_live(browser_page, site, here)
    rows = shown.page.locator("[data-rows] tr")
    await shown.page.context.set_offline(True)
    await expect(shown.page.locator("[data-tail-state]")).to_contain_text("does not answer", timeout=20_000)
    await keep(here, *(step(n, trace=n, name=f"n{n}", at_us=now_us()) for n in range(2, 5)))
    await shown.page.context.set_offline(False)
    await expect(rows).to_have_count(4, timeout=20_000)
    names = await rows.locator(".cell-main > a").all_inner_texts()
    assert sorted(names) == ["before", "n2", "n3", "n4"]


async def test_the_tail_keeps_to_its_filter(
    site: httpx.AsyncClient, here: Context, tails: Tails, browser_page: OpenPage
) -> None:
    await keep(here, step(1, trace=1, name="wanted 0", at_us=now_us()))
    shown = await browser_page_live(browser_page, site, here, "&text=wanted")
    rows = shown.page.locator("[data-rows] tr")
    await keep(here, step(2, trace=2, name="other", at_us=now_us()), step(3, trace=3, name="wanted 1", at_us=now_us()))
    await expect(rows).to_have_count(2)
    assert "other" not in await rows.all_inner_texts()


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_long_session_reads_as_one_conversation(
    site: httpx.AsyncClient, here: Context, browser_page: OpenPage, width: int
) -> None:
    """Turns come as one scrolls; what strangers said runs nothing."""
    at, history = now_us() - HOUR, list[dict[str, Any]]()
    spans: list[Any] = []
    for n in range(1, 46):
        history.append({"role": "user", "content": f"q{n} {HOSTILE}"})
        answer = {"role": "assistant", "content": f"a{n}"}
        taken, given = msgspec.json.encode(history).decode(), msgspec.json.encode([answer]).decode()
        spans.append(
            call(
                n,
                trace=n,
                session_id=f"s/{HOSTILE}",
                at_us=at + n * 1_000_000,
                input=taken,
                output=given,
                name=f"turn {n}",
            )
        )
        history.append(answer)
    await keep(here, *spans)
    score = NewScore(target_kind=ScoreTarget.TRACE, target_id=f"{1:032x}", name=f"n {HOSTILE}", label=HOSTILE)
    await here.get(Scores).record(here, [score])
    listed = await browser_page(f"{site.base_url}/p/{here.project}/sessions", width=width)
    await listed.page.locator("td.cell-main a").click()
    page = listed.page
    turns = page.locator(".talk-turn")
    await expect(turns).to_have_count(20)
    await expect(page.locator(".talk-user")).to_have_count(20)
    for reached in (40, 45):
        await page.locator("[data-more]").scroll_into_view_if_needed()
        await expect(turns).to_have_count(reached)
    assert await page.locator(".talk-user .talk-text").all_text_contents() == [f"q{n} {HOSTILE}" for n in range(1, 46)]
    assert await listed.overflow() == []
    assert not await pwned(page)
    assert listed.complaints == []
