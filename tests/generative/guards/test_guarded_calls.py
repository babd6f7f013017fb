"""Calls under a policy: what goes out, what comes back, what is recorded, by each wire, whole and streamed."""

import asyncio
import json

import pytest

from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.routes.service import publish as publish_route
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.generative.guards.service import Policies
from gimbal.kernel.errors import NotFound

SECRET = "bob@example.com"
MASK = '[[guards]]\nname = "contacts"\ndetectors = ["contact"]\naction = "mask"\n'
ASK = [{"role": "user", "content": f"Write to {SECRET} please"}]
PLAIN = [{"role": "user", "content": "Write to Bob"}]


def chat(model="up/tiny", messages=ASK, **more):
    return "/v1/chat/completions", {"model": model, "messages": messages, **more}


def anthropic(model="claude/tiny", messages=ASK, **more):
    return "/v1/messages", {"model": model, "messages": messages, "max_tokens": 50, **more}


def responses(model="up/tiny", messages=ASK, **more):
    return "/v1/responses", {"model": model, "input": messages, **more}


def gemini(model="up/tiny", messages=ASK, **more):
    streams = more.pop("stream", False)
    verb = "streamGenerateContent?alt=sse" if streams else "generateContent"
    contents = [{"role": "user", "parts": [{"text": message["content"]}]} for message in messages]
    return f"/v1beta/models/{model}:{verb}", {"contents": contents, **more}


DOORS = [chat, anthropic, responses, gemini]


async def send(http, asked, **headers):
    path, body = asked
    answer = await http.post(path, json=body, headers=headers)
    await answer.aread()
    return answer


def sent(upstream):
    return json.dumps(upstream.received, ensure_ascii=False)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_masked_goes_to_nobody_and_is_not_recorded(
    http, ctx, upstream, in_force, span_of, door, model, stream
):
    ref = await in_force(ctx, MASK)
    answer = await send(http, door(model, stream=stream) if stream else door(model))

    assert answer.status_code == 200, answer.text
    assert SECRET not in sent(upstream)
    assert "Write to [email] please" in sent(upstream)
    span = await span_of(ctx, answer.headers)
    assert SECRET not in repr(span)
    assert "[email]" in span.input
    guards = span.attributes["gimbal.guards"]["contacts"]
    assert guards == {"input": "ran", "input_found": {"email": 1}, "input_did": "masked", "output": "ran"}
    assert ref in " ".join(span.refs)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_masked_however_it_is_cut(http, ctx, upstream, in_force, span_of, door, model, stream):
    await in_force(ctx, MASK)
    upstream.words = ["Ask ", "bo", "b@exa", "mple", ".com", " or +4", "4 20 7946", " 0958", ", then", " go."]
    answer = await send(http, door(model, PLAIN, stream=stream) if stream else door(model, PLAIN))

    assert answer.status_code == 200, answer.text
    assert "example" not in answer.text
    assert "7946" not in answer.text
    span = await span_of(ctx, answer.headers)
    assert json.loads(span.output)["content"] == "Ask [email] or [phone], then go."
    assert span.attributes["gimbal.guards"]["contacts"]["output_found"] == {"email": 1, "phone": 1}
    assert (span.status, span.attributes["gimbal.answer.complete"]) == ("ok", True)
    assert span.usage.output_tokens > 0


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_a_secret_cut_at_every_character_is_in_no_stream(http, ctx, upstream, in_force, model):
    await in_force(ctx, MASK)
    text = f"To {SECRET} now"
    for at in range(1, len(text)):
        upstream.words = [text[:at], text[at:]]
        answer = await send(http, chat(model, PLAIN, stream=True))
        said = "".join(
            choice["delta"].get("content") or ""
            for line in answer.text.splitlines()
            if line.startswith("data: {")
            for choice in json.loads(line[6:])["choices"]
        )
        assert said == "To [email] now", at


@pytest.mark.parametrize("door", DOORS)
async def test_a_guard_that_blocks_refuses_by_its_name_and_not_by_what_it_found(
    http, ctx, upstream, in_force, span_of, door
):
    await in_force(
        ctx,
        '[[guards]]\nname = "no-contacts"\ndetectors = ["email"]\naction = "block"\n'
        '[[guards]]\nname = "cards"\ndetectors = ["card"]\naction = "mask"\n',
    )
    messages = [{"role": "user", "content": f"{SECRET} has 4111 1111 1111 1111"}]
    answer = await send(http, door(messages=messages))

    assert answer.status_code == 422
    assert "no-contacts" in answer.text
    assert SECRET not in answer.text
    assert upstream.received == []
    span = await span_of(ctx, answer.headers)
    assert span.status == "error"
    assert span.attributes["error.type"] == "guard_refused"
    # What it was refused for is not kept, and neither is what a later guard takes out.
    assert SECRET not in repr(span)
    assert "4111" not in repr(span)
    assert span.attributes["gimbal.guards"] == {
        "no-contacts": {
            "input": "ran",
            "input_found": {"email": 1},
            "input_did": "blocked",
            "output": "skipped",
            "output_why": "not reached",
        },
        "cards": {
            "input": "ran",
            "input_found": {"card": 1},
            "input_did": "masked",
            "output": "skipped",
            "output_why": "not reached",
        },
    }


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_blocked_ends_with_an_error_and_is_settled(
    http, ctx, upstream, in_force, span_of, door, stream
):
    await in_force(ctx, '[[guards]]\nname = "mail"\nwhere = "output"\ndetectors = ["email"]\naction = "block"\n')
    upstream.words = ["Well, ", "ask ", "bob@", "example", ".com", " and", " be happy", " ever", " after."]
    answer = await send(http, door("up/tiny", PLAIN, stream=stream) if stream else door("up/tiny", PLAIN))

    assert answer.status_code == (200 if stream else 422), answer.text
    assert "bob@" not in answer.text
    assert "happy" not in answer.text
    assert "'mail'" in answer.text
    assert "[DONE]" not in answer.text
    span = await span_of(ctx, answer.headers)
    assert (span.status, span.attributes["error.type"]) == ("error", "guard_refused")
    assert "bob@" not in repr(span)
    assert span.usage.output_tokens > 0
    guard = span.attributes["gimbal.guards"]["mail"]
    assert guard == {
        "input": "skipped",
        "input_why": "looks at the output",
        "output": "ran",
        "output_found": {"email": 1},
        "output_did": "blocked",
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_a_flag_changes_nothing_and_says_so(http, ctx, upstream, in_force, span_of, stream):
    await in_force(ctx, '[[guards]]\nname = "seen"\ndetectors = ["email"]\naction = "flag"\n')
    upstream.words = ["Ask bob@", "example.com", " now"]
    answer = await send(http, chat(stream=stream))

    assert SECRET in sent(upstream)
    assert "example.com" in answer.text
    # The provider's own bytes went through.
    assert "chatcmpl-up" in answer.text
    guard = (await span_of(ctx, answer.headers)).attributes["gimbal.guards"]["seen"]
    assert guard["input_did"] == guard["output_did"] == "flagged"
    assert guard["input_found"] == guard["output_found"] == {"email": 1}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_arguments_of_tools_are_masked_as_json(http, ctx, upstream, in_force, model, stream):
    await in_force(ctx, MASK)
    upstream.tools, upstream.words = True, ["Look: "]
    upstream.arguments = ['{"to":"bo', "b\\u0040exa", 'mple.com","n":1}']
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    answer = await send(http, chat(model, PLAIN, tools=[tool], stream=stream))

    assert "bob" not in answer.text
    assert "exa" not in answer.text
    if stream:
        rows = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        calls = [call for row in rows for c in row["choices"] for call in c["delta"].get("tool_calls") or ()]
        assert [call["function"]["name"] for call in calls if call["function"].get("name")] == ["look"]
        arguments = "".join(call["function"].get("arguments") or "" for call in calls)
    else:
        (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
        arguments = call["function"]["arguments"]
    assert json.loads(arguments) == {"to": "[email]", "n": 1}


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_every_text_of_a_request_is_looked_at(http, ctx, upstream, in_force, span_of, model):
    await in_force(ctx, MASK)
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"to": "a@example.com"}'}}
    messages = [
        {"role": "system", "content": "You are b@example.com."},
        {"role": "user", "content": [{"type": "text", "text": "I am c@example.com"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "found d@example.com"},
        {"role": "user", "content": "Go on"},
    ]
    answer = await send(http, chat(model, messages))

    assert answer.status_code == 200, answer.text
    assert "example.com" not in sent(upstream)
    span = await span_of(ctx, answer.headers)
    assert "example.com" not in repr(span)
    assert span.attributes["gimbal.guards"]["contacts"]["input_found"] == {"email": 4}


async def test_fields_without_a_place_of_their_own_go_on_to_the_same_wire(http, ctx, upstream, in_force):
    """A mask changes texts and nothing else of what the caller sent."""
    await in_force(ctx, MASK)
    answer = await send(http, chat(prediction={"type": "content", "content": "x"}, top_k=7))

    assert answer.status_code == 200, answer.text
    (received,) = upstream.received
    assert (received["prediction"], received["top_k"]) == ({"type": "content", "content": "x"}, 7)
    assert received["messages"] == [{"role": "user", "content": "Write to [email] please"}]


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
