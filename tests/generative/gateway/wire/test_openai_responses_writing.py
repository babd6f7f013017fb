"""Answers of responses: passed on as they came, and written as typed events that the official client reads."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.generative.gateway.wire.openai_given import body
from tests.generative.gateway.wire.responses_given import ANSWER, EVENTS_SENT, MEANT, USAGE, put_together, read, stream

from gimbal.generative.gateway.conversation import Done, Piece, Thinking, ToolCall, ToolUse
from gimbal.generative.gateway.wire.openai_responses import WIRE
from gimbal.generative.gateway.wire.sse import EventParser
from gimbal.kernel.errors import Busy, Upstream

EVENTS = TypeAdapter(ResponseStreamEvent)


def writer(**fields):
    asked = WIRE.asked(body(**{"model": "m", "input": "x", **fields}), {})
    return WIRE.writer(asked, answer_id="1", model="p/m", created=7)


DONE = Done(id="x", model="p/m", created=7, text="Hello", usage=MEANT)


def sent(raw):
    """Return the events, each judged by the official client's models, and numbered without a gap."""
    rows = [(event.name, json.loads(event.data)) for event in EventParser().feed(raw)]
    for number, (name, row) in enumerate(rows):
        EVENTS.validate_python(row)
        assert (row["type"], row["sequence_number"]) == (name, number)
    return [row for _, row in rows]


def written(pieces, done=DONE, **fields):
    way = writer(stream=True, **fields)
    return b"".join(way.piece(piece, same=False) for piece in pieces) + way.end(done, same=False)


def test_between_equal_wires_events_go_on_as_their_bytes():
    for raw in (ANSWER, stream(*EVENTS_SENT, names=False)):
        way = writer(stream=True)

        assert b"".join(way.piece(piece, same=True) for piece in read(raw)) + way.end(DONE, same=True) == raw


PIECES = [
    Piece(id="msg_1", model="claude"),
    Piece(reasoning="h"),
    Piece(reasoning="m"),
    Piece(signature="sig"),
    Piece(redacted="hidden"),
    Piece(text="Hel"),
    Piece(text="lo"),
    Piece(tool_calls=(ToolCall(index=0, id="a", name="f"),)),
    Piece(tool_calls=(ToolCall(index=0, arguments='{"x"'),)),
    Piece(tool_calls=(ToolCall(index=1, id="b", name="g", arguments="{}"),)),
    Piece(tool_calls=(ToolCall(index=0, arguments=":1}"),)),
    Piece(finish="tool_calls", usage=MEANT),
]


def test_an_answer_of_another_wire_becomes_typed_events_in_openais_order():
    rows = sent(written(PIECES))

    assert [row["type"].removeprefix("response.") for row in rows] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    items = [row["item"] for row in rows if row["type"] == "response.output_item.done"]
    assert [(item["type"], item.get("encrypted_content")) for item in items[:2]] == [
        ("reasoning", "sig"),
        ("reasoning", "hidden"),
    ]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in items[3:]] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]
    final = rows[-1]["response"]
    assert (final["output"], final["status"], final["id"], final["store"]) == (items, "completed", "resp_1", False)
    assert final["usage"] == USAGE
    assert len({item["id"] for item in items}) == len(items)


def test_every_event_of_an_item_names_it():
    rows = sent(written(PIECES))

    opened = {row["output_index"]: row["item"]["id"] for row in rows if row["type"] == "response.output_item.added"}
    assert sorted(opened) == [0, 1, 2, 3, 4]
    for row in rows:
        if "item_id" in row:
            assert row["item_id"] == opened[row["output_index"]]


def test_our_own_reader_understands_what_we_write():
    found = put_together(read(written(PIECES), 3))

    assert found["text"] == "Hello"
    assert found["reasoning"] == "hm"
    assert found["tools"] == {0: ["a", "f", '{"x":1}'], 1: ["b", "g", "{}"]}
    assert (found["finish"], found["usage"]) == (["tool_calls"], [MEANT])


def test_thoughts_come_back_as_the_provider_gave_them():
    pieces = [
        Piece(reasoning="a"),
        Piece(signature="sig"),
        Piece(redacted="hidden"),
        Piece(signature="bare", tool_calls=(ToolCall(id="1", name="f", arguments="{}"),)),
        Piece(finish="tool_calls"),
    ]

    output = sent(written(pieces))[-1]["response"]["output"]
    again = WIRE.conversation(WIRE.asked(body(model="m", input=output), {}))

    assert again.extras == {}
    assert again.turns[0].parts == (
        Thinking(text="a", signature="sig"),
        Thinking(redacted="hidden"),
        Thinking(signature="bare"),
        ToolUse(id="1", name="f", arguments="{}"),
    )


def test_text_between_refusals_and_thoughts_opens_what_it_needs():
    pieces = [Piece(text="a"), Piece(refusal="b"), Piece(reasoning="c"), Piece(text="d"), Piece(finish="stop")]

    output = sent(written(pieces))[-1]["response"]["output"]

    assert [item["type"] for item in output] == ["message", "reasoning", "message"]
    assert [part["type"] for part in output[0]["content"]] == ["output_text", "refusal"]


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_is_incomplete(finish, reason):
    pieces = [Piece(text="a"), Piece(finish=finish)]

    last = sent(written(pieces))[-1]
    whole = json.loads(writer().whole(msgspec.structs.replace(DONE, finish=finish)))

    assert last["type"] == "response.incomplete"
    for found in (last["response"], whole):
        assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": reason})
        assert found["output"][0]["status"] == "incomplete"


def test_a_stream_without_pieces_has_a_beginning_and_an_end():
    rows = sent(written([]))

    assert [row["type"] for row in rows] == ["response.created", "response.in_progress", "response.completed"]
    assert rows[-1]["response"]["output"] == []


def test_the_answer_repeats_what_was_asked_for():
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": False}]

    found = Response.model_validate_json(
        writer(tools=tools, temperature=0.5, metadata={"a": "b"}, instructions="Be brief.", tool_choice=None).whole(
            DONE
        )
    )

    assert (found.temperature, found.metadata, found.instructions) == (0.5, {"a": "b"}, "Be brief.")
    assert (found.tools[0].type, found.tool_choice, found.output_text) == ("function", "auto", "Hello")
    assert (found.id, found.created_at, found.model) == ("resp_1", 7, "p/m")


def test_an_estimate_says_that_it_is_one():
    done = msgspec.structs.replace(DONE, estimated=True)

    assert sent(written([Piece(text="a")], done))[-1]["response"]["usage_estimated"] is True
    assert json.loads(writer().whole(done))["usage_estimated"] is True


def test_a_stream_that_breaks_off_says_so_and_what_it_had():
    way = writer(stream=True)
    raw = way.piece(Piece(text="Hel"), same=False)
    raw += way.error(Busy("Too much.", todo="Wait."))

    rows = sent(raw)

    assert [row["type"] for row in rows[-2:]] == ["error", "response.failed"]
    assert (rows[-2]["code"], rows[-2]["message"]) == ("rate_limit_exceeded", "Too much. Wait.")
    failed = rows[-1]["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "rate_limit_exceeded")
    assert failed["output"][0]["content"][0]["text"] == "Hel"


def test_a_stream_of_the_same_wire_that_breaks_off_goes_on_counting():
    way = writer(stream=True)
    pieces = WIRE.reader("some", stream=True).feed(stream(*EVENTS_SENT[:3]))
    raw = b"".join(way.piece(piece, same=True) for piece in pieces) + way.error(Upstream("Gone."))

    last = [json.loads(event.data) for event in EventParser().feed(raw)][-1]

    assert (last["type"], last["sequence_number"], last["message"]) == ("error", 3, "Gone.")


pieces_drawn = st.lists(
    st.builds(Piece, text=st.text(max_size=5), refusal=st.sampled_from(["", "no"]))
    | st.builds(Piece, reasoning=st.text(max_size=5))
    | st.builds(Piece, redacted=st.text(max_size=5))
    | st.builds(
        Piece,
        tool_calls=st.tuples(
            st.builds(
                ToolCall,
                index=st.integers(0, 2),
                id=st.sampled_from(["", "a"]),
                name=st.sampled_from(["", "f"]),
                arguments=st.text(max_size=5),
            )
        ),
    ),
    max_size=6,
)


@given(pieces_drawn, st.sampled_from(["stop", "length", "content_filter", "tool_calls"]))
def test_any_pieces_become_events_that_the_official_client_reads(pieces, finish):
    rows = sent(written([*pieces, Piece(finish=finish)]))

    said = put_together(pieces)
    output = rows[-1]["response"]["output"]
    texts = [part.get("text", "") for item in output if item["type"] == "message" for part in item["content"]]
    assert "".join(texts) == said["text"]
    assert "".join(row["delta"] for row in rows if row["type"] == "response.output_text.delta") == said["text"]
    calls = [item["arguments"] for item in output if item["type"] == "function_call"]
    assert sorted(calls) == sorted(row[2] for row in said["tools"].values())
    done = [row["item"] for row in rows if row["type"] == "response.output_item.done"]
    assert sorted(done, key=lambda item: item["id"]) == sorted(output, key=lambda item: item["id"])
