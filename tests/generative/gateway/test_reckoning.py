"""What a judge's call will cost is told before: never less than it can be, whoever is asked, and no guess where nobody knows."""

from decimal import Decimal

import pytest

from gimbal.generative.gateway.asking import embedded, said
from gimbal.generative.gateway.reckoning import reckoned
from gimbal.generative.gateway.routes import service
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files

MODEL = "openai/gpt-4o-mini"
PROMPT = '+++\nmodel = "openai/gpt-4o-mini"\n[params]\nmax_tokens = {most}\n+++\n## system\n{rule}\n## user\nGo on.\n'


async def test_a_call_of_a_model_costs_no_more_than_was_told(ctx, upstream):
    for text in ("Is it so?", "这是真的吗" * 40, ""):
        told = await reckoned(ctx, MODEL, [len(text.encode())], 100)
        found = await said(ctx, MODEL, [{"role": "user", "content": text}], {"max_tokens": 100})
        assert 0 < found.cost <= told.most
        assert told.cost <= told.most


async def test_texts_for_an_embedder_have_no_answer_to_pay(ctx, upstream):
    told = await reckoned(ctx, "openai/text-embedding-3-small", [2_000], 0)
    found = await embedded(ctx, "openai/text-embedding-3-small", ["a", "b"])

    assert 0 < told.cost < told.most
    assert found.cost <= told.most
    assert (await reckoned(ctx, MODEL, [2_000], 0)).cost < (await reckoned(ctx, MODEL, [2_000], 1)).cost


async def test_an_answer_of_any_length_has_no_most(ctx):
    told = await reckoned(ctx, MODEL, [2_000], None)

    assert told.cost > 0
    assert told.most is None
    assert (await reckoned(ctx, "local/extractive", [2_000], None)).most == 0


async def test_a_route_costs_what_its_dearest_target_does(ctx):
    body = 'name = "judges"\ntargets = ["local/extractive", "openai/gpt-4o-mini"]'
    await service.publish(ctx, PublishRoute(text=body))
    alone, route = await reckoned(ctx, MODEL, [2_000], 64), await reckoned(ctx, "route:judges", [2_000], 64)

    assert alone.cost > 0
    assert float(route.cost) == pytest.approx(float(alone.cost), rel=0.1)
    assert float(route.most) == pytest.approx(float(alone.most), rel=0.1)


async def test_a_prompt_costs_its_own_messages_as_well(ctx):
    files = [
        PromptFile(path="short.md", text=PROMPT.format(most=9, rule="Judge.")),
        PromptFile(path="long.md", text=PROMPT.format(most=9, rule="Judge. " * 1_000)),
    ]
    await sync_files(ctx, files)
    short, long = await reckoned(ctx, "prompt:short", [100], 50), await reckoned(ctx, "prompt:long", [100], 50)

    # At most a token for each byte more.
    assert long.most - short.most == Decimal("0.15") * (7 * 1_000 - 6) / 1_000_000
    # Who says nothing of the length has the prompt's own.
    assert (await reckoned(ctx, "prompt:short", [100], None)).most < short.most


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("up/tiny", "unknown_model"),
        ("nobody/knows", "nobody"),
        ("route:gone", "gone"),
        ("prompt:gone", "gone"),
        ("", ""),
    ],
)
async def test_what_nobody_knows_has_a_reason_and_no_price(ctx, model, says):
    told = await reckoned(ctx, model, [100], 10)

    assert (told.cost, told.most) == (None, None)
    assert told.unpriced
    assert says in told.unpriced
