"""Answers of Anthropic's messages: read from a provider, and written so that the official client takes them."""

import json

import anthropic
import pytest
from tests.upstreams import serve
from tests.wire_answers import GIVEN, SAID, SIGNATURE, THOUGHT, stream, whole
from tests.wires import gathered, sse

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Piece, ToolCall
from gimbal.generative.gateway.wire.anthropic import WIRE
from gimbal.kernel.errors import Upstream

ASKED = WIRE.asked(b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}', {})
DONE = Done(
    id="a1",
    model="m",
    created=1,
    text=SAID,
    reasoning=THOUGHT,
    signature=SIGNATURE,
    redacted="eHg=",
    tool_calls=(
        ToolCall(index=0, id="call_1", name="f", arguments='{"a":1}'),
        ToolCall(index=1, id="call_2", name="g", arguments=""),
    ),
    finish="tool_calls",
    usage=Usage(input=7, cache_read=3, cache_write_1h=2, cache_write_5m=1, output=4, reasoning=5, tier="priority"),
)
PIECES = (
    Piece(reasoning=THOUGHT[:3], model="m", usage=Usage(input=7)),
    Piece(reasoning=THOUGHT[3:]),
    Piece(signature=SIGNATURE),
    Piece(redacted="eHg="),
    Piece(text=SAID[:4]),
    Piece(text=SAID[4:]),
    Piece(tool_calls=(ToolCall(index=0, id="call_1", name="f"),)),
    Piece(tool_calls=(ToolCall(index=0, arguments='{"a":'), ToolCall(index=1, id="call_2", name="g"))),
    Piece(tool_calls=(ToolCall(index=0, arguments="1}"),)),
    Piece(finish="tool_calls"),
)


def writer():
    return WIRE.writer(ASKED, answer_id="a1", model="m", created=1)


def streamed(pieces, done):
    """Return the bytes of a stream that came by another wire."""
    made = writer()
    return b"".join(made.piece(piece, same=False) for piece in pieces) + made.end(done, same=False)


def answering(raw, media_type):
    """Return an application that answers with these bytes, whatever it is asked."""

    async def app(scope, receive, send):
        headers = [(b"content-type", media_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    return app


REQUEST = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


async def seen(raw, *, stream):
    """Return the message that the official client makes of these bytes."""
    kind = "text/event-stream" if stream else "application/json"
    async with (
        serve(answering(raw, kind)) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client,
    ):
        if not stream:
            return await client.messages.create(**REQUEST)
        async with client.messages.stream(**REQUEST) as events:
            return await events.get_final_message()


def shown(message):
    """Return the blocks of a message, without what is null."""
    return [block.to_dict(exclude_none=True) for block in message.content]


BLOCKS = [
    {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": "eHg="},
    {"type": "text", "text": SAID},
    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
    {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_official_client_takes_what_is_written(stream):
    message = await seen(streamed(PIECES, DONE) if stream else writer().whole(DONE), stream=stream)
    assert shown(message) == BLOCKS
    assert (message.id, message.model, message.stop_reason) == ("msg_a1", "m", "tool_use")
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens) == (7, 9)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 3)


async def test_the_official_client_raises_for_a_stream_that_broke_off():
    made = writer()
    raw = made.piece(Piece(text="half"), same=False) + made.error(Upstream("p broke off."))
    with pytest.raises(anthropic.APIStatusError, match=r"p broke off\."):
        await seen(raw, stream=True)


def test_what_is_cached_for_how_long_comes_back():
    raw = writer().whole(DONE)
    assert WIRE.reader("p", stream=False).whole(raw).usage == DONE.usage
    reader = WIRE.reader("p", stream=True)
    assert gathered([*reader.feed(streamed(PIECES, DONE)), *reader.end()]).usage.cache_write_1h == 2


def test_the_same_wire_sends_every_event_on():
    made, reader = writer(), WIRE.reader("p", stream=True)
    pieces = [*reader.feed(stream("anthropic")), *reader.end()]
    raw = b"".join(made.piece(piece, same=True) for piece in pieces) + made.end(gathered(pieces), same=True)
    assert raw == stream("anthropic")


def test_events_come_in_blocks_one_after_the_other():
    events = [json.loads(row[6:]) for row in streamed(PIECES, DONE).decode().splitlines() if row.startswith("data: ")]
    kinds = [(event["type"], event.get("index")) for event in events]
    assert kinds[0] == ("message_start", None)
    assert kinds[-2:] == [("message_delta", None), ("message_stop", None)]
    open_block = None
    for kind, index in kinds[1:-2]:
        if kind == "content_block_start":
            assert open_block is None
            open_block = index
        elif kind == "content_block_stop":
            assert index == open_block
            open_block = None
    assert open_block is None
    assert [index for kind, index in kinds if kind == "content_block_start"] == [0, 1, 2, 3, 4]


def test_a_thought_after_a_signature_is_another_block():
    pieces = [Piece(reasoning="a"), Piece(signature="1"), Piece(reasoning="b"), Piece(signature="2")]
    raw = streamed(pieces, Done(id="a", model="m", created=1))
    rows = [json.loads(row[6:]) for row in raw.decode().splitlines() if row.startswith("data: ")]
    deltas = [(row["index"], row["delta"]) for row in rows if row["type"] == "content_block_delta"]
    assert deltas == [
        (0, {"type": "thinking_delta", "thinking": "a"}),
        (0, {"type": "signature_delta", "signature": "1"}),
        (1, {"type": "thinking_delta", "thinking": "b"}),
        (1, {"type": "signature_delta", "signature": "2"}),
    ]


def test_an_answer_that_says_nothing_is_a_message():
    empty = Done(id="a", model="m", created=1, usage=Usage(input=1))
    events = [json.loads(row[6:])["type"] for row in streamed((), empty).decode().splitlines() if row[:5] == "data:"]
    assert events == ["message_start", "message_delta", "message_stop"]
    assert json.loads(writer().whole(empty))["content"] == []


def test_an_estimate_says_that_it_is_one():
    done = Done(id="a", model="m", created=1, usage=Usage(input=1), estimated=True)
    assert json.loads(writer().whole(done))["usage_estimated"] is True
    assert b'"usage_estimated":true' in streamed((), done)
    assert b"usage_estimated" not in streamed((), DONE)


def test_arguments_that_are_no_json_are_handed_on_as_text():
    call = ToolCall(id="t", name="f", arguments='{"a"')
    done = Done(id="a", model="m", created=1, tool_calls=(call,), finish="tool_calls")
    assert json.loads(writer().whole(done))["content"][0]["input"] == {"INVALID_JSON": '{"a"'}


def test_usage_is_cumulative_and_a_field_that_is_absent_keeps_its_value():
    start = {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1}
    reader = WIRE.reader("p", stream=True)
    pieces = reader.feed(
        sse(
            [
                ("message_start", {"type": "message_start", "message": {"usage": start, "model": "x", "id": "msg_9"}}),
                ("message_delta", {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}}),
                (
                    "message_delta",
                    {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 8}},
                ),
                ("message_stop", {"type": "message_stop"}),
            ]
        )
    )
    assert [piece.usage and piece.usage.output_tokens for piece in pieces] == [1, 5, 8, None]
    assert pieces[2].usage == Usage(input=9, cache_read=4, output=8)
    assert (pieces[0].model, pieces[0].id, pieces[2].finish) == ("x", "msg_9", "length")


def test_events_without_names_are_known_by_their_type():
    reader = WIRE.reader("p", stream=True)
    raw = b"".join(row + b"\n\n" for row in stream("anthropic").split(b"\n") if row.startswith(b"data:"))
    pieces = [*reader.feed(raw), *reader.end()]
    done = gathered(pieces)
    assert (done.text, done.tool_calls[0].arguments) == (SAID, json.dumps(GIVEN, separators=(",", ":")))
    assert {piece.event for piece in pieces} >= {"message_start", "content_block_delta", "message_stop"}


def test_tools_that_anthropic_runs_are_no_calls_of_ours():
    started = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    reader = WIRE.reader("p", stream=True)
    pieces = reader.feed(
        sse(
            [
                ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": started}),
                (
                    "content_block_delta",
                    {
                        "type": "content_block_delta",
                        "index": 0,
                        "delta": {"type": "input_json_delta", "partial_json": '{"q'},
                    },
                ),
            ]
        )
    )
    assert all(not piece.tool_calls for piece in pieces)
    body = json.loads(whole("anthropic"))
    body["content"].insert(0, started)
    assert len(WIRE.reader("p", stream=False).whole(json.dumps(body).encode()).tool_calls) == 1


@pytest.mark.parametrize(
    "reason", ["end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal", "pause_turn", "new"]
)
def test_every_reason_to_stop_is_understood(reason):
    body = json.loads(whole("anthropic")) | {"stop_reason": reason}
    finish = WIRE.reader("p", stream=False).whole(json.dumps(body).encode()).finish
    assert finish == {"max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}.get(reason, "stop")


def test_why_a_model_refused_is_told():
    details = {"type": "refusal", "category": "bio", "explanation": "Not that."}
    body = json.loads(whole("anthropic")) | {"stop_reason": "refusal", "stop_details": details}
    assert WIRE.reader("p", stream=False).whole(json.dumps(body).encode()).refusal == "Not that."


def test_several_thoughts_have_no_signature_together():
    body = json.loads(whole("anthropic"))
    body["content"].insert(1, {"type": "thinking", "thinking": " Again.", "signature": "other"})
    piece = WIRE.reader("p", stream=False).whole(json.dumps(body).encode())
    assert (piece.reasoning, piece.signature) == (f"{THOUGHT} Again.", "")


def test_an_error_within_a_200_is_an_error():
    raw = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(Upstream, match="p answered with an error: Overloaded"):
        WIRE.reader("p", stream=False).whole(raw)
    reader = WIRE.reader("p", stream=True)
    with pytest.raises(Upstream, match="p broke off with an error: Overloaded") as caught:
        reader.feed(b"event: error\ndata: " + raw + b"\n\n")
    assert caught.value.kept == "what was streamed before"
