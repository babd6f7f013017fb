"""Requests and streams of chat completions that several tests use."""

import msgspec
from tests.generative.gateway.wire.openai_given import body

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.wire.openai_chat import WIRE

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {"name": "weather", "description": "Tells it.", "parameters": {"type": "object"}, "strict": True}


def asked(**fields):
    """Return a small request with these fields."""
    return WIRE.asked(body(**{"model": "m", "messages": HELLO, **fields}), {})


def full():
    """Return a request with every field that the official client knows and another wire may know too."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rom"}'}}
    return {
        "model": "gpt-5",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "look", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "user", "content": "why?"},
        ],
        "tools": [{"type": "function", "function": WEATHER}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a", "description": "b", "schema": {"type": "object"}, "strict": True},
        },
        "reasoning_effort": "high",
        "verbosity": "low",
        "max_completion_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END", "STOP"],
        "seed": 7,
        "n": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "logit_bias": {"50256": -100},
        "service_tier": "flex",
        "modalities": ["text"],
        "user": "u-1",
        "metadata": {"feature": "f"},
        "stream": False,
    }


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
# By hand: 100 in of which 60 read and 10 written leave 30; 50 out of which 20 reasoned leave 30.
MEANT = Usage(input=30, cache_read=60, cache_write=10, output=30, reasoning=20)


def chunk(delta=None, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt-5"}
    return head | {"choices": choices, "usage": None} | more


def stream(*chunks, done=True):
    raw = b"".join(b"data: " + msgspec.json.encode(row) + b"\n\n" for row in chunks)
    return raw + b"data: [DONE]\n\n" if done else raw


ANSWER = stream(
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    chunk({}, "stop"),
    chunk(usage=USAGE, service_tier="default"),
)
TOOLS = stream(
    chunk({"role": "assistant", "content": None}),
    chunk({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
    chunk({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
    chunk({}, "tool_calls"),
)


def read(raw, size=0):
    """Return the pieces of a stream that comes in chunks of so many bytes."""
    reader = WIRE.reader("some", stream=True)
    size = size or max(1, len(raw))
    found = [piece for at in range(0, len(raw), size) for piece in reader.feed(raw[at : at + size])]
    return [*found, *reader.end()]


def put_together(pieces):
    """Return what pieces say, as a caller would put it together."""
    tools: dict[int, list[str]] = {}
    for piece in pieces:
        for call in piece.tool_calls:
            row = tools.setdefault(call.index, ["", "", ""])
            row[0] += call.id
            row[1] += call.name
            row[2] += call.arguments
    return {
        "text": "".join(piece.text for piece in pieces),
        "reasoning": "".join(piece.reasoning for piece in pieces),
        "refusal": "".join(piece.refusal for piece in pieces),
        "tools": tools,
        "finish": [piece.finish for piece in pieces if piece.finish],
        "usage": [piece.usage for piece in pieces if piece.usage][-1:],
    }
