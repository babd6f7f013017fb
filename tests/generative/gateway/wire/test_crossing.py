"""Every door to every provider: what goes out means what came in, or is refused by name; answers come back whole."""

import json

import botocore.session
import pytest
from botocore.validate import ParamValidator
from tests.wire_answers import GIVEN, SAID, SIGNATURE, SIGNED, THOUGHT, USAGES, stream, whole
from tests.wires import DOORS, MODELS, PROVIDERS, RICH, ask, converse, gathered, meaning, rich, sent

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Piece
from gimbal.generative.gateway.wire.hints import ANYWAY, HINTS, PARTS_LEFT_OUT, asks_nothing
from gimbal.generative.gateway.wire.openai_chat.encode import unsealed
from gimbal.generative.gateway.wire.seals import GEMINI, claimed, opened, unpacked
from gimbal.kernel.errors import BadInput, Upstream

pairs = pytest.mark.parametrize(("door", "provider"), [(door, provider) for door in DOORS for provider in PROVIDERS])


def out(door: str, provider: str, body: dict) -> dict:
    """Return the request that goes out, as JSON carries it."""
    request = PROVIDERS[provider].request(converse(door, body), MODELS[provider], stream=True)
    return json.loads(json.dumps(request))


@pytest.mark.parametrize("door", DOORS)
def test_every_door_reads_the_same_conversation(door):
    assert meaning(converse(door, rich(door))) == RICH


@pairs
def test_what_goes_out_means_what_came_in(door, provider):
    assert sent(provider, out(door, provider, rich(door))) == RICH


@pytest.mark.parametrize("door", DOORS)
def test_bedrock_takes_what_is_sent_to_it(door):
    request = out(door, "bedrock", rich(door))
    shape = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    report = ParamValidator().validate(request | {"modelId": MODELS["bedrock"]}, shape)
    assert not report.has_errors(), report.generate_report()


# What a door can say beyond all others, the words for it, and who can express it.
BEYOND = [
    ("chat", {"n": 2}, "n", set()),
    ("chat", {"logprobs": True}, "logprobs", set()),
    ("chat", {"seed": 7}, "seed", {"chat", "gemini", "cohere"}),
    ("chat", {"logit_bias": {"50": -100}}, "logit_bias", {"chat"}),
    (
        "chat",
        {"response_format": {"type": "json_object"}},
        "response_format",
        {"chat", "responses", "gemini", "cohere"},
    ),
    ("chat", {"parallel_tool_calls": False}, "parallel_tool_calls", {"chat", "responses", "anthropic"}),
    ("chat", {"reasoning_effort": "minimal"}, "reasoning_effort", {"chat", "responses", "gemini", "bedrock"}),
    ("chat", {"temperature": 1.5}, "temperature", {"chat", "responses", "gemini", "bedrock", "cohere"}),
    ("chat", {"presence_penalty": 0.5}, "presence_penalty", {"chat", "gemini", "cohere"}),
    ("chat", {"web_search_options": {}}, "web_search_options", set()),
    ("anthropic", {"top_k": 5}, "top_k", {"anthropic", "gemini", "bedrock", "cohere"}),
    ("anthropic", {"container": "c"}, "container", set()),
    ("anthropic", {"mcp_servers": [{"type": "url", "url": "x", "name": "y"}]}, "mcp_servers", set()),
    ("anthropic", {"context_management": {"edits": []}}, "context_management", set()),
    ("anthropic", {"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, "tools[0]", set()),
    ("gemini", {"cachedContent": "cachedContents/1"}, "cachedContent", set()),
    ("gemini", {"safetySettings": [{"category": "X", "threshold": "Y"}]}, "safetySettings", set()),
    ("gemini", {"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch", set()),
    ("responses", {"previous_response_id": "resp_0"}, "previous_response_id", set()),
    ("responses", {"tools": [{"type": "web_search"}]}, "tools[0]", set()),
]


@pytest.mark.parametrize(("door", "more", "field", "able"), BEYOND, ids=[f"{row[0]}-{row[2]}" for row in BEYOND])
def test_what_a_wire_cannot_say_is_refused_by_name(door, more, field, able):
    for provider in PROVIDERS:
        if provider in able:
            out(door, provider, rich(door) | more)
            continue
        with pytest.raises(BadInput) as caught:
            out(door, provider, rich(door) | more)
        assert caught.value.where == field, provider
        assert "cannot be expressed" in caught.value.message


def test_a_message_is_refused_by_its_place_in_the_callers_request():
    body = rich("chat")
    body["messages"][4]["content"][1]["image_url"]["detail"] = "low"
    with pytest.raises(BadInput) as caught:
        out("chat", "anthropic", body)
    assert caught.value.where == "messages[4]"
    body = rich("anthropic")
    body["messages"][2]["content"][2]["source"] = {"type": "url", "url": "https://example.org/a.png"}
    with pytest.raises(BadInput) as caught:
        out("anthropic", "bedrock", body)
    assert caught.value.where == "messages[2]"


def thoughtful(door: str) -> dict:
    """Return a request in which the assistant has thought, and signed it."""
    body = rich(door)
    if door == "chat":
        body["messages"][2]["reasoning_details"] = [{"type": "reasoning.text", "text": THOUGHT, "signature": SIGNATURE}]
    elif door == "anthropic":
        thinking = {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}
        body["messages"][1]["content"].insert(0, thinking)
    else:
        parts = body["contents"][1]["parts"]
        parts.insert(0, {"text": THOUGHT, "thought": True})
        parts[1]["thoughtSignature"] = SIGNATURE
    return body


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize("door", ["chat", "anthropic", "gemini"])
def test_signed_thoughts_are_handed_back_to_who_may_have_signed_them(door, provider):
    turns = sent(provider, out(door, provider, thoughtful(door)))["turns"]
    thoughts = [value for _, kind, value in turns if kind == "thinking"]
    # OpenAI's doors do not tell whose model it was.
    same = door == "chat" or (door == "gemini") == (provider == "gemini")
    assert "".join(signature for _, signature, _ in thoughts) == (SIGNATURE if same else "")
    assert "".join(text for text, *_ in thoughts) == (THOUGHT if same or provider == "gemini" else "")


@pytest.mark.parametrize("door", ["chat", "anthropic", "gemini"])
@pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock"])
def test_a_signature_comes_back_to_its_maker_through_any_caller(door, provider):
    """Whoever answers next in the meantime: makers refuse a request with the seal of another."""
    writer = DOORS[door].writer(ask(door, rich(door)), answer_id="a", model="m", created=1)
    answer = json.loads(writer.whole(read(provider, streamed=False)))
    body = rich(door)
    if door == "chat":
        body["messages"][2:4] = [
            answer["choices"][0]["message"],
            {"role": "tool", "tool_call_id": "call_9", "content": "3"},
        ]
    elif door == "anthropic":
        body["messages"][1]["content"] = answer["content"]
        body["messages"][2]["content"][0]["tool_use_id"] = "call_9"
    else:
        body["contents"][1]["parts"] = answer["candidates"][0]["content"]["parts"]
        body["contents"][2]["parts"][0]["functionResponse"]["id"] = "call_9"
    for other in ("anthropic", "gemini", "bedrock"):
        raw = json.dumps(out(door, other, body))
        maker = (provider == "gemini") == (other == "gemini")
        assert (f'"{SIGNATURE}"' in raw) == maker, other
        assert f":{SIGNATURE}" not in raw
    if door != "chat":
        raw = DOORS[door].same(ask(door, body), MODELS[door]).decode()
        assert (f'"{SIGNATURE}"' in raw) == ((provider == "gemini") == (door == "gemini"))
        assert f":{SIGNATURE}" not in raw
        assert "Oslo" in raw


def test_unsigned_thoughts_are_left_to_the_past():
    body = rich("chat")
    body["messages"][2]["reasoning_content"] = THOUGHT
    for provider in ("anthropic", "bedrock"):
        assert sent(provider, out("chat", provider, body)) == RICH


@pytest.mark.parametrize("door", ["anthropic", "gemini", "chat", "responses"])
def test_how_hard_to_think_goes_along(door):
    high = {
        "chat": {"reasoning_effort": "high"},
        "responses": {"reasoning": {"effort": "high"}},
        "anthropic": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        "gemini": {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}},
    }[door]
    body = rich(door) | high
    assert out(door, "chat", body)["reasoning_effort"] == "high"
    assert out(door, "responses", body)["reasoning"]["effort"] == "high"
    assert out(door, "anthropic", body)["output_config"]["effort"] == "high"
    assert out(door, "anthropic", body)["thinking"] == {"type": "adaptive"}
    assert out(door, "gemini", body)["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "HIGH"}
    assert out(door, "bedrock", body)["outputConfig"]["effort"] == "high"
    with pytest.raises(BadInput):
        out(door, "cohere", body)


@pytest.mark.parametrize("door", ["anthropic", "gemini"])
def test_a_budget_of_thoughts_goes_along(door):
    budget = {
        "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 2048}}},
    }[door]
    body = rich(door) | budget
    enabled = {"type": "enabled", "budget_tokens": 2048}
    assert out(door, "anthropic", body)["thinking"] == enabled
    assert out(door, "bedrock", body)["additionalModelRequestFields"]["thinking"] == enabled
    assert out(door, "gemini", body)["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 2048
    assert out(door, "cohere", body)["thinking"] == {"type": "enabled", "token_budget": 2048}


@pytest.mark.parametrize("door", ["anthropic", "gemini"])
def test_a_tool_that_failed_is_told_to_have_failed(door):
    body = rich(door)
    if door == "anthropic":
        body["messages"][2]["content"][0]["is_error"] = True
    else:
        body["contents"][2]["parts"][0]["functionResponse"]["response"] = {"error": "3 degrees"}
    for provider in ("anthropic", "gemini", "bedrock"):
        assert ("tool", "result", ("call_1", "3 degrees", True)) in sent(provider, out(door, provider, body))["turns"]
    for provider in ("chat", "responses", "cohere"):
        turns = sent(provider, out(door, provider, body))["turns"]
        (text,) = [value[1] for _, kind, value in turns if kind == "result"]
        assert "error" in text.lower()
        assert "3 degrees" in text


def read(provider: str, *, streamed: bool, size: int = 0) -> Done:
    """Return what a provider's answer means; the stream comes in chunks of `size` bytes."""
    reader = PROVIDERS[provider].reader("p", stream=streamed)
    if not streamed:
        return gathered([reader.whole(whole(provider))])
    raw, pieces = stream(provider), []
    size = size or len(raw)
    for begin in range(0, len(raw), size):
        pieces += reader.feed(raw[begin : begin + size])
    pieces += reader.end()
    return gathered(pieces)


def check(done: Done, provider: str) -> None:
    """Hold an answer against what every provider said."""
    assert done.text == SAID
    assert done.reasoning == THOUGHT
    cipher = opened(done.signature)[1]
    assert unsealed("signature", cipher)["signature"] == (SIGNATURE if provider in SIGNED else "")
    assert [(call.index, call.id, call.name, json.loads(call.arguments)) for call in done.tool_calls] == [
        (0, "call_9", "weather", GIVEN)
    ]
    assert done.finish == "tool_calls"
    assert done.usage == USAGES[provider]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_is_read_to_say_the_same(provider):
    check(read(provider, streamed=False), provider)
    for size in (0, 1, 7, 64):
        check(read(provider, streamed=True, size=size), provider)


@pairs
def test_a_whole_answer_comes_back_in_the_callers_form(door, provider):
    wire = DOORS[door]
    done = read(provider, streamed=False)
    writer = wire.writer(ask(door, rich(door)), answer_id="a1", model="m", created=1)
    back = gathered([wire.reader("us", stream=False).whole(writer.whole(done))])
    same_answer(back, done, door)


@pairs
def test_a_stream_comes_back_in_the_callers_form(door, provider):
    wire = DOORS[door]
    reader = PROVIDERS[provider].reader("p", stream=True)
    pieces = [*reader.feed(stream(provider)), *reader.end()]
    asked = ask(door, rich(door) | ({"stream_options": {"include_usage": True}} if door == "chat" else {}), stream=True)
    writer = wire.writer(asked, answer_id="a1", model="m", created=1)
    done = gathered(pieces)
    raw = b"".join(writer.piece(piece, same=False) for piece in pieces) + writer.end(done, same=False)
    again = wire.reader("us", stream=True)
    same_answer(gathered([*again.feed(raw), *again.end()]), done, door)


def same_answer(back: Done, done: Done, door: str) -> None:
    """Hold what a caller reads against what a provider said."""
    assert (back.text, back.finish) == (done.text, done.finish)
    assert back.reasoning == done.reasoning
    if door != "responses" or not done.signature:
        # To a reader we are a provider, whose seals it marks.
        seal = unpacked(unsealed("signature", opened(back.signature)[1])["signature"])[0]
        assert (claimed(GEMINI, seal) if door == "gemini" else seal) == done.signature
    assert [(call.id, call.name, json.loads(call.arguments)) for call in back.tool_calls] == [
        (call.id, call.name, json.loads(call.arguments)) for call in done.tool_calls
    ]
    assert back.usage == done.usage


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("done", "finish"),
    [
        (Done(id="a", model="m", created=1, text="cut", finish="length", usage=Usage(input=3, output=4)), "length"),
        (Done(id="a", model="m", created=1, text="", finish="content_filter", usage=Usage(input=3)), "content_filter"),
        (Done(id="a", model="m", created=1, text="all", finish="stop", usage=Usage(input=3, output=1)), "stop"),
    ],
)
def test_why_an_answer_ended_comes_back(door, done, finish):
    wire = DOORS[door]
    asked = ask(door, rich(door) | ({"stream_options": {"include_usage": True}} if door == "chat" else {}), stream=True)
    back = wire.reader("us", stream=False).whole(wire.writer(asked, answer_id="a", model="m", created=1).whole(done))
    assert (back.finish, back.text, back.usage) == (finish, done.text, done.usage)
    writer = wire.writer(asked, answer_id="a", model="m", created=1)
    raw = writer.piece(Piece(text=done.text), same=False) + writer.end(done, same=False)
    reader = wire.reader("us", stream=True)
    again = gathered([*reader.feed(raw), *reader.end()])
    assert (again.finish, again.text, again.usage) == (finish, done.text, done.usage)


@pytest.mark.parametrize("door", DOORS)
def test_a_refusal_is_seen_by_every_caller(door):
    wire = DOORS[door]
    done = Done(id="a", model="m", created=1, refusal="I will not.", finish="stop", usage=Usage(input=3, output=3))
    writer = wire.writer(ask(door, rich(door)), answer_id="a", model="m", created=1)
    back = wire.reader("us", stream=False).whole(writer.whole(done))
    assert back.text + back.refusal == "I will not."


@pytest.mark.parametrize("door", DOORS)
def test_a_stream_that_breaks_off_says_so_in_the_callers_form(door):
    wire = DOORS[door]
    writer = wire.writer(ask(door, rich(door), stream=True), answer_id="a", model="m", created=1)
    raw = writer.piece(Piece(text="half"), same=False) + writer.error(Upstream("p broke off.", kept="half"))
    reader = wire.reader("us", stream=True)
    with pytest.raises(Upstream, match=r"p broke off\."):
        reader.feed(raw)


def test_what_may_be_left_out_has_a_reason():
    for table in (HINTS, PARTS_LEFT_OUT):
        assert all(len(reason.split()) > 1 for reason in table.values())
    assert not HINTS.keys() & ANYWAY.keys()


def test_only_what_asks_for_what_happens_anyway_asks_nothing():
    assert asks_nothing("store", value=False)
    assert asks_nothing("messages[0].content[1].cache_control", {"type": "ephemeral"})
    assert not asks_nothing("store", value=True)
    assert not asks_nothing("store", 0)
    assert not asks_nothing("restore", value=False)
    assert not asks_nothing("metadata.container", "c")
