"""The gallery of every component in a real Chromium, under the server's own Content-Security-Policy."""

import asyncio
from pathlib import Path

import pytest
from tests.browser import browser_page
from tests.engines.console.gallery import OWNER, Site, serve

from gimbal.engines.console.tokens import tokens
from gimbal.kernel.context import NOBODY

__all__ = ["browser_page"]
pytestmark = pytest.mark.browser
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """One folder for the chart library, so that it is put together once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
async def site(library):
    """Serve the gallery; give its address and its state."""
    made = Site(library)
    async with serve(made) as address:
        made.address = f"{address}/p/default"
        yield made


def rgb(colour):
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_component_fits_in_both_themes_without_a_complaint(site, browser_page, width, theme):
    """No violation of the policy, no failed request, no script error, and nothing wider than the window."""
    opened = await browser_page(f"{site.address}/gallery", width=width, theme=theme)
    for figure in await opened.page.locator("[data-chart]").all():
        await figure.scroll_into_view_if_needed()
        await figure.locator("canvas").wait_for(timeout=15_000)
    assert opened.complaints == []
    assert await opened.overflow() == []
    ground = await opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == rgb(tokens(theme)["ground"])


async def test_what_the_policy_forbids_would_be_noticed(site, browser_page):
    """The browser blocks an inline style, and the fixture hears of it: the test above can fail."""
    opened = await browser_page(f"{site.address}/runs/x")
    opened.complaints.clear()
    await opened.page.evaluate("document.body.setAttribute('style', 'color: red')")
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


async def test_without_scripts_everything_is_there_but_the_drawings(site, browser_page):
    opened = await browser_page(f"{site.address}/gallery", width=390, script=False)
    await opened.page.locator(".bar-menu > summary").click()
    assert await opened.page.locator(".bar-list .nav-link").first.is_visible()
    await opened.page.locator(".bar-menu > summary").click()
    data = opened.page.locator(".chart-data").first
    await data.locator("summary").click()
    assert await data.locator("td").first.is_visible()
    assert await opened.page.locator("button.copy:visible, [data-theme-choice]:visible").count() == 0
    assert await opened.page.get_by_role("button", name="Apply").is_visible()


async def test_every_stop_of_the_tab_key_can_be_seen(site, browser_page):
    """Whatever gets the focus by keyboard shows an outline or a changed edge; the first stop skips the navigation."""
    opened = await browser_page(f"{site.address}/gallery")
    await opened.page.keyboard.press("Tab")
    assert await opened.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    unseen = []
    for _ in range(60):
        await opened.page.keyboard.press("Tab")
        what = await opened.page.evaluate(
            """() => {
              const e = document.activeElement;
              if (e === document.body) return null;
              const shown = (x) => getComputedStyle(x).outlineStyle !== "none" && getComputedStyle(x).outlineWidth !== "0px";
              const box = e.querySelector("rect.graph-node");
              const edge = box && getComputedStyle(box).strokeWidth === "2px";
              return shown(e) || edge || shown(e.closest("label") ?? e) ? null : e.outerHTML.slice(0, 120);
            }"""
        )
        if what:
            unseen.append(what)
    assert unseen == []


async def test_the_theme_that_is_chosen_is_in_the_next_page_from_its_first_byte(site, browser_page):
    opened = await browser_page(f"{site.address}/gallery", theme="light")
    await opened.page.locator(".side [data-theme-choice] input[value=dark]").check(force=True)
    dark = rgb(tokens("dark")["ground"])
    assert await opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    reply = await opened.page.reload(wait_until="networkidle")
    assert '<html lang="en" data-theme="dark">' in await reply.text()
    await opened.page.locator(".side [data-theme-choice] input[value=auto]").check(force=True)
    reply = await opened.page.reload()
    assert '<html lang="en">' in await reply.text()


async def test_a_chart_is_redrawn_in_the_colours_of_the_other_theme(site, browser_page):
    opened = await browser_page(f"{site.address}/gallery", theme="light")
    canvas = opened.page.locator("[data-chart] canvas").first
    await canvas.wait_for()
    before = await canvas.evaluate("e => e.toDataURL()")
    await opened.page.locator(".side [data-theme-choice] input[value=dark]").check(force=True)
    await opened.page.wait_for_function(
        "before => { const e = document.querySelector('[data-chart] canvas'); return e && e.toDataURL() !== before; }",
        arg=before,
    )


async def test_a_live_part_follows_its_job_and_stops_when_it_is_done(site, browser_page):
    opened = await browser_page(f"{site.address}/live")
    await opened.page.get_by_text("3 of 3").wait_for()
    await opened.page.wait_for_function("document.querySelector('[data-refresh]') === null")
    asked = site.counter.asked
    await asyncio.sleep(0.3)  # six turns of a part that went on asking
    assert site.counter.asked == asked
    assert opened.complaints == []


async def test_a_button_asks_acts_and_says_what_was_done(site, browser_page):
    opened = await browser_page(f"{site.address}/gallery")
    asked = []

    async def answer(dialog):
        asked.append(dialog.message)
        await dialog.accept()

    opened.page.on("dialog", answer)
    await opened.page.get_by_role("button", name="Promote v2").click()
    await opened.page.get_by_role("status").wait_for()
    assert asked == ["Move production to v2?"]
    assert "Moved to v2." in await opened.page.get_by_role("status").inner_text()
    await opened.page.get_by_role("button", name="Dismiss").click()
    assert await opened.page.get_by_role("status").count() == 0
    await opened.page.reload()
    assert await opened.page.get_by_role("status").count() == 0


async def test_filters_apply_at_once_and_leave_empty_fields_out_of_the_address(site, browser_page):
    opened = await browser_page(f"{site.address}/gallery?sort=-auc")
    await opened.page.locator("select[name=status]").select_option("failed")
    await opened.page.wait_for_url("**/gallery?sort=-auc&status=failed")
    assert await opened.page.locator("th[aria-sort=descending]").inner_text() == "AUC"
    await opened.page.get_by_role("link", name="Clear").click()
    await opened.page.wait_for_url("**/gallery")


async def test_menus_close_by_escape_and_by_a_click_elsewhere(site, browser_page):
    opened = await browser_page(f"{site.address}/gallery")
    switcher = opened.page.locator(".side .switcher")
    await switcher.locator("summary").click()
    assert await switcher.locator("a", has_text="Flight delays").is_visible()
    await opened.page.keyboard.press("Escape")
    assert not await switcher.evaluate("e => e.open")
    await switcher.locator("summary").click()
    await opened.page.locator("h1").click()
    assert not await switcher.evaluate("e => e.open")


@pytest.mark.parametrize(
    ("path", "who", "words"),
    [("/runs/0196b8a2", OWNER, "There is no run"), ("/gallery", NOBODY, "API key"), ("/no/such/page", OWNER, "404")],
)
async def test_error_and_sign_in_pages_fit_a_phone(site, browser_page, path, who, words):
    site.who = who
    opened = await browser_page(site.address + path, width=390)
    assert words in await opened.page.locator("main").inner_text()
    assert await opened.overflow() == []


async def test_a_point_of_a_chart_tells_its_value_and_its_interval_in_utc(site, browser_page):
    opened = await browser_page(f"{site.address}/gallery")
    canvas = opened.page.locator("[data-chart] canvas").first
    await canvas.scroll_into_view_if_needed()
    box = await canvas.bounding_box()
    tooltip = opened.page.locator("#vg-tooltip-element.visible")
    for x in range(40, 120, 4):
        for y in range(30, 80, 4):
            await opened.page.mouse.move(box["x"] + x, box["y"] + y)
            if await tooltip.count():
                break
        else:
            continue
        break
    words = await tooltip.inner_text()
    assert "Jan 01, 2026 00:00" in words
    assert "0.731" in words
    assert "0.743" in words
    assert opened.complaints == []
