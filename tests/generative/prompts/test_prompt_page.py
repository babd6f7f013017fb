"""The page of a version shows all that a prompt says: its variables with types, tools, inclusions, owners."""

from pathlib import Path

import httpx
from tests.served import serve

import gimbal.axis.assets.pages  # noqa: F401 - importing it fills the table
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context, Services

from .test_prompt_front import FULL

TONE = '+++\nmodel = "m"\n+++\n## user\nBe kind.\n'


async def test_the_page_shows_what_a_prompt_says(gateway: Services, ctx: Context, tmp_path: Path) -> None:
    text = FULL.replace("## user\n", "## user\n{{> help/tone}} ")
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=text), PromptFile(path="help/tone.md", text=TONE)])
    async with serve(gateway, tmp_path / "cache") as url, httpx.AsyncClient() as http:
        page = (await http.get(f"{url}/p/default/assets/prompt:help%2Fanswer")).text

    for shown in ("docs@example.com, Ada", "The tone was agreed on in May.", "{{orders}}", "list", "friendly"):
        assert shown in page, shown
    for shown in ("What the customer asks.", "search", "Looks in the docs.", "answer", "held to it", "as help/tone"):
        assert shown in page, shown
    assert "{{#each orders as order}}" in page
