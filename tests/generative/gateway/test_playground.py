"""The playground in a browser: streams beside each other over the real door, errors in place, saving an example, sharing."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Locator, Page, expect
from tests.browser import OpenPage, browser_page
from tests.served import serve
from tests.upstreams import WORDS

import gimbal.axis.evals.operations
import gimbal.axis.traces.operations
import gimbal.generative.gateway.pages  # noqa: F401 - importing these fills the tables
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import CreateSuite, Example
from gimbal.axis.evals.suites import Suites
from gimbal.engines.console.pages import PageRequest
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.gateway.playground import Column, Message, read_setup
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context, Services
from gimbal.kernel.refs import Ref

__all__ = ["browser_page"]

HOSTILE = "<img src=x onerror=alert(1)>"
ANSWER = "".join(WORDS)
PROMPT = """+++
model = "up/tiny"
+++

## system
Be kind.

## user
{{question}}
"""


@pytest.fixture
async def suites(gateway: Services, ctx: Context) -> Suites:
    """Give suites, one of them with one example."""
    found = Suites(gateway.get(Assets), gateway.get(Blobs))
    gateway.register(Suites, found)
    first = Example(id="first", input={"question": "x"}, expected={"answer": "y"})
    await found.create(ctx, CreateSuite(name="help/asked", examples=[first], scorers=["token_f1"]))
    return found


@pytest.fixture
async def playground(gateway: Services, ctx: Context, suites: Suites, tmp_path: Path) -> AsyncIterator[str]:
    """Serve the playground; yield its address."""
    await sync_files(ctx, [PromptFile(path="help/kind.md", text=PROMPT)])
    async with serve(gateway, tmp_path / "cache") as url:
        yield f"{url}/p/default/gateway/playground"


def column(page: Page, number: int) -> Locator:
    return page.locator("[data-column]").nth(number)


def test_an_address_says_all_of_the_set_up():
    """Up to four models with their parameters, messages in order, variables; what cannot be is as if it was not said."""
    request = PageRequest(
        project="p",
        query={"model": "a/b", "temperature2": "0.5", "system": "Be brief", "variable": "q=x=y"},
        several={"model": ["a/b", "c/d", "e", "f", "g"], "message": ["user:Hi: you", "assistant:Yes", "robot:No"]},
    )

    found = read_setup(request)

    assert [one.model for one in found.columns] == ["a/b", "c/d", "e", "f"]
    assert found.columns[1] == Column(model="c/d", temperature="0.5")
    assert found.messages[:2] == (Message(content="Hi: you"), Message(role="assistant", content="Yes"))
    assert found.messages[2] == Message(content="robot:No")
    assert found.variables == (("q", "x=y"),)
    assert read_setup(PageRequest(project="p")).columns == (Column(),)


@pytest.mark.browser
async def test_models_stream_beside_each_other_and_errors_stay_in_place(playground, browser_page: OpenPage, upstream):
    """Ctrl+Enter runs; each column has text, figures and a link to its trace, or what went wrong."""
    models = "&".join(f"model={name}" for name in ("up/tiny", "claude/tiny", "gone/tiny"))
    address = f"{playground}?{models}&temperature1=0.5&system=Be+brief&message=user:{quote(HOSTILE)}"
    opened = await browser_page(address, width=390, theme="dark")
    page = opened.page
    await page.locator("[data-system]").press("Control+Enter")

    for number, tokens in ((0, "21 in, 5 out"), (1, "21 in, 5 out")):
        await expect(column(page, number).locator("[data-text]")).to_have_text(ANSWER.strip())
        await expect(column(page, number).locator("[data-stored]")).to_contain_text(tokens)
        await expect(column(page, number).locator(".pg-trace a")).to_have_attribute(
            "href", re.compile(r"/traces/[0-9a-f]{32}$")
        )
    await expect(column(page, 2).locator("[data-problem-title]")).to_contain_text("gone")
    await expect(column(page, 2).locator("[data-save]")).to_be_hidden()
    await expect(page.locator("[data-stop]")).to_be_disabled()

    asked = next(one for one in upstream.received if one.get("temperature") == 0.5)
    assert asked["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": HOSTILE}]
    assert await opened.overflow() == []


@pytest.mark.browser
async def test_a_run_is_stopped_and_what_came_stays(playground, browser_page: OpenPage, upstream):
    """The provider's stream is closed, too: nobody goes on to pay for it."""
    upstream.faults = ["stall"]
    opened = await browser_page(f"{playground}?model=up/tiny&message=user:Hi")
    page = opened.page
    await page.locator("[data-run]").click()
    await expect(column(page, 0).locator("[data-text]")).to_contain_text(WORDS[0].strip())

    await page.locator("[data-stop]").click()

    await expect(column(page, 0).locator("[data-state]")).to_contain_text("Stopped after")
    await upstream.closed.wait()
    await expect(column(page, 0).locator("[data-text]")).to_contain_text(WORDS[0].strip())
    await expect(column(page, 0).locator("[data-problem]")).to_be_hidden()


@pytest.mark.browser
async def test_an_answer_becomes_an_example_and_the_address_the_set_up(
    playground, browser_page: OpenPage, ctx, suites, upstream
):
    """A prompt asks for its variables, needs no message of its own, and is saved with them to the suite's next version."""
    opened = await browser_page(playground)
    page = opened.page
    await page.locator("[data-model]").fill("prompt:help/kind@v1")
    await page.locator("[data-model]").press("Tab")
    await page.locator("[data-value]").fill("What is a gate?")
    await page.locator("[data-run]").click()
    await column(page, 0).locator("[data-save]").click()
    await page.locator("[name=example]").fill("gate")
    await page.locator("[name=expected]").fill("It asks for evidence.")
    await page.locator("[data-save-do]").click()
    await expect(page.locator("[data-said]")).to_contain_text("suite:help/asked@v2")

    version = await ctx.get(Assets).resolve(ctx, Ref.parse("suite:help/asked"))
    added = (await suites.examples(version))[-1]
    assert (added.id, added.input, added.expected) == (
        "gate",
        {"question": "What is a gate?"},
        {"answer": "It asks for evidence."},
    )
    sent = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is a gate?"}]
    assert upstream.received[-1]["messages"] == sent
    assert "variables" not in upstream.received[-1]
    await expect(page).to_have_url(re.compile(r"model=prompt%3Ahelp%2Fkind%40v1.*variable=question%3DWhat"))

    shared = await browser_page(page.url)
    await expect(shared.page.locator("[data-model]")).to_have_value("prompt:help/kind@v1")
    await expect(shared.page.locator("[data-value]")).to_have_value("What is a gate?")
    assert opened.complaints == shared.complaints == []


@pytest.mark.browser
async def test_a_model_that_is_not_named_yet_takes_no_parameters_from_the_next(playground, browser_page: OpenPage):
    """The address counts the models that it names: opened again, each has what was set up for it."""
    opened = await browser_page(f"{playground}?model=up/tiny&model=claude/tiny&temperature2=0.5")
    page = opened.page
    await column(page, 0).locator("[data-model]").fill("")
    await expect(page).to_have_url(re.compile(r"model=claude%2Ftiny&temperature1=0.5$"))

    await page.reload()
    await expect(column(page, 0).locator("[data-model]")).to_have_value("claude/tiny")
    await expect(column(page, 0).locator("[data-temperature]")).to_have_value("0.5")
