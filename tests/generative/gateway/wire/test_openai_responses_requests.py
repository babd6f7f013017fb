"""Requests of responses: every item read or told by name, said in another wire, and every bad one told."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter
from tests.generative.gateway.wire.openai_given import body, conversations, plain, responses_sampling, unsealed
from tests.generative.gateway.wire.responses_given import WEATHER, asked, full

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
from gimbal.generative.gateway.wire import openai_chat
from gimbal.generative.gateway.wire.openai_responses import WIRE
from gimbal.kernel.errors import BadInput

OFFICIAL = {True: TypeAdapter(ResponseCreateParamsStreaming), False: TypeAdapter(ResponseCreateParamsNonStreaming)}


def meant(**fields):
    return plain(WIRE.conversation(asked(**fields)))


def test_every_field_and_item_of_a_request_has_its_place():
    found = plain(WIRE.conversation(WIRE.asked(body(**full()), {})))

    assert found == Conversation(
        turns=(
            Turn(role="system", parts=(Text(text="Be brief."),)),
            Turn(role="developer", parts=(Text(text="Now."),)),
            Turn(
                role="user",
                parts=(
                    Text(text="look"),
                    Image(data="AAAA", media_type="image/png", detail="auto"),
                    Image(url="https://example.com/a.png", detail="low"),
                    File(id="file-1"),
                    File(data="AAAA", media_type="application/pdf", name="a.pdf"),
                    File(url="https://example.com/a.pdf"),
                    Audio(data="AAAA", format="wav"),
                ),
            ),
            Turn(
                role="assistant",
                parts=(
                    Thinking(text="a\n\nb", signature="sealed"),
                    Thinking(redacted="hidden"),
                    Text(text="I look."),
                    Refused(text="no"),
                    ToolUse(id="call_1", name="weather", arguments="{}"),
                    ToolUse(id="call_2", name="weather", arguments="{}"),
                ),
            ),
            Turn(
                role="tool",
                parts=(
                    ToolResult(id="call_1", name="weather", parts=(Text(text="sunny"),)),
                    ToolResult(id="call_2", name="weather", parts=(Text(text="rain"),)),
                ),
            ),
            Turn(role="user", parts=(Text(text="why?"),)),
        ),
        tools=(Tool(name="weather", description="Tells it.", parameters={"type": "object"}, strict=True),),
        tool_choice=ToolChoice(mode="named", name="weather", parallel=True),
        format=Format(kind="schema", name="a", schema={"type": "object"}, strict=True),
        reasoning=Reasoning(effort="high", show=True),
        sampling=Sampling(max_tokens=100, temperature=0.5, top_p=0.9, service_tier="flex", verbosity="low"),
        user="u-1",
        extras={"truncation": "disabled"},
    )


def said(conversation):
    """Return the same as items say it: the details of pictures are never empty."""
    turns = [
        msgspec.structs.replace(
            turn,
            parts=tuple(
                msgspec.structs.replace(part, detail=part.detail or "auto") if isinstance(part, Image) else part
                for part in turn.parts
            ),
        )
        for turn in unsealed(conversation).turns
    ]
    return msgspec.structs.replace(conversation, turns=tuple(turns))


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(conversations(sampling=responses_sampling, of_chat=False), st.booleans())
def test_a_conversation_means_the_same_after_responses(conversation, stream):
    written = WIRE.request(conversation, "m", stream=stream)
    again = WIRE.asked(msgspec.json.encode(written), {})

    OFFICIAL[stream].validate_python(written, strict=False)
    assert plain(WIRE.conversation(again)) == said(conversation)
    assert (written["store"], again.stream) == (False, stream)


def test_the_path_learns_what_it_needs():
    given = asked(model="p/m", stream=True, user="u", metadata={"feature": "f"}, instructions="Be brief.")

    assert (given.model, given.stream, given.wants_usage, given.user) == ("p/m", True, True, "u")
    assert given.metadata == {"feature": "f"}
    assert json.loads(given.said) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]
    assert json.loads(asked(input=[]).said) == []
    assert json.loads(asked(input=[], instructions="a").said) == [{"role": "system", "content": "a"}]
    items = [{"role": "user", "content": "x"}]
    assert json.loads(asked(input=items, instructions=None).said) == items


def test_between_equal_wires_every_field_goes_on_as_it_came():
    raw = b'{ "model":"p/m", "input": "\\u00e4", "tools":[{"type":"web_search"}],"previous_response_id":"resp_1","x": 1.0}'

    assert WIRE.same(WIRE.asked(raw, {}), "m") == (
        b'{"model":"m","input":"\\u00e4","tools":[{"type":"web_search"}],"previous_response_id":"resp_1","x":1.0}'
    )


@pytest.mark.parametrize(
    ("choice", "mode", "names"),
    [
        ("auto", "auto", "abc"),
        ("required", "required", "abc"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]},
            "required",
            "b",
        ),
    ],
)
def test_every_choice_of_tools_is_understood(choice, mode, names):
    tools = [WEATHER | {"name": name} for name in "abc"]

    found = meant(tools=tools, tool_choice=choice)

    assert (found.tool_choice, "".join(tool.name for tool in found.tools)) == (ToolChoice(mode=mode), names)


def test_chances_of_tokens_are_asked_for_by_what_is_included():
    assert meant(include=["message.output_text.logprobs"]).sampling.logprobs == 0
    assert meant(top_logprobs=3).sampling.logprobs == 3
    assert meant(top_logprobs=0).sampling.logprobs is None


def test_the_id_of_a_thought_comes_back_with_it():
    thought = Thinking(text="hm", signature="rs_68af:gAAAA=")
    conversation = Conversation(turns=(Turn(role="assistant", parts=(thought, Thinking(redacted="rs_1:x:y"))),))

    items = WIRE.request(conversation, "m", stream=False)["input"]

    assert items == [
        {
            "type": "reasoning",
            "id": "rs_68af",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAAA=",
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x:y"},
    ]


def test_thoughts_of_other_providers_are_left_to_the_past():
    thoughts = (Thinking(text="a"), Thinking(text="b", signature="c2ln"), Thinking(redacted="aGlk"), Text(text="x"))

    items = WIRE.request(Conversation(turns=(Turn(role="assistant", parts=thoughts),)), "m", stream=False)["input"]

    assert items == [{"type": "message", "role": "assistant", "content": "x"}]


def test_thoughts_come_back_encrypted_where_there_are_any():
    def include(**reasoning):
        conversation = Conversation(turns=(), reasoning=Reasoning(**reasoning) if reasoning else None)
        return WIRE.request(conversation, "m", stream=False).get("include")

    assert include(effort="low") == include(budget=2000) == include(show=True) == ["reasoning.encrypted_content"]
    assert include() is None
    assert include(effort="none") is include(budget=0) is None


def test_what_both_wires_of_openai_know_goes_on():
    chat = openai_chat.WIRE.asked(
        body(
            model="m",
            messages=[{"role": "user", "content": "x"}],
            store=True,
            metadata={"a": "b"},
            prompt_cache_key="k",
        ),
        {},
    )

    found = WIRE.request(openai_chat.WIRE.conversation(chat), "m", stream=False)

    assert (found["store"], found["metadata"], found["prompt_cache_key"]) == (True, {"a": "b"}, "k")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [WEATHER, {"type": "mcp", "server_label": "x"}]}, "tools[1]"),
        ({"tools": [WEATHER | {"defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"include": ["web_search_call.results"]}, "include[0]"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"reasoning": {"effort": "low", "mode": "pro"}}, "reasoning.mode"),
        ({"moderation": {"model": "x"}}, "moderation"),
        ({"new": 1}, "new"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0].content[0]"),
        (
            {"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": "", "namespace": "n"}]},
            "input[0].namespace",
        ),
        (
            {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": [{}]}]}]},
            "input[0].content[0].annotations",
        ),
    ],
)
def test_what_another_wire_cannot_say_is_refused_by_name(fields, where):
    given = asked(**fields)

    assert json.loads(WIRE.same(given, "m")).items() >= fields.items()
    with pytest.raises(BadInput) as caught:
        openai_chat.WIRE.request(WIRE.conversation(given), "m", stream=False)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "fields",
    [
        {"store": True},
        {"background": False, "truncation": "disabled"},
        {"include": ["reasoning.encrypted_content", "message.input_image.image_url"]},
        {"reasoning": {"summary": "auto", "context": "auto", "mode": "standard"}},
        {"text": {"format": {"type": "text"}}},
        {"prompt_cache_key": "k", "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s"},
        {"previous_response_id": None, "tools": []},
        {"input": [{"type": "function_call_output", "call_id": "1", "output": "", "caller": {"type": "direct"}}]},
    ],
)
def test_what_asks_for_what_happens_anyway_is_no_obstacle(fields):
    openai_chat.WIRE.request(meant(**fields), "m", stream=False)


@pytest.mark.parametrize(
    ("conversation", "where"),
    [
        (Conversation(turns=(), sampling=Sampling(stop=("x",))), "stop"),
        (Conversation(turns=(), sampling=Sampling(seed=1)), "seed"),
        (Conversation(turns=(), sampling=Sampling(n=2)), "n"),
        (Conversation(turns=(), sampling=Sampling(presence_penalty=0.5)), "presence_penalty"),
        (Conversation(turns=(), sampling=Sampling(logit_bias={"1": 1})), "logit_bias"),
        (Conversation(turns=(), sampling=Sampling(top_k=1)), "top_k"),
        (Conversation(turns=(), extras={"container": "c"}), "container"),
        (Conversation(turns=(Turn(role="user", name="ann", where="messages[1]"),)), "messages[1].name"),
        (Conversation(turns=(Turn(role="assistant", parts=(Image(url="u"),)),)), "input[0]"),
        (Conversation(turns=(Turn(role="tool", parts=(Text(text="u"),)),)), "input[0]"),
        (Conversation(turns=(Turn(role="user", parts=(Thinking(text="u"),)),)), "input[0].content[0]"),
        (Conversation(turns=(Turn(role="user", parts=(Audio(data="AAAA"),)),)), "input[0].content[0]"),
    ],
)
def test_what_responses_cannot_say_is_refused_by_name(conversation, where):
    with pytest.raises(BadInput) as caught:
        WIRE.request(conversation, "m", stream=False)

    assert caught.value.where == where
    assert "OpenAI's responses" in caught.value.message


def test_tools_may_answer_with_pictures_and_failures():
    answers = (
        ToolResult(id="1", parts=(Text(text="a"), Image(url="u"))),
        ToolResult(id="2", parts=(Text(text="gone"),), error=True),
        ToolResult(id="3", parts=(Image(url="u"),), error=True),
    )

    items = WIRE.request(Conversation(turns=(Turn(role="tool", parts=answers),)), "m", stream=False)["input"]

    picture = {"type": "input_image", "image_url": "u", "detail": "auto"}
    assert [item["output"] for item in items] == [
        [{"type": "input_text", "text": "a"}, picture],
        "Error: gone",
        [{"type": "input_text", "text": "Error: "}, picture],
    ]
