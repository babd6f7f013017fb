"""Sync makes versions of files, once; the operations show and fill them; the command reads a folder."""

import asyncio
import shutil

import httpx
import pytest
from cyclopts import App

from gimbal.axis.assets.service import Assets
from gimbal.generative.prompts import commands
from gimbal.generative.prompts.commands import read_folder
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import load_prompt, sync_files
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import Ref

TEXT = '+++\nmodel = "local/extractive"\n+++\n## user\n{{greeting}}, what is a gate?\n'


def file(text=TEXT, path="help/answer.md"):
    return PromptFile(path=path, text=text)


async def test_syncing_twice_makes_one_version(ctx):
    first = await sync_files(ctx, [file()])
    again = await sync_files(ctx, [file()])

    assert [(row.ref, row.state) for row in first.prompts] == [("prompt:help/answer@v1", "created")]
    assert [(row.ref, row.state) for row in again.prompts] == [("prompt:help/answer@v1", "unchanged")]
    assert (again.created, again.unchanged) == (0, 1)


async def test_a_change_is_a_new_version_and_its_undoing_is_the_old_one(ctx):
    await sync_files(ctx, [file()])
    changed = await sync_files(ctx, [file(TEXT.replace("gate", "rule"))])
    undone = await sync_files(ctx, [file()])

    assert changed.prompts[0].ref == "prompt:help/answer@v2"
    assert (undone.prompts[0].ref, undone.prompts[0].state) == ("prompt:help/answer@v1", "reverted")


async def test_one_bad_file_leaves_nothing_behind(ctx):
    with pytest.raises(BadInput) as caught:
        await sync_files(ctx, [file(path="a.md"), file("+++\nmodel = 1\n+++\n## user\nx", "b.md")])

    assert caught.value.where == "b.md:2"
    with pytest.raises(NotFound):
        await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:a"))


@pytest.mark.parametrize("path", ["Answer.md", "../up.md", "a.txt", "/etc/passwd.md", ".md"])
async def test_a_path_that_cannot_be_a_name_is_refused(ctx, path):
    with pytest.raises(BadInput) as caught:
        await sync_files(ctx, [file(path=path)])

    assert caught.value.where == path


async def test_a_reference_of_another_kind_is_refused(ctx):
    with pytest.raises(BadInput, match="not a prompt"):
        await load_prompt(ctx, Ref.parse("model:flights/delay"))


async def test_the_operations_over_http(http: httpx.AsyncClient):
    made = await http.post(
        "/api/v1/projects/default/prompts/sync", json={"files": [{"path": "help/answer.md", "text": TEXT}]}
    )
    assert made.json()["prompts"][0]["state"] == "created"

    place = "/api/v1/projects/default/prompts/prompt%3Ahelp%2Fanswer"
    shown = (await http.get(place)).json()
    assert shown["ref"] == "prompt:help/answer@v1"
    assert shown["manifest"]["variables"] == ["greeting"]

    filled = (await http.post(f"{place}%40v1/render", json={"variables": {"greeting": "Hi {{x}}"}})).json()
    assert filled["messages"] == [{"role": "user", "content": "Hi {{x}}, what is a gate?"}]
    refused = await http.post(f"{place}/render", json={"variables": {}})
    assert (refused.status_code, refused.json()["error"]["where"]) == (400, "variables.greeting")


def test_the_command_reads_prompt_files_and_leaves_the_rest(tmp_path):
    for path in ("help/answer.md", "hidden/.draft/x.md", "notes.txt"):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(TEXT)

    assert [f.path for f in read_folder(tmp_path)] == ["help/answer.md"]
    shutil.rmtree(tmp_path / "help")
    with pytest.raises(BadInput, match=r"no \.md file"):
        read_folder(tmp_path)
    with pytest.raises(BadInput, match="not a folder"):
        read_folder(tmp_path / "nowhere")


async def test_the_command_syncs_a_folder_through_the_client(base_url, ctx, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GIMBAL_URL", base_url)
    monkeypatch.setenv("GIMBAL_API_KEY", "none")
    (tmp_path / "help").mkdir()
    (tmp_path / "help" / "answer.md").write_text(TEXT)
    app = App(name="prompts", result_action="return_value")
    commands.add(app)

    await asyncio.to_thread(app, ["sync", str(tmp_path), "--note", "first"])

    assert "created    prompt:help/answer@v1" in capsys.readouterr().out
    version = await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/answer"))
    assert version.note == "first"
