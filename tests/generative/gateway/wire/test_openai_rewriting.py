"""A request with another conversation in it keeps what only its own wire knows."""

import json

import msgspec
import pytest
from tests.generative.gateway.wire.openai_given import body

from gimbal.generative.gateway.conversation import Text, Turn
from gimbal.generative.gateway.wire import anthropic, openai_chat, openai_responses
from gimbal.generative.gateway.wire.rewriting import rewritten
from gimbal.kernel.errors import BadInput

HELLO = [{"role": "user", "content": "hello"}]


def carried(wire, **fields):
    """Return a request as it goes on with a message of the system before it."""
    asked = wire.asked(body(model="m", **fields), {})
    said = wire.conversation(asked)
    changed = msgspec.structs.replace(said, turns=(Turn(role="system", parts=(Text(text="Be brief."),)), *said.turns))
    return json.loads(msgspec.json.encode(rewritten(wire, asked, changed, "real")))


def test_chat_completions_keep_their_own_fields():
    own = {
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "top_k": 4,
        "min_p": 0.1,
        "web_search_options": {"search_context_size": "low"},
        "prediction": {"type": "content", "content": "x"},
        "modalities": ["text", "audio"],
        "audio": {"voice": "ash", "format": "mp3"},
        "store": True,
        "prompt_cache_key": "k",
        "temperature": 0.5,
    }

    found = carried(openai_chat.WIRE, messages=HELLO, metadata={"variables": {"a": "b"}}, stream=True, **own)

    assert found == own | {
        "model": "real",
        "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_responses_keep_their_own_fields():
    own = {
        "previous_response_id": "resp_1",
        "truncation": "auto",
        "max_tool_calls": 3,
        "background": False,
        "new": {"a": 1},
    }

    found = carried(openai_responses.WIRE, input="hello", **own)

    assert found.items() >= own.items()
    assert [item["role"] for item in found["input"]] == ["system", "user"]


def test_messages_keep_their_own_fields():
    own = {"container": "c", "context_management": {"edits": []}, "top_k": 4}

    found = carried(anthropic.WIRE, messages=HELLO, max_tokens=9, **own)

    assert found.items() >= own.items()
    assert "Be brief." in json.dumps(found["system"])


def test_tools_that_only_one_wire_knows_go_on_with_the_others():
    tools = [
        {"type": "custom", "custom": {"name": "c"}},
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
    ]
    choice = {"type": "custom", "custom": {"name": "c"}}

    for given in (tools, tools[:1]):
        found = carried(openai_chat.WIRE, messages=HELLO, tools=given, tool_choice=choice, parallel_tool_calls=False)

        assert (found["tools"], found["tool_choice"], found["parallel_tool_calls"]) == (given, choice, False)


def test_what_has_no_place_within_a_message_is_refused_by_name():
    with pytest.raises(BadInput) as caught:
        carried(openai_chat.WIRE, messages=[{"role": "user", "content": "x", "new": 1}])

    assert caught.value.where == "messages[0].new"
