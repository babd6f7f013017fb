"""The pages of prompts, served by the real application: versions, results, use, two side by side, one filled."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.browser import OpenPage, browser_page
from tests.pages.looks import CUT, FAINT, NAMELESS
from tests.served import serve

import gimbal.axis.assets.pages
import gimbal.axis.traces.operations
import gimbal.generative.gateway.pages
import gimbal.generative.prompts.pages  # noqa: F401 - importing these fills the tables
from gimbal.axis.assets.service import Assets
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context, Services

__all__ = ["browser_page"]

HOSTILE = "<script>alert(1)</script>\"'{{x}}"
FIRST = """+++
model = "up/tiny"
owners = ["docs@example.com"]
notes = "Ask <b>legal</b> first."

[params]
temperature = 0.0

[variables.orders]
type = "list"
default = []
+++

## system
Be kind.
{{#each orders as order}}
- {{order.name}}
{{/each}}

## user
{{question}}
"""
SECOND = FIRST.replace("0.0", "0.5").replace("Be kind.", "Be brief.")
PAGE = "/p/default/prompts/prompt:pages%2Fanswer"


async def sync(ctx: Context, text: str, note: str = "", path: str = "pages/answer.md") -> None:
    """Store a version."""
    await sync_files(ctx, [PromptFile(path=path, text=text)], note)


@pytest.fixture
async def site(gateway: Services, ctx: Context, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a prompt of two versions."""
    await sync(ctx, FIRST, f"first {HOSTILE}")
    await sync(ctx, SECOND, "shorter")
    async with serve(gateway, tmp_path / "cache") as url, httpx.AsyncClient(base_url=url) as http:
        yield http


async def test_the_page_shows_versions_owners_and_notes_as_text(site: httpx.AsyncClient, ctx: Context):
    await ctx.get(Assets).move_alias(ctx, "prompt", "pages/answer", "production", "v1")
    shown = await site.get(PAGE)

    assert shown.status_code == 200
    for words in ("docs@example.com", "Ask &lt;b&gt;legal&lt;/b&gt; first.", "shorter", "production", "v1", "v2"):
        assert words in shown.text, words
    assert "<script>alert" not in shown.text
    assert "No version is evaluated yet" in shown.text
    assert "Nobody used it since" in shown.text


async def test_two_versions_stand_side_by_side_with_what_it_means(site: httpx.AsyncClient):
    shown = (await site.get(f"{PAGE}/compare?before=v1&after=v2")).text

    assert "temperature" in shown
    assert "Be kind." in shown
    assert "Be brief." in shown
    assert "No difference" in (await site.get(f"{PAGE}/compare?before=v2&after=v2")).text
    assert (await site.get(f"{PAGE}/compare?before=v9&after=v2")).status_code == 404


async def test_versions_of_two_prompts_are_swapped_with_the_choices_of_the_one_that_stands_after(
    site: httpx.AsyncClient, ctx: Context
):
    await sync(ctx, FIRST, path="pages/other.md")
    shown = (await site.get(f"{PAGE}/compare?before=v2&after=prompt:pages/other@v1")).text

    assert 'action="/p/default/prompts/prompt:pages%2Fother/compare"' in shown
    after = shown.partition('name="after"')[2].partition("</select>")[0]
    assert after.count("<option") == 1
    assert "v2" not in after


async def test_a_version_is_filled_by_typed_fields(site: httpx.AsyncClient):
    form = {"v.question": "Where?", "v.orders": '[{"name": "Kettle"}]'}
    filled = (await site.post(f"{PAGE}/try", data=form)).text
    assert "- Kettle" in filled
    assert "playground?model=prompt:pages/answer@v2" in filled

    wrong = await site.post(f"{PAGE}/try", data={"v.question": "Where?", "v.orders": "Kettle"})
    assert wrong.status_code == 400
    assert "The value is not JSON." in wrong.text
    missing = await site.post(f"{PAGE}/try", data={"v.orders": "[]"})
    assert "The variable &#39;question&#39; is missing." in missing.text


async def test_a_version_without_an_alias_that_was_removed_is_still_there(site: httpx.AsyncClient, ctx: Context):
    assets = ctx.get(Assets)
    await assets.move_alias(ctx, "prompt", "pages/answer", "production", "v1")
    await assets.move_alias(ctx, "prompt", "pages/answer", "production", None)

    assert (await site.get(f"{PAGE}@production/try")).status_code == 404
    assert "no alias yet" in (await site.get(PAGE)).text


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
async def test_every_page_can_be_read_and_named(
    site: httpx.AsyncClient, browser_page: OpenPage, width: int, theme: str
):
    tab = None
    for path in (PAGE, f"{PAGE}?by=users", f"{PAGE}/compare", f"{PAGE}/try", f"{PAGE}/edit", "/p/default/prompts/new"):
        tab = await browser_page(f"{site.base_url}{path}", width=width, theme=theme, tab=tab)
        page = tab.page
        assert tab.status == 200, path
        assert [await page.evaluate(look) for look in (NAMELESS, FAINT, CUT)] == [[], [], []], path
        assert await tab.overflow() == [], path
        assert tab.complaints == [], path
