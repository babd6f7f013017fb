"""The page of one trace in Chromium: it opens at any size, is walked by keys, filters, and runs nothing that was sent."""

import json
import random

import httpx
import pytest
from playwright.async_api import Page, expect
from tests.axis.traces import wire
from tests.browser import OpenPage, browser_page  # noqa: F401 - a fixture
from tests.pages import looks

from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context

pytestmark = pytest.mark.browser
BAD = "<script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=1>"
RTL = "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd\u200b\u200d"
MOST_NODES = 2500


def address(site: httpx.AsyncClient, here: Context, trace: str, query: str = "") -> str:
    return f"{site.base_url}/p/{here.project}/traces/{trace}{query}".replace("//p/", "/p/")


async def keep(columns: Columns, here: Context, spans: list[Span]) -> str:
    """Store many spans at once."""
    await columns.insert("spans", to_rows(str(here.project), spans).table())
    return spans[0].trace_id


def many(count: int, parent: dict[int, int] | None = None, **fields: object) -> list[Span]:
    """Return spans beneath the first one, or as `parent` has it."""
    trace = wire.trace_id()
    return [
        Span(
            trace_id=trace,
            span_id=f"{number:016x}",
            parent_id="" if number == 1 else f"{(parent or {}).get(number, 1):016x}",
            start_us=wire.START + number,
            end_us=wire.START + number + 1000,
            **({"name": f"s{number}"} | fields),  # type: ignore[arg-type]
        )
        for number in range(1, count + 1)
    ]


def row(page: Page, name: str):
    return page.locator("[role=treeitem]").filter(has=page.locator(".tv-label", has_text=name))


async def story(here: Context) -> str:
    """Send a small trace with a conversation, a failed tool among twelve, and documents."""
    trace = wire.trace_id()
    tools = json.dumps([{"type": "function", "function": {"name": "look_up", "description": "Looks up."}}])
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "When is noon?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"of":"noon","k":3}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "At twelve."},
    ]  # fmt: skip
    answer = [
        {"role": "assistant", "content": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Twelve."}]}
    ]
    thrown = {
        "exception.type": "TimeoutError",
        "exception.message": "too slow",
        "exception.stacktrace": "File x, line 1",
    }
    call = wire.chat(
        trace, 2, 1,
        attributes={
            "gen_ai.input.messages": json.dumps(said), "gen_ai.output.messages": json.dumps(answer),
            "gen_ai.tool.definitions": tools, "gimbal.refs": ["prompt:help/answer@v2"], "gen_ai.conversation.id": "s-1",
        },
    )  # fmt: skip
    steps = [
        wire.span(
            trace, number, 1, name="search", attributes={"gen_ai.operation.name": "execute_tool"},
            **({"status": {"code": 2, "message": "index is cold"}} if number == 15 else {}),
        )
        for number in range(10, 22)
    ]  # fmt: skip
    steps[5].events.add(name="exception", time_unix_nano=wire.START * 1000, attributes=wire.pairs(thrown))
    found = wire.span(
        trace, 30, 1, name="fetch pages",
        attributes={
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.documents": [{"id": "d", "content": "Noon is at 12.", "score": 0.75, "source": "time.md"}],
        },
    )  # fmt: skip
    await ingest(here, wire.request(wire.span(trace, 1, name="ask", ms=90), call, *steps, found))
    return trace


async def test_it_opens_is_walked_by_keys_and_keeps_its_place_in_the_address(
    site: httpx.AsyncClient,
    here: Context,
    browser_page: OpenPage,  # noqa: F811 - the fixture
) -> None:
    """Down, right, left, Enter; what is chosen stands in the address and is fetched; a link leads back to it."""
    trace = await story(here)
    shown = await browser_page(address(site, here, trace))
    page = shown.page
    tree = page.get_by_role("tree", name="Spans of the trace")
    await expect(page.get_by_role("treeitem")).to_have_count(4)
    await expect(row(page, "search")).to_contain_text("12×")
    await expect(row(page, "search")).to_contain_text("1 failed inside")
    await tree.focus()
    await page.keyboard.press("ArrowDown")
    await expect(row(page, "chat gpt-4o")).to_have_attribute("aria-selected", "true")
    assert await tree.get_attribute("aria-activedescendant") == await row(page, "chat gpt-4o").get_attribute("id")
    detail = page.locator("[data-span-detail]")
    await expect(detail.locator("h2")).to_have_text("chat gpt-4o")
    assert f"span={2:016x}" in page.url
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("treeitem")).to_have_count(16)
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("treeitem")).to_have_count(4)
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("treeitem")).to_have_count(1)
    await expect(row(page, "ask")).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("e")
    await expect(detail.locator("h2")).to_have_text("search")
    await expect(detail).to_contain_text("index is cold")
    await expect(detail).to_contain_text("TimeoutError")
    await page.keyboard.press("Enter")
    await expect(detail).to_be_focused()

    again = await browser_page(page.url)
    await expect(again.page.locator("[role=treeitem][aria-selected=true] .tv-label")).to_have_text("search")
    await expect(again.page.locator("[data-span-detail]")).to_contain_text("index is cold")
    assert shown.complaints + again.complaints == []


async def test_a_call_is_read_as_a_conversation(
    site: httpx.AsyncClient,
    here: Context,
    browser_page: OpenPage,  # noqa: F811 - the fixture
) -> None:
    """Roles, a call with its arguments on lines, its result by its name, reasoning folded, tools, cost by class, links."""
    trace = await story(here)
    shown = await browser_page(address(site, here, trace, f"?span={2:016x}"))
    detail = shown.page.locator("[data-span-detail]")
    await expect(detail.locator(".say-tool")).to_contain_text("result of look_up")
    await expect(detail.locator(".say-assistant pre").first).to_have_text('{\n  "of": "noon",\n  "k": 3\n}')
    await expect(detail.locator(".say-assistant .say-text")).to_have_text("Twelve.")
    await expect(detail.get_by_text("Hm.", exact=True)).to_be_hidden()
    await expect(detail.locator("#tools")).to_contain_text("Looks up.")
    await expect(detail.get_by_role("link", name="prompt:help/answer@v2")).to_be_visible()
    await expect(detail.get_by_role("link", name="s-1")).to_have_attribute("href", f"/p/{here.project}/sessions/s-1")
    costs = await detail.get_by_role("table", name="Tokens and cost by class").locator("tbody tr").all_inner_texts()
    assert [text.split("\t")[0] for text in costs] == ["input", "output"]
    assert "$0.0025" in costs[0]
    await detail.locator("#raw > summary").click()
    await detail.get_by_label("Search in raw").fill("tool.definitions")
    assert await detail.locator("[data-raw-row]:visible").count() == 1
    await row(shown.page, "fetch pages").click()
    await expect(detail).to_contain_text("time.md")
    await expect(detail).to_contain_text("score 0.75")
    assert shown.complaints == []


async def test_filters_let_through_what_fits_and_what_leads_to_it(
    site: httpx.AsyncClient,
    here: Context,
    browser_page: OpenPage,  # noqa: F811 - the fixture
) -> None:
    """By name, by text that only a message has, by status; they stand in the address; cleared, all is as before."""
    trace = await story(here)
    shown = await browser_page(address(site, here, trace))
    page, field = shown.page, shown.page.get_by_label("Find spans by name or text")
    items = page.get_by_role("treeitem")
    await page.keyboard.press("/")
    await expect(field).to_be_focused()
    await field.fill("fetch")
    await expect(items.locator(".tv-label")).to_have_text(["ask", "fetch pages"])
    await field.fill("when is NOON?")
    await expect(items.locator(".tv-label")).to_have_text(["ask", "chat gpt-4o"])
    assert "q=when" in page.url
    await field.fill("")
    await page.get_by_label("Status").select_option("error")
    await expect(items.locator(".tv-label")).to_have_text(["ask", "search"])
    await page.get_by_role("link", name="Clear").click()
    await expect(items).to_have_count(4)
    assert "status" not in page.url
    await page.get_by_role("button", name="Critical path").click()
    assert await page.locator(".tv-on").count() > 0

    plain = await browser_page(address(site, here, trace, "?q=When+is+noon&kind=llm"), script=False)
    assert await plain.page.locator("[data-tv-plain] tbody a").all_inner_texts() == ["chat gpt-4o"]
    assert shown.complaints == []


async def test_who_worked_and_what_is_alike_come_when_they_are_near(
    site: httpx.AsyncClient,
    here: Context,
    browser_page: OpenPage,  # noqa: F811 - the fixture
) -> None:
    """A node leads to its spans; without a script a link leads to both."""
    other, trace = await story(here), await story(here)
    shown = await browser_page(address(site, here, trace))
    page = shown.page
    await page.locator("[data-trace-more]").scroll_into_view_if_needed()
    await expect(page.locator("#similar")).to_contain_text("100 %")
    await expect(page.locator("#similar tbody a")).to_have_attribute("href", f"/p/{here.project}/traces/{other}")
    await page.locator("#graph a", has_text="search").click()
    await expect(page.locator("[role=treeitem] .tv-label")).to_have_count(13)
    assert await page.locator("[data-tv-said]").inner_text() == "12 of 15 spans"
    plain = await browser_page(address(site, here, trace), script=False)
    await plain.page.get_by_role("link", name="Who worked in it").click()
    await expect(plain.page.locator("#graph")).to_contain_text("gpt-4o")
    assert shown.complaints == []


async def test_twenty_thousand_spans_open_at_once_and_hold_little(
    site: httpx.AsyncClient,
    here: Context,
    columns: Columns,
    browser_page: OpenPage,  # noqa: F811 - the fixture
) -> None:
    """Few elements wherever one is in it; the last row is reached; a link to a span in the middle shows it."""
    draw = random.Random(7)
    spans = many(20_000, {number: draw.randint(max(1, number - 50), number - 1) for number in range(2, 20_001)})
    trace = await keep(columns, here, spans)
    shown = await browser_page(address(site, here, trace, f"?span={12_345:016x}"))
    page = shown.page
    chosen = page.locator("[role=treeitem][aria-selected=true]")
    await expect(chosen).to_be_in_viewport()
    await expect(chosen.locator(".tv-label")).to_have_text("s12345")
    await page.get_by_role("tree").focus()
    for key in ("End", "PageUp", "Home", "PageDown", "ArrowDown"):
        await page.keyboard.press(key)
        await expect(chosen).to_be_in_viewport()
        assert await page.evaluate("document.querySelectorAll('*').length") < MOST_NODES
    assert (await page.evaluate("performance.getEntriesByName('gimbal:trace-usable').length")) == 1
    assert shown.complaints == []


@pytest.mark.parametrize("shape", ["siblings", "chain", "circle"])
async def test_strange_shapes_are_shown(
    site: httpx.AsyncClient,
    here: Context,
    columns: Columns,
    browser_page: OpenPage,  # noqa: F811 - the fixture
    shape: str,
) -> None:
    """20,000 siblings of one name are one row until they are unfolded; 5,000 deep; parents in a circle and gone."""
    if shape == "siblings":
        spans, rows, last = many(20_000, name="step"), 2, "step"
    elif shape == "chain":
        spans, rows, last = many(5000, {number: number - 1 for number in range(2, 5001)}), None, "s5000"
    else:
        spans, rows, last = many(5, {2: 3, 3: 2, 4: 99, 5: 5}), 5, None
    trace = await keep(columns, here, spans)
    shown = await browser_page(address(site, here, trace))
    page = shown.page
    if rows is not None:
        await expect(page.get_by_role("treeitem")).to_have_count(rows)
    await page.get_by_role("tree").focus()
    if shape == "siblings":
        await expect(page.get_by_role("treeitem").nth(1)).to_contain_text("19,999×")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowRight")
    await page.keyboard.press("End")
    chosen = page.locator("[role=treeitem][aria-selected=true]")
    await expect(chosen).to_be_in_viewport()
    if last:
        await expect(chosen.locator(".tv-label")).to_have_text(last)
    assert await page.evaluate("document.querySelectorAll('*').length") < MOST_NODES
    assert (await shown.overflow(), shown.complaints) == ([], [])


@pytest.mark.parametrize("width", [1280, 390])
async def test_nothing_that_was_sent_runs_or_breaks_the_page(
    site: httpx.AsyncClient,
    here: Context,
    columns: Columns,
    browser_page: OpenPage,  # noqa: F811 - the fixture
    width: int,
) -> None:
    """Markup in names, messages, documents, tools and stacks; a megabyte of text; words from right to left."""
    message = [{"role": BAD, "content": BAD + RTL}, {"role": "assistant", "content": "x" * 1_000_000}]
    spans = many(
        3, kind="tool", status="error", status_message=BAD + RTL, model=BAD, session_id=BAD, user_id=RTL, feature=BAD,
        input=json.dumps(message), output=json.dumps([{"role": "assistant", "tool_calls": [{"id": BAD, "function": {"name": BAD,
        "arguments": BAD}}]}]), refs=[BAD], attributes={BAD: BAD, "ai.prompt.tools": [BAD, {"name": BAD}]},
        events=[{"name": "exception", "at_us": wire.START, "attributes": {"exception.type": BAD, "exception.stacktrace": BAD}}],
        resource={RTL: BAD},
    )  # fmt: skip
    named = [
        Span(**{**{f: getattr(one, f) for f in one.__struct_fields__}, "name": f"{BAD}{RTL}{'w' * 300}"})
        for one in spans
    ]
    trace = await keep(columns, here, named)
    shown = await browser_page(address(site, here, trace, "?more=1"), width=width)
    page = shown.page
    await expect(page.get_by_role("treeitem")).to_have_count(3)
    await page.get_by_role("treeitem").nth(1).click()
    await expect(page.locator("[data-span-detail]")).to_contain_text(BAD)
    await expect(page.locator("[data-span-detail] [data-raw-search]")).to_have_count(1)
    await page.evaluate("document.querySelectorAll('main details').forEach((d) => (d.open = true))")
    assert await page.evaluate("window.pwned") is None
    assert await page.locator("img[src=x]").count() == 0
    assert await shown.overflow() == []
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        assert await page.evaluate(looks.FAINT) == []
    assert await page.evaluate(looks.NAMELESS) == []
    assert shown.complaints == []


async def test_a_person_can_score_a_span_and_the_trace(
    site: httpx.AsyncClient,
    here: Context,
    browser_page: OpenPage,  # noqa: F811 - the fixture
) -> None:
    """The form comes back to the span with the score in it; what is no number is told."""
    trace = await story(here)
    shown = await browser_page(address(site, here, trace, f"?span={2:016x}"))
    page = shown.page

    async def say(of: str, name: str, value: str) -> None:
        await page.locator("#add-score > summary").click()
        await page.get_by_label("Of", exact=True).select_option(of)
        await page.get_by_label("What is judged").fill(name)
        await page.get_by_label("Value").fill(value)
        await page.get_by_role("button", name="Record").click()

    await say("span", "helpful", "0.25")
    await expect(page.locator("[data-span-detail]")).to_contain_text("helpful")
    await expect(page.locator("[role=treeitem][aria-selected=true]")).to_contain_text("1 score")
    await say("trace", "correct", "1")
    await expect(page.locator("#scores")).to_contain_text("correct")
    await say("span", "other", "much")
    await expect(page.locator("[data-flash]")).to_contain_text("'much' is not a number")
    reply = await site.post(f"/p/{here.project}/traces/{trace}/scores", data={"span": "x", "name": "n", "value": "1"})
    assert reply.status_code == 303
    kept = (await site.get(f"/api/v1/projects/{here.project}/scores")).json()["items"]
    assert sorted((one["name"], one["target_kind"], one["value"], one["source"]) for one in kept) == [
        ("correct", "trace", 1, "human"),
        ("helpful", "span", 0.25, "human"),
    ]


async def test_a_part_that_there_is_not_says_so(site: httpx.AsyncClient, here: Context) -> None:
    """400 for an unknown part, 404 for a span of another trace."""
    trace, other = await story(here), wire.trace_id()
    await ingest(here, wire.request(wire.span(other, 77)))
    for query, status in (
        ("?part=x", 400),
        (f"?part=span&span={77:016x}", 404),
        ("?part=span", 404),
        ("?part=more", 200),
    ):
        assert (await site.get(f"/p/{here.project}/traces/{trace}{query}")).status_code == status, query


async def test_the_raw_tab_has_the_links_of_a_span(site: httpx.AsyncClient, here: Context) -> None:
    """With what they point to and say; what they say is text there, too."""
    trace = wire.trace_id()
    one = wire.span(trace, 1)
    one.links.add(trace_id=b"\x0a" * 16, span_id=b"\x0b" * 8, attributes=wire.pairs({"why": BAD}))
    await ingest(here, wire.request(one))
    shown = await site.get(f"/p/{here.project}/traces/{trace}?part=span&span={1:016x}")
    assert shown.status_code == 200
    raw = shown.text[shown.text.index('id="raw"') :]
    assert "gimbal.links" in raw
    assert "0a" * 16 in raw
    assert "0b" * 8 in raw
    assert "&lt;script&gt;window.pwned" in raw
    assert "<script>window.pwned" not in shown.text
