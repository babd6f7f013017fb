"""Requests of responses that do not fit: each is refused with the field named, and nothing else happens."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.generative.gateway.wire.openai_given import mutated, outcome
from tests.generative.gateway.wire.responses_given import asked, full

from gimbal.generative.gateway.wire.openai_responses import WIRE
from gimbal.kernel.errors import BadInput


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": [{}]}, "input[0].id"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"model": 3}, "model"),
        ({"instructions": []}, "instructions"),
        ({"stream": "no"}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"include": [1]}, "include[0]"),
        ({"metadata": 1}, "metadata"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named_at_once(fields, where):
    with pytest.raises(BadInput) as caught:
        asked(**fields)

    assert caught.value.where == where


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input": [{"type": "function_call_output", "call_id": "1"}]}, "input[0].output"),
        ({"input": [{"type": "reasoning", "summary": [{"type": "summary_text"}]}]}, "input[0].summary[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice.name"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"text": {"verbosity": "chatty"}}, "text.verbosity"),
        ({"reasoning": {"effort": "ultra"}}, "reasoning.effort"),
        ({"service_tier": "turbo"}, "service_tier"),
    ],
)
def test_a_field_that_only_another_wire_needs_is_named_when_it_is_needed(fields, where):
    given = asked(**fields)

    with pytest.raises(BadInput) as caught:
        WIRE.conversation(given)
    assert caught.value.where == where


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_request_with_anything_wrong_is_read_or_refused_and_nothing_else(data):
    raw = json.dumps(mutated(data.draw, full()))

    def carry():
        given = WIRE.asked(raw.encode(), {})
        json.loads(given.said)
        WIRE.same(given, "m")
        return WIRE.request(WIRE.conversation(given), "m", stream=given.stream)

    found = outcome(carry)
    assert isinstance(found, dict) or (isinstance(found, BadInput) and found.where and found.todo)
