"""Answers of chat completions: read from every kind of server, however the stream is cut."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generative.gateway.wire.chat_given import ANSWER, MEANT, TOOLS, USAGE, chunk, put_together, read, stream
from tests.generative.gateway.wire.openai_given import outcome

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Piece, ToolCall
from gimbal.generative.gateway.wire.answers import BrokeOff
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.kernel.errors import Upstream


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_a_stream_says_the_same_however_it_is_cut(size):
    found = put_together(read(ANSWER, size))

    assert found == {"text": "Hello", "reasoning": "", "refusal": "", "tools": {}, "finish": ["stop"], "usage": [MEANT]}
    assert put_together(read(TOOLS, size))["tools"] == {0: ["a", "f", '{"x":1}'], 1: ["b", "g", "{}"]}


def test_the_provider_is_told_of_in_the_pieces():
    first = read(ANSWER)[0]

    assert (first.id, first.model) == ("chatcmpl-1", "gpt-5")
    assert json.loads(first.raw)["choices"][0]["delta"] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (ANSWER.replace(b"\n", b"\r\n"), "Hello"),
        (b": OPENROUTER PROCESSING\n\n" + ANSWER.replace(b"data: ", b"data:"), "Hello"),
        (b": ping\n\n" * 3 + b"data: \n\n" + ANSWER, "Hello"),
        (stream(chunk({"content": "a"}), chunk(choices=None), chunk({}, "stop")), "a"),
        (stream(chunk({"content": "a"}), chunk({}, "stop"), done=False), "a"),
        (stream(chunk({"content": "a"}, "stop"), done=False).removesuffix(b"\n\n"), "a"),
        (
            stream(
                {"choices": [{"delta": {"content": "a"}}]}, {"choices": [{"delta": {}, "finish_reason": "eos_token"}]}
            ),
            "a",
        ),
        (stream(chunk({"content": "a"}, "stop"), done=False) + b'data: {"choices', "a"),
        (stream(chunk({"content": [{"type": "text", "text": "a"}]}), chunk({}, "stop")), "a"),
        (stream(chunk({"content": "a"}), chunk({"content": None}, "stop")) + b"data: garbage\n\n", "a"),
        (stream(chunk({"content": "a"})), "a"),
        (
            stream(
                {
                    "id": 7,
                    "created": "x",
                    "choices": [{"index": "0", "delta": {"content": "a"}, "finish_reason": "stop"}],
                }
            ),
            "a",
        ),
    ],
)
def test_servers_that_differ_are_understood(raw, text):
    for size in (0, 1, 13):
        assert put_together(read(raw, size))["text"] == text


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("max_tokens", "length"),
        ("eos", "stop"),
        ("COMPLETE", "stop"),
        ("insufficient_system_resource", "length"),
    ],
)
def test_every_word_for_an_end_is_one_of_four(said, meant):
    assert put_together(read(stream(chunk({"content": "a"}, said))))["finish"] == [meant]


def test_usage_counts_in_whatever_chunk_it_stands():
    raw = stream(
        chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}),
        chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
    )

    assert [piece.usage for piece in read(raw)] == [Usage(input=3, output=1), Usage(input=3, output=2)]


def test_usage_that_contradicts_itself_is_kept_as_far_as_it_goes():
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}

    found = read(stream(chunk({}, "stop", usage=usage)))[-1].usage

    assert found is not None
    assert (found.contradictory, found.output) == (True, 1)


def test_what_deepseek_says_of_its_cache_counts():
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5}

    assert read(stream(chunk({}, "stop", usage=usage)))[-1].usage == Usage(input=5, cache_read=4, output=1)


def test_thoughts_are_read_in_every_form():
    details = [
        {"type": "reasoning.text", "text": "c", "signature": "sig", "index": 0},
        {"type": "reasoning.encrypted", "data": "hidden"},
    ]
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "d"}]}, {"type": "text", "text": "e"}]
    plainly = read(
        stream(chunk({"reasoning_content": "a"}), chunk({"reasoning": "b"}), chunk({"content": parts}, "stop"))
    )
    in_detail = read(stream(chunk({"reasoning_details": details}), chunk({"content": "x"}, "stop")))

    assert (put_together(plainly)["reasoning"], put_together(plainly)["text"]) == ("abd", "e")
    assert put_together(in_detail)["reasoning"] == "c"
    assert (in_detail[0].signature, in_detail[0].redacted) == ('chat:{"index":0,"signature":"sig"}', "chat:hidden")


def test_thoughts_that_are_told_twice_count_once():
    details = [{"type": "reasoning.text", "text": "ab", "signature": "sig"}]
    raw = stream(
        chunk({"reasoning_content": "a"}),
        chunk({"reasoning_content": "b"}),
        chunk({"reasoning_details": details}),
        chunk({"content": "x"}, "stop"),
    )

    found = read(raw)

    assert put_together(found)["reasoning"] == "ab"
    assert found[2].signature == "chat:sig"


def calls(*rows):
    return chunk({"tool_calls": [{"type": "function", **row} for row in rows]})


@pytest.mark.parametrize(
    "chunks",
    [
        [
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}}),
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "2"}}),
            calls({"index": 1, "id": "b", "function": {"name": "g", "arguments": "3"}}),
        ],
        [
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "12"}}),
            calls({"index": 0, "id": "b", "function": {"name": "g", "arguments": "3"}}),
        ],
        [
            calls({"id": "a", "function": {"name": "f", "arguments": "1"}}),
            calls({"function": {"arguments": "2"}}),
            calls({"id": "b", "function": {"name": "g", "arguments": "3"}}),
        ],
        [
            calls(
                {"id": "a", "function": {"name": "f", "arguments": "12"}},
                {"id": "b", "function": {"name": "g", "arguments": "3"}},
            ),
        ],
        [
            calls(
                {"index": 5, "id": "a", "function": {"name": "f"}}, {"index": 9, "id": "b", "function": {"name": "g"}}
            ),
            calls({"index": 9, "function": {"arguments": "3"}}, {"index": 5, "function": {"arguments": "12"}}),
        ],
    ],
)
def test_calls_are_told_apart_however_a_server_numbers_and_repeats_them(chunks):
    found = put_together(read(stream(*chunks, chunk({}, "tool_calls"))))

    assert found["tools"] == {0: ["a", "f", "12"], 1: ["b", "g", "3"]}


def test_arguments_that_are_nested_too_deeply_are_an_error_of_the_provider():
    kinds = set()
    for depth in range(800, 1000, 3):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        raw = b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":%b}}]}}]}' % nested
        kinds.add(type(outcome(lambda raw=raw: WIRE.reader("some", stream=False).whole(raw))))

    assert kinds == {Piece, BrokeOff}


def test_calls_without_an_id_get_one():
    streamed = put_together(
        read(stream(calls({"index": 0, "function": {"name": "f", "arguments": "1"}}), chunk({}, "tool_calls")))
    )
    old = {"function_call": {"name": "f", "arguments": "1"}}
    whole = WIRE.reader("some", stream=False).whole(
        msgspec.json.encode({"choices": [{"message": old, "finish_reason": "function_call"}]})
    )

    known, *said = streamed["tools"][0]
    assert said == ["f", "1"]
    (call,) = whole.tool_calls
    assert (call.name, call.arguments) == ("f", "1")
    assert known.startswith("call_")
    assert call.id.startswith("call_")
    assert known != call.id


def test_further_choices_are_read_aside_and_waited_for():
    def both(delta, finish, index):
        return chunk({}) | {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}

    raw = stream(both({"content": "a"}, None, 0), both({"content": "b"}, None, 1), both({}, "stop", 0), done=False)

    reader = WIRE.reader("some", stream=True)
    pieces = reader.feed(raw)
    assert ("".join(piece.text for piece in pieces), "".join(piece.side_text for piece in pieces)) == ("a", "b")
    with pytest.raises(Upstream, match="in the middle"):
        reader.end()
    reader.feed(stream(both({}, "length", 1), done=False))
    assert reader.end() == []


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "in the middle"),
        (stream(chunk({"content": "a"}), done=False), "in the middle"),
        (stream(chunk({"content": "a"}), done=False) + b'data: {"choices', "not an answer"),
        (b"data: hello\n\n", "not an answer"),
        (b"data: []\n\n", "not an answer"),
        (b"data: \xff\xfe\n\n", "not an answer"),
        (b'data: {"choices":[],"\xff":1}\n\n', "not an answer"),
        (b"data: " + b"[" * 200_000 + b"\n\n", "not an answer"),
        (b"<html>Bad gateway</html>", "in the middle"),
        (stream({"error": {"message": "overloaded", "code": 529}}, done=False), "overloaded"),
        (stream(chunk({"content": "a"}), {"error": "broken"}), "broken"),
        (b'event: error\ndata: {"message":"out of memory"}\n\n', "out of memory"),
        (stream(chunk({"content": "a"}) | {"choices": [{"index": 0, "error": {"message": "tired"}}]}), "tired"),
        (b'{"error":{"message":"no such model"}}', "no such model"),
        (b'{"id":"1","choices":[]}', "not an answer"),
    ],
)
def test_a_stream_that_is_no_answer_is_an_error_of_the_provider(raw, says):
    for size in (0, 1):
        with pytest.raises(Upstream, match=says) as caught:
            read(raw, size)
        assert "some" in caught.value.message


def test_a_stream_that_broke_says_what_was_kept():
    with pytest.raises(Upstream) as caught:
        read(stream(chunk({"content": "a"}), done=False))

    assert caught.value.kept == "what was streamed before"


@pytest.mark.parametrize(
    "rest", [b"data: garbage\n\n", stream({"error": {"message": "no"}}), b'event: error\ndata: {"message":"no"}\n\n']
)
def test_what_came_in_the_same_bytes_before_a_break_is_not_lost(rest):
    reader = WIRE.reader("some", stream=True)

    with pytest.raises(BrokeOff) as caught:
        reader.feed(stream(chunk({"content": "a"}), chunk({"content": "b"}), done=False) + rest)
    assert [piece.text for piece in caught.value.pieces] == ["a", "b"]


def test_what_came_with_the_end_of_a_stream_that_broke_is_not_lost():
    reader = WIRE.reader("some", stream=True)
    reader.feed(stream(chunk({"content": "a"}), done=False).removesuffix(b"\n\n"))

    with pytest.raises(BrokeOff, match="in the middle") as caught:
        reader.end()
    assert [piece.text for piece in caught.value.pieces] == ["a"]


@given(st.binary(max_size=40), st.integers(0, len(ANSWER)), st.integers(0, 40), st.sampled_from([0, 1, 9]))
def test_a_stream_with_any_bytes_in_it_is_read_or_an_error(noise, place, length, size):
    raw = ANSWER[:place] + noise + ANSWER[place + length :]

    assert isinstance(outcome(lambda: read(raw, size)), list | Upstream)


WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 5,
    "model": "gpt-5",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello",
                "refusal": None,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "finish_reason": "tool_calls",
            "logprobs": None,
        }
    ],
    "usage": USAGE,
}


def test_a_whole_answer_is_one_piece():
    raw = msgspec.json.encode(WHOLE)

    found = WIRE.reader("some", stream=False).whole(raw)

    assert found == Piece(
        text="Hello",
        tool_calls=(ToolCall(index=0, id="a", name="f", arguments="{}"),),
        finish="tool_calls",
        usage=MEANT,
        model="gpt-5",
        id="chatcmpl-1",
        raw=raw,
    )


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not an answer"),
        (b"<html>", "not an answer"),
        (b"[]", "not an answer"),
        (b"{}", "without a choice"),
        (b'{"choices":null}', "without a choice"),
        (b'{"error":{"message":"no"},"choices":[]}', "with an error: no"),
        (b'{"error":"no"}', "with an error: no"),
    ],
)
def test_a_whole_answer_that_is_none_is_an_error_of_the_provider(raw, says):
    with pytest.raises(Upstream, match=says):
        WIRE.reader("some", stream=False).whole(raw)
