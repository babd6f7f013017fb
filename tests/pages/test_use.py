"""The console in use: by keyboard, on a phone, in the dark, without scripts, and by people who need keys."""

import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page
from tests.pages import looks
from tests.pages.conftest import OpenIn, window
from tests.pages.filled import IMAGE, Places

import gimbal
from gimbal.kernel.context import Role

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
# Whether what has the focus shows it: an outline on it, or on the box that stands for it.
RINGED = """() => {
  const here = document.activeElement;
  const box = here.closest(".pick") ?? here.closest(".theme label") ?? here;
  const ring = (e) => { const s = getComputedStyle(e); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2; };
  const node = here.querySelector("rect.graph-node");
  return ring(here) || ring(box) || (node !== null && parseFloat(getComputedStyle(node).strokeWidth) >= 2);
}"""


async def test_the_keyboard_reaches_the_content_first(places: Places, desktop: BrowserContext, opened: OpenIn) -> None:
    """The first Tab shows a link past the sidebar; Enter goes there."""
    page = (await opened(desktop, f"{places.url}/p/default/runs")).page
    skip = page.locator(".skip")
    hidden = await skip.bounding_box()
    await page.keyboard.press("Tab")
    shown = await skip.bounding_box()
    assert hidden is not None
    assert hidden["y"] + hidden["height"] <= 0
    assert shown is not None
    assert shown["y"] >= 0

    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("path", ["/runs", "/access", "/assets/model:flights%2Fdelay?tab=lineage"])
async def test_focus_is_seen_wherever_it_is(places: Places, desktop: BrowserContext, opened: OpenIn, path: str) -> None:
    """Tab goes through the whole page, and each stop has a ring around it."""
    page = (await opened(desktop, f"{places.url}/p/default{path}")).page
    unseen: list[str] = []
    stops = 0
    while stops < 80:
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            break
        stops += 1
        if not await page.evaluate(RINGED):
            unseen.append(await page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
    assert unseen == []
    assert stops > 20


async def test_the_menu_of_a_phone(places: Places, phone: BrowserContext, opened: OpenIn) -> None:
    """One tap opens every page of the sidebar, the present one marked; the next goes there."""
    page = (await opened(phone, f"{places.url}/p/default/traces")).page
    assert not await page.locator(".bar .nav-link").first.is_visible()
    await page.locator(".bar-menu > summary").tap()
    assert await page.locator(".bar .nav-link:visible").count() == 20
    assert await page.locator(".bar .nav-link[aria-current=page]").inner_text() == "Traces"
    assert await page.evaluate(looks.CUT) == []
    await page.get_by_role("link", name="Gates").tap()
    await page.wait_for_url("**/p/default/gates")


async def test_the_chosen_colours_stay(places: Places, browser: Browser, opened: OpenIn) -> None:
    """Dark, once chosen, is dark on the next page too, drawn so from the server; charts follow at once."""
    context = await window(browser, 1280, color_scheme="light")
    page = (await opened(context, f"{places.url}{places.pages['decision'][0]}")).page
    await page.locator("[data-chart] canvas").first.wait_for()
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.locator(".side [data-theme-choice] label[title=Dark]").click()
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(251, 251, 250)", "rgb(14, 16, 20)")
    await page.goto(f"{places.url}/p/default")
    assert await page.locator("html").get_attribute("data-theme") == "dark"
    await context.close()


async def test_without_scripts_nothing_is_lost(places: Places, browser: Browser, opened: OpenIn) -> None:
    """A chart's numbers are in its table, filters have a button, and dead buttons are not shown."""
    context = await window(browser, 1280, java_script_enabled=False)
    page = (await opened(context, f"{places.url}{places.pages['run'][0]}")).page
    await page.locator("#run-metrics td a").first.click()
    assert "0.6" in await page.locator("#values table").inner_text()
    assert await page.locator("[data-copy]:visible").count() == 0
    await page.goto(f"{places.url}/p/default/assets")
    await page.locator("input[name=q]").fill("delay")
    await page.get_by_role("button", name="Apply").click()
    await page.wait_for_url("**q=delay*")
    assert await page.locator("td.cell-main").all_inner_texts() == ["flights/delay"]
    await context.close()


async def made_key(page: Page, places: Places, name: str) -> str:
    """Fill the form, and return the secret that the page shows."""
    await page.goto(f"{places.url}/p/default/access")
    await page.get_by_label("What it is for").fill(name)
    await page.get_by_label("Days until it expires").fill("7")
    await page.get_by_role("button", name="Make a key").click()
    await page.locator(".notice-good").wait_for()
    return await page.locator(".notice-good pre").inner_text()


async def test_a_key_is_made_shown_once_and_revoked(places: Places, desktop: BrowserContext, opened: OpenIn) -> None:
    """The secret works, stands on no other page, in no cookie and no address, and is worthless once revoked."""
    shown = await opened(desktop, f"{places.url}/p/default/access")
    page = shown.page
    secret = await made_key(page, places, f"ci {IMAGE}")
    assert re.fullmatch(r"gk_[0-9A-Za-z]{43}", secret)
    assert await page.evaluate(looks.NAMELESS) == []
    assert await page.locator(".side .nav-link[aria-current=page]").inner_text() == "Access"
    runs = f"{places.url}/api/v1/projects/default/runs"
    bearer = {"authorization": f"Bearer {secret}"}
    assert (await desktop.request.get(runs, headers=bearer)).status == 200
    assert secret not in page.url
    assert secret not in str(await desktop.cookies())

    await page.goto(f"{places.url}/p/default/access")
    assert secret not in await page.content()
    row = page.locator("tr", has_text=secret[:8])
    assert "in 6 d" in await row.inner_text()
    page.on("dialog", lambda dialog: dialog.accept())
    await row.get_by_role("button", name="Revoke").click()
    await page.locator(".flash-good").wait_for()
    assert await page.locator("tr", has_text=secret[:8]).count() == 0
    assert (await desktop.request.get(runs, headers=bearer)).status == 401
    await page.goto(f"{places.url}/p/default/access?revoked=1")
    assert "revoked" in await page.locator("tr", has_text=secret[:8]).inner_text()
    assert await page.evaluate("window.pwned") is None
    assert shown.complaints == []


async def test_what_cannot_be_made_is_told_on_the_page(places: Places, desktop: BrowserContext, opened: OpenIn) -> None:
    """A member before there is an admin key is refused in words, with what to do."""
    page = (await opened(desktop, f"{places.url}/p/empty/access")).page
    await page.get_by_label("Address").fill("ada@example.org")
    await page.get_by_role("button", name="Add the member").click()
    words = await page.locator(".flash-bad").inner_text()
    assert "key" in words
    assert "No members yet" in await page.locator("main").inner_text()


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
async def test_another_site_cannot_make_a_key(places: Places, desktop: BrowserContext, headers: dict[str, str]) -> None:
    """A form on a page from elsewhere is refused, and no key is made."""
    client = gimbal.Client(places.url)
    before = len(client.keys.list())
    form = {"name": "theirs", "role": "admin"}
    reply = await desktop.request.post(f"{places.url}/p/default/access/keys", form=form, headers=headers)
    assert reply.status == 403
    assert len(client.keys.list()) == before


async def test_signing_in_with_a_key(places: Places, browser: Browser, opened: OpenIn) -> None:
    """A wrong key is told, a right one leads back and is named, what it may not see is gone, and signing out ends it."""
    secret = gimbal.Client(places.url).keys.create(name="phone of Ada", role=Role.VIEWER).secret
    context = await window(browser, 390)
    shown = await opened(context, f"{places.url}/sign-in?back=/p/default/gates")
    page = shown.page
    assert await page.title() == "Sign in · Gimbal"
    assert await shown.overflow() == []
    assert await page.evaluate(looks.NAMELESS) + await page.evaluate(looks.FAINT) == []
    await page.get_by_label("API key").fill("gk_wrong")
    await page.get_by_role("button", name="Sign in").click()
    assert await page.locator("h1").inner_text() == "Sign in"

    await page.goto(f"{places.url}/sign-in?back=/p/default/gates")
    await page.get_by_label("API key").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/p/default/gates")
    await page.locator(".bar-menu > summary").tap()
    assert await page.locator(".bar .who").inner_text() == "key phone of Ada"
    listed = await page.locator(".bar .nav-link").all_inner_texts()
    assert "Runs" in listed
    assert not {"Access", "Audit", "Settings"} & set(listed)
    assert (await context.request.get(f"{places.url}/p/default/access")).status == 403
    await page.get_by_role("button", name="Sign out").tap()
    await page.wait_for_url("**/sign-in")
    assert [c for c in await context.cookies() if c["value"] == secret] == []
    await context.close()


async def test_settings_say_where_each_came_from(places: Places, desktop: BrowserContext, opened: OpenIn) -> None:
    """What was given on the command line is told apart from what nobody gave."""
    page = (await opened(desktop, f"{places.url}/p/default/settings")).page
    port = places.url.rpartition(":")[2]
    assert (await page.locator("tr", has_text="server.port").inner_text()).split()[:3] == ["server.port", port, "flag"]
    assert (await page.locator("tr", has_text="server.max_body_bytes").inner_text()).split()[1:5] == [
        *("67108864", "64", "MiB", "default")
    ]
