"""Answers in which thoughts stand between what is said and called, by the wire of each provider; and what plain callers hand back."""

import json

from tests.wires import DOORS, ask, gathered, rich, sse

from gimbal.generative.gateway.wire import anthropic, bedrock, gemini, openai_responses

PROVIDERS = {
    "anthropic": anthropic.WIRE,
    "bedrock": bedrock.WIRE,
    "gemini": gemini.WIRE,
    "responses": openai_responses.WIRE,
}
MODELS = {
    "anthropic": "claude-x",
    "bedrock": "eu.anthropic.claude-x-v1:0",
    "gemini": "gemini-2.5-pro",
    "responses": "gpt-5",
}
ASIDE = {"role": "user", "content": "Hi"}


def think(number, text="So: Ω."):
    return {"type": "thinking", "thinking": f"{number}. {text}", "signature": f"c2ln+{number}/=="}


def hide(number):
    return {"type": "redacted_thinking", "data": f"aGlk+{number}/=="}


def say(number):
    return {"type": "text", "text": f"☃ said {number}."}


def use(number):
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "weather", "input": {"city": f"Oslo {number}"}}


BLOCKS = {
    "text between": [think(1), say(1), think(2), use(1)],
    "calls between": [think(1), use(1), think(2), use(2)],
    "hidden between": [hide(1), say(1), hide(2), say(2), use(1), hide(3), use(2)],
    "text first": [say(1), think(1), use(1)],
    "without words": [think(1), say(1), {"type": "thinking", "thinking": "", "signature": "c2ln"}, use(1)],
    "call, then text": [think(1), use(1), say(1), think(2), use(2)],
    "text after calls": [use(1), say(1), use(2), say(2), hide(1), use(3), say(3)],
    "last": [think(1), say(1), think(2)],
    "several together": [think(1), hide(1), say(1), think(2), think(3), hide(2), hide(3), use(1), use(2)],
}


def converse(block):
    """Return a block of Anthropic's in Converse's form."""
    match block:
        case {"thinking": text, "signature": signature}:
            return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
        case {"data": data}:
            return {"reasoningContent": {"redactedContent": data}}
        case {"text": text}:
            return {"text": text}
    return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}


def item(block):
    """Return a block of Anthropic's as an item of responses."""
    match block:
        case {"thinking": text, "signature": cipher}:
            summary = [{"type": "summary_text", "text": text}] if text else []
            return {"type": "reasoning", "id": f"rs_{len(text)}", "summary": summary, "encrypted_content": cipher}
        case {"data": cipher}:
            return {"type": "reasoning", "id": "rs_h", "summary": [], "encrypted_content": cipher}
        case {"text": text}:
            return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    given = json.dumps(block["input"], separators=(",", ":"))
    return {"type": "function_call", "call_id": block["id"], "name": block["name"], "arguments": given}


def call(number, **more):
    args = {"city": f"Oslo {number}"}
    return {"functionCall": {"id": f"call_{number}", "name": "weather", "args": args}} | more


PARTS = {
    "signed call after text": [{"text": "a", "thought": True}, {"text": "t"}, call(1, thoughtSignature="c2ln/MQ==")],
    "two signed calls": [
        {"text": "a", "thought": True},
        call(1, thoughtSignature="c2ln+MQ=="),
        call(2, thoughtSignature="c2lnMg=="),
    ],
    "signed text before a call": [{"text": "a", "thought": True}, {"text": "t", "thoughtSignature": "c2ln"}, call(1)],
    "no thoughts shown": [{"text": "t"}, call(1, thoughtSignature="c2ln"), call(2)],
    "text between signed calls": [
        call(1, thoughtSignature="c2lnMQ=="),
        {"text": "t"},
        call(2, thoughtSignature="c2lnMg=="),
    ],
    "thoughts between": [
        {"text": "a", "thought": True},
        {"text": "t"},
        {"text": "b", "thought": True},
        call(1, thoughtSignature="c2ln"),
    ],
    "nothing to stand on": [{"text": "a", "thought": True}, {"text": "t"}, {"text": "", "thoughtSignature": "c2ln"}],
    "signed text": [{"text": "a", "thought": True}, {"text": "t", "thoughtSignature": "c2ln"}],
}

CONTENTS = {
    "anthropic": BLOCKS,
    "bedrock": {name: [converse(block) for block in blocks] for name, blocks in BLOCKS.items()},
    "gemini": PARTS,
    "responses": {
        name: [item(block) for block in blocks] for name, blocks in BLOCKS.items() if name != "without words"
    },
}
GIVEN = [(provider, name) for provider, contents in CONTENTS.items() for name in contents]


def whole(provider, content):
    if provider == "anthropic":
        usage = {"input_tokens": 3, "output_tokens": 5}
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x"}
        body = head | {"content": content, "stop_reason": "end_turn", "usage": usage}
    elif provider == "bedrock":
        usage = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}
        message = {"role": "assistant", "content": content}
        body = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    elif provider == "gemini":
        candidate = {"content": {"role": "model", "parts": content}, "finishReason": "STOP"}
        body = {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5}}
    else:
        usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
        body = {"id": "resp_1", "status": "completed", "model": "gpt-5", "output": content, "usage": usage}
    return json.dumps(body).encode()


def stream(provider, content):
    """Return the same as a stream: texts and signatures in halves, or part by part."""
    if provider == "gemini":
        chunks = [{"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in content]
        usage = {"promptTokenCount": 3, "candidatesTokenCount": 5}
        last = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}
        return sse([("", row) for row in (*chunks, last)])
    if provider == "responses":
        return _items(content)
    head = {"message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 3}}}
    events = [("message_start", head)]
    for place, block in enumerate(content):
        begun = block | {name: "" for name in ("thinking", "signature", "text") if name in block}
        if block["type"] == "tool_use":
            begun = block | {"input": {}}
        events.append(("content_block_start", {"index": place, "content_block": begun}))
        deltas = [{"type": f"{n}_delta", n: half} for n in ("thinking", "text") for half in halves(block.get(n, ""))]
        deltas += [{"type": "signature_delta", "signature": half} for half in halves(block.get("signature", ""))]
        if block["type"] == "tool_use":
            deltas = [{"type": "input_json_delta", "partial_json": half} for half in halves(json.dumps(block["input"]))]
        events += [("content_block_delta", {"index": place, "delta": delta}) for delta in deltas]
        events.append(("content_block_stop", {"index": place}))
    last = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
    events += [("message_delta", last), ("message_stop", {})]
    return sse([(name, {"type": name, **data}) for name, data in events])


def _items(content):
    events = [("response.created", {"response": {"id": "resp_1", "model": "gpt-5"}})]
    for place, row in enumerate(content):
        here = {"output_index": place}
        empty = {"summary": [], "content": [], "arguments": ""}
        begun = {name: empty.get(name, value) for name, value in row.items() if name != "encrypted_content"}
        events.append(("response.output_item.added", here | {"item": begun}))
        texts = {
            "response.reasoning_summary_text.delta": "".join(part["text"] for part in row.get("summary", ())),
            "response.output_text.delta": "".join(part["text"] for part in row.get("content", ())),
            "response.function_call_arguments.delta": row.get("arguments", ""),
        }
        events += [(kind, here | {"delta": half}) for kind, text in texts.items() for half in halves(text)]
        events.append(("response.output_item.done", here | {"item": row}))
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    last = {"id": "resp_1", "status": "completed", "model": "gpt-5", "output": content, "usage": usage}
    return sse([(kind, {"type": kind, **row}) for kind, row in (*events, ("response.completed", {"response": last}))])


def halves(text):
    return [text[: len(text) // 2], text[len(text) // 2 :]] if text else []


def answered(door, provider, content, *, streamed=False):
    """Return what a caller of a door gets: the message, the items, the blocks or the parts."""
    reader = PROVIDERS[provider].reader("p", stream=streamed)
    writer = DOORS[door].writer(ask(door, rich(door), stream=streamed), answer_id="a1", model="m", created=1)
    if not streamed:
        return said(door, [json.loads(writer.whole(gathered([reader.whole(whole(provider, content))])))])
    pieces = [*reader.feed(stream(provider, content)), *reader.end()]
    raw = b"".join(writer.piece(piece, same=False) for piece in pieces) + writer.end(gathered(pieces), same=False)
    rows = [json.loads(row[6:]) for row in raw.decode().splitlines() if row.startswith("data: {")]
    return streamed_said(door, rows)


def said(door, rows):
    if door == "chat":
        return rows[0]["choices"][0]["message"]
    if door == "responses":
        return rows[0]["output"]
    if door == "anthropic":
        return rows[0]["content"]
    return [part for row in rows for part in row["candidates"][0]["content"]["parts"]]


def streamed_said(door, rows):
    """Return what plain clients make of a stream."""
    if door == "gemini":
        return said(door, rows)
    if door == "responses":
        return rows[-1]["response"]["output"]
    if door == "chat":
        deltas = [row["choices"][0]["delta"] for row in rows if row["choices"]]
        calls = {}
        for part in (part for delta in deltas for part in delta.get("tool_calls", ())):
            known = calls.setdefault(part["index"], {"type": "function", "function": {"arguments": ""}})
            known["id"] = part.get("id") or known["id"]
            known["function"]["name"] = part["function"].get("name") or known["function"]["name"]
            known["function"]["arguments"] += part["function"].get("arguments", "")
        details = [row for delta in deltas for row in delta.get("reasoning_details", ())]
        thought = "".join(delta.get("reasoning_content") or "" for delta in deltas)
        content = "".join(delta.get("content") or "" for delta in deltas)
        message = {"role": "assistant", "content": content, "reasoning_content": thought}
        message |= {"reasoning_details": details} if details else {}
        return message | ({"tool_calls": list(calls.values())} if calls else {})
    blocks, inputs = {}, {}
    for row in rows:
        if row["type"] == "content_block_start":
            blocks[row["index"]] = dict(row["content_block"])
        if row["type"] == "content_block_delta":
            block, delta = blocks[row["index"]], row["delta"]
            for name in {"thinking", "text"} & delta.keys():
                block[name] += delta[name]
            if "signature" in delta:
                block["signature"] = delta["signature"]
            if "partial_json" in delta:
                inputs[row["index"]] = inputs.get(row["index"], "") + delta["partial_json"]
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text)
    return [blocks[index] for index in sorted(blocks)]


def handed_back(door, answer):
    """Return the body of the next request; calls are answered in another test."""
    body = rich(door)
    if door == "chat":
        return body | {"messages": [ASIDE, answer, ASIDE]}
    if door == "responses":
        return body | {"input": [ASIDE, *answer, ASIDE]}
    if door == "anthropic":
        return body | {"messages": [ASIDE, {"role": "assistant", "content": answer}, ASIDE]}
    user = {"role": "user", "parts": [{"text": "Hi"}]}
    return body | {"contents": [user, {"role": "model", "parts": answer}, user]}


def sent(provider, door, body):
    """Return the content of the assistant as the provider gets it."""
    conversation = DOORS[door].conversation(ask(door, body))
    request = PROVIDERS[provider].request(conversation, MODELS[provider], stream=False)
    return of_request(provider, request)


def merged(rows):
    """Return blocks with texts that follow one another as one: a stream may cut them anywhere."""
    found = []
    for row in rows:
        before = found[-1] if found else {}
        if "text" in row and row.keys() == before.keys() and row.keys() <= {"type", "text"}:
            found[-1] = row | {"text": before["text"] + row["text"]}
        elif row.get("type") == before.get("type") == "message":
            text = before["content"][0]["text"] + row["content"][0]["text"]
            found[-1] = row | {"content": [{"type": "output_text", "text": text}]}
        else:
            found.append(row)
    return found


def of_request(provider, request):
    if provider == "gemini":
        return request["contents"][1]["parts"]
    if provider == "responses":
        rows = [row for row in request["input"] if row.get("role", "assistant") == "assistant"]
        for row in rows:
            if isinstance(row.get("content"), str):
                row["content"] = [{"type": "output_text", "text": row["content"]}]
        return rows
    return request["messages"][1]["content"]
