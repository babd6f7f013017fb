"""A real Chromium for tests of pages: the fixture `browser_page`, and what every page of the console owes.

Import the fixture where it is needed: `from tests.browser import browser_page`. Without a Chromium the test is
skipped, and says so. Chromium is found by $GIMBAL_CHROMIUM, on the path, or in the place where Playwright puts its own.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HEIGHT = {1280: 900, 390: 844}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    named = os.environ.get("GIMBAL_CHROMIUM")
    if named:
        return named
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found:
        return found
    own = sorted(Path.home().glob(".cache/ms-playwright/chromium-*/chrome-linux*/chrome"))
    return str(own[-1]) if own else None


class Opened:
    """A page that was opened, with what the browser complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.status = 0
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("requestfailed", self._failed)

    def _failed(self, request: Request) -> None:
        # Whoever goes on to the next page breaks off what the last one still loads.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url}: {request.failure}")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    async def overflow(self) -> list[str]:
        """Return what makes the page wider than its window: nothing, on a page that may be shipped."""
        return await self.page.evaluate(
            """() => {
              const wide = document.documentElement.clientWidth;
              if (document.documentElement.scrollWidth <= wide) return [];
              const scrolls = (e) => {
                for (let up = e.parentElement; up; up = up.parentElement)
                  if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX)) return true;
                return false;
              };
              const out = [...document.querySelectorAll("body *")]
                .filter((e) => e.getBoundingClientRect().right > wide + 1 && !scrolls(e))
                .map((e) => `${e.tagName}.${e.getAttribute("class")} to ${Math.round(e.getBoundingClientRect().right)}`);
              return out.length ? out : [`page ${document.documentElement.scrollWidth} over ${wide}`];
            }"""
        )

    async def shoot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=path, full_page=True)


OpenPage = Callable[..., Awaitable[Opened]]


@pytest.fixture
async def browser_page() -> AsyncIterator[OpenPage]:
    """Open pages: the test awaits the function that it is given with a URL, a width and a theme.

    Each has a window of its own, as a stranger's, but where a `tab` that was opened before is to go on to the next one,
    as wide and as dark as it is: that takes half the time.
    """
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium was found: install one (apt-get install chromium) or set GIMBAL_CHROMIUM")
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)

        async def open_page(
            url: str, *, width: int = 1280, theme: str = "light", script: bool = True, tab: Opened | None = None
        ) -> Opened:
            if tab is None:
                context = await browser.new_context(
                    viewport={"width": width, "height": HEIGHT.get(width, 900)},
                    color_scheme="dark" if theme == "dark" else "light",
                    java_script_enabled=script,
                    has_touch=width < 800,
                    is_mobile=width < 800,
                    reduced_motion="reduce",
                )
                tab = Opened(await context.new_page())
            else:
                # What the last page still does is over before anything of the next one is noted.
                await tab.page.goto("about:blank")
                tab.complaints.clear()
            reply = await tab.page.goto(url, wait_until="networkidle")
            tab.status = reply.status if reply else 0
            return tab

        yield open_page
        await browser.close()


async def at_both_widths(look: Callable[[int, str], Awaitable[None]]) -> None:
    """Look at a desk in the light and at a phone in the dark, at the same time: most of it is waiting."""
    await asyncio.gather(look(1280, "light"), look(390, "dark"))
