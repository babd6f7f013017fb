"""Evaluating a route: exactly that version answers, by the gateway's own path; what fails is missing, not wrong."""

from decimal import Decimal

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import Example
from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.route_target import ROUTES, asked_of
from gimbal.generative.gateway.routes import service
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.refs import Ref

ASKED = {"question": "Who keeps the rings level?"}


async def version_of(ctx, text='targets = ["up/tiny"]', name="support"):
    made = await service.publish(ctx, PublishRoute(text=f'name = "{name}"\n{text}'))
    return await ctx.get(Assets).resolve(ctx, Ref.parse(made.ref))


async def asked(ctx, given=ASKED, version=None):
    return await ROUTES(ctx, version or await version_of(ctx), Example(id="1", input=given))


async def test_an_example_is_one_call_with_one_trace_that_names_the_version(ctx, upstream):
    first = await version_of(ctx)
    await version_of(ctx, 'targets = ["gone/x"]')

    output = await asked(ctx, version=first)

    assert (output.error, output.text) == ("", "Gimbal keeps both rings level.")
    assert (output.input_tokens, output.output_tokens, output.tool_calls) == (21, 5, None)
    assert output.latency_ms > 0
    assert upstream.received[0]["messages"] == [{"role": "user", "content": ASKED["question"]}]
    trace = await ctx.get(Traces).get(ctx, output.trace_id)
    assert [(span.kind, span.feature) for span in trace.spans] == [("llm", "evaluation")]
    assert "route:support@v1" in trace.spans[0].attributes["gimbal.route"]


async def test_messages_system_tools_and_parameters_go_along(ctx, upstream):
    upstream.tools = True
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    messages = [
        {"role": "user", "content": "Up?"},
        {"role": "assistant", "content": "?"},
        {"role": "user", "content": "!"},
    ]
    given = {"messages": messages, "system": "Be short.", "tools": tools, "params": {"temperature": 0.5}}

    output = await asked(ctx, given)

    (sent,) = upstream.received
    assert sent["messages"] == [{"role": "system", "content": "Be short."}, *messages]
    assert (sent["tools"], sent["temperature"]) == (tools, 0.5)
    assert output.tool_calls == [{"name": "look", "arguments": {"at": "sky"}}]


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({"question": "Why?", "context": "Because."}, "Why?"),
        ({"text": "Say it in French.", "year": 2026}, "Say it in French."),
        ({"context": "Page 1.", "ask": "How many?"}, "Page 1.\n\nHow many?"),
        ({"question": "", "context": "x"}, ""),
        ({"question": "न\x00" * 3}, "न\x00" * 3),
    ],
)
def test_texts_become_one_message_of_the_user(given, content):
    assert asked_of(Example(id="1", input=given))["messages"] == [{"role": "user", "content": content}]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no text"),
        ({"number": 5}, "no text"),
        ({"system": "Be short."}, "no text"),
        ({"messages": []}, "no list with a message"),
        ({"messages": "hello"}, "no list with a message"),
        ({"messages": ["hello"]}, "messages"),
        ({"question": "x", "params": [1]}, "is no object"),
        ({"question": "x", "params": {"model": "up/dear", "stream": True}}, "sets model, stream"),
        ({"question": "x\ud800"}, "no Unicode"),
    ],
)
async def test_an_input_that_says_nothing_to_ask_is_an_error_in_the_output(ctx, upstream, given, says):
    output = await asked(ctx, given)

    assert output.text is None
    assert says in output.error
    assert upstream.received == []


async def test_what_fails_is_typed(ctx, upstream):
    version = await version_of(ctx)
    upstream.faults = [500, 500, "refusal", 429]
    failed, refused, early = [await asked(ctx, version=version) for _ in range(3)]
    upstream.faults = ["hang", "hang"]
    hung = await asked(ctx, version=await version_of(ctx, 'targets = ["slow/tiny"]'))
    gone = await asked(ctx, version=await version_of(ctx, 'targets = ["gone/x"]'))

    assert (failed.failure, failed.text, failed.retry_after_s) == ("error", None, None)
    assert "had an error" in failed.error
    assert (early.failure, early.retry_after_s) == ("error", 7)
    assert (refused.failure, refused.text) == ("refused", "I cannot help with that.")
    assert hung.failure == "timed_out"
    assert (gone.failure, gone.text) == ("error", None)
    for output in (failed, early, refused, hung, gone):
        assert (await ctx.get(Traces).get(ctx, output.trace_id)).spans


async def test_a_call_costs_what_the_dearest_target_does_and_the_shadow_beside_it(ctx):
    examples = [Example(id="1", input=ASKED), Example(id="2", input={"question": "x" * 4000})]
    limited = [Example(id=e.id, input=e.input | {"params": {"max_tokens": 100}}) for e in examples]

    async def seen(text, rows=limited):
        return await ROUTES.foresee(ctx, await version_of(ctx, text), rows)

    cheap = await seen('targets = ["openai/gpt-4o-mini"]')
    both = await seen('targets = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]')
    ruled = await seen(
        'targets = ["openai/gpt-4o-mini"]\n[[rules]]\nwhen = { tokens_above = 9 }\ntargets = ["anthropic/claude-haiku-4-5"]'
    )
    shadowed = await seen('targets = ["openai/gpt-4o-mini"]\n[shadow]\nmodel = "openai/gpt-4o-mini"\nshare = 0.1')
    endless = await seen('targets = ["openai/gpt-4o-mini"]', examples)
    free = await seen('targets = ["local/extractive"]', examples)

    assert Decimal(0) < cheap.cost < cheap.most < Decimal("0.01")
    assert (both.cost > cheap.cost, both.most > cheap.most) == (True, True)
    assert (ruled.cost, ruled.most) == (both.cost, both.most)
    assert (shadowed.cost, shadowed.most) == (2 * cheap.cost, 2 * cheap.most)
    assert (endless.cost is not None, endless.most) == (True, None)
    assert (free.cost, free.most, free.unpriced) == (0, 0, "")


async def test_a_target_without_a_price_is_named(ctx):
    version = await version_of(ctx, 'targets = ["openai/gpt-4o-mini", "up/tiny", "nobody/x"]')
    seen = await ROUTES.foresee(ctx, version, [])

    assert (seen.cost, seen.most) == (None, None)
    assert "up/tiny: unknown_model" in seen.unpriced
    assert "nobody/x: There is no provider 'nobody'" in seen.unpriced
    assert "gpt-4o-mini" not in seen.unpriced


async def test_answers_are_kept_by_the_version_and_the_prompts_behind_it(ctx):
    """With another version of a prompt that the route names the same question has another answer."""
    prompt = '+++\nmodel = "local/extractive"\n+++\n## user\n{{question}}'
    text = 'targets = ["prompt:help/answer"]'
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=prompt)])
    before = await ROUTES.foresee(ctx, await version_of(ctx, text), [])
    again = await ROUTES.foresee(ctx, await version_of(ctx, text), [])
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=prompt + " Be short.")])
    after = await ROUTES.foresee(ctx, await version_of(ctx, text), [])
    moment = [
        await ROUTES.foresee(ctx, await version_of(ctx, f'targets = {models}\nstrategy = "{strategy}"'), [])
        for strategy in ("cheapest", "least_latency")
        for models in ('["up/a"]', '["up/a", "up/b"]')
    ]

    assert before.identity == again.identity != after.identity
    assert [bool(one.identity) for one in moment] == [True, False, True, False]


async def test_a_prompt_behind_a_route_is_filled_and_reckoned_with(ctx, upstream):
    text = '+++\nmodel = "openai/gpt-4o-mini"\n[params]\nmax_tokens = 50\n+++\n## system\n' + "Be kind. " * 500
    await sync_files(ctx, [PromptFile(path="help/long.md", text=text + "\n## user\n{{question}}")])
    plain = await ROUTES.foresee(
        ctx, await version_of(ctx, 'targets = ["openai/gpt-4o-mini"]'), [Example(id="1", input=ASKED)]
    )
    long = await ROUTES.foresee(
        ctx, await version_of(ctx, 'targets = ["prompt:help/long"]'), [Example(id="1", input=ASKED)]
    )
    greeting = '+++\nmodel = "up/tiny"\n+++\n## user\nAsked by {{name}}:'
    await sync_files(ctx, [PromptFile(path="help/greeted.md", text=greeting)])
    version = await version_of(ctx, 'targets = ["prompt:help/greeted"]')
    filled = await asked(ctx, ASKED | {"variables": {"name": "Ada"}}, version)

    assert long.cost > plain.cost
    assert (plain.most, long.most is not None) == (None, True)
    assert filled.error == ""
    assert [m["content"] for m in upstream.received[0]["messages"]] == ["Asked by Ada:", ASKED["question"]]
