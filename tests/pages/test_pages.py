"""Every page, in Chromium: it answers, says where one is, fits the window, can be read in both themes, and runs nothing."""

import asyncio
import html
import inspect
import itertools
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import BrowserContext, Page
from tests.browser import Opened
from tests.pages import looks
from tests.pages.conftest import OpenIn
from tests.pages.filled import Places

from gimbal.engines import console
from gimbal.engines.console.pages import all_pages
from gimbal.faces.server.capabilities import load_pages

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
NAMES = (
    *(
        "home",
        "runs",
        "run",
        "runs-compared",
        "studies",
        "study",
        "assets",
        "dataset",
        "model",
        "prompt",
        "suite",
        "index",
        "optimisations",
        "optimisation",
        "prompts",
        "prompt-page",
        "prompt-compare",
        "prompt-try",
        "prompt-edit",
        "prompt-new",
    ),
    *("versions", "history", "lineage", "files", "difference"),
    *(
        "evaluations",
        "evaluation",
        "evaluation-new",
        "comparison",
        "gates",
        "decision",
        "refusal",
        "endpoints",
        "endpoint",
    ),
    *("traces", "trace", "sessions", "session", "monitors", "monitor"),
    *("costs", "costs-lazy", "cost-classes", "budgets", "unpriced", "reconcile"),
    *("gateway", "routes", "route", "providers", "playground"),
    *("sql", "sql-refused", "redaction", "retention"),
    *("jobs", "job", "prices", "price", "price-form", "audit", "access", "settings", "reference"),
)
EMPTY = {
    "": ("Start here", "make demo"),
    "/runs": ("No runs yet", "import gimbal"),
    "/studies": ("No studies yet", "gimbal.OptunaStorage"),
    "/assets": ("No assets yet", "gimbal prompts sync"),
    "/evaluations": ("No evaluations yet", "gimbal evaluations start"),
    "/gates": ("No gates yet", "gimbal gates set"),
    "/gateway": ("No calls yet", "OPENAI_BASE_URL="),
    "/gateway/routes": ("No routes yet", "gimbal routes publish"),
    "/endpoints": ("No endpoints yet", "gimbal endpoints set"),
    "/traces": ("No traces yet", "OTEL_EXPORTER_OTLP_ENDPOINT="),
    "/sessions": ("No sessions yet", "session.id"),
    "/costs": ("No costs yet", "OTEL_EXPORTER_OTLP_ENDPOINT="),
    "/costs/budgets": ("No budget line yet", "gimbal ledger set-budget"),
    "/costs/reconcile": ("No statement yet", "gimbal ledger import"),
    "/monitors": ("No monitors yet", "gimbal monitors set"),
    "/jobs": ("No jobs yet", "gimbal evaluations start"),
    "/audit": ("Nothing recorded yet", "gimbal keys create"),
    "/access": ("No keys yet", "gimbal keys create"),
}
ICONS = set(re.findall(r'<symbol id="([\w-]+)"', (Path(console.__file__).parent / "static/icons.svg").read_text()))
# How Python writes what should have been written for a person.
RAW = re.compile(r"\b(?:None|True|False)\b|Undefined|object at 0x|datetime\.|Decimal\(|\bnan\b|</?\w+ class=")


async def test_no_page_is_forgotten(places: Places) -> None:
    """Every page that is declared is opened below: a new one must be put into the list, or this fails."""
    load_pages()
    patterns = [re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(row.path)) + "$") for row in all_pages()]
    opened = [path.partition("?")[0].removeprefix("/p/default") or "/" for path, _, _ in places.pages.values()]

    assert set(places.pages) == set(NAMES)
    missing = {pattern.pattern for pattern in patterns if not any(pattern.match(path) for path in opened)}
    assert missing == {r"/retention/proofs/[^/]+$"}, "a proof takes a minute to come about: see tests/axis/retention"


async def readable(page: Page, theme: Literal["light", "dark"]) -> list[str]:
    await page.emulate_media(color_scheme=theme)
    return [f"{theme}: {words}" for words in await page.evaluate(looks.FAINT)]


async def unfold(opened: Opened) -> None:
    """Open whatever can be opened, and wait until every chart is drawn."""
    page = opened.page
    await page.evaluate("document.querySelectorAll('main details').forEach((d) => (d.open = true))")
    for chart in await page.query_selector_all("[data-chart]"):
        await chart.scroll_into_view_if_needed()
    # Not wait_for_function: it makes code from text in the page, which the policy forbids.
    async with asyncio.timeout(10):
        while await page.evaluate(looks.UNDRAWN):  # noqa: ASYNC110 - nothing to wait on: the page's own script draws
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", NAMES)
async def test_a_page_is_whole_on_a_desk(places: Places, desktop: BrowserContext, opened: OpenIn, name: str) -> None:
    """Heading, place in the sidebar, drawings, names for those who hear it, contrast of 4.5 in both themes."""
    path, heading, nav = places.pages[name]
    shown = await opened(desktop, places.url + path)
    page = shown.page
    await unfold(shown)

    assert shown.status == 200
    assert await page.title() == f"{heading} · Gimbal"
    assert await page.locator("h1").all_inner_texts() == [heading]
    assert await page.locator(".side .nav-link[aria-current=page]").all_inner_texts() == ([nav] if nav else [])
    assert await page.evaluate(looks.NAMELESS) == []
    assert set(await page.evaluate(looks.SYMBOLS)) <= ICONS
    words = await page.locator("main").inner_text()
    # The types of the columns of views are written so, too.
    assert name in {"reference", "sql", "sql-refused"} or RAW.findall(words) == []
    assert await readable(page, "light") + await readable(page, "dark") == []
    assert await shown.overflow() == []
    assert await page.evaluate(looks.CUT) == []
    assert await page.evaluate("window.pwned") is None
    assert shown.complaints == []


@pytest.mark.parametrize("name", NAMES)
async def test_a_page_fits_a_phone(places: Places, phone: BrowserContext, opened: OpenIn, name: str) -> None:
    """Nothing is wider than 390 pixels, nothing is cut off, and it can be read in both themes."""
    path, _, _ = places.pages[name]
    shown = await opened(phone, places.url + path)
    page = shown.page
    await unfold(shown)

    assert shown.status == 200
    assert await shown.overflow() == []
    assert await page.evaluate(looks.CUT) == []
    assert await readable(page, "light") + await readable(page, "dark") == []
    assert await page.evaluate("window.pwned") is None
    assert shown.complaints == []


@pytest.mark.parametrize("path", EMPTY)
async def test_an_empty_page_says_what_to_do(places: Places, phone: BrowserContext, opened: OpenIn, path: str) -> None:
    """Where there is nothing yet, the page names it and has what to type."""
    title, snippet = EMPTY[path]
    shown = await opened(phone, f"{places.url}/p/empty{path}")

    words = await shown.page.locator("main").inner_text()
    assert title in words
    assert snippet in words
    assert await shown.overflow() == []
    assert shown.complaints == []


ODD = ("", "-1", "99999999999999999999", "'\"<b>&amp;\x00%", "\u202e\U0001f600", "x" * 2000)
ASKS = re.compile(r"""(?:query\.get|number|values|one_of)\("(\w+)\"""")


def asked_by(path: str) -> list[str]:
    """Return the words that the room of a page asks of its address."""
    load_pages()
    place = path.partition("?")[0].removeprefix("/p/default") or "/"
    rows = [row for row in all_pages() if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(row.path)), place)]
    return sorted({word for row in rows for word in ASKS.findall(inspect.getsource(inspect.getmodule(row.handler)))})


@pytest.mark.parametrize("name", NAMES)
async def test_odd_words_in_its_address_break_no_page(places: Places, name: str) -> None:
    """Addresses are kept, sent and mended by hand: a word that means nothing is told or passed over."""
    path = places.pages[name][0]
    words = asked_by(path)
    asked = [{word: "nope"} for word in words] + [dict.fromkeys(words, text) for text in ODD]
    broken: list[str] = []
    async with httpx.AsyncClient(base_url=places.url, timeout=60) as client:
        for query in asked:
            url = f"{path}{'&' if '?' in path else '?'}{urlencode(query)}"
            if (await client.get(url)).status_code >= 500:
                broken.append(url[:200])
    assert broken == []


def traits(link: str) -> set[tuple[str, ...]]:
    """Return what a link is one of: its kind of page with each parameter, with each two and each three of them.

    What things are told by, and when, is without end, and so are the sets that filters and orders can be joined to. Most
    of what breaks does so with one or two conditions, and nearly all with three (Kuhn, Wallace and Gallo 2004, software
    fault interactions). A tab is a page by itself.
    """
    path, _, query = link.partition("?")
    kind = re.sub(r"[0-9a-f]{8,}[-0-9a-f]*|@v[0-9]+", "…", path)
    given = sorted({one if one.startswith("tab=") else one.partition("=")[0] for one in query.split("&")})
    return {(kind, *some) for some in itertools.combinations_with_replacement(given, 3)}


async def test_no_page_links_to_nothing(places: Places, desktop: BrowserContext) -> None:
    """Whatever is linked from any page answers; what is one of nothing new is not followed."""
    todo, seen, followed = ["/p/default"], set[str](), set[tuple[str, ...]]()
    while todo:
        link = todo.pop()
        if traits(link) <= followed:
            continue
        followed |= traits(link)
        reply = await desktop.request.get(places.url + link, max_redirects=0)
        assert reply.status == 200, (link, reply.status)
        if not reply.headers["content-type"].startswith("text/html"):
            continue
        for href in re.findall(r'<a[^>]+href="(/[^"#]*)', await reply.text()):
            found = html.unescape(href)
            if found not in seen:
                seen.add(found)
                todo.append(found)
    assert len(seen) > 60


@pytest.mark.parametrize(
    ("path", "within"), [("/p/default/runs/none", True), ("/p/default/nothing", False), ("/nothing", False)]
)
async def test_what_is_not_there_is_told(
    places: Places, phone: BrowserContext, opened: OpenIn, path: str, within: bool
) -> None:
    """404, in words, with a way on; inside a project the sidebar stays."""
    shown = await opened(phone, places.url + path)

    assert shown.status == 404
    assert await shown.page.locator("h1").inner_text() == "This is not here"
    assert (await shown.page.locator(".error-status").inner_text()).split() == ["404", "not_found"]
    assert await shown.page.locator(".bar").count() == int(within)
    assert await shown.page.get_by_role("link", name="Go to Home").get_attribute("href") in {"/", "/p/default"}
    assert await shown.overflow() == []
    assert await readable(shown.page, "light") + await readable(shown.page, "dark") == []
