"""Answers of Gemini's generateContent: read from a provider, and written so that the official client takes them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.upstreams import serve
from tests.wire_answers import GIVEN, SAID, SIGNATURE, THOUGHT, stream, whole
from tests.wires import gathered, sse

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Piece, ToolCall
from gimbal.generative.gateway.wire.answers import BrokeOff
from gimbal.generative.gateway.wire.gemini import WIRE
from gimbal.generative.gateway.wire.gemini.array import ArrayParser
from gimbal.kernel.errors import Upstream

DONE = Done(
    id="a1",
    model="m",
    created=1,
    text=SAID,
    reasoning=THOUGHT,
    signature=SIGNATURE,
    tool_calls=(ToolCall(index=0, id="call_1", name="f", arguments='{"a":1}'),),
    finish="tool_calls",
    usage=Usage(input=7, cache_read=3, output=4, reasoning=5, audio_input=2, image_output=6),
)
PIECES = (
    Piece(reasoning=THOUGHT, model="m", usage=Usage(input=7)),
    Piece(signature=SIGNATURE),
    Piece(text=SAID[:4]),
    Piece(text=SAID[4:]),
    Piece(tool_calls=(ToolCall(index=0, id="call_1", name="f", arguments='{"a"'),)),
    Piece(tool_calls=(ToolCall(index=0, arguments=":1}"),)),
    Piece(finish="tool_calls"),
)


def writer(*, alt="sse"):
    raw = b'{"contents":[{"parts":[{"text":"Hi"}]}]}'
    asked = WIRE.asked(raw, {"model": "m", "action": "streamGenerateContent", "alt": alt})
    return WIRE.writer(asked, answer_id="a1", model="m", created=1)


def streamed(pieces, done, *, alt="sse", same=False):
    made = writer(alt=alt)
    return b"".join(made.piece(piece, same=same) for piece in pieces) + made.end(done, same=same)


def chunk(*rows, finish=None, **more):
    candidate = {"content": {"role": "model", "parts": list(rows)}, "index": 0}
    return "", {"candidates": [candidate | ({"finishReason": finish} if finish else {})], **more}


def read(*chunks):
    reader = WIRE.reader("p", stream=True)
    return [*reader.feed(sse(chunks)), *reader.end()]


def test_the_array_form_says_the_same_as_events():
    raw = streamed(PIECES, DONE, alt="json")
    rows = json.loads(raw)
    assert (
        "".join(p.get("text", "") for row in rows for p in row["candidates"][0]["content"]["parts"]) == THOUGHT + SAID
    )
    reader = WIRE.reader("p", stream=True)
    pieces = [*reader.feed(raw), *reader.end()]
    assert gathered(pieces).tool_calls == DONE.tool_calls
    other = WIRE.reader("p", stream=True)
    assert gathered(pieces) == gathered([*other.feed(streamed(PIECES, DONE)), *other.end()])


def test_an_array_without_an_answer_is_an_empty_one():
    assert json.loads(writer(alt="").end(DONE, same=True)) == []
    assert json.loads(writer(alt="").error(Upstream("p broke off.")))[0]["error"]["code"] == 502


def test_the_same_wire_sends_every_answer_on():
    reader = WIRE.reader("p", stream=True)
    pieces = [*reader.feed(stream("gemini")), *reader.end()]
    assert streamed(pieces, gathered(pieces), same=True) == stream("gemini").replace(b"\n\n", b"\r\n\r\n")
    rows = [json.loads(row[6:]) for row in stream("gemini").decode().split("\n\n") if row]
    assert json.loads(streamed(pieces, gathered(pieces), alt="", same=True)) == rows


def test_an_answer_of_several_lines_is_one_event():
    raw = json.dumps([json.loads(whole("gemini"))], indent=2).encode().replace(b"\n", b"\r\n")
    reader = WIRE.reader("p", stream=True)
    pieces = [*reader.feed(raw), *reader.end()]
    (line, *rest) = streamed(pieces, gathered(pieces), same=True).split(b"\r\n")
    assert json.loads(line.removeprefix(b"data: ")) == json.loads(whole("gemini"))
    assert rest == [b"", b""]


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_arrays_are_read_however_they_are_cut(data):
    objects = data.draw(
        st.lists(st.dictionaries(st.text(max_size=4), st.text(alphabet='"\\{}[],a', max_size=6)), max_size=4)
    )
    raw = json.dumps(objects, indent=data.draw(st.sampled_from([None, 1]))).encode()
    parser, found, place = ArrayParser(), [], 0
    while place < len(raw):
        size = data.draw(st.integers(1, 9))
        found += parser.feed(raw[place : place + size])
        place += size
    assert [json.loads(row) for row in found] == objects
    assert parser.ended


def test_an_array_that_does_not_end_is_not_held_for_ever():
    parser = ArrayParser(limit=1000)
    assert not list(parser.feed(b'[{"a":"'))
    with pytest.raises(Upstream, match="more than 1000 bytes"):
        list(parser.feed(b"x" * 2000))


def test_what_came_before_garbage_is_not_lost():
    raw = streamed(PIECES[:4], DONE, alt="json") + b"]"
    with pytest.raises(BrokeOff) as caught:
        WIRE.reader("p", stream=True).feed(raw)
    assert "".join(piece.text for piece in caught.value.pieces) == SAID


@pytest.mark.parametrize("raw", [b'[{"a":1}', b"[", b"[]", b'[{"a":1}]]', b'[{"error":{"message":"x"}}]', b"[1,2]"])
def test_an_array_that_is_no_answer_is_an_upstream_error(raw):
    reader = WIRE.reader("p", stream=True)
    with pytest.raises(Upstream):  # noqa: PT012 - which of the two finds out depends on the bytes
        reader.feed(raw)
        reader.end()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_every_reason_to_stop_is_understood(reason, finish):
    pieces = read(chunk({"text": "a"}, finish=reason))
    assert (pieces[-1].finish, pieces[-1].refusal) == (finish, "")


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
def test_an_answer_that_failed_says_so(reason):
    (piece,) = read(chunk(finish=reason))
    assert piece.finish == "stop"
    assert piece.refusal
    body = {"candidates": [{"finishReason": reason, "finishMessage": "Broken: f("}]}
    assert WIRE.reader("p", stream=False).whole(json.dumps(body).encode()).refusal == "Broken: f("


def test_a_prompt_that_was_blocked_is_filtered():
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    piece = WIRE.reader("p", stream=False).whole(json.dumps(body).encode())
    assert (piece.finish, piece.refusal, piece.usage) == (
        "content_filter",
        "The prompt was blocked: SAFETY.",
        Usage(input=5),
    )
    assert read(("", body))[-1].finish == "content_filter"


def test_calls_without_ids_get_some_that_differ():
    call = {"functionCall": {"name": "f", "args": GIVEN}}
    pieces = read(chunk(call), chunk(call, {"text": "x"}, finish="STOP"))
    calls = [call for piece in pieces for call in piece.tool_calls]
    assert [(call.index, call.name) for call in calls] == [(0, "f"), (1, "f")]
    assert calls[0].id.startswith("call_")
    assert calls[0].id != calls[1].id
    assert pieces[-1].finish == "tool_calls"


def test_other_candidates_are_counted_but_not_shown():
    body = json.loads(whole("gemini"))
    body["candidates"].append({"index": 1, "content": {"parts": [{"text": "other"}]}, "finishReason": "STOP"})
    piece = WIRE.reader("p", stream=False).whole(json.dumps(body).encode())
    assert (piece.text, piece.side_text) == (SAID, "other")


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-pro", 1), ("gemini-3-pro", 3), ("other", 1)])
def test_searches_are_counted_as_they_are_billed(model, searches):
    body = json.loads(whole("gemini")) | {"modelVersion": model}
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b", "c"]}
    piece = WIRE.reader("p", stream=False).whole(json.dumps(body).encode())
    assert piece.usage.requests == {"web_search": searches}


def test_usage_by_kind_comes_back():
    assert WIRE.reader("p", stream=False).whole(writer().whole(DONE)).usage == DONE.usage


def test_arguments_that_are_no_json_are_told_as_malformed():
    done = Done(
        id="a", model="m", created=1, tool_calls=(ToolCall(id="t", name="f", arguments="{"),), finish="tool_calls"
    )
    candidate = json.loads(writer().whole(done))["candidates"][0]
    assert candidate["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert "f({" in candidate["finishMessage"]


def test_an_estimate_says_that_it_is_one():
    done = Done(id="a", model="m", created=1, usage=Usage(input=1), estimated=True)
    assert json.loads(writer().whole(done))["usageEstimated"] is True


def test_an_error_within_a_200_is_an_error():
    raw = b'{"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}'
    with pytest.raises(Upstream, match="p answered with an error: Overloaded"):
        WIRE.reader("p", stream=False).whole(raw)
    with pytest.raises(Upstream, match="p broke off with an error: Overloaded"):
        WIRE.reader("p", stream=True).feed(b"data: " + raw + b"\r\n\r\n")


def answering(raw):
    """Return an application that answers with these bytes, whatever it is asked."""

    async def app(scope, receive, send):
        kind = b"text/event-stream" if b"stream" in scope["path"].encode() else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": raw})

    return app


async def test_the_official_client_takes_what_is_written():
    genai = pytest.importorskip("google.genai")
    async with serve(answering(writer().whole(DONE))) as url:
        client = genai.Client(api_key="k", http_options={"base_url": url})
        answer = await client.aio.models.generate_content(model="m", contents="Hi")
    assert (answer.text, answer.response_id, answer.model_version) == (SAID, "a1", "m")
    assert answer.function_calls[0].args == {"a": 1}
    assert answer.usage_metadata.thoughts_token_count == 5
    async with serve(answering(streamed(PIECES, DONE))) as url:
        client = genai.Client(api_key="k", http_options={"base_url": url})
        answers = [row async for row in await client.aio.models.generate_content_stream(model="m", contents="Hi")]
    assert "".join(row.text or "" for row in answers) == SAID
    assert answers[-1].function_calls[0].id == "call_1"
    assert answers[-1].usage_metadata.total_token_count == 27


async def test_the_official_client_raises_for_a_stream_that_broke_off():
    genai = pytest.importorskip("google.genai")
    made = writer()
    raw = made.piece(Piece(text="half"), same=False) + made.error(Upstream("p broke off."))
    async with serve(answering(raw)) as url:
        client = genai.Client(api_key="k", http_options={"base_url": url})
        with pytest.raises(genai.errors.APIError, match=r"p broke off\."):
            async for _ in await client.aio.models.generate_content_stream(model="m", contents="Hi"):
                pass
