"""Calls under a policy: what goes out, what comes back, what is recorded, by each wire, whole and streamed."""

import json

import pytest
from tests.generative.guards.calls import DOORS, MASK, PLAIN, SECRET, chat, send, sent


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
    # With the blank: the digits alone may stand in an id.
    assert "20 7946" not in answer.text
    assert " 0958" not in answer.text
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
