"""Calls under a policy at its limits: lengths, deadlines, callers who leave, changes, embeddings, prompts, shadows."""

import asyncio
import json

import pytest
from tests.generative.guards.calls import ASK, MASK, PLAIN, SECRET, chat, send, sent

from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.routes.service import publish as publish_route
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.generative.guards.service import Policies
from gimbal.kernel.errors import NotFound


async def test_too_much_is_refused_by_its_length(http, ctx, upstream, in_force):
    await in_force(ctx, '[[guards]]\nname = "size"\nmax_characters = 40\naction = "block"\n')
    long = await send(http, chat(messages=[{"role": "user", "content": "x" * 41}]))
    upstream.words = ["x" * 20] * 3
    answer = await send(http, chat(messages=PLAIN, stream=True))

    assert long.status_code == 422
    assert "too_long" in long.text
    assert answer.text.count("x" * 20) == 2
    assert "guard_refused" in answer.text


async def test_a_caller_who_goes_away_leaves_a_record_that_says_what_was_found(http, ctx, upstream, in_force):
    await in_force(ctx, MASK)
    upstream.faults = ["stall"]
    upstream.words = ["To ", "bob@exam", "ple.com then", " and on", " and on"]
    path, body = chat(messages=PLAIN, stream=True)
    async with http.stream("POST", path, json=body) as answer:
        trace_id, seen = answer.headers["x-gimbal-trace-id"], ""
        async for chunk in answer.aiter_text():
            seen += chunk
            if "[email]" in seen:
                break
    async with asyncio.timeout(10):
        while True:
            try:
                (span,) = (await ctx.get(Traces).get(ctx, trace_id)).spans
                break
            except NotFound:
                await asyncio.sleep(0.02)

    assert span.status == "cancelled"
    assert "bob" not in repr(span)
    assert span.attributes["gimbal.guards"]["contacts"]["output_found"] == {"email": 1}
    assert span.estimated
    assert span.usage.output_tokens >= 4


@pytest.mark.parametrize("required", [True, False])
async def test_a_guard_that_is_too_slow_refuses_or_steps_aside(http, ctx, upstream, in_force, span_of, required):
    """Many megabytes take any machine longer than a millisecond."""
    await in_force(
        ctx,
        f'[[guards]]\nname = "late"\nwhere = "input"\ndeadline_ms = 1\nrequired = {str(required).lower()}\n'
        'detectors = ["contact", "secret", "payment"]\naction = "mask"\n',
    )
    text = f"{SECRET} " + "key 1234 word@ " * 100_000
    answer = await send(http, chat(messages=[{"role": "user", "content": text}]))

    span = await span_of(ctx, answer.headers)
    guard = span.attributes["gimbal.guards"]["late"]
    assert guard["input"] == "timed_out"
    assert "longer than 1 ms" in guard["input_why"]
    if required:
        assert answer.status_code == 503
        assert "'late'" in answer.text
        assert upstream.received == []
        # What nobody could look at is not recorded.
        assert SECRET not in repr(span)
        assert span.attributes["error.type"] == "guard_unavailable"
    else:
        assert answer.status_code == 200
        assert SECRET in sent(upstream)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_for_answers(http, ctx, upstream, in_force, span_of, required, stream):
    await in_force(
        ctx,
        f'[[guards]]\nname = "late"\nwhere = "output"\ndeadline_ms = 1\nrequired = {str(required).lower()}\n'
        'detectors = ["contact", "secret", "payment"]\naction = "mask"\n',
    )
    upstream.words = ["Well, ", f"{SECRET} " + "key 1234 word@ " * 100_000, " bye"]
    answer = await send(http, chat(messages=PLAIN, stream=stream))

    span = await span_of(ctx, answer.headers)
    assert span.attributes["gimbal.guards"]["late"]["output"] == "timed_out"
    assert (SECRET in answer.text) is not required
    if required:
        assert "guard_unavailable" in answer.text
        assert SECRET not in repr(span)
        assert span.status == "error"
        assert span.usage.output_tokens > 0
    else:
        assert " bye" in answer.text
        assert span.status == "ok"


async def test_a_policy_that_changes_holds_within_a_second(http, ctx, upstream, in_force):
    first = await send(http, chat())
    assert SECRET in sent(upstream)
    await in_force(ctx, MASK)
    upstream.received.clear()
    await send(http, chat())
    assert SECRET not in sent(upstream)
    await in_force(ctx, '[[guards]]\nname = "x"\ndetectors = ["ip"]\naction = "mask"\n')
    await send(http, chat())
    assert SECRET in sent(upstream)
    assert first.status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_an_answer_that_no_guard_looks_at_is_recorded_as_it_is(
    http, ctx, upstream, in_force, span_of, model, stream
):
    await in_force(ctx, '[[guards]]\nname = "mail"\nwhere = "input"\ndetectors = ["email"]\naction = "mask"\n')
    answer = await send(http, chat(model, stream=stream))

    assert "keeps" in answer.text
    span = await span_of(ctx, answer.headers)
    assert json.loads(span.output)["content"] == "".join(upstream.words)
    assert span.usage.output_tokens == 5
    assert span.attributes["gimbal.guards"]["mail"]["output_why"] == "looks at the input"


async def test_a_shadow_is_under_the_same_policy(http, ctx, upstream, in_force):
    """Its answer is recorded as well, so that guards look at it, too."""
    await in_force(ctx, MASK)
    route = 'name = "beside"\ntargets = ["up/tiny"]\nshadow = { model = "claude/tiny", share = 1.0 }\n'
    await publish_route(ctx, PublishRoute(text=route))
    upstream.words = ["Ask bob@", "example.com"]
    answer = await send(http, chat("route:beside", ASK))

    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(10):
        while True:
            spans = (await ctx.get(Traces).get(ctx, answer.headers["x-gimbal-trace-id"])).spans
            if len(spans) == 2:
                break
            await asyncio.sleep(0.02)
    assert SECRET not in repr(spans)
    for span in spans:
        assert json.loads(span.output)["content"] == "Ask [email]"
        guard = span.attributes["gimbal.guards"]["contacts"]
        assert (guard["input_found"], guard["output_found"]) == ({"email": 1}, {"email": 1})


async def test_embeddings_are_guarded_as_well(http, ctx, upstream, in_force, span_of):
    await in_force(ctx, '[[guards]]\nname = "mail"\nwhere = "input"\ndetectors = ["email"]\naction = "block"\n')
    answer = await send(http, ("/v1/embeddings", {"model": "up/tiny", "input": ["a", f"to {SECRET}"]}))
    tokens = await send(http, ("/v1/embeddings", {"model": "up/tiny", "input": [[1, 2, 3]]}))

    assert answer.status_code == 422
    assert tokens.status_code == 400
    assert upstream.received == []
    span = await span_of(ctx, answer.headers)
    assert SECRET not in repr(span)
    assert span.attributes["gimbal.guards"]["mail"]["input_did"] == "blocked"


async def test_variables_of_prompts_are_looked_at(http, ctx, upstream, in_force):
    await in_force(ctx, MASK)
    file = '+++\nmodel = "up/tiny"\n+++\n\n## user\nHelp {{who}}\n'
    made = await http.post("/api/v1/projects/default/prompts/sync", json={"files": [{"path": "help.md", "text": file}]})
    assert made.status_code < 300, made.text
    answer = await send(http, chat("prompt:help@v1", [{"role": "user", "content": "now"}], variables={"who": SECRET}))

    assert answer.status_code == 200, answer.text
    assert SECRET not in sent(upstream)
    assert "Help [email]" in sent(upstream)


async def test_values_within_lists_and_objects_are_looked_at(http, ctx, upstream, in_force):
    await in_force(ctx, MASK)
    head = '+++\nmodel = "up/tiny"\n[variables.items]\ntype = "list"\n[variables.n]\ntype = "integer"\n+++\n\n## user\n'
    file = head + "{{who.mail}} {{n}}:{{#each items as item}} {{item}}{{/each}}\n"
    made = await http.post("/api/v1/projects/default/prompts/sync", json={"files": [{"path": "help.md", "text": file}]})
    assert made.status_code < 300, made.text
    values = {"who": {"mail": SECRET}, "items": ["a", SECRET, 7], "n": 3}
    answer = await send(http, chat("prompt:help@v1", [{"role": "user", "content": "now"}], variables=values))

    assert answer.status_code == 200, answer.text
    assert SECRET not in sent(upstream)
    assert "[email] 3: a [email] 7" in sent(upstream)


@pytest.mark.parametrize("more", [{"n": 2}, {"logprobs": True}])
async def test_what_could_not_be_looked_at_in_an_answer_is_refused(http, ctx, upstream, in_force, more):
    await in_force(ctx, MASK)
    answer = await send(http, chat(messages=PLAIN, **more))

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] in more
    assert upstream.received == []


async def test_counting_tokens_sends_nothing_that_guards_have_not_seen(http, ctx, upstream, in_force):
    await in_force(ctx, MASK)
    body = {"model": "claude/tiny", "messages": ASK}
    answer = await http.post("/v1/messages/count_tokens", json=body)

    assert answer.status_code == 200, answer.text
    assert upstream.received == []


async def test_a_project_without_a_policy_has_none_in_the_record(http, ctx, upstream, span_of):
    answer = await send(http, chat())

    assert "gimbal.guards" not in (await span_of(ctx, answer.headers)).attributes
    assert ctx.get(Policies).has_none("default")
