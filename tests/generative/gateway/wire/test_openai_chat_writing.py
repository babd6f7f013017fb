"""Answers of chat completions: passed on as they came, and written for other providers as the official client reads them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.generative.gateway.wire.chat_given import ANSWER, MEANT, USAGE, asked, chunk, put_together, read, stream

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Piece, ToolCall
from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.generative.gateway.wire.sse import EventParser
from gimbal.kernel.errors import BadInput, Busy, NotFound, Upstream


def writer(**fields):
    return WIRE.writer(asked(**fields), answer_id="1", model="p/m", created=7)


def sent(raw):
    """Return the data of events, each judged by the official client's model."""
    parser = EventParser()
    rows = [event.data for event in parser.feed(raw)]
    assert parser.end() == []
    for row in rows:
        if row != b"[DONE]" and b'"error"' not in row:
            ChatCompletionChunk.model_validate_json(row)
    return [row if row == b"[DONE]" else json.loads(row) for row in rows]


def through(raw, done, **fields):
    """Return what a caller of the same wire gets of a provider's stream."""
    way = writer(stream=True, **fields)
    return b"".join(way.piece(piece, same=True) for piece in read(raw)) + way.end(done, same=True)


DONE = Done(id="x", model="p/m", created=7, text="Hello", usage=MEANT)
WITH_USAGE = {"stream_options": {"include_usage": True}}


def test_between_equal_wires_events_go_on_as_their_bytes():
    assert through(ANSWER, DONE, **WITH_USAGE) == ANSWER


def test_usage_is_kept_from_whoever_did_not_ask_for_it():
    found = through(ANSWER, DONE)

    assert b"usage" not in found
    assert [row if row == b"[DONE]" else row["choices"] for row in sent(found)] == [
        *(row["choices"] for row in sent(ANSWER)[:4]),
        b"[DONE]",
    ]


@pytest.mark.parametrize(
    "text", ['"usage":null', ',"usage":null', '{"usage": null}', "usage", '\\"usage\\"', ', "usage": null, "', "ä"]
)
def test_what_a_model_says_of_usage_is_left_as_it_is(text):
    raw = stream(chunk({"content": text}), chunk({}, "stop"), chunk(usage=USAGE))

    for row in (raw, raw.replace(b'"usage":null', b'"usage": null').replace(b',"usage"', b', "usage"')):
        assert sent(through(row, DONE))[0]["choices"][0]["delta"]["content"] == text


def test_usage_in_every_chunk_becomes_one_last_chunk():
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    raw = stream(chunk({"content": "a"}, usage=usage), chunk({}, "stop", usage=usage))

    with_usage, without = sent(through(raw, DONE, **WITH_USAGE)), sent(through(raw, DONE))

    assert [row["usage"] for row in with_usage[:-1]] == [None, None, usage]
    assert (with_usage[-2]["choices"], with_usage[-2]["id"]) == ([], "chatcmpl-1")
    assert all("usage" not in row for row in without[:-1])
    assert len(without) == 3


def test_usage_that_nobody_told_is_estimated_and_says_so():
    done = Done(id="x", model="p/m", created=7, usage=Usage(input=3, output=2), estimated=True)
    raw = stream(chunk({"content": "a"}, "stop"))

    last = sent(through(raw, done, **WITH_USAGE))[-2]

    assert (last["usage"]["total_tokens"], last["usage_estimated"]) == (5, True)


def written(pieces, done=DONE, **fields):
    way = writer(stream=True, **fields)
    return sent(b"".join(way.piece(piece, same=False) for piece in pieces) + way.end(done, same=False))


def test_an_answer_of_another_wire_becomes_chunks():
    pieces = [
        Piece(id="msg_1", model="claude"),
        Piece(reasoning="h"),
        Piece(reasoning="m"),
        Piece(signature="sig"),
        Piece(redacted="hidden"),
        Piece(text="Hi"),
        Piece(tool_calls=(ToolCall(index=0, id="a", name="f"),)),
        Piece(tool_calls=(ToolCall(index=0, arguments="{}"),)),
        Piece(finish="tool_calls", usage=MEANT),
    ]

    rows = written(pieces, **WITH_USAGE)

    assert [row["choices"][0]["delta"] for row in rows[:-2]] == [
        {"role": "assistant", "content": "", "reasoning_content": "h"},
        {"reasoning_content": "m"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "sig"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "hidden"}]},
        {"content": "Hi"},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert [row["choices"][0]["finish_reason"] for row in rows[:-2]] == [None] * 7 + ["tool_calls"]
    assert {row["id"] for row in rows[:-1]} == {"chatcmpl-1"}
    assert rows[-2]["usage"]["prompt_tokens_details"] == {"cached_tokens": 60, "cache_write_tokens": 10}
    assert rows[-1] == b"[DONE]"
    assert all(row["usage"] is None for row in rows[:-2])


def test_a_stream_always_has_an_end_and_a_beginning():
    rows = written([Piece(usage=MEANT)], msgspec.structs.replace(DONE, finish="length"))

    assert [row["choices"][0]["finish_reason"] for row in rows[:-1]] == ["length"]
    assert "usage" not in rows[0]


def test_whoever_speaks_of_functions_is_answered_so():
    pieces = [Piece(tool_calls=(ToolCall(id="a", name="f", arguments="{}"),)), Piece(finish="tool_calls")]
    done = Done(id="x", model="m", created=1, finish="tool_calls", tool_calls=pieces[0].tool_calls)

    rows = written(pieces, functions=[{"name": "f"}])
    whole = ChatCompletion.model_validate_json(writer(functions=[{"name": "f"}]).whole(done))

    assert rows[0]["choices"][0]["delta"] == {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    assert rows[1]["choices"][0]["finish_reason"] == "function_call"
    assert whole.choices[0].message.function_call is not None
    assert whole.choices[0].finish_reason == "function_call"


def test_a_whole_answer_is_written_as_the_official_client_reads_it():
    done = Done(
        id="x",
        model="claude",
        created=9,
        text="Hi",
        reasoning="hm",
        signature="sig",
        redacted="hidden",
        refusal="",
        tool_calls=(ToolCall(index=0, id="a", name="f", arguments="{}"),),
        finish="tool_calls",
        usage=MEANT,
        estimated=True,
        fingerprint="fp",
    )

    raw = writer().whole(done)

    found = ChatCompletion.model_validate_json(raw)
    said = json.loads(raw)
    assert (found.id, found.model, found.created, found.system_fingerprint) == ("chatcmpl-1", "claude", 7, "fp")
    assert found.choices[0].message.tool_calls[0].function.name == "f"
    assert said["choices"][0]["message"]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "sig"},
        {"type": "reasoning.encrypted", "data": "hidden"},
    ]
    assert said["usage_estimated"] is True
    again = WIRE.reader("some", stream=False).whole(raw)
    assert (again.text, again.reasoning, again.signature, again.redacted, again.usage) == (
        "Hi",
        "hm",
        "chat:sig",
        "chat:hidden",
        MEANT,
    )


classes = st.builds(
    Usage,
    **{
        name: st.integers(0, 10**6)
        for name in ("input", "cache_read", "cache_write", "output", "reasoning", "audio_output", "image_output")
    },
)


@given(classes)
def test_usage_means_the_same_after_it_was_written(usage):
    raw = writer().whole(msgspec.structs.replace(DONE, usage=usage))

    ChatCompletion.model_validate_json(raw)
    assert WIRE.reader("some", stream=False).whole(raw).usage == usage


pieces_drawn = st.lists(
    st.builds(Piece, text=st.text(max_size=5))
    | st.builds(Piece, reasoning=st.text(max_size=5))
    | st.builds(Piece, refusal=st.text(max_size=5))
    | st.builds(
        Piece,
        tool_calls=st.tuples(st.builds(ToolCall, index=st.integers(0, 2), arguments=st.text(max_size=5))),
    ),
    max_size=6,
)


@given(pieces_drawn, st.sampled_from(["stop", "length", "content_filter", "tool_calls"]), st.booleans())
def test_pieces_mean_the_same_after_they_were_written(pieces, finish, wants):
    pieces = [*pieces, Piece(finish=finish)]
    way = writer(stream=True, stream_options={"include_usage": wants})

    raw = b"".join(way.piece(piece, same=False) for piece in pieces) + way.end(DONE, same=False)

    sent(raw)
    found = put_together(read(raw, 5))
    said = put_together(pieces) | {"usage": [MEANT] if wants else []}
    # Calls are counted as they come.
    assert found | {"tools": list(found["tools"].values())} == said | {"tools": list(said["tools"].values())}


@pytest.mark.parametrize(
    ("problem", "status", "kind", "code", "param"),
    [
        (
            BadInput("No.", where="messages[0].content"),
            400,
            "invalid_request_error",
            "bad_input",
            "messages[0].content",
        ),
        (NotFound("No.", where="model"), 404, "invalid_request_error", "model_not_found", "model"),
        (Busy("No.", retry_after=2.5), 429, "rate_limit_error", "rate_limit_exceeded", None),
        (Upstream("No.", kept="half", todo="Try again."), 502, "api_error", "upstream", None),
    ],
)
def test_errors_have_the_form_that_openais_clients_read(problem, status, kind, code, param):
    reply = WIRE.error_reply(problem)

    error = json.loads(reply.body)["error"]
    assert (reply.status, error["type"], error["code"], error["param"]) == (status, kind, code, param)
    assert error["message"].startswith("No.")
    assert reply.headers == ({"retry-after": "2.5"} if problem.retry_after else {})
    assert sent(writer(stream=True).error(problem)) == [{"error": error}]


def refusal(
    status=429, wire="openai.chat", body=b'{"error":{"message":"slow","type":"tokens","code":"x"}}', shown=None
):
    headers = ((b"Retry-After", b"3"), (b"x-ratelimit-remaining-tokens", b"0"), (b"set-cookie", b"secret"))
    return Refusal(
        "some answered.",
        status=status if shown is None else shown,
        code="busy",
        provider_status=status,
        body=body,
        headers=headers,
        wire=wire,
    )


def test_a_refusal_of_a_provider_of_the_same_wire_goes_on_as_it_came():
    reply = WIRE.error_reply(refusal())

    assert (reply.status, reply.body) == (429, refusal().body_sent)
    assert reply.headers == {"retry-after": "3", "x-ratelimit-remaining-tokens": "0"}


@pytest.mark.parametrize(
    "problem",
    [
        refusal(wire="anthropic.messages"),
        refusal(body=b"<html>"),
        refusal(body=b"[]"),
        refusal(body=b""),
        refusal(status=401, shown=502, body=b'{"error":{"message":"Incorrect API key provided: sk-1"}}'),
    ],
)
def test_a_refusal_that_the_caller_must_not_see_is_told_in_our_words(problem):
    reply = WIRE.error_reply(problem)

    assert reply.status == problem.status
    assert json.loads(reply.body)["error"]["message"] == "some answered."
