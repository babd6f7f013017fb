"""Requests of chat completions that do not fit: each is refused with the field named, and nothing else happens."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.generative.gateway.wire.chat_given import HELLO, asked, full
from tests.generative.gateway.wire.openai_given import body, mutated, outcome

from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.kernel.errors import BadInput, GimbalError


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'"x"', "body"),
        (b"{}", "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"","messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m","model":"n","messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"mod\\u0065l":"m","messages":[{"role":"user","content":"x"}], "model": "n"}', "model"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}]} x', "body"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "messages"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', "body"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"seed":1e999}', "seed"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":NaN}', "body"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":' + b"9" * 5000 + b"}", "max_tokens"),
        (b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body"),
        (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":'
            + b'{"a":' * 100_000
            + b"1"
            + b"}" * 100_001,
            "body",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_told_with_its_field(raw, where):
    with pytest.raises(BadInput) as caught:
        WIRE.conversation(WIRE.asked(raw, {}))

    assert caught.value.where == where


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "critic", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [*HELLO, {"role": "user", "content": 3}]}, "messages[1].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": "x"}, "messages"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 1.5}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stop": [1]}, "stop[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"metadata": "x"}, "metadata"),
        ({"user": 1}, "user"),
        ({"logit_bias": {"1": "x"}}, "logit_bias[...]"),
        ({"presence_penalty": 2.5}, "presence_penalty"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named_at_once(fields, where):
    with pytest.raises(BadInput) as caught:
        asked(**fields)

    assert caught.value.where == where


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]}]},
            "messages[0].content[0].input_audio.format",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0].file"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "messages[0].tool_calls[0].function"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]},
            "messages[0].tool_calls[0].id",
        ),
        ({"messages": [{"role": "function", "name": "f", "content": "1"}]}, "messages[0].name"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 1}}]}, "tools[0].function.parameters"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice.function.name"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        ({"reasoning_effort": "ultra"}, "reasoning_effort"),
        ({"verbosity": "chatty"}, "verbosity"),
        ({"service_tier": "turbo"}, "service_tier"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"1": 1000}}, "logit_bias.1"),
        ({"seed": 2**70}, "seed"),
    ],
)
def test_a_field_that_only_another_wire_needs_is_named_when_it_is_needed(fields, where):
    given = asked(**fields)

    with pytest.raises(BadInput) as caught:
        WIRE.conversation(given)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("messages", "where"),
    [
        (b'[{"role":"user","content":"a","content":"b"}]', "messages[0].content"),
        (
            b'[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b", "t\\u0065xt":"c"}]}]',
            None,
        ),
    ],
)
def test_a_key_twice_within_a_message_is_refused_where_somebody_reads_it(messages, where):
    given = WIRE.asked(b'{"model":"m","messages":' + messages + b"}", {})

    with pytest.raises(BadInput, match="twice") as caught:
        WIRE.conversation(given)
    assert caught.value.where == (where or "messages[0].content[1].text")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_request_with_anything_wrong_is_read_or_refused_and_nothing_else(data):
    separators = (",", ":") if data.draw(st.booleans()) else (", ", ": ")
    raw = json.dumps(mutated(data.draw, full()), separators=separators)

    def carry():
        given = WIRE.asked(raw.encode(), {})
        WIRE.same(given, "m")
        return WIRE.request(WIRE.conversation(given), "m", stream=given.stream)

    found = outcome(carry)
    assert isinstance(found, dict) or (isinstance(found, BadInput) and found.where and found.todo)


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 60))
def test_a_body_with_any_bytes_in_it_is_read_or_refused(noise, place, length):
    raw = body(**full())
    raw = raw[:place] + noise + raw[place + length :]

    found = outcome(lambda: WIRE.conversation(WIRE.asked(raw, {})))
    assert not isinstance(found, GimbalError) or (isinstance(found, BadInput) and found.where)
