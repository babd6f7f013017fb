"""What calls of a prompt cost counts all that is sent: tools and the form of the answer as well as messages."""

from decimal import Decimal

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import Example
from gimbal.generative.gateway.foreseeing import Size, foreseen
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.refs import Ref

HEAD = '+++\nmodel = "openai/gpt-4o-mini"\n[params]\nmax_tokens = 10\n'
BODY = "+++\n## user\n{{question}}\n"
TOOL = '[[tools]]\nname = "look"\ndescription = "DOC"\n[tools.parameters]\ntype = "object"\n'
FORM = '[response]\nname = "answer"\n[response.schema]\ntype = "object"\ndescription = "DOC"\n'


async def seen(ctx, extra=""):
    await sync_files(ctx, [PromptFile(path="help/asked.md", text=f"{HEAD}{extra}{BODY}")])
    version = await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/asked"))
    return await foreseen(ctx, version, [Example(id="1", input={"question": "Which port?"})])


async def test_tools_and_the_form_of_the_answer_are_reckoned_with(ctx):
    plain, long = await seen(ctx), "x" * 4_000
    tools = [await seen(ctx, TOOL.replace("DOC", text)) for text in ("x", long)]
    forms = [await seen(ctx, FORM.replace("DOC", text)) for text in ("x", long)]

    assert plain.cost < tools[0].cost < tools[1].cost
    assert plain.cost < forms[0].cost < forms[1].cost
    # About a quarter of the bytes, and at most all of them.
    assert float(tools[1].most - tools[0].most) == pytest.approx(4 * float(tools[1].cost - tools[0].cost), rel=0.01)
    # Whoever may call tools is told about that by the provider, too.
    assert tools[0].most - plain.most > Decimal("0.00015")


async def most_of(ctx, text, given, **others):
    files = [PromptFile(path=f"{name}.md", text=one) for name, one in others.items()]
    await sync_files(ctx, [*files, PromptFile(path="help/asked.md", text=text)])
    version = await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/asked"))
    return (await foreseen(ctx, version, [Example(id="1", input=given)])).most


async def test_the_most_counts_what_is_repeated_included_or_there_by_default(ctx):
    """Or else a cap would be passed by calls that nobody had reckoned with."""
    long = "x" * 4_000
    plain = await most_of(ctx, HEAD + BODY, {"question": "x"})
    once = await most_of(ctx, HEAD + BODY, {"question": long}) - plain
    twice = await most_of(ctx, f"{HEAD}{BODY}{{{{question}}}}\n{{{{question}}}}\n", {"question": long})
    default = f'[variables.question]\ndefault = "{long}"\n'
    unsaid = await most_of(ctx, HEAD + default + BODY, {})
    tone = '+++\nmodel = "openai/gpt-4o-mini"\n+++\n\n## system\n' + long + "\n"
    included = await most_of(
        ctx, f"{HEAD}{BODY.replace('## user', '## system' + chr(10) + '{{> tone}}' + chr(10) * 2 + '## user')}",
        {"question": "x"}, tone=tone,
    )  # fmt: skip

    assert once > 0
    assert twice - plain > once * Decimal("2.9")
    for found in (unsaid, included):
        assert found - plain > once * Decimal("0.9")


def test_the_largest_call_is_never_smaller_than_the_usual_one():
    for size in (Size(), Size(fixed=1), Size(fixed=10, given=[0, 7]), Size(given=[10**7], messages=3, tools=True)):
        assert size.usual <= size.most
