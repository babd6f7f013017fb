"""Takes the pictures of the docs from a running demo: `make screenshots` while `make demo` stays up."""

import asyncio
import os
from pathlib import Path

from playwright.async_api import async_playwright

FOLDER = Path(__file__).parent / "images"
PAGES = {"console": "/p/default", "monitor": "/p/default/monitors/delay-quality"}
CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


async def take(url: str) -> None:
    """Photograph each page, 1280 wide, in the light theme."""
    executable = next(path for path in CHROMIUM if Path(path).exists())
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=executable, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
        for name, path in PAGES.items():
            await page.goto(url + path, wait_until="networkidle")
            await page.screenshot(path=FOLDER / f"{name}.png")
        await browser.close()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(take(os.environ.get("GIMBAL_URL", "http://127.0.0.1:8765")))
