"""Prompts that include others: looked up when they are synced, pinned in the version, the same for ever after."""

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.generative.prompts.model import PromptFile, decode_manifest, format_messages
from gimbal.generative.prompts.planning import plan_files
from gimbal.generative.prompts.service import load_prompt, source, sync_files
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, StaleVersion
from gimbal.kernel.refs import Ref

from .test_prompt_plan import seen

HEAD = '+++\nmodel = "m"\n+++\n## user\n'
TYPED = '+++\nmodel = "m"\n[variables.how]\ndefault = "kind"\n+++\n## system\n'


def file(path: str, text: str, head: str = HEAD) -> PromptFile:
    return PromptFile(path=path, text=head + text)


async def said(ctx: Context, ref: str, **values: object) -> str:
    """Fill a stored prompt."""
    return format_messages((await load_prompt(ctx, Ref.parse(ref)))[1], values)[0].content


async def test_prompts_that_are_synced_together_need_not_be_there_before(ctx: Context):
    files = [
        file("a.md", "{{> tone}}, {{name}}{{> b@v1}}"),
        file("b.md", "!{{> tone@v1}}"),
        file("tone.md", "Be {{how}}", TYPED),
    ]

    plan = await plan_files(ctx, files)
    report = await sync_files(ctx, files, seen=seen(plan))

    assert [row.ref for row in report.prompts] == ["prompt:a@v1", "prompt:b@v1", "prompt:tone@v1"]
    version = await ctx.get(Assets).resolve(ctx, "prompt:a")
    manifest = decode_manifest(version.manifest)
    assert [(one.name, one.ref) for one in manifest.includes] == [("b@v1", "prompt:b@v1"), ("tone", "prompt:tone@v1")]
    assert manifest.variables == ("how", "name")
    assert {str(ref) for ref in version.inputs} == {"prompt:b@v1", "prompt:tone@v1"}
    assert await said(ctx, "prompt:a", name="Ada") == "Be kind, Ada!Be kind"
    assert (await plan_files(ctx, files)).unchanged == 3
    assert (await source(ctx, Ref.parse("prompt:a")))[1].decode() == files[0].text


async def test_what_was_pinned_stays_until_the_next_sync(ctx: Context):
    await sync_files(ctx, [file("tone.md", "Be kind")])
    await sync_files(ctx, [file("a.md", "{{> tone}}"), file("old.md", "{{> tone@v1}}")])
    await sync_files(ctx, [file("tone.md", "Be brief")])

    assert await said(ctx, "prompt:a") == "Be kind"
    plan = await plan_files(ctx, [file("a.md", "{{> tone}}"), file("old.md", "{{> tone@v1}}")])
    assert [row.state for row in plan.prompts] == ["changed", "unchanged"]
    assert [(one.part, one.path, one.before, one.after) for one in plan.prompts[0].changes] == [
        ("includes", "tone", "prompt:tone@v1", "prompt:tone@v2")
    ]
    await sync_files(ctx, [file("a.md", "{{> tone}}")])
    assert await said(ctx, "prompt:a") == "Be brief"
    assert await said(ctx, "prompt:a@v1") == "Be kind"


async def test_an_alias_is_what_it_stands_on_at_the_sync(ctx: Context):
    await sync_files(ctx, [file("tone.md", "Be kind")])
    await ctx.get(Assets).move_alias(ctx, "prompt", "tone", "production", "v1")
    files = [file("a.md", "{{> prompt:tone@production}}"), file("tone.md", "Be brief")]
    plan = await plan_files(ctx, files)

    await sync_files(ctx, files, seen=seen(plan))

    assert await said(ctx, "prompt:a") == "Be kind"
    again = await plan_files(ctx, [file("a.md", "{{> prompt:tone@production}}!")])
    await ctx.get(Assets).move_alias(ctx, "prompt", "tone", "production", "v2")
    with pytest.raises(StaleVersion, match="what it includes"):
        await sync_files(ctx, [file("a.md", "{{> prompt:tone@production}}!")], seen=seen(again))


async def test_a_prompt_may_include_an_older_version_of_itself(ctx: Context):
    await sync_files(ctx, [file("a.md", "one")])
    await sync_files(ctx, [file("a.md", "{{> a@v1}} two")])
    assert await said(ctx, "prompt:a") == "one two"
    assert (await plan_files(ctx, [file("a.md", "{{> a@v1}} two")])).unchanged == 1


@pytest.mark.parametrize(
    ("files", "where", "says"),
    [
        ({"a": "x\n{{> gone}}"}, "a.md:6", "no prompt:gone"),
        ({"a": "{{> b@v7}}", "b": "x"}, "a.md:5", "no version 7"),
        ({"a": "{{> a}}"}, "a.md:5", "includes itself: a > a"),
        ({"a": "{{> b}}", "b": "x\n{{> c}}", "c": "{{> b}}"}, "c.md:5", "includes itself: b > c > b"),
        ({"a": "{{> b}}", "b": "x\n## assistant\ny"}, "a.md:5", "has 2 messages"),
        ({f"p{n}": "{{> " + f"p{n + 1}" + "}}" for n in range(9)} | {"p9": "x"}, "p0.md: ", "include one another"),
    ],
)
async def test_what_cannot_be_included_is_named_with_its_line(
    ctx: Context, files: dict[str, str], where: str, says: str
):
    with pytest.raises(BadInput) as caught:
        await sync_files(ctx, [file(f"{name}.md", text) for name, text in files.items()])
    assert says in caught.value.message
    assert caught.value.where.startswith(where)
    assert (await ctx.get(Assets).page(ctx, kind="prompt")).items == []


async def test_a_variable_of_an_included_prompt_can_be_declared_and_searched_for(ctx: Context):
    head = '+++\nmodel = "m"\n[retrieval]\nindex = "index:docs"\n[variables.question]\n+++\n## user\n'
    asked = file("asked.md", "{{context}} {{question}}")
    await sync_files(ctx, [asked, file("a.md", "{{> asked}}", head)])
    assert await said(ctx, "prompt:a", context="c", question="q") == "c q"
    with pytest.raises(BadInput, match="no message uses") as caught:
        await sync_files(ctx, [asked, file("b.md", "{{> asked}}", head.replace("variables.question", "variables.q"))])
    assert caught.value.where.startswith("b.md")
