"""The playground opened with a prompt's version gives each variable the type that the prompt declares."""

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import expect
from tests.browser import OpenPage, browser_page
from tests.served import serve

import gimbal.axis.traces.operations
import gimbal.generative.gateway.pages  # noqa: F401 - importing these fills the tables
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context, Services

__all__ = ["browser_page"]

PROMPT = """+++
model = "up/tiny"

[variables.orders]
type = "list"

[variables.count]
type = "integer"
default = 2
+++

## user
{{#each orders as order}}{{order.name}} {{count}}, {{/each}}{{number}}
"""


@pytest.mark.browser
async def test_variables_are_sent_as_what_they_are_declared(
    gateway: Services, ctx: Context, browser_page: OpenPage, upstream, tmp_path: Path
) -> None:
    """A list as a list, a text of digits as a text, and an empty number not at all: then its default holds."""
    await sync_files(ctx, [PromptFile(path="help/typed.md", text=PROMPT)])
    given = ['orders=[{"name": "Kettle"}]', "count=", "number=5"]
    query = "&".join(f"variable={quote(one)}" for one in given)
    async with serve(gateway, tmp_path / "cache") as url:
        opened = await browser_page(f"{url}/p/default/gateway/playground?model=prompt:help/typed@v1&{query}")
        page = opened.page
        await page.locator("[data-run]").click()
        await expect(page.locator("[data-state]")).to_contain_text("Done")
        await expect(page).to_have_url(f"{url}/p/default/gateway/playground?model=prompt:help/typed@v1&{query}")

    assert upstream.received[-1]["messages"] == [{"role": "user", "content": "Kettle 2, 5"}]
