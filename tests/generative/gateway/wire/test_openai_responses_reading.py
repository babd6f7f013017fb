"""Answers of responses: read with their usage at the end, however the stream is cut."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generative.gateway.wire.openai_given import outcome
from tests.generative.gateway.wire.responses_given import (
    ANSWER,
    CALL,
    EVENTS_SENT,
    MESSAGE,
    SAID,
    THOUGHT,
    USAGE,
    answer,
    put_together,
    read,
    stream,
)

from gimbal.generative.gateway.wire.openai_responses import WIRE
from gimbal.kernel.errors import Upstream


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("names", [True, False])
def test_a_stream_says_the_same_however_it_is_cut_and_named(size, names):
    pieces = read(stream(*EVENTS_SENT, names=names), size)

    assert put_together(pieces) == SAID
    assert (pieces[0].id, pieces[0].model, pieces[-1].id) == ("resp_1", "gpt-5", "resp_1")


def test_a_whole_answer_is_one_piece():
    raw = msgspec.json.encode(answer(output=[THOUGHT, MESSAGE, CALL]))

    found = WIRE.reader("some", stream=False).whole(raw)

    assert put_together([found]) == SAID
    assert (found.id, found.model, found.raw) == ("resp_1", "gpt-5", raw)


def test_what_was_not_told_in_parts_is_taken_whole():
    done = [
        ("response.output_item.done", {"output_index": n, "item": i}) for n, i in enumerate([THOUGHT, MESSAGE, CALL])
    ]
    end = ("response.completed", {"response": answer(output=[THOUGHT, MESSAGE, CALL])})

    assert put_together(read(stream(*done, end))) == SAID
    assert put_together(read(stream(end))) == SAID


def test_a_thought_without_a_text_is_hidden():
    hidden = THOUGHT | {"summary": []}

    found = WIRE.reader("some", stream=False).whole(msgspec.json.encode(answer(output=[hidden])))

    assert (found.reasoning, found.signature, found.redacted) == ("", "", "rs_1:sealed")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")],
)
def test_an_incomplete_answer_says_why(reason, finish):
    cut = answer("incomplete", [MESSAGE], incomplete_details={"reason": reason}, usage=USAGE)

    assert put_together(read(stream(("response.incomplete", {"response": cut}))))["finish"] == [finish]
    assert WIRE.reader("some", stream=False).whole(msgspec.json.encode(cut)).finish == finish


def test_tools_of_the_provider_are_counted():
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "x"}}
    whole = answer(output=[search, MESSAGE])

    found = read(stream(("response.completed", {"response": whole})))[-1].usage

    assert found is not None
    assert found.requests == {"web_search": 1}


def test_a_status_of_the_wrong_kind_is_none():
    search = {"type": "web_search_call", "id": "ws", "action": {"type": ["search"]}}

    found = WIRE.reader("some", stream=False).whole(msgspec.json.encode(answer(["x"], [search, MESSAGE], usage=USAGE)))

    assert (found.text, found.finish) == ("Hello", "stop")


def test_an_answer_that_is_made_in_the_background_has_no_end_yet():
    found = WIRE.reader("some", stream=False).whole(msgspec.json.encode(answer("queued")))

    assert (found.finish, found.usage) == ("", None)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "in the middle"),
        (stream(*EVENTS_SENT[:-1]), "in the middle"),
        (ANSWER[:-30], "not an answer"),
        (b"data: hello\n\n", "not an answer"),
        (b"event: response.new\ndata: hello\n\n", "not an answer"),
        (b'event: response.new\ndata: {"\xff":1}\n\n', "not an answer"),
        (b"event: response.output_text.delta\ndata: hello\n\n", "not an answer"),
        (b"<html>Bad gateway</html>", "in the middle"),
        (stream(("error", {"code": "x", "message": "overloaded", "param": None})), "overloaded"),
        (stream(("error", {"error": {"message": "overloaded"}}), names=False), "overloaded"),
        (stream(("response.failed", {"response": answer("failed", error={"message": "tired"})})), "tired"),
        (stream(("response.failed", {"response": answer("failed")})), "no reason was given"),
        (stream(("response.cancelled", {"response": answer("cancelled")})), "cancelled"),
        (b'{"error":{"message":"no such model"}}', "no such model"),
        (msgspec.json.encode(answer()), "not an answer"),
    ],
)
def test_a_stream_that_is_no_answer_is_an_error_of_the_provider(raw, says):
    for size in (0, 1):
        with pytest.raises(Upstream, match=says):
            read(raw, size)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not an answer"),
        (b"[]", "not an answer"),
        (b"{}", "not an answer"),
        (b'{"error":{"message":"no"}}', "no"),
        (msgspec.json.encode(answer("failed", error=None)), "it was failed"),
        (msgspec.json.encode(answer("failed", error={"code": "server_error", "message": "tired"})), "tired"),
        (msgspec.json.encode(answer("cancelled")), "cancelled"),
    ],
)
def test_a_whole_answer_that_is_none_is_an_error_of_the_provider(raw, says):
    with pytest.raises(Upstream, match=says):
        WIRE.reader("some", stream=False).whole(raw)


@given(st.binary(max_size=40), st.integers(0, len(ANSWER)), st.integers(0, 40), st.sampled_from([0, 1, 9]))
def test_a_stream_with_any_bytes_in_it_is_read_or_an_error(noise, place, length, size):
    raw = ANSWER[:place] + noise + ANSWER[place + length :]

    assert isinstance(outcome(lambda: read(raw, size)), list | Upstream)


junk = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


@given(st.data())
def test_events_with_fields_of_the_wrong_kind_are_read_or_an_error(data):
    events = [
        (
            kind,
            {name: data.draw(junk) if data.draw(st.integers(0, 5)) == 0 else value for name, value in fields.items()},
        )
        for kind, fields in EVENTS_SENT
    ]
    raw = stream(*events, names=data.draw(st.booleans()))

    assert isinstance(outcome(lambda: read(raw)), list | Upstream)
