"""Bedrock's Converse: what goes out to it, and what is read of it, its binary framing included."""

import binascii
import json
import struct

import botocore.session
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire_answers import SAID, stream, whole
from tests.wires import frame, gathered

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import (
    Audio,
    Conversation,
    File,
    Format,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.answers import BrokeOff
from gimbal.generative.gateway.wire.bedrock import WIRE
from gimbal.generative.gateway.wire.bedrock.frames import FrameParser
from gimbal.kernel.errors import BadInput, Upstream

CLAUDE = "us.anthropic.claude-5-v1:0"
LLAMA = "meta.llama4-v1:0"
HI = Turn(role="user", parts=(Text(text="Hi"),))
USE = ToolUse(id="t", name="f", arguments='{"a":1}')
MARK = {"type": "ephemeral", "ttl": "1h"}


def sent(*turns, model=CLAUDE, **more):
    """Return a request that goes out, which the official client's own model of it takes."""
    request = WIRE.request(Conversation(turns=turns, **more), model, stream=True)
    shape = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    report = ParamValidator().validate(request | {"modelId": model}, shape)
    assert not report.has_errors(), report.generate_report()
    return json.loads(json.dumps(request))


def content(*parts, role="user", model=CLAUDE):
    return sent(HI, Turn(role="assistant", parts=(USE,)), Turn(role=role, parts=parts), model=model)["messages"][-1][
        "content"
    ]


def test_every_part_with_a_place_goes_out():
    assert content(
        Text(text="a"),
        Text(text=" "),
        Image(data="AA==", media_type="image/jpeg"),
        Image(url="s3://b/k.png", media_type="image/png"),
        Audio(data="AA==", format="wav"),
        File(data="AA==", media_type="text/markdown; charset=utf-8", name="my_notes (1).md"),
        File(data="AA=="),
    ) == [
        {"text": "a"},
        {"image": {"format": "jpeg", "source": {"bytes": "AA=="}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k.png"}}}},
        {"audio": {"format": "wav", "source": {"bytes": "AA=="}}},
        {"document": {"format": "md", "name": "my notes (1)", "source": {"bytes": "AA=="}}},
        {"document": {"format": "pdf", "name": "document", "source": {"bytes": "AA=="}}},
    ]
    result = ToolResult(id="t", parts=(Text(text="x"), Image(data="AA==", media_type="image/png")), error=True)
    assert content(result, ToolResult(id="u"), role="tool") == [
        {
            "toolResult": {
                "toolUseId": "t",
                "content": [{"text": "x"}, {"image": {"format": "png", "source": {"bytes": "AA=="}}}],
                "status": "error",
            }
        },
        {"toolResult": {"toolUseId": "u", "content": [{"text": "(nothing)"}]}},
    ]


def test_thoughts_are_handed_back_as_they_came():
    turn = Turn(
        role="assistant", parts=(Thinking(text="hm", signature="s"), Thinking(redacted="eA=="), Thinking(text="x"))
    )
    assert sent(HI, turn)["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
    ]


def test_every_parameter_goes_out():
    found = sent(
        HI,
        tools=(Tool(name="f", description="Do.", parameters={"type": "object"}, strict=True, cache=MARK),),
        tool_choice=ToolChoice(mode="named", name="f"),
        format=Format(kind="schema", name="n", description="d", schema={"type": "object"}),
        reasoning=Reasoning(effort="high", budget=2048, show=True),
        sampling=Sampling(max_tokens=9, temperature=0.5, top_p=0.9, top_k=4, stop=("E",), service_tier="flex"),
        user="u",
    )
    assert found["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["E"]}
    assert found["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "Do.",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                }
            },
            {"cachePoint": {"type": "default", "ttl": "1h"}},
        ],
        "toolChoice": {"tool": {"name": "f"}},
    }
    schema = {"schema": '{"type":"object"}', "name": "n", "description": "d"}
    assert found["outputConfig"] == {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}},
        "effort": "high",
    }
    thinking = {"type": "enabled", "budget_tokens": 2048, "display": "summarized"}
    assert found["additionalModelRequestFields"] == {"thinking": thinking, "top_k": 4}
    assert found["serviceTier"] == {"type": "flex"}


def test_marks_for_a_cache_go_only_to_models_that_take_them():
    turn = Turn(role="user", parts=(Text(text="a", cache=MARK), Text(text="b")))
    assert sent(turn)["messages"][0]["content"] == [
        {"text": "a"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "b"},
    ]
    assert sent(turn, model=LLAMA)["messages"][0]["content"] == [{"text": "a"}, {"text": "b"}]


def test_tools_that_must_not_be_called_are_not_sent():
    tools, none = (Tool(name="f"),), ToolChoice(mode="none")
    assert "toolConfig" not in sent(HI, tools=tools, tool_choice=none)
    with pytest.raises(BadInput) as caught:
        sent(HI, Turn(role="assistant", parts=(USE,)), tools=tools, tool_choice=none)
    assert caught.value.where == "tool_choice"


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"sampling": Sampling(seed=1)}, "seed"),
        ({"sampling": Sampling(presence_penalty=1)}, "presence_penalty"),
        ({"sampling": Sampling(top_k=1), "model": LLAMA}, "top_k"),
        ({"reasoning": Reasoning(budget=99), "model": LLAMA}, "reasoning"),
        ({"reasoning": Reasoning(effort="none"), "model": LLAMA}, "reasoning"),
        ({"format": Format(kind="json")}, "response_format"),
        ({"tools": (Tool(name="f"),), "tool_choice": ToolChoice(parallel=False)}, "parallel_tool_calls"),
        ({"extras": {"web_search_options": {}}}, "web_search_options"),
    ],
)
def test_parameters_that_cannot_be_expressed_are_refused(more, where):
    with pytest.raises(BadInput) as caught:
        sent(HI, **more)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://x/y.png"),
        Image(data="AA==", media_type="image/tiff"),
        Image(data="AA==", media_type="image/png", detail="low"),
        Audio(data="AA==", format="amr"),
        File(id="file-1"),
        File(url="https://x/y.pdf"),
        File(data="AA==", media_type="application/zip"),
        ToolUse(id="t", name="f", arguments="["),
    ],
)
def test_parts_that_cannot_be_expressed_are_refused(part):
    with pytest.raises(BadInput) as caught:
        sent(Turn(role="user", parts=(part,), where="messages[0]"))
    assert caught.value.where == "messages[0]"


def test_frames_are_read_as_the_official_client_reads_them():
    raw = stream("bedrock")
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    theirs = [(event.headers, event.payload) for event in buffer]
    ours = [(row.headers, row.payload) for row in FrameParser().feed(raw)]
    assert ours == theirs


def test_headers_of_every_type_are_passed_over():
    values = {
        0: b"",
        1: b"",
        2: b"\x01",
        3: b"\x00\x01",
        4: b"\x00" * 4,
        5: b"\x00" * 8,
        6: b"\x00\x02ab",
        8: b"\x00" * 8,
        9: b"\x00" * 16,
    }
    headers = b"".join(b"\x01" + bytes([65 + kind]) + bytes([kind]) + value for kind, value in values.items())
    headers += b"\x01z\x07\x00\x02\xc3\xa4"
    head = struct.pack("!II", len(headers) + 18, len(headers))
    head += struct.pack("!I", binascii.crc32(head))
    message = head + headers + b"{}"
    (found,) = FrameParser().feed(message + struct.pack("!I", binascii.crc32(message)))
    assert (found.headers, found.payload) == ({"z": "ä"}, b"{}")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_byte_never_passes(data):
    raw = bytearray(stream("bedrock"))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    reader = WIRE.reader("p", stream=True)
    with pytest.raises(Upstream):  # noqa: PT012 - a length that grew is found out at the end
        reader.feed(bytes(raw))
        reader.end()


def test_a_length_that_is_damaged_is_not_waited_for():
    raw = bytearray(stream("bedrock"))
    raw[1] ^= 1
    with pytest.raises(Upstream, match="head is damaged"):
        list(FrameParser().feed(bytes(raw)))


def test_what_came_before_the_damage_is_not_lost():
    raw = bytearray(stream("bedrock"))
    raw[-1] ^= 1
    with pytest.raises(BrokeOff) as caught:
        WIRE.reader("p", stream=True).feed(bytes(raw))
    assert "".join(piece.text for piece in caught.value.pieces) == SAID


def test_an_end_within_the_last_event_is_told():
    reader = WIRE.reader("p", stream=True)
    assert reader.feed(stream("bedrock")[:-5])[-1].finish == "tool_calls"
    with pytest.raises(Upstream, match="in the middle"):
        reader.end()


def test_a_frame_that_is_too_long_is_refused_by_its_head():
    head = struct.pack("!II", 2**31, 0)
    with pytest.raises(Upstream, match="head is damaged"):
        list(FrameParser().feed(head + struct.pack("!I", binascii.crc32(head))))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            frame("throttlingException", {"message": "Slow down."}, message="exception"),
            "throttlingException: Slow down.",
        ),
        (frame("modelStreamErrorException", {"originalMessage": "Oops."}, message="exception"), "Oops."),
        (frame("InternalError", {}, message="error"), "InternalError"),
    ],
)
def test_an_exception_in_the_stream_is_an_error(raw, said):
    reader = WIRE.reader("p", stream=True)
    reader.feed(stream("bedrock")[:400])
    reader = WIRE.reader("p", stream=True)
    with pytest.raises(Upstream) as caught:
        reader.feed(frame("messageStart", {"role": "assistant"}) + raw)
    assert said in caught.value.message
    assert caught.value.kept == "what was streamed before"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "stop"),
        ("new", "stop"),
    ],
)
def test_every_reason_to_stop_is_understood(reason, finish):
    body = json.loads(whole("bedrock")) | {"stopReason": reason}
    piece = WIRE.reader("p", stream=False).whole(json.dumps(body).encode())
    assert piece.finish == finish
    assert bool(piece.refusal) == reason.startswith("malformed")
    (piece,) = WIRE.reader("p", stream=True).feed(frame("messageStop", {"stopReason": reason}))
    assert piece.finish == finish


def test_how_it_was_served_and_what_is_cached_is_read():
    usage = {
        "inputTokens": 7,
        "outputTokens": 5,
        "totalTokens": 15,
        "cacheReadInputTokens": 1,
        "cacheWriteInputTokens": 2,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 2}],
    }
    told = {"usage": usage, "serviceTier": {"type": "priority"}, "metrics": {"latencyMs": 1}}
    (piece,) = WIRE.reader("p", stream=True).feed(frame("metadata", told))
    assert piece.usage == Usage(input=7, cache_read=1, cache_write_1h=2, output=5, tier="priority")


def test_an_answer_without_a_last_event_is_an_answer():
    raw = stream("bedrock")
    head = raw.rindex(b"metadata")
    begin = raw.rindex(b"\x0b:event-type", 0, head) - 12
    reader = WIRE.reader("p", stream=True)
    pieces = [*reader.feed(raw[:begin]), *reader.end()]
    assert all(piece.usage is None for piece in pieces)
    assert "".join(piece.text for piece in pieces) == SAID


def test_texts_with_sources_and_tools_of_their_own_are_read():
    body = json.loads(whole("bedrock"))
    blocks = body["output"]["message"]["content"]
    blocks.append({"citationsContent": {"content": [{"text": " cited"}], "citations": []}})
    blocks.append({"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}})
    done = gathered([WIRE.reader("p", stream=False).whole(json.dumps(body).encode())])
    assert done.text == f"{SAID} cited"
    assert [call.id for call in done.tool_calls] == ["call_9"]


def test_an_error_within_a_200_is_an_error():
    with pytest.raises(Upstream, match="p answered with an error: Not authorized"):
        WIRE.reader("p", stream=False).whole(b'{"message":"Not authorized"}')


def test_nobody_calls_us_by_it():
    with pytest.raises(NotImplementedError):
        WIRE.asked(b"{}", {})
