"""One installation, filled once, and one Chromium, for every test of this folder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from bench.bar import gimbal_up
from playwright.async_api import Browser, BrowserContext, async_playwright
from tests.browser import ARGUMENTS, HEIGHT, Opened, chromium
from tests.pages.filled import Places, fill


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def places(request: pytest.FixtureRequest) -> AsyncIterator[Places]:
    """Start Gimbal and put something of everything into it."""
    if chromium() is None:
        pytest.skip("no Chromium was found: install one (apt-get install chromium) or set GIMBAL_CHROMIUM")
    with gimbal_up() as up:
        yield await asyncio.to_thread(fill, up.url)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Start one Chromium."""
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium was found: install one (apt-get install chromium) or set GIMBAL_CHROMIUM")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield started
        await started.close()


async def window(browser: Browser, width: int, **more: object) -> BrowserContext:
    """Open a window of its own cookies, a phone's where it is narrow."""
    return await browser.new_context(
        viewport={"width": width, "height": HEIGHT[width]},
        has_touch=width < 800,
        is_mobile=width < 800,
        reduced_motion="reduce",
        **more,  # type: ignore[arg-type]
    )


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def desktop(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Give a window of 1280 pixels."""
    context = await window(browser, 1280)
    yield context
    await context.close()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def phone(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Give a phone's window of 390 pixels."""
    context = await window(browser, 390)
    yield context
    await context.close()


OpenIn = Callable[[BrowserContext, str], Awaitable[Opened]]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def opened(browser: Browser) -> OpenIn:
    """Open pages, all of a window in one tab: a tab of its own for each would take longer than the tests."""
    tabs: dict[BrowserContext, Opened] = {}

    async def open_in(context: BrowserContext, url: str) -> Opened:
        tab = tabs.get(context)
        if tab is None:
            tab = tabs[context] = Opened(await context.new_page())
        await tab.page.goto("about:blank")
        await tab.page.emulate_media(color_scheme="light")
        tab.complaints.clear()
        reply = await tab.page.goto(url, wait_until="load")
        tab.status = reply.status if reply else 0
        return tab

    return open_in
