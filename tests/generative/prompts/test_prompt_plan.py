"""A plan says what a sync would do and writes nothing; a sync that was given a plan does this and nothing else."""

import asyncio
from collections.abc import Sequence

import httpx
import msgspec
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blob_ref import BlobRef
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.prompts.files import read_prompt
from gimbal.generative.prompts.model import PromptFile, SeenPrompt, SyncPlan
from gimbal.generative.prompts.planning import plan_files
from gimbal.generative.prompts.service import compare, source, sync_files
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, StaleVersion
from gimbal.kernel.refs import Ref

TEXT = """+++
model = "local/extractive"

[params]
temperature = 0.5
+++

## user
{{greeting}}, what is a gate?
"""


def file(text: str = TEXT, path: str = "help/answer.md") -> PromptFile:
    return PromptFile(path=path, text=text)


def seen(plan: SyncPlan) -> list[SeenPrompt]:
    """Return what a client sends of a plan."""
    return [SeenPrompt(name=row.name, newest=row.newest, digest=row.digest) for row in plan.prompts]


async def test_a_plan_says_what_would_be_and_writes_nothing(ctx: Context):
    plan = await plan_files(ctx, [file()])

    row = plan.prompts[0]
    assert (row.ref, row.state, row.newest, plan.created) == ("prompt:help/answer@v1", "created", 0, 1)
    assert row.text is not None
    assert '+model = "local/extractive"\n' in row.text
    with pytest.raises(NotFound):
        await ctx.get(Assets).resolve(ctx, "prompt:help/answer")
    await sync_files(ctx, [file()], seen=seen(plan))
    assert (await ctx.get(Assets).resolve(ctx, "prompt:help/answer")).digest == row.digest


async def test_a_plan_tells_what_changed_in_the_text_and_in_what_it_means(ctx: Context):
    await sync_files(ctx, [file(), file(path="other.md"), file(path="same.md")])
    changed = TEXT.replace("0.5", "0.9").replace("a gate?", "{{thing}}?") + "\n## assistant\nA rule.\n"
    changed = changed.replace(
        "\n[params]", '\n[[tools]]\nname = "search"\n\n[variables.thing]\ndefault = "x"\n\n[params]'
    )

    plan = await plan_files(ctx, [file(changed), file(path="same.md"), file(path="new.md")])

    assert [(row.path, row.state) for row in plan.prompts] == [
        ("help/answer.md", "changed"), ("new.md", "created"), ("same.md", "unchanged"),
    ]  # fmt: skip
    assert plan.elsewhere == ["prompt:other"]
    row = plan.prompts[0]
    assert (row.ref, row.newest) == ("prompt:help/answer@v2", 1)
    assert row.text is not None
    assert "-temperature = 0.5\n+temperature = 0.9\n" in row.text
    told = {(one.part, one.path, one.change): (one.before, one.after) for one in row.changes}
    assert told == {
        ("parameters", "temperature", "changed"): (0.5, 0.9),
        ("variables", "thing", "added"): (None, {"type": "text", "default": "x"}),
        ("tools", "search", "added"): (None, {}),
        ("messages", "[0].content", "changed"): ("{{greeting}}, what is a gate?", "{{greeting}}, what is {{thing}}?"),
        ("messages", "[1]", "added"): (None, {"role": "assistant", "content": "A rule."}),
    }
    assert (plan.prompts[2].text, plan.prompts[2].changes) == ("", [])


async def test_a_file_that_differs_in_its_form_only_is_a_new_version_that_says_so(ctx: Context):
    await sync_files(ctx, [file()])
    spaced = (
        TEXT.replace("\n## user", "# a remark\n+++\n\n\n## user")
        .replace("+++\n\n## user", "## user")
        .replace("+++\n# a", "# a")
    )

    plan = await plan_files(ctx, [file(spaced)])

    assert [(row.state, [one.part for one in row.changes]) for row in plan.prompts] == [("changed", ["formatting"])]
    await sync_files(ctx, [file(spaced)])
    found = await compare(ctx, Ref.parse("prompt:help/answer@v1"), Ref.parse("prompt:help/answer@v2"))
    assert [one.part for one in found.changes] == ["formatting"]
    assert found.text


@pytest.mark.parametrize(
    "text", [TEXT, "\ufeff" + TEXT, TEXT.replace("\n", "\r\n"), TEXT + "\n\n  \n", TEXT + "\0 ü 漢 \u2028"]
)
async def test_a_file_comes_back_byte_for_byte(ctx: Context, text: str):
    await sync_files(ctx, [file(text)])

    assert (await source(ctx, Ref.parse("prompt:help/answer")))[1] == text.encode()
    assert (await plan_files(ctx, [file(text)])).unchanged == 1


async def test_a_version_without_a_file_has_the_one_that_would_be_written(ctx: Context):
    manifest = {"messages": [{"role": "user", "content": "\nHi {{a}}\n"}], "model": "m", "variables": ["a"]}
    await ctx.get(Assets).add_version(ctx, kind="prompt", name="made", manifest=manifest)

    text = (await source(ctx, Ref.parse("prompt:made")))[1].decode()

    assert text.startswith('+++\nmodel = "m"\n+++\n\n## user\n')
    # What was pulled and not touched changes nothing, although a file cannot say the blank lines around the message.
    plan = await plan_files(ctx, [file(text, "made.md")])
    assert [(row.state, row.ref) for row in plan.prompts] == [("unchanged", "prompt:made@v1")]
    again = await sync_files(ctx, [file(text.replace("Hi", "Ho"), "made.md")])
    assert again.prompts[0].ref == "prompt:made@v2"


async def test_an_older_version_that_was_made_without_a_file_is_known_again(ctx: Context):
    # As a sync stored it before versions had files.
    first = '+++\nmodel = "m"\n+++\n\n## user\nHi\n'
    manifest = msgspec.to_builtins(read_prompt(first))
    await ctx.get(Assets).add_version(ctx, kind="prompt", name="made", manifest=manifest)
    assert (await plan_files(ctx, [file(first, "made.md")])).unchanged == 1
    await sync_files(ctx, [file(first.replace("Hi", "Ho"), "made.md")])

    plan = await plan_files(ctx, [file(first, "made.md")])

    assert [(row.state, row.ref, row.newest) for row in plan.prompts] == [("reverted", "prompt:made@v1", 2)]
    assert (await sync_files(ctx, [file(first, "made.md")])).created == 0


async def test_a_prompt_of_another_tool_has_no_file(ctx: Context):
    manifest = {
        "messages": [{"role": "user", "content": "{{ a.b }}"}], "model": "",
        "foreign": {"format": "mlflow", "registration": "1", "unread": "It is not."},
    }  # fmt: skip
    await ctx.get(Assets).add_version(ctx, kind="prompt", name="theirs", manifest=manifest)
    with pytest.raises(BadInput, match="mlflow"):
        await source(ctx, Ref.parse("prompt:theirs"))


async def test_what_changed_since_the_plan_is_a_conflict_and_nothing_is_written(ctx: Context):
    await sync_files(ctx, [file()])
    files = [file(TEXT + "mine"), file(path="a.md")]
    plan = await plan_files(ctx, files)
    await sync_files(ctx, [file(TEXT + "theirs")])

    with pytest.raises(StaleVersion, match="v2, not v1") as caught:
        await sync_files(ctx, files, seen=seen(plan))
    assert (caught.value.where, caught.value.kept) == ("help/answer.md", "nothing")
    with pytest.raises(StaleVersion, match="another version"):
        await sync_files(ctx, [file(TEXT + "other")], seen=seen(await plan_files(ctx, [file(TEXT + "mine")])))
    with pytest.raises(StaleVersion, match="does not say"):
        await sync_files(ctx, [file(TEXT + "other")], seen=seen(await plan_files(ctx, [file(path="a.md")])))
    with pytest.raises(NotFound):
        await ctx.get(Assets).resolve(ctx, "prompt:a")
    assert (await ctx.get(Assets).resolve(ctx, "prompt:help/answer")).number == 2


async def test_a_sync_that_is_overtaken_while_it_writes_leaves_nothing_or_does_it_anew(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
):
    files = [file(TEXT + f"mine {name}", f"{name}.md") for name in "abc"]
    plan, put_many, theirs = await plan_files(ctx, files), Blobs.put_many, iter((1, 2))

    async def overtaken(self: Blobs, contents: Sequence[bytes]) -> list[BlobRef]:
        if (number := next(theirs, None)) is not None:
            manifest = msgspec.to_builtins(read_prompt(TEXT + f"theirs {number}"))
            other = Context(ctx.services, ctx.principal, "default")
            await ctx.get(Assets).add_version(other, kind="prompt", name="b", manifest=manifest)
        return await put_many(self, contents)

    monkeypatch.setattr(Blobs, "put_many", overtaken)
    with pytest.raises(StaleVersion, match="prompt:b is v1, not v0") as caught:
        await sync_files(ctx, files, seen=seen(plan))
    assert caught.value.kept == "nothing"
    for name in "ac":
        with pytest.raises(NotFound):
            await ctx.get(Assets).resolve(ctx, f"prompt:{name}")

    report = await sync_files(ctx, files)
    assert [row.ref for row in report.prompts] == ["prompt:a@v1", "prompt:b@v3", "prompt:c@v1"]


async def test_syncs_at_once_end_as_one_after_the_other(ctx: Context):
    files = [file(TEXT + str(n), f"many/p{n}.md") for n in range(20)]
    syncs = [files, files[::-1], [file(one.text + "!", one.path) for one in files[::2]], files[5:]]

    await asyncio.gather(*(sync_files(Context(ctx.services, ctx.principal, "default"), one) for one in syncs))

    for number in range(20):
        found = (await ctx.get(Assets).versions(ctx, "prompt", f"many/p{number}")).items
        assert [version.number for version in found] == list(range(len(found), 0, -1))
        assert len(found) == (1 if number % 2 else 2)
        assert {len(version.files) for version in found} == {1}


async def test_half_a_character_is_refused_with_its_line(ctx: Context):
    with pytest.raises(BadInput) as caught:
        await plan_files(ctx, [file(TEXT + "\n\ud800")])
    assert caught.value.where == "help/answer.md:11"


async def test_many_files_take_a_few_statements(ctx: Context):
    files = [file(TEXT + str(n), f"many/p{n}.md") for n in range(40)]
    statements: list[str] = []
    listen = lambda *args: statements.append(args[2])
    event.listen(Engine, "before_cursor_execute", listen)
    try:
        assert (await sync_files(ctx, files)).created == 40
        assert 0 < len(statements) <= 20
        statements.clear()
        assert (await sync_files(ctx, files)).unchanged == 40
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    assert 0 < len(statements) <= 5


async def test_the_operations_over_http(http: httpx.AsyncClient):
    place = "/api/v1/projects/default/prompts"
    body = {"files": [{"path": "help/answer.md", "text": TEXT}]}
    plan = (await http.post(f"{place}/plan", json=body)).json()
    row = plan["prompts"][0]
    sent = body | {"seen": [{"name": row["name"], "newest": row["newest"], "digest": row["digest"]}]}
    assert (await http.post(f"{place}/sync", json=sent)).status_code == 200
    assert (await http.post(f"{place}/sync", json=sent)).json()["error"]["code"] == "stale_version"
    body["files"][0]["text"] = TEXT.replace("0.5", "1")
    await http.post(f"{place}/sync", json=body)

    answer = await http.get(f"{place}/prompt%3Ahelp%2Fanswer%40v1/source")
    assert (answer.content, answer.headers["content-type"]) == (TEXT.encode(), "text/markdown; charset=utf-8")
    found = (await http.get(f"{place}/prompt%3Ahelp%2Fanswer%40v1/diff", params={"to": "help/answer@v2"})).json()
    assert (found["before"], found["after"]) == ("prompt:help/answer@v1", "prompt:help/answer@v2")
    assert [one["part"] for one in found["changes"]] == ["parameters"]
    assert "+temperature = 1\n" in found["text"]
    same = (await http.get(f"{place}/prompt%3Ahelp%2Fanswer%40v1/diff", params={"to": "help/answer@v1"})).json()
    assert (same["text"], same["changes"]) == ("", [])
    values = {"variables": {"greeting": ["Hi", {"a": 1}]}}
    filled = (await http.post(f"{place}/prompt%3Ahelp%2Fanswer/render", json=values)).json()
    assert filled["messages"][0]["content"] == '["Hi",{"a":1}], what is a gate?'
