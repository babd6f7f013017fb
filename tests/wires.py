"""The same things said by every wire: requests at the doors, answers of the providers, and what either means.

`door` gives a request body in the words of a door, `whole` and `stream` what a provider of a wire answers. `meaning` reduces a
conversation, and a request that went out, to what it says, so that two of them can be compared.
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterable
from typing import Any

from gimbal.generative.gateway.conversation import (
    Conversation,
    Done,
    File,
    Image,
    Piece,
    Refused,
    Text,
    Thinking,
    Thoughts,
    ToolCall,
    ToolResult,
    ToolUse,
)
from gimbal.generative.gateway.wire import anthropic, bedrock, cohere, gemini, openai_chat, openai_responses
from gimbal.generative.gateway.wire.protocol import Asked, Wire
from gimbal.generative.gateway.wire.seals import opened

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0123").decode()
SCHEMA = {
    "type": "object",
    "properties": {"warm": {"type": "boolean"}},
    "required": ["warm"],
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

DOORS: dict[str, Wire] = {
    "chat": openai_chat.WIRE,
    "responses": openai_responses.WIRE,
    "anthropic": anthropic.WIRE,
    "gemini": gemini.WIRE,
}
PROVIDERS: dict[str, Wire] = {**DOORS, "bedrock": bedrock.WIRE, "cohere": cohere.WIRE}
MODELS = {
    "chat": "gpt-5",
    "responses": "gpt-5",
    "anthropic": "claude-5",
    "gemini": "gemini-2.5-pro",
    "bedrock": "eu.anthropic.claude-5-v1:0",
    "cohere": "command-a",
}


def ask(door: str, body: dict[str, Any], *, stream: bool = False) -> Asked:
    """Return what a door reads of a request."""
    path = {}
    if door == "gemini":
        path = {"model": "m", "action": "streamGenerateContent" if stream else "generateContent", "alt": "sse"}
    else:
        body = {"model": "m", **body, "stream": stream}
    return DOORS[door].asked(json.dumps(body).encode(), path)


def converse(door: str, body: dict[str, Any]) -> Conversation:
    """Return the conversation of a request."""
    return DOORS[door].conversation(ask(door, body))


def rich(door: str) -> dict[str, Any]:
    """Return a request with all that every wire can say: system, turns, a tool that was used, a picture, a schema."""
    return {"chat": _chat, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini}[door]()


def _chat() -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    return {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "How warm is it?"},
            {"role": "assistant", "content": "I look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "3 degrees"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "And here?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
        ],
        "tools": [
            {"type": "function", "function": {"name": "weather", "description": "Look.", "parameters": PARAMETERS}}
        ],
        "tool_choice": "required",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        "max_completion_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.9,
        # What asks for what happens anyway, and hints.
        "n": 1,
        "logprobs": False,
        "presence_penalty": 0,
        "store": False,
        "user": "u-7",
        "metadata": {"feature": "weather"},
        "prompt_cache_key": "k",
        "service_tier": "auto",
        "seed": None,
    }


def _responses() -> dict[str, Any]:
    return {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "How warm is it?"},
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
            },
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "3 degrees"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "And here?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
                ],
            },
        ],
        "tools": [{"type": "function", "name": "weather", "description": "Look.", "parameters": PARAMETERS}],
        "tool_choice": "required",
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}},
        "max_output_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.9,
        "store": False,
        "metadata": {"feature": "weather"},
    }


def _anthropic() -> dict[str, Any]:
    mark = {"cache_control": {"type": "ephemeral"}}
    return {
        "system": [{"type": "text", "text": "Be brief.", **mark}],
        "messages": [
            {"role": "user", "content": "How warm is it?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "3 degrees"},
                    {"type": "text", "text": "And here?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                ],
            },
        ],
        "tools": [{"name": "weather", "description": "Look.", "input_schema": PARAMETERS}],
        "tool_choice": {"type": "any"},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.9,
        "metadata": {"user_id": "u-7"},
    }


def _gemini() -> dict[str, Any]:
    weather = {"name": "weather", "description": "Look.", "parametersJsonSchema": PARAMETERS}
    return {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "How warm is it?"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "I look."},
                    {"functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Oslo"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "call_1", "name": "weather", "response": {"output": "3 degrees"}}},
                    {"text": "And here?"},
                    {"inline_data": {"mime_type": "image/png", "data": PNG}},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [weather]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
            "maxOutputTokens": 500,
            "temperature": 0.5,
            "topP": 0.9,
        },
    }


RICH = {
    "turns": [
        ("system", "text", "Be brief."),
        ("user", "text", "How warm is it?"),
        ("assistant", "text", "I look."),
        ("assistant", "call", ("call_1", "weather", {"city": "Oslo"})),
        ("tool", "result", ("call_1", "3 degrees", False)),
        ("user", "text", "And here?"),
        ("user", "image", ("image/png", PNG)),
    ],
    "tools": [("weather", "Look.", PARAMETERS)],
    "choice": "required",
    "schema": SCHEMA,
    "sampling": {"max_tokens": 500, "temperature": 0.5, "top_p": 0.9},
}


def meaning(conversation: Conversation) -> dict[str, Any]:
    """Return what a conversation says, without where it said so."""
    turns: list[tuple[str, str, Any]] = []
    for turn in conversation.turns:
        for part in turn.parts:
            match part:
                case Text(text=text) | Refused(text=text):
                    turns.append((turn.role, "text", text))
                case Image(url=url, data=data, media_type=kind):
                    turns.append((turn.role, "image", (kind, data) if data else url))
                case File(url=url, data=data, media_type=kind):
                    turns.append((turn.role, "file", (kind, data) if data else url))
                case Thinking(text=text, signature=signature, redacted=redacted):
                    turns.append((turn.role, "thinking", (text, opened(signature)[1], opened(redacted)[1])))
                case ToolUse(id=known, name=name, arguments=arguments):
                    turns.append((turn.role, "call", (known, name, json.loads(arguments))))
                case ToolResult(id=known, parts=parts, error=error):
                    text = "".join(inner.text for inner in parts if isinstance(inner, Text))
                    turns.append((turn.role, "result", (known, text, error)))
                case _:
                    turns.append((turn.role, "other", part))
    sampling = conversation.sampling
    names = ("max_tokens", "temperature", "top_p", "top_k", "stop", "seed")
    return {
        "turns": [("system" if role == "developer" else role, kind, value) for role, kind, value in turns],
        "tools": [(tool.name, tool.description, tool.parameters) for tool in conversation.tools],
        "choice": conversation.tool_choice.mode if conversation.tool_choice else "",
        "schema": conversation.format.schema if conversation.format else None,
        "sampling": {name: value for name in names if (value := getattr(sampling, name)) not in (None, ())},
    }


def sent(provider: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what a request means that went out to a provider."""
    if provider == "bedrock":
        return _of_bedrock(body)
    if provider == "cohere":
        return _of_cohere(body)
    if provider == "gemini":
        return meaning(DOORS[provider].conversation(ask(provider, body)))
    return meaning(DOORS[provider].conversation(DOORS[provider].asked(json.dumps(body).encode(), {})))


def _of_bedrock(body: dict[str, Any]) -> dict[str, Any]:
    turns: list[tuple[str, str, Any]] = [("system", "text", row["text"]) for row in body["system"] if "text" in row]
    for message in body["messages"]:
        for block in message["content"]:
            role = message["role"]
            match block:
                case {"text": text}:
                    turns.append((role, "text", text))
                case {"image": {"format": kind, "source": {"bytes": data}}}:
                    turns.append((role, "image", (f"image/{kind}", data)))
                case {"toolUse": {"toolUseId": known, "name": name, "input": given}}:
                    turns.append((role, "call", (known, name, given)))
                case {"toolResult": {"toolUseId": known, "content": content, **more}}:
                    text = "".join(row["text"] for row in content)
                    turns.append(("tool", "result", (known, text, more.get("status") == "error")))
                case {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}:
                    turns.append((role, "thinking", (text, signature, "")))
                case _:
                    turns.append((role, "other", block))
    tools = [row["toolSpec"] for row in body.get("toolConfig", {}).get("tools", []) if "toolSpec" in row]
    form = body.get("outputConfig", {}).get("textFormat")
    names = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}
    return {
        "turns": turns,
        "tools": [(tool["name"], tool.get("description", ""), tool["inputSchema"]["json"]) for tool in tools],
        "choice": "required" if "any" in body.get("toolConfig", {}).get("toolChoice", {}) else "",
        "schema": json.loads(form["structure"]["jsonSchema"]["schema"]) if form else None,
        "sampling": {names[name]: value for name, value in body.get("inferenceConfig", {}).items()},
    }


def _of_cohere(body: dict[str, Any]) -> dict[str, Any]:
    turns: list[tuple[str, str, Any]] = []
    for message in body["messages"]:
        role = message["role"]
        if role == "tool":
            turns.append((role, "result", (message["tool_call_id"], message["content"], False)))
            continue
        for block in message.get("content", []):
            match block:
                case {"type": "text", "text": text}:
                    turns.append((role, "text", text))
                case {"type": "image_url", "image_url": {"url": url}}:
                    kind, _, data = url.removeprefix("data:").partition(";base64,")
                    turns.append((role, "image", (kind, data)))
                case {"type": "thinking", "thinking": text}:
                    turns.append((role, "thinking", (text, "", "")))
                case _:
                    turns.append((role, "other", block))
        for call in message.get("tool_calls", []):
            function = call["function"]
            turns.append((role, "call", (call["id"], function["name"], json.loads(function["arguments"]))))
    names = {"max_tokens": "max_tokens", "temperature": "temperature", "p": "top_p", "k": "top_k", "seed": "seed"}
    functions = [tool["function"] for tool in body.get("tools", [])]
    return {
        "turns": turns,
        "tools": [(row["name"], row.get("description", ""), row["parameters"]) for row in functions],
        "choice": "required" if body.get("tool_choice") == "REQUIRED" else "",
        "schema": body.get("response_format", {}).get("json_schema"),
        "sampling": {names[name]: value for name, value in body.items() if name in names},
    }


def gathered(pieces: Iterable[Piece], *, answer_id: str = "a1") -> Done:
    """Return the answer that pieces make."""
    calls: dict[int, ToolCall] = {}
    said: dict[str, str] = dict.fromkeys(("text", "reasoning", "refusal"), "")
    thoughts = Thoughts()
    finish, usage, model = "", None, ""
    for piece in pieces:
        thoughts.take(piece)
        for name in said:
            said[name] += getattr(piece, name)
        for call in piece.tool_calls:
            old = calls.get(call.index, ToolCall(index=call.index))
            calls[call.index] = ToolCall(
                index=call.index,
                id=old.id or call.id,
                name=old.name or call.name,
                arguments=old.arguments + call.arguments,
            )
        finish, usage, model = piece.finish or finish, piece.usage or usage, piece.model or model
    assert usage is not None
    return Done(
        id=answer_id,
        model=model,
        created=1,
        tool_calls=tuple(calls[index] for index in sorted(calls)),
        finish=finish,
        usage=usage,
        **(thoughts.said() | said),
    )


def sse(events: Iterable[tuple[str, Any]]) -> bytes:
    """Return events as they stand on the wire; the name may be empty."""
    rows = []
    for name, data in events:
        head = f"event: {name}\n" if name else ""
        rows.append(f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n")
    return "".join(rows).encode()


def frame(kind: str, payload: dict[str, Any], *, message: str = "event") -> bytes:
    """Return one message of an AWS event stream."""
    names = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}
    headers = b""
    for name, value in ((names[message], kind), (":content-type", "application/json"), (":message-type", message)):
        headers += (
            struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        )
    body = json.dumps(payload).encode()
    head = struct.pack("!II", len(headers) + len(body) + 16, len(headers))
    head += struct.pack("!I", binascii.crc32(head))
    return head + headers + body + struct.pack("!I", binascii.crc32(head + headers + body))
