"""Requests of chat completions: read without loss, said in another wire or refused by name, and every bad one told."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter
from tests.generative.gateway.wire.chat_given import HELLO, asked, full
from tests.generative.gateway.wire.openai_given import body, chat_sampling, conversations, plain, unsealed

from gimbal.generative.gateway.conversation import (
    Audio,
    Conversation,
    File,
    Format,
    Image,
    Reasoning,
    Refused,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.kernel.errors import BadInput

OFFICIAL = {True: TypeAdapter(CompletionCreateParamsStreaming), False: TypeAdapter(CompletionCreateParamsNonStreaming)}


def meant(**fields):
    return plain(WIRE.conversation(asked(**fields)))


def test_every_field_of_a_request_has_its_place():
    found = plain(WIRE.conversation(WIRE.asked(body(**full()), {})))

    assert found == Conversation(
        turns=(
            Turn(role="developer", parts=(Text(text="Be brief."),)),
            Turn(role="system", parts=(Text(text="a"), Text(text="b"))),
            Turn(
                role="user",
                name="ann",
                parts=(
                    Text(text="look", cache={"type": "ephemeral", "ttl": "1h"}),
                    Image(url="https://example.com/a.png", detail="low"),
                    Image(data="AAAA", media_type="image/png"),
                    Audio(data="AAAA", format="wav"),
                    File(id="file-1"),
                    File(data="AAAA", media_type="application/pdf", name="a.pdf"),
                ),
            ),
            Turn(
                role="assistant",
                parts=(Thinking(text="hm"), ToolUse(id="call_1", name="weather", arguments='{"city":"Rom"}')),
            ),
            Turn(role="tool", parts=(ToolResult(id="call_1", name="weather", parts=(Text(text="sunny"),)),)),
            Turn(role="assistant", parts=(Refused(text="no"),)),
            Turn(role="user", parts=(Text(text="why?"),)),
        ),
        tools=(Tool(name="weather", description="Tells it.", parameters={"type": "object"}, strict=True),),
        tool_choice=ToolChoice(mode="named", name="weather", parallel=False),
        format=Format(kind="schema", name="a", description="b", schema={"type": "object"}, strict=True),
        reasoning=Reasoning(effort="high"),
        sampling=Sampling(
            max_tokens=100,
            temperature=0.5,
            top_p=0.9,
            stop=("END", "STOP"),
            seed=7,
            n=1,
            presence_penalty=0.1,
            frequency_penalty=-0.1,
            logit_bias={"50256": -100},
            service_tier="flex",
            verbosity="low",
        ),
        user="u-1",
        extras={"metadata": {"feature": "f"}},
    )


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(conversations(sampling=chat_sampling), st.booleans())
def test_a_conversation_means_the_same_after_chat_completions(conversation, stream):
    written = WIRE.request(conversation, "m", stream=stream)
    again = WIRE.asked(msgspec.json.encode(written), {})

    OFFICIAL[stream].validate_python(written, strict=False)
    assert plain(WIRE.conversation(again)) == unsealed(conversation)
    assert (again.model, again.stream, again.user) == ("m", stream, conversation.user)


def test_the_path_learns_what_it_needs():
    given = asked(model="p/m", stream=True, safety_identifier="s", metadata={"tags": ["a"]})

    assert (given.model, given.stream, given.wants_usage, given.user) == ("p/m", True, False, "s")
    assert given.metadata == {"tags": ["a"]}
    assert json.loads(given.said) == HELLO
    assert asked(stream=True, stream_options={"include_usage": True}).wants_usage
    assert asked(user="u", safety_identifier="s").user == "u"


def test_between_equal_wires_every_field_goes_on_as_it_came():
    raw = b'{ "model" : "p/m" , "messages":[{"role":"user","content":"\\u00e4","new":1e2}], "top_logprobs":null, "x":{"y": 1.0}}'

    sent = WIRE.same(WIRE.asked(raw, {}), "m")

    assert sent == (
        b'{"model":"m","messages":[{"role":"user","content":"\\u00e4","new":1e2}],"top_logprobs":null,"x":{"y": 1.0}}'
    )


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"include_obfuscation": False}}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_usage_is_asked_for_in_every_stream(options, meant):
    assert json.loads(WIRE.same(asked(stream=True, **options), "m"))["stream_options"] == meant
    assert "stream_options" not in json.loads(WIRE.same(asked(), "m"))


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ("auto", "auto", ""),
        ("none", "none", ""),
        ("required", "required", ""),
        ({"type": "function", "function": {"name": "b"}}, "named", "b"),
    ],
)
def test_every_choice_of_tools_is_understood(choice, mode, name):
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]

    assert meant(tools=tools, tool_choice=choice).tool_choice == ToolChoice(mode=mode, name=name)


def test_allowed_tools_are_the_tools():
    tools = [{"type": "function", "function": {"name": name}} for name in "abc"]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": name}} for name in "ca"]}

    found = meant(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})

    assert [tool.name for tool in found.tools] == ["a", "c"]
    assert found.tool_choice == ToolChoice(mode="required")


def test_deprecated_functions_are_tools():
    found = meant(
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
        messages=[
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
        ],
    )

    assert found.tools == (Tool(name="f", parameters={"type": "object"}),)
    assert found.tool_choice == ToolChoice(mode="named", name="f")
    use, result = found.turns[0].parts[0], found.turns[1].parts[0]
    assert isinstance(use, ToolUse)
    assert (use.name, result) == ("f", ToolResult(id=use.id, name="f", parts=(Text(text="1"),)))


def test_thoughts_of_other_providers_come_back_with_their_signatures():
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "sig", "index": 0, "format": "x"},
        {"type": "reasoning.encrypted", "data": "hidden", "id": "1"},
    ]

    found = meant(messages=[{"role": "assistant", "content": "a", "reasoning": "x", "reasoning_details": details}])

    assert found.turns[0].parts == (
        Thinking(text="hm", signature="sig"),
        Thinking(redacted="hidden"),
        Text(text="a"),
    )
    assert found.extras == {}


def test_thoughts_go_back_to_those_who_can_take_them():
    thoughts = (
        Thinking(text="hm", signature="chat:sig"),
        Thinking(redacted="chat:hidden"),
        Thinking(text="unsigned"),
        Thinking(text="of another", signature="c2ln"),
        Thinking(text="of responses", signature="rs_1:c2ln"),
        Thinking(redacted="c2ln"),
    )

    (message,) = WIRE.request(turn(*thoughts, role="assistant"), "m", stream=False)["messages"]

    assert message == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "unsigned",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "hm", "signature": "sig"},
            {"type": "reasoning.encrypted", "data": "hidden"},
        ],
    }


def test_results_of_several_tools_are_one_turn_and_a_message_each():
    results = [{"role": "tool", "tool_call_id": known, "content": known} for known in "ab"]

    found = meant(messages=results)

    assert [part.id for part in found.turns[0].parts] == ["a", "b"]
    assert WIRE.request(found, "m", stream=False)["messages"] == results


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": "f", "new": 1}}]}, "tools[0].function.new"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "c"}}}, "tool_choice"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "mp3"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"store": True}, "store"),
        ({"n": 2}, "n"),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs"),
        ({"top_k": 3}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"response_format": {"type": "structural_tag"}}, "response_format"),
        ({"messages": [{"role": "user", "content": "x", "new": [1]}]}, "messages[0].new"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {}}]}]},
            "messages[0].tool_calls[0]",
        ),
    ],
)
def test_what_another_wire_cannot_say_is_refused_by_name(fields, where):
    given = asked(**fields)

    assert json.loads(WIRE.same(given, "m")).items() >= fields.items()
    with pytest.raises(BadInput) as caught:
        WIRE.request(WIRE.conversation(given), "m", stream=False)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "fields",
    [
        {"store": False},
        {"n": 1},
        {"logprobs": False},
        {"response_format": {"type": "text"}},
        {"modalities": ["text"]},
        {"stream_options": {"include_obfuscation": True}, "stream": True},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "metadata": {"a": "b"}},
        {"user": "u", "safety_identifier": "s"},
        {"new": None, "audio": None},
        {"messages": [{"role": "assistant", "content": "a", "annotations": [], "audio": None, "function_call": None}]},
    ],
)
def test_what_asks_for_what_happens_anyway_is_no_obstacle(fields):
    WIRE.request(meant(**fields), "m", stream=False)


def turn(*parts, role="user"):
    return Conversation(turns=(Turn(role=role, parts=parts, where="messages[4]"),))


@pytest.mark.parametrize(
    ("conversation", "where"),
    [
        (turn(Image(url="u"), role="assistant"), "messages[4]"),
        (turn(Image(url="u"), role="system"), "messages[4]"),
        (turn(ToolResult(id="1", parts=(Image(url="u"),)), role="tool"), "messages[4]"),
        (turn(File(url="https://example.com/a.pdf")), "messages[4].content[0]"),
        (turn(Thinking(text="x")), "messages[4].content[0]"),
        (turn(Text(text="x"), role="tool"), "messages[4]"),
        (Conversation(turns=(), sampling=Sampling(top_k=3)), "top_k"),
        (Conversation(turns=(), extras={"thinking.display": "full"}), "thinking.display"),
    ],
)
def test_what_chat_completions_cannot_say_is_refused_by_name(conversation, where):
    with pytest.raises(BadInput) as caught:
        WIRE.request(conversation, "m", stream=False)

    assert caught.value.where == where
    assert "OpenAI's chat completions" in caught.value.message


@pytest.mark.parametrize(("budget", "effort"), [(0, "none"), (1024, "low"), (8192, "medium"), (32000, "high")])
def test_a_budget_for_thinking_becomes_an_effort(budget, effort):
    conversation = Conversation(turns=(), reasoning=Reasoning(budget=budget))

    assert WIRE.request(conversation, "m", stream=False)["reasoning_effort"] == effort


def test_a_failed_tool_says_so_in_words():
    answers = (ToolResult(id="1", parts=(Text(text="gone"),), error=True), ToolResult(id="2", error=True))

    written = WIRE.request(turn(*answers, role="tool"), "m", stream=False)["messages"]

    assert [message["content"] for message in written] == ["Error: gone", "Error: "]
