"""One answer as every provider gives it: thoughts with a signature, text, the call of a tool, and usage."""

import json
from typing import Any

from tests.wires import frame, sse

from gimbal.axis.pricing.model import Usage

THOUGHT, SIGNATURE, SAID = "Let me see.", "c2lnbmVk", "It is 3 degrees. ☃"
GIVEN = {"city": "Oslo"}
_HALVES = '{"city":', '"Oslo"}'

USAGES = {
    "chat": Usage(input=70, cache_read=30, output=30, reasoning=20),
    "responses": Usage(input=70, cache_read=30, output=30, reasoning=20),
    "anthropic": Usage(input=70, cache_read=30, output=30, reasoning=20),
    "gemini": Usage(input=70, cache_read=30, output=30, reasoning=20),
    # They do not tell what was thought.
    "bedrock": Usage(input=70, cache_read=30, output=50),
    "cohere": Usage(input=100, output=50),
}
SIGNED = {"chat", "anthropic", "gemini", "bedrock"}
"""Who signs what it thinks in this answer."""

_OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
_RESPONSES_USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 30},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}
_ANTHROPIC_USAGE = {
    "input_tokens": 70,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 0,
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 20},
}
_GEMINI_USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 30,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 20,
    "totalTokenCount": 150,
}
_BEDROCK_USAGE = {"inputTokens": 70, "cacheReadInputTokens": 30, "outputTokens": 50, "totalTokens": 150}
_COHERE_USAGE = {
    "billed_units": {"input_tokens": 100, "output_tokens": 50},
    "tokens": {"input_tokens": 160, "output_tokens": 50},
}


def whole(provider: str) -> bytes:
    """Return the answer as one body."""
    return json.dumps(_WHOLE[provider]).encode()


def _openai_message() -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": SAID,
        "reasoning_content": THOUGHT,
        "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT, "signature": SIGNATURE}],
        "tool_calls": [
            {"id": "call_9", "type": "function", "function": {"name": "weather", "arguments": "".join(_HALVES)}}
        ],
    }


_OUTPUT = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": THOUGHT}],
    },
    {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": SAID, "annotations": []}],
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_9",
        "name": "weather",
        "arguments": "".join(_HALVES),
        "status": "completed",
    },
]

_WHOLE: dict[str, Any] = {
    "chat": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5-2026",
        "choices": [{"index": 0, "message": _openai_message(), "finish_reason": "tool_calls"}],
        "usage": _OPENAI_USAGE,
    },
    "responses": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-5-2026",
        "status": "completed",
        "output": _OUTPUT,
        "usage": _RESPONSES_USAGE,
    },
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-5-2026",
        "content": [
            {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE},
            {"type": "text", "text": SAID},
            {"type": "tool_use", "id": "call_9", "name": "weather", "input": GIVEN},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": _ANTHROPIC_USAGE,
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": THOUGHT, "thought": True},
                        {"text": SAID},
                        {
                            "functionCall": {"id": "call_9", "name": "weather", "args": GIVEN},
                            "thoughtSignature": SIGNATURE,
                        },
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "gemini-3-pro-2026",
        "responseId": "r1",
    },
    "bedrock": {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": SIGNATURE}}},
                    {"text": SAID},
                    {"toolUse": {"toolUseId": "call_9", "name": "weather", "input": GIVEN}},
                ],
            }
        },
        "stopReason": "tool_use",
        "usage": _BEDROCK_USAGE,
        "metrics": {"latencyMs": 7},
    },
    "cohere": {
        "id": "c1",
        "finish_reason": "TOOL_CALL",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": SAID}],
            "tool_calls": [
                {"id": "call_9", "type": "function", "function": {"name": "weather", "arguments": "".join(_HALVES)}}
            ],
        },
        "usage": _COHERE_USAGE,
    },
}


def stream(provider: str) -> bytes:
    """Return the answer as a stream."""
    return _STREAMS[provider]()


def _chat() -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-2026"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> tuple[str, Any]:
        return "", head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}

    first = {"index": 0, "id": "call_9", "type": "function", "function": {"name": "weather", "arguments": ""}}
    halves = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": half}}]}) for half in _HALVES]
    thought = {"type": "reasoning.text", "index": 0}
    return sse(
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"reasoning_content": THOUGHT, "reasoning_details": [{**thought, "text": THOUGHT}]}),
            chunk({"reasoning_details": [{**thought, "signature": SIGNATURE}]}),
            chunk({"content": SAID[:5]}),
            chunk({"content": SAID[5:]}),
            chunk({"tool_calls": [first]}),
            *halves,
            chunk({}, "tool_calls"),
            ("", head | {"choices": [], "usage": _OPENAI_USAGE}),
            ("", "[DONE]"),
        ]
    )


def _responses() -> bytes:
    answer = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5-2026", "output": []}
    reasoning, message, call = _OUTPUT
    part = {"type": "output_text", "text": "", "annotations": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": answer | {"status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": reasoning | {"summary": []}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": THOUGHT},
        {"type": "response.output_item.done", "output_index": 0, "item": reasoning},
        {"type": "response.output_item.added", "output_index": 1, "item": message | {"content": []}},
        {"type": "response.content_part.added", "output_index": 1, "content_index": 0, "part": part},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": SAID[:5]},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": SAID[5:]},
        {"type": "response.output_item.done", "output_index": 1, "item": message},
        {"type": "response.output_item.added", "output_index": 2, "item": call | {"arguments": ""}},
        *(
            {"type": "response.function_call_arguments.delta", "output_index": 2, "item_id": "fc_1", "delta": half}
            for half in _HALVES
        ),
        {"type": "response.output_item.done", "output_index": 2, "item": call},
        {
            "type": "response.completed",
            "response": answer | {"status": "completed", "output": _OUTPUT, "usage": _RESPONSES_USAGE},
        },
    ]
    return sse((event["type"], event | {"sequence_number": number}) for number, event in enumerate(events))


def _anthropic() -> bytes:
    begun = _WHOLE["anthropic"] | {
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 70, "cache_read_input_tokens": 30, "output_tokens": 1},
    }

    def block(index: int, first: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"type": "content_block_start", "index": index, "content_block": first},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "ping"},
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": THOUGHT},
            {"type": "signature_delta", "signature": SIGNATURE},
        ),
        *block(
            1,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": SAID[:5]},
            {"type": "text_delta", "text": SAID[5:]},
        ),
        *block(
            2,
            {"type": "tool_use", "id": "call_9", "name": "weather", "input": {}},
            *({"type": "input_json_delta", "partial_json": half} for half in _HALVES),
        ),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}},
        },
        {"type": "message_stop"},
    ]
    return sse((event["type"], event) for event in events)


def _gemini() -> bytes:
    answer = _WHOLE["gemini"]
    parts = answer["candidates"][0]["content"]["parts"]

    def chunk(part: dict[str, Any], output: int, thoughts: int, **more: Any) -> tuple[str, Any]:
        usage = {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 30,
            "candidatesTokenCount": output,
            "thoughtsTokenCount": thoughts,
            "totalTokenCount": 100 + output + thoughts,
        }
        candidate = {"content": {"role": "model", "parts": [part]}, "index": 0, **more}
        return "", answer | {"candidates": [candidate], "usageMetadata": usage}

    return sse(
        [
            chunk(parts[0], 0, 20),
            chunk({"text": SAID[:5]}, 5, 20),
            chunk({"text": SAID[5:]}, 10, 20),
            chunk(parts[2], 30, 20, finishReason="STOP"),
        ]
    )


def _bedrock() -> bytes:
    def delta(index: int, said: dict[str, Any]) -> bytes:
        return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": said, "p": "abc"})

    tool = {"toolUse": {"toolUseId": "call_9", "name": "weather"}}
    return b"".join(
        [
            frame("messageStart", {"role": "assistant"}),
            delta(0, {"reasoningContent": {"text": THOUGHT}}),
            delta(0, {"reasoningContent": {"signature": SIGNATURE}}),
            frame("contentBlockStop", {"contentBlockIndex": 0}),
            delta(1, {"text": SAID[:5]}),
            delta(1, {"text": SAID[5:]}),
            frame("contentBlockStop", {"contentBlockIndex": 1}),
            frame("contentBlockStart", {"contentBlockIndex": 2, "start": tool}),
            *(delta(2, {"toolUse": {"input": half}}) for half in _HALVES),
            frame("contentBlockStop", {"contentBlockIndex": 2}),
            frame("messageStop", {"stopReason": "tool_use"}),
            frame("metadata", {"usage": _BEDROCK_USAGE, "metrics": {"latencyMs": 7}}),
        ]
    )


def _cohere() -> bytes:
    def event(kind: str, message: dict[str, Any] | None = None, **more: Any) -> tuple[str, Any]:
        told: dict[str, Any] = {"type": kind, **more}
        if message is not None:
            told["delta"] = {"message": message}
        return kind, told

    first = {"id": "call_9", "type": "function", "function": {"name": "weather", "arguments": ""}}
    return sse(
        [
            event("message-start", {"role": "assistant", "content": []}, id="c1"),
            event("content-start", {"content": {"type": "thinking", "thinking": ""}}, index=0),
            event("content-delta", {"content": {"thinking": THOUGHT}}, index=0),
            event("content-end", index=0),
            event("content-start", {"content": {"type": "text", "text": ""}}, index=1),
            event("content-delta", {"content": {"text": SAID[:5]}}, index=1),
            event("content-delta", {"content": {"text": SAID[5:]}}, index=1),
            event("content-end", index=1),
            event("tool-call-start", {"tool_calls": first}, index=0),
            *(event("tool-call-delta", {"tool_calls": {"function": {"arguments": half}}}, index=0) for half in _HALVES),
            event("tool-call-end", index=0),
            event("message-end", delta={"finish_reason": "TOOL_CALL", "usage": _COHERE_USAGE}),
        ]
    )


_STREAMS = {
    "chat": _chat,
    "responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "bedrock": _bedrock,
    "cohere": _cohere,
}
