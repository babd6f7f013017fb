"""What routes know of calls of every wire, and that they read no more than they must."""

import json

import pytest

from gimbal.generative.gateway.call import Attribution, Call
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.routes.choosing import choose
from gimbal.generative.gateway.routes.facts import CallFacts
from gimbal.generative.gateway.routes.model import decode_manifest
from gimbal.generative.gateway.routes.prepared import prepare
from gimbal.generative.gateway.wire import anthropic, gemini, openai_chat, openai_responses

PIXEL = "iVBORw0KGgo" * 4000
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
TEXT = "What stands in an image file? " * 10


def call(wire, body, **attribution):
    path = {"model": "m", "action": "generateContent"}
    return Call(wire, wire.asked(json.dumps(body).encode(), path), attribution=Attribution(**attribution))


def chat(content=TEXT, **more):
    return call(openai_chat.WIRE, {"model": "m", "messages": [{"role": "user", "content": content}], **more})


def responses(content=TEXT, **more):
    return call(openai_responses.WIRE, {"model": "m", "input": [{"role": "user", "content": content}], **more})


def claude(content=TEXT, **more):
    body = {"model": "m", "max_tokens": 77, "messages": [{"role": "user", "content": content}], **more}
    return call(anthropic.WIRE, body)


def google(parts=None, **more):
    return call(gemini.WIRE, {"contents": [{"role": "user", "parts": parts or [{"text": TEXT}]}], **more})


IMAGES = {
    "openai.chat": chat([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]),
    "openai.responses": responses([{"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}]),
    "anthropic": claude([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]),
    "gemini": google([{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]),
}
PLAIN = {"openai.chat": chat(), "openai.responses": responses(), "anthropic": claude(), "gemini": google()}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
TOOLS = {
    "openai.chat": chat(tools=[{"type": "function", "function": FUNCTION}]),
    "openai.responses": responses(tools=[{"type": "function", "strict": None, **FUNCTION}]),
    "anthropic": claude(tools=[{"name": "f", "input_schema": {"type": "object"}}]),
    "gemini": google(tools=[{"functionDeclarations": [FUNCTION]}]),
}
SCHEMAS = {
    "openai.chat": chat(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    ),
    "openai.responses": responses(text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}),
    "anthropic": claude(output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
    "gemini": google(generationConfig={"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}),
}


@pytest.mark.parametrize("wire", PLAIN)
def test_a_plain_call_needs_nothing_though_it_speaks_of_images(wire):
    facts = CallFacts(PLAIN[wire])

    assert (facts.tools, facts.vision, facts.json_schema) == (False, False, False)
    assert len(TEXT) / 4 <= facts.input_tokens <= len(TEXT) / 4 + 40


@pytest.mark.parametrize("wire", IMAGES)
def test_images_are_seen_and_do_not_count_by_their_bytes(wire):
    facts = CallFacts(IMAGES[wire])

    assert facts.vision
    assert 1000 <= facts.input_tokens < 1100, "44,000 bytes of a picture are not 11,000 tokens"


@pytest.mark.parametrize("wire", TOOLS)
def test_tools_are_seen(wire):
    assert CallFacts(TOOLS[wire]).tools
    assert not CallFacts(TOOLS[wire]).json_schema


@pytest.mark.parametrize("wire", SCHEMAS)
def test_a_schema_of_the_answer_is_seen(wire):
    assert CallFacts(SCHEMAS[wire]).json_schema
    assert not CallFacts(SCHEMAS[wire]).vision


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        (chat(), None),
        (chat(max_tokens=5), 5),
        (chat(max_completion_tokens=6), 6),
        (responses(max_output_tokens=7), 7),
        (claude(), 77),
        (google(generationConfig={"maxOutputTokens": 8}), 8),
        (google(generationConfig={"temperature": 1}), None),
    ],
)
def test_the_length_of_the_answer_is_as_the_call_says(asked, most):
    assert CallFacts(asked).answer_tokens == most


@pytest.mark.parametrize(
    "none", [{"tools": []}, {"tools": None}, {"response_format": {"type": "text"}}, {"max_tokens": None}]
)
def test_fields_that_say_nothing_mean_nothing(none):
    facts = CallFacts(chat(**none))

    assert (facts.tools, facts.json_schema, facts.answer_tokens) == (False, False, None)


def test_attribution_goes_before_what_the_wire_says_of_the_user():
    said = chat(user="by-wire")
    both = Call(openai_chat.WIRE, said.asked, attribution=Attribution(user="by-header", feature="f", tags=("t",)))

    assert (CallFacts(said).user, CallFacts(both).user) == ("by-wire", "by-header")
    assert (CallFacts(both).feature, CallFacts(both, key="k").key, CallFacts(both).tags) == ("f", "k", ("t",))


class Unread:
    """A wire whose messages must not be read."""

    name = "unread"

    def conversation(self, asked):
        """Fail."""
        raise AssertionError("the messages were read")


@pytest.mark.parametrize(
    "manifest",
    [
        {"targets": ["p/a", "p/b"]},
        {"targets": ["p/a", "p/b"], "strategy": "weighted"},
        {"targets": ["p/a", "p/b"], "strategy": "least_latency", "shadow": {"model": "p/c", "share": 1}},
        {"targets": ["p/a", "p/b"], "strategy": "cheapest"},
        {"targets": [{"model": "p/a", "tools": False, "context_length": 9000}]},
        {"targets": ["p/a"], "rules": [{"when": {"tools": True, "tokens_above": 9, "stream": True}, "targets": ["p/b"]}]},
    ],
)  # fmt: skip
def test_messages_are_not_read_where_nothing_needs_them(manifest):
    asked = Call(Unread(), chat(stream=True).asked)
    plan = choose(prepare("r", decode_manifest(manifest)), CallFacts(asked), Health())

    assert plan.choices


def test_what_a_target_cannot_do_is_asked_of_the_messages_only_where_a_word_makes_it_likely():
    blind = prepare("r", decode_manifest({"targets": [{"model": "p/a", "vision": False}]}))

    assert choose(blind, CallFacts(Call(Unread(), chat("hello").asked)), Health()).choices
    with pytest.raises(AssertionError, match="were read"):
        choose(blind, CallFacts(Call(Unread(), chat("an image").asked)), Health())
