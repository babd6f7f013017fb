"""Requests and streams of responses that several tests use."""

import msgspec
from tests.generative.gateway.wire.openai_given import body

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.wire.openai_responses import WIRE

WEATHER = {"type": "function", "name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}


def asked(**fields):
    """Return a small request with these fields."""
    return WIRE.asked(body(**{"model": "m", "input": "hello", **fields}), {})


def full():
    """Return a request with every field that the official client knows and another wire may know too."""
    return {
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "Now."},
            {
                "type": "message",
                "role": "user",
                "status": "completed",
                "content": [
                    {"type": "input_text", "text": "look"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
                    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low", "file_id": None},
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
                    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
                "encrypted_content": "sealed",
            },
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "hidden", "status": "completed"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "phase": "commentary",
                "content": [
                    {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []},
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": "{}", "status": "completed"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "rain"}]},
            {"role": "user", "content": "why?"},
        ],
        "tools": [WEATHER | {"strict": True}],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": True,
        "text": {
            "format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True},
            "verbosity": "low",
        },
        "reasoning": {"effort": "high", "summary": "auto"},
        "max_output_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "include": ["reasoning.encrypted_content"],
        "service_tier": "flex",
        "store": False,
        "truncation": "disabled",
        "safety_identifier": "u-1",
        "stream": True,
    }


USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}
# By hand: 100 in of which 60 read and 10 written leave 30; 50 out of which 20 reasoned leave 30.
MEANT = Usage(input=30, cache_read=60, cache_write=10, output=30, reasoning=20)


def answer(status="completed", output=(), **more):
    head = {"id": "resp_1", "object": "response", "created_at": 5, "model": "gpt-5", "status": status, "error": None}
    asked_for = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return head | asked_for | {"output": list(output), "usage": USAGE if status == "completed" else None} | more


THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
    "encrypted_content": "sealed",
}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"x":1}'}


def stream(*events, names=True):
    found = []
    for number, (kind, fields) in enumerate(events):
        data = msgspec.json.encode({"type": kind, "sequence_number": number} | fields)
        found.append((b"event: %b\n" % kind.encode() if names else b"") + b"data: " + data + b"\n\n")
    return b"".join(found)


def delta(kind, said, place):
    where = {"summary_index": 0} if "summary" in kind else {"content_index": 0}
    more = {"logprobs": []} if kind == "output_text" else {}
    return f"response.{kind}.delta", {"delta": said, "output_index": place, "item_id": "i"} | where | more


EVENTS_SENT = [
    ("response.created", {"response": answer("in_progress")}),
    ("response.in_progress", {"response": answer("in_progress")}),
    ("response.output_item.added", {"output_index": 0, "item": THOUGHT | {"summary": [], "encrypted_content": "x"}}),
    ("response.reasoning_summary_part.added", {"output_index": 0, "summary_index": 0, "item_id": "i", "part": {}}),
    delta("reasoning_summary_text", "a", 0),
    ("response.reasoning_summary_part.added", {"output_index": 0, "summary_index": 1, "item_id": "i", "part": {}}),
    delta("reasoning_summary_text", "b", 0),
    ("response.output_item.done", {"output_index": 0, "item": THOUGHT}),
    ("response.output_item.added", {"output_index": 1, "item": MESSAGE | {"content": []}}),
    delta("output_text", "Hel", 1),
    delta("output_text", "lo", 1),
    ("response.output_text.done", {"output_index": 1, "item_id": "i", "text": "Hello"}),
    ("response.output_item.done", {"output_index": 1, "item": MESSAGE}),
    ("response.output_item.added", {"output_index": 2, "item": CALL | {"arguments": ""}}),
    delta("function_call_arguments", '{"x"', 2),
    delta("function_call_arguments", ":1}", 2),
    ("response.function_call_arguments.done", {"output_index": 2, "item_id": "i", "arguments": '{"x":1}'}),
    ("response.output_item.done", {"output_index": 2, "item": CALL}),
    ("response.completed", {"response": answer(output=[THOUGHT, MESSAGE, CALL])}),
]
ANSWER = stream(*EVENTS_SENT)
SAID = {
    "text": "Hello",
    "reasoning": "a\n\nb",
    "signature": "rs_1:sealed",
    "redacted": "",
    "refusal": "",
    "tools": {0: ["call_1", "f", '{"x":1}']},
    "finish": ["tool_calls"],
    "usage": [MEANT],
}


def read(raw, size=0):
    reader = WIRE.reader("some", stream=True)
    size = size or max(1, len(raw))
    found = [piece for at in range(0, len(raw), size) for piece in reader.feed(raw[at : at + size])]
    return [*found, *reader.end()]


def put_together(pieces):
    tools: dict[int, list[str]] = {}
    for piece in pieces:
        for call in piece.tool_calls:
            row = tools.setdefault(call.index, ["", "", ""])
            row[0] += call.id
            row[1] += call.name
            row[2] += call.arguments
    joined = {
        name: "".join(getattr(piece, name) for piece in pieces)
        for name in ("text", "reasoning", "signature", "redacted", "refusal")
    }
    return joined | {
        "tools": tools,
        "finish": [piece.finish for piece in pieces if piece.finish],
        "usage": [piece.usage for piece in pieces if piece.usage],
    }
