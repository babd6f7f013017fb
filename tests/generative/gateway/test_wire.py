"""Decoders and parsers against anything that can be sent; translations against what they must mean."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.providers import anthropic
from gimbal.generative.gateway.providers.openai import decode_usage
from gimbal.generative.gateway.providers.upstream import count, retry_after, said
from gimbal.generative.gateway.sse import EventParser, ServerEvent
from gimbal.generative.gateway.wire import openai
from gimbal.kernel.errors import BadInput, Busy, GimbalError, Upstream

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "n",
    "user",
    "metadata",
    "tools",
]
near = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values))
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "x"])},
        optional={"content": json_values, "tool_calls": json_values, "tool_call_id": json_values, "name": json_values},
    ),
    max_size=3,
)


def outcome(function, *arguments):
    """Return what a function gives, or the GimbalError it raises; anything else is a failure of the test."""
    try:
        return function(*arguments)
    except GimbalError as problem:
        return problem


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_a_bad_input(raw):
    assert isinstance(outcome(openai.decode, raw), BadInput)


@settings(max_examples=300)
@given(near, st.none() | messages)
def test_any_json_near_a_request_is_a_call_or_a_bad_input_that_says_where(body, rows):
    body = body | ({"model": "m", "messages": rows} if rows is not None else {})
    found = outcome(openai.decode, msgspec.json.encode(body))

    if isinstance(found, GimbalError):
        assert isinstance(found, BadInput)
        assert found.where
    else:
        assert found.body == body
        translated = outcome(anthropic.encode, found, "claude")
        assert isinstance(translated, dict | BadInput)


@given(json_values)
def test_any_usage_is_usage_or_nothing(value):
    for decode in (decode_usage, anthropic.decode_usage):
        usage = decode(value)
        assert usage is None or usage.contradictory or usage.plausible()


def test_usage_in_both_wires_means_the_same():
    theirs = anthropic.decode_usage(
        {"input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 8, "output_tokens": 5}
    )
    ours = decode_usage(
        {
            "prompt_tokens": 21,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 3},
        }
    )

    assert theirs == ours == Usage.of(input_tokens=21, output_tokens=5, cache_read_tokens=8, cache_write_tokens=3)
    assert openai.encode_usage(theirs)["prompt_tokens_details"]["cached_tokens"] == 8


events = st.lists(
    st.tuples(
        st.sampled_from(["", "delta", "ping"]),
        st.lists(st.text(alphabet="ab: {}é", max_size=6), min_size=1, max_size=3),
    ),
    max_size=5,
)


@given(
    events, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(1, 7), min_size=1, max_size=30), st.booleans()
)
def test_events_are_the_same_however_the_bytes_are_cut(rows, end, cuts, bom):
    text = ""
    for name, data in rows:
        text += f"event: {name}{end}" if name else f": a comment{end}"
        text += "".join(f"data: {line}{end}" for line in data) + end
    raw = (b"\xef\xbb\xbf" if bom else b"") + text.encode()
    parser, found, start, turn = EventParser(), [], 0, 0
    while start < len(raw):
        step = cuts[turn % len(cuts)]
        found += parser.feed(raw[start : start + step])
        start, turn = start + step, turn + 1
    found += parser.end()

    assert found == [ServerEvent("\n".join(data).encode(), name) for name, data in rows]


def test_an_event_without_end_is_refused_before_it_fills_the_memory():
    parser = EventParser(limit=1000)
    for _ in range(16):
        parser.feed(b"data: " + b"x" * 50)
    with pytest.raises(Upstream):
        parser.feed(b"data: " + b"x" * 250)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"error": {"message": "too hot", "param": "temperature"}}', "too hot"),
        (b'{"error": "plain"}', "plain"),
        (b'{"detail": "elsewhere"}', "elsewhere"),
        (b"Bad Gateway", "Bad Gateway"),
        (b"[1]", "[1]"),
        (b"", ""),
    ],
)
def test_the_providers_words_are_found(raw, message):
    assert said(raw)[0] == message


def test_retry_after_in_seconds_or_milliseconds_and_never_nonsense():
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}) is None
    assert retry_after({"retry-after": "-3"}) is None
    assert retry_after({"retry-after": "nan"}) is None
    assert count("7") == count(True) == count(-1) == count(None) == count(1e300) == 0


def test_errors_have_openais_form():
    reply = openai.error_reply(Busy("Full.", todo="Come again.", retry_after=2.5))

    assert reply.status == 429
    assert reply.headers["retry-after"] == "2.5"
    error = json.loads(reply.body)["error"]
    assert error == {
        "message": "Full. Come again.",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }


def test_a_conversation_becomes_alternating_turns():
    call = openai.decode(
        {
            "model": "m",
            "max_completion_tokens": 9,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "user", "content": "c"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "t1", "content": "seen"},
            ],
            "stop": "END",
            "user": "ada",
        }
    )
    body = anthropic.encode(call, "claude")

    assert body["system"] == "Be brief."
    assert body["max_tokens"] == 9
    assert body["stop_sequences"] == ["END"]
    assert body["metadata"] == {"user_id": "ada"}
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in body["messages"][0]["content"]] == ["a\nb", "c"]
    assert body["messages"][1]["content"] == [{"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1}}]
    assert body["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "t1", "content": "seen"}]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n"),
        ({"temperature": 1.5}, "temperature"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content",
        ),
    ],
)
def test_what_the_other_wire_cannot_say_is_refused_by_name(more, where):
    call = openai.decode({"model": "m", "messages": [{"role": "user", "content": "x"}]} | more)
    with pytest.raises(BadInput) as caught:
        anthropic.encode(call, "claude")

    assert caught.value.where == where
