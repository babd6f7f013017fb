"""Prompts are written in the console: byte for byte, never over what somebody else wrote, and no text is lost."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.async_api import expect
from tests.browser import OpenPage, browser_page
from tests.pages.looks import FAINT, NAMELESS
from tests.served import serve

import gimbal.axis.assets.pages
import gimbal.generative.prompts.pages  # noqa: F401 - importing these fills the tables
from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.projects.model import CreateKey
from gimbal.axis.projects.service import Projects
from gimbal.generative.prompts import edit_pages
from gimbal.generative.prompts.mlflow import TEXT, manifest_of
from gimbal.generative.prompts.model import PromptFile, SeenPrompt
from gimbal.generative.prompts.planning import plan_files
from gimbal.generative.prompts.service import source, sync_files
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.errors import StaleVersion
from gimbal.kernel.refs import Ref

__all__ = ["browser_page"]

TEXT_1 = '+++\nmodel = "m"\n+++\n\n## user\n{{question}}\n'
PATH = "help/answer.md"
EDIT = "/p/default/prompts/prompt:help%2Fanswer/edit"
NEW = "/p/default/prompts/new"


async def sync(ctx: Context, text: str, note: str = "") -> None:
    """Store a version."""
    await sync_files(ctx, [PromptFile(path=PATH, text=text)], note)


async def stored(ctx: Context, ref: str = "prompt:help/answer") -> bytes:
    """Return the file of a version."""
    return (await source(ctx, Ref.parse(ref)))[1]


@pytest.fixture
async def site(gateway: Services, ctx: Context, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the pages."""
    async with serve(gateway, tmp_path / "cache") as url, httpx.AsyncClient(base_url=url) as http:
        yield http


def form(text: str, base: int = 1, do: str = "commit", **more: str) -> dict[str, str]:
    """Return what a browser sends."""
    origin = f"prompt:help/answer@v{base}" if base else ""
    sent = re.sub(r"\r\n|\r|\n", "\r\n", text)
    return {"text": sent, "base": str(base), "origin": origin, "note": "", "values": "", "do": do, **more}


def in_form(page: httpx.Response) -> str:
    """Return the text that stands in the form."""
    found = re.search(r'<textarea id="f-text"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


@pytest.mark.parametrize(
    "text",
    [
        TEXT_1.replace("\n", "\r\n"),
        "\ufeff" + TEXT_1,
        TEXT_1.removesuffix("\n"),
        TEXT_1 + "\n\n\t",
        TEXT_1.replace("## user\n", "## user\r\n"),
        TEXT_1 + "日本語 🙂 \u2028 \x7f",
    ],
)
async def test_a_commit_keeps_every_byte_and_git_finds_nothing_to_do(
    site: httpx.AsyncClient, ctx: Context, text: str
) -> None:
    await sync(ctx, text)
    shown = in_form(await site.get(EDIT))

    made = await site.post(EDIT, data=form(shown.replace("{{question}}", "Say: {{question}}"), note="nicer"))

    assert made.status_code == 303
    assert made.headers["location"].endswith("/prompts/prompt:help%2Fanswer?made=v2")
    content = await stored(ctx)
    assert content == text.replace("{{question}}", "Say: {{question}}").encode()
    plan = await plan_files(ctx, [PromptFile(path=PATH, text=content.decode())])
    assert [row.state for row in plan.prompts] == ["unchanged"]
    version = await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/answer"))
    assert (version.number, version.note) == (2, "nicer")


async def test_whoever_typed_on_an_older_version_overwrites_nothing_and_loses_nothing(
    site: httpx.AsyncClient, ctx: Context
) -> None:
    await sync(ctx, TEXT_1)
    await sync(ctx, TEXT_1.replace("{{question}}", "THEIRS {{question}}"), "by another")
    mine = TEXT_1.replace("{{question}}", "MINE {{question}}")

    refused = await site.post(EDIT, data=form(mine))

    assert refused.status_code == 409
    assert in_form(refused) == mine
    for words in ("this text stands on v1", "by another", "THEIRS", "Go on from v2"):
        assert words in refused.text, words
    assert b"THEIRS" in await stored(ctx)

    onto = await site.post(EDIT, data=form(mine, do="onto", onto="2"))
    assert in_form(onto) == mine
    assert 'name="base" value="2"' in onto.text
    made = await site.post(EDIT, data=form(mine, base=2))
    assert made.status_code == 303
    assert b"MINE" in await stored(ctx)


async def test_a_sync_planned_before_a_commit_is_a_conflict(site: httpx.AsyncClient, ctx: Context) -> None:
    await sync(ctx, TEXT_1)
    files = [PromptFile(path=PATH, text=TEXT_1.replace("{{question}}", "From Git {{question}}"))]
    (row,) = (await plan_files(ctx, files)).prompts
    await site.post(EDIT, data=form(TEXT_1 + "\nMore.\n"))

    with pytest.raises(StaleVersion, match="v2, not v1"):
        await sync_files(ctx, files, seen=[SeenPrompt(name=row.name, newest=row.newest, digest=row.digest)])


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('+++\nmodel = "m"\ntone = 1\n+++\n## user\nx', 3, "does not fit"),
        ('+++\nmodel = "m"\n+++\n## user\n{{#if x}}', 5, ""),
        ('+++\nmodel = "m"\n+++\n## user\n{{> no/where}}', 5, "There is no prompt:no/where"),
        ("", 1, "starts with front matter"),
        ('+++\nmodel = "m"\n+++\n## user\n\0', 0, ""),
    ],
)
async def test_a_mistake_names_its_line_and_the_text_stays(
    site: httpx.AsyncClient, ctx: Context, text: str, line: int, words: str
) -> None:
    await sync(ctx, TEXT_1)
    refused = await site.post(EDIT, data=form(text))

    if line:
        assert refused.status_code == 400
        assert f"help/answer.md:{line}" in refused.text
    assert html.escape(words) in refused.text
    if refused.status_code != 303:
        assert in_form(refused) == text


async def test_a_check_shows_what_would_be_and_stores_nothing(site: httpx.AsyncClient, ctx: Context) -> None:
    await sync(ctx, '+++\nmodel = "m"\n+++\n## user\nBe {{tone}}.\n')
    typed = '+++\nmodel = "n"\n+++\n\n## system\n{{> help/tone}}\n\n## user\n{{question}} {{count}}\n'
    await sync_files(ctx, [PromptFile(path="help/tone.md", text='+++\nmodel = "m"\n+++\n## user\nBe {{tone}}.\n')])

    shown = await site.post(EDIT, data=form(typed, do="check", values='{"question": "<b>Why?</b>", "other": 1}'))

    assert shown.status_code == 200
    for words in ("Would be prompt:help/answer@v2", "Be ⟨tone⟩.", "&lt;b&gt;Why?&lt;/b&gt; ⟨count⟩", "includes"):
        assert words in shown.text, words
    assert (await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/answer"))).number == 1
    broken = await site.post(EDIT, data=form(typed, do="check", values="[1]"))
    assert "no JSON object" in broken.text


async def test_what_a_version_says_already_makes_none(site: httpx.AsyncClient, ctx: Context) -> None:
    await sync(ctx, TEXT_1)
    await sync(ctx, TEXT_1 + "More.\n")

    same = await site.post(EDIT, data=form(TEXT_1 + "More.\n", base=2))
    older = await site.post(EDIT, data=form(TEXT_1, base=2))

    assert "v2 says exactly this" in same.text
    assert "prompt:help/answer@v1 says exactly this" in older.text
    assert (await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/answer"))).number == 2


async def test_a_new_prompt_and_a_copy_begin_at_v1_and_take_no_name_that_is_taken(
    site: httpx.AsyncClient, ctx: Context
) -> None:
    fresh = in_form(await site.get(NEW))
    made = await site.post(NEW, data=form(fresh, base=0, name="help/fresh"))
    assert made.headers["location"].endswith("prompt:help%2Ffresh?made=v1")
    assert await stored(ctx, "prompt:help/fresh") == fresh.encode()

    await sync(ctx, TEXT_1.replace("\n", "\r\n"))
    copy = await site.get(f"{NEW}?from=prompt:help/answer@v1")
    assert 'value="help/answer-copy"' in copy.text
    origin = {"origin": "prompt:help/answer@v1"}
    made = await site.post(NEW, data=form(in_form(copy), base=0, name="help/copy", **origin))
    assert await stored(ctx, "prompt:help/copy") == TEXT_1.replace("\n", "\r\n").encode()
    taken = await site.post(NEW, data=form(fresh, base=0, name="help/answer"))
    assert (taken.status_code, in_form(taken)) == (409, fresh)
    for name in ("", "Help/Answer", "<script>alert(1)</script>", "a\0b"):
        refused = await site.post(NEW, data=form(fresh, base=0, name=name))
        assert (refused.status_code, in_form(refused)) == (400, fresh)
        assert "<script>alert" not in refused.text


async def test_what_is_written_while_the_form_opens_is_a_conflict(
    site: httpx.AsyncClient, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sync(ctx, TEXT_1)
    opened = edit_pages.opened

    async def slowly(ctx: Context, ref: Ref) -> tuple[Version, str]:
        found = await opened(ctx, ref)
        await sync(ctx, TEXT_1 + "Theirs.\n")
        return found

    monkeypatch.setattr(edit_pages, "opened", slowly)
    shown = in_form(form_page := await site.get(EDIT))
    monkeypatch.undo()
    (base,) = re.findall(r'name="base" value="(\d+)"', form_page.text)
    refused = await site.post(EDIT, data=form(shown + "Mine.\n", base=int(base)))

    assert refused.status_code == 409
    assert await stored(ctx) == (TEXT_1 + "Theirs.\n").encode()


async def test_a_viewer_sees_the_file_and_commits_nothing(site: httpx.AsyncClient, ctx: Context) -> None:
    await sync(ctx, TEXT_1 + "<script>alert(1)</script>\n")
    key = await ctx.get(Projects).create_key(ctx, CreateKey(name="look", role=Role.VIEWER), ctx.project)
    as_viewer = {"authorization": f"Bearer {key.secret}"}

    shown = await site.get(EDIT, headers=as_viewer)
    refused = await site.post(EDIT, data=form("x"), headers=as_viewer)

    assert "{{question}}" in shown.text
    assert "<textarea" not in shown.text
    assert "<script>alert" not in shown.text
    assert refused.status_code == 403
    assert (await site.get(NEW, headers=as_viewer)).status_code == 403
    elsewhere = await site.post(EDIT, data=form("x"), headers={"origin": "https://evil.example"})
    assert elsewhere.status_code == 403


async def test_another_tools_prompt_and_one_that_is_too_long_have_no_form(
    site: httpx.AsyncClient, ctx: Context
) -> None:
    manifest = msgspec.to_builtins(manifest_of({TEXT: "Hello {{ name }}"}, "r1"))
    await ctx.get(Assets).add_version(ctx, kind="prompt", name="help/theirs", manifest=manifest)
    await sync(ctx, TEXT_1 + "ж" * 200_000)

    theirs = await site.get("/p/default/prompts/prompt:help%2Ftheirs/edit")
    long = await site.get(EDIT)
    copy = await site.get(f"{NEW}?from=prompt:help/answer")

    assert "was registered by mlflow" in theirs.text
    assert "Another tool" in (await site.get("/p/default/prompts/prompt:help%2Ftheirs")).text
    assert "too long for a form" in long.text
    assert "too long for a form" in copy.text
    assert "<textarea" not in theirs.text + long.text + copy.text


@pytest.mark.browser
async def test_the_form_is_checked_while_one_types_and_keeps_what_is_not_committed(
    site: httpx.AsyncClient, ctx: Context, browser_page: OpenPage
) -> None:
    """A line that is wrong can be jumped to; the text is offered again after the page was left; a commit ends that."""
    await sync(ctx, TEXT_1.replace("\n", "\r\n"))
    opened = await browser_page(f"{site.base_url}{EDIT}")
    page = opened.page
    text = page.locator("[name=text]")
    await text.fill(TEXT_1.replace('"m"', "m"))
    await page.get_by_role("button", name="Show line 2").click()
    assert await text.evaluate("(e) => e.value.slice(e.selectionStart, e.selectionEnd)") == "model = m"

    await text.fill(TEXT_1 + "\tMore <b>.\n")
    await expect(page.locator("#check")).to_contain_text("Would be prompt:help/answer@v2")
    await page.goto(f"{site.base_url}/p/default/assets/prompt:help%2Fanswer")
    await page.get_by_role("link", name="Edit").click()
    await page.get_by_role("button", name="Take it up again").click()
    await expect(text).to_have_value(TEXT_1 + "\tMore <b>.\n")
    await page.get_by_role("button", name="Commit v2").click()

    await expect(page.locator("[data-flash]")).to_contain_text("prompt:help/answer@v2 is committed")
    assert await stored(ctx) == (TEXT_1 + "\tMore <b>.\n").replace("\n", "\r\n").encode()
    await page.get_by_role("link", name="Edit").click()
    await expect(text).to_have_value(TEXT_1 + "\tMore <b>.\n")
    await expect(page.locator("[data-draft]")).to_be_hidden()
    assert opened.complaints == []


@pytest.mark.browser
async def test_a_draft_that_is_taken_up_again_stands_on_its_own_version_and_outlives_a_look_back(
    site: httpx.AsyncClient, ctx: Context, browser_page: OpenPage
) -> None:
    """However often it is taken up, what others wrote meanwhile is a conflict; only its own commit drops it."""
    await sync(ctx, TEXT_1)
    opened = await browser_page(f"{site.base_url}{NEW}")
    page = opened.page
    text = page.locator("[name=text]")
    await text.fill("A prompt that is to come")
    await page.goto(f"{site.base_url}{EDIT}")
    await text.fill(TEXT_1 + "Mine.\n")
    await sync(ctx, TEXT_1 + "Theirs.\n")
    for more in ("once", "twice"):
        await page.goto(f"{site.base_url}{EDIT}")
        await page.get_by_role("button", name="Take it up again").click()
        await text.fill(f"{TEXT_1}Mine {more}.\n")
        await expect(page.locator("[name=base]")).to_have_value("1")
    await page.locator("[value=commit]").click()
    await expect(page.locator("#check")).to_contain_text("this text stands on v1")
    assert await stored(ctx) == (TEXT_1 + "Theirs.\n").encode()

    await page.get_by_role("button", name="Go on from v2 with my text").click()
    await page.get_by_role("button", name="Commit v3").click()
    await expect(page.locator("[data-flash]")).to_contain_text("v3 is committed")
    await expect(page).to_have_url(re.compile(r"prompt:help%2Fanswer$"))
    await page.goto(f"{site.base_url}{NEW}")
    await page.get_by_role("button", name="Take it up again").click()
    await expect(text).to_have_value("A prompt that is to come")


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme", "script"), [(390, "dark", True), (1280, "light", False)])
async def test_a_conflict_is_seen_and_solved_on_every_screen_and_without_scripts(
    site: httpx.AsyncClient, ctx: Context, browser_page: OpenPage, width: int, theme: str, script: bool
) -> None:
    await sync(ctx, TEXT_1)
    opened = await browser_page(f"{site.base_url}{EDIT}", width=width, theme=theme, script=script)
    page = opened.page
    await page.locator("[name=text]").fill(TEXT_1 + "Mine.\n")
    await sync(ctx, TEXT_1 + "Theirs.\n", "by another")
    await page.locator("[name=note]").fill("because")
    await page.get_by_role("button", name="Commit v2").click()
    await page.get_by_role("button", name="Go on from v2 with my text").click()
    await expect(page.locator("[name=text]")).to_have_value(TEXT_1 + "Mine.\n")
    assert await opened.overflow() == []
    assert await page.evaluate(NAMELESS) == [] if script else True
    assert await page.evaluate(FAINT) == [] if script else True
    await page.get_by_role("button", name="Commit v3").click()

    await expect(page.get_by_text("prompt:help/answer@v3 is committed")).to_be_visible()
    assert await stored(ctx) == (TEXT_1 + "Mine.\n").encode()
    assert (await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/answer"))).note == "because"
