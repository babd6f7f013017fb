"""Several thoughts of one answer, each with its own signature, hidden ones between them: they come back as they were said.

A caller of any door hands the answer back; the provider whose model thought it takes its thoughts in their order, and each
signature with the very text that it signs.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wires import DOORS, ask, frame, gathered, rich, sse

from gimbal.generative.gateway.conversation import Piece, Thinking, Thoughts, said_of
from gimbal.generative.gateway.wire import anthropic, bedrock, openai_chat, openai_responses

PROVIDERS = {"anthropic": anthropic.WIRE, "bedrock": bedrock.WIRE}
SIGNED = [("First, the weather.", "c2ln/MQ=="), ("Then Ω, the coat.", "c2ln+Mg=="), ("And the hat.", "c2lnMw==")]
SEVERAL = {
    "two": [SIGNED[0], SIGNED[1]],
    "hidden between": [SIGNED[0], ("", "aGlkZGVu"), SIGNED[1], SIGNED[2]],
    "hidden first": [("", "aGlkZGVu"), SIGNED[0]],
    "two hidden": [SIGNED[0], ("", "aGlkMQ=="), ("", "aGlkMg==")],
    "one": [SIGNED[0]],
    "one and hidden": [SIGNED[0], ("", "aGlkZGVu")],
}
TOOL = {"id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}


def whole(provider, thoughts):
    if provider == "bedrock":
        content = [
            {"reasoningContent": {"redactedContent": seal}}
            if not text
            else {"reasoningContent": {"reasoningText": {"text": text, "signature": seal}}}
            for text, seal in thoughts
        ]
        use = {"toolUse": {"toolUseId": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}}
        return json.dumps(
            {
                "output": {"message": {"role": "assistant", "content": [*content, {"text": "I look."}, use]}},
                "stopReason": "tool_use",
                "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8},
            }
        ).encode()
    content = [
        {"type": "redacted_thinking", "data": seal}
        if not text
        else {"type": "thinking", "thinking": text, "signature": seal}
        for text, seal in thoughts
    ]
    content += [{"type": "text", "text": "I look."}, {"type": "tool_use", **TOOL}]
    return json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": content,
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 3, "output_tokens": 5},
        }
    ).encode()


def halves(text):
    return text[: len(text) // 2], text[len(text) // 2 :]


def stream(provider, thoughts):
    """Return a stream whose texts and signatures come in halves."""
    if provider == "bedrock":
        return _frames(thoughts)
    events = [("message_start", {"message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 3}}})]
    place = 0
    for place, (text, seal) in enumerate(thoughts):
        block = (
            {"type": "thinking", "thinking": "", "signature": ""}
            if text
            else {"type": "redacted_thinking", "data": seal}
        )
        deltas = [{"type": "thinking_delta", "thinking": part} for part in halves(text)]
        deltas += [{"type": "signature_delta", "signature": part} for part in halves(seal)]
        events += _block(place, block, deltas if text else [])
    events += _block(place + 1, {"type": "text", "text": ""}, [{"type": "text_delta", "text": "I look."}])
    given = [{"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'}]
    events += _block(place + 2, {"type": "tool_use", **TOOL, "input": {}}, given)
    events += [
        ("message_delta", {"delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}),
        ("message_stop", {}),
    ]
    return sse([(name, {"type": name, **data}) for name, data in events])


def _block(place, block, deltas):
    return [
        ("content_block_start", {"index": place, "content_block": block}),
        *[("content_block_delta", {"index": place, "delta": delta}) for delta in deltas],
        ("content_block_stop", {"index": place}),
    ]


def _frames(thoughts):
    frames = [frame("messageStart", {"role": "assistant"})]
    place = 0

    def delta(place, said):
        return frame("contentBlockDelta", {"contentBlockIndex": place, "delta": said})

    for place, (text, seal) in enumerate(thoughts):
        rows = [{"text": part} for part in halves(text)] + [{"signature": part} for part in halves(seal)]
        rows = rows if text else [{"redactedContent": part} for part in halves(seal)]
        frames += [delta(place, {"reasoningContent": row}) for row in rows]
        frames.append(frame("contentBlockStop", {"contentBlockIndex": place}))
    frames += [delta(place + 1, {"text": "I look."}), frame("contentBlockStop", {"contentBlockIndex": place + 1})]
    use = {"toolUseId": "toolu_1", "name": "weather"}
    frames += [
        frame("contentBlockStart", {"contentBlockIndex": place + 2, "start": {"toolUse": use}}),
        delta(place + 2, {"toolUse": {"input": '{"city":"Oslo"}'}}),
        frame("contentBlockStop", {"contentBlockIndex": place + 2}),
        frame("messageStop", {"stopReason": "tool_use"}),
        frame("metadata", {"usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}}),
    ]
    return b"".join(frames)


def events(raw):
    return [json.loads(row[6:]) for row in raw.decode().splitlines() if row.startswith("data: {")]


def handed_back(door, raw, *, streamed):
    """Return the body of the next request, made as a plain client makes it of the answer."""
    body = rich(door)
    told = {"streamed": events(raw)} if streamed else json.loads(raw)
    if door == "chat":
        if streamed:
            deltas = [row["choices"][0]["delta"] for row in told["streamed"] if row["choices"]]
            message = {
                "role": "assistant",
                "content": "".join(delta.get("content") or "" for delta in deltas),
                "reasoning_details": [row for delta in deltas for row in delta.get("reasoning_details", ())],
            }
        else:
            message = told["choices"][0]["message"]
            message = {name: message[name] for name in ("role", "content", "reasoning_details") if name in message}
        return body | {"messages": [{"role": "user", "content": "Hi"}, message, {"role": "user", "content": "Go on."}]}
    if door == "responses":
        answer = told["streamed"][-1]["response"] if streamed else told
        items = [item for item in answer["output"] if item["type"] != "function_call"]
        user = {"role": "user", "content": "Go on."}
        return body | {"input": [{"role": "user", "content": "Hi"}, *items, user]}
    if door == "gemini":
        rows = told["streamed"] if streamed else [told]
        parts = [part for row in rows for part in row["candidates"][0]["content"]["parts"]]
        parts = [part for part in parts if "functionCall" not in part]
        user = {"role": "user", "parts": [{"text": "Go on."}]}
        return body | {"contents": [user, {"role": "model", "parts": parts}, user]}
    content = _blocks(told["streamed"]) if streamed else told["content"]
    content = [block for block in content if block["type"] != "tool_use"]
    user = {"role": "user", "content": "Go on."}
    return body | {"messages": [user, {"role": "assistant", "content": content}, user]}


def _blocks(rows):
    """Return the blocks that Anthropic's own client makes of a stream."""
    blocks = {}
    for row in rows:
        if row["type"] == "content_block_start":
            blocks[row["index"]] = row["content_block"]
        if row["type"] == "content_block_delta":
            delta, block = row["delta"], blocks[row["index"]]
            for name in ("thinking", "text"):
                block[name] = block.get(name, "") + delta.get(name, "") if name in delta else block.get(name)
            if "signature" in delta:
                # It is set, not added to.
                block["signature"] = delta["signature"]
    kept = [blocks[index] for index in sorted(blocks)]
    return [{name: value for name, value in block.items() if value is not None} for block in kept]


def thoughts_sent(provider, body):
    """Return the thoughts of a request as the provider gets it."""
    found = []
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if provider == "bedrock":
                thought = block.get("reasoningContent", {})
                said = thought.get("reasoningText")
                if thought:
                    found.append((said["text"], said["signature"]) if said else ("", thought["redactedContent"]))
            elif block["type"] == "thinking":
                found.append((block["thinking"], block["signature"]))
            elif block["type"] == "redacted_thinking":
                found.append(("", block["data"]))
    return found


@pytest.mark.parametrize("said", SEVERAL)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_thoughts_come_back_to_whoever_thought_them_as_they_were(door, provider, streamed, said):
    wire, thoughts = PROVIDERS[provider], SEVERAL[said]
    reader = wire.reader("p", stream=streamed)
    if streamed:
        pieces = [*reader.feed(stream(provider, thoughts)), *reader.end()]
    else:
        pieces = [reader.whole(whole(provider, thoughts))]
    done = gathered(pieces)
    writer = DOORS[door].writer(ask(door, rich(door), stream=streamed), answer_id="a1", model="m", created=1)
    if streamed:
        raw = b"".join(writer.piece(piece, same=False) for piece in pieces) + writer.end(done, same=False)
    else:
        raw = writer.whole(done)
    again = DOORS[door].conversation(ask(door, handed_back(door, raw, streamed=streamed)))
    model = "eu.anthropic.claude-x-v1:0" if provider == "bedrock" else "claude-x"

    assert thoughts_sent(provider, wire.request(again, model, stream=False)) == thoughts
    assert done.reasoning == "".join(text for text, _ in thoughts)


@pytest.mark.parametrize("said", SEVERAL)
@pytest.mark.parametrize("door", ["chat", "responses", "anthropic"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_gateway_behind_a_gateway_reads_the_same_thoughts(door, streamed, said):
    thoughts = SEVERAL[said]
    pieces = [anthropic.WIRE.reader("p", stream=False).whole(whole("anthropic", thoughts))]
    if streamed:
        reader = anthropic.WIRE.reader("p", stream=True)
        pieces = [*reader.feed(stream("anthropic", thoughts)), *reader.end()]
    done = gathered(pieces)
    more = {"stream_options": {"include_usage": True}} if streamed and door == "chat" else {}
    writer = DOORS[door].writer(ask(door, rich(door) | more, stream=streamed), answer_id="a1", model="m", created=1)
    again = DOORS[door].reader("us", stream=streamed)
    if streamed:
        raw = b"".join(writer.piece(piece, same=False) for piece in pieces) + writer.end(done, same=False)
        back = gathered([*again.feed(raw), *again.end()])
    else:
        back = gathered([again.whole(writer.whole(done))])

    def bare(part):
        return part.text, (part.signature or part.redacted).rpartition(":")[2]

    assert [bare(part) for part in back.thinking] == [bare(part) for part in done.thinking]


parts = st.one_of(
    st.builds(Thinking, text=st.text(min_size=1, max_size=4), signature=st.text("ab", min_size=1, max_size=3)),
    st.builds(Thinking, redacted=st.text("cd", min_size=1, max_size=3)),
    st.builds(Thinking, signature=st.text("ab", min_size=1, max_size=3)),
)


@given(st.lists(parts, max_size=5), st.text(max_size=3))
def test_what_grows_by_pieces_is_what_was_thought(thoughts, last):
    growing = Thoughts()
    for part in thoughts:
        for letter in part.text:
            growing.take(Piece(reasoning=letter))
        growing.take(Piece(signature=part.signature, redacted=part.redacted))
    growing.take(Piece(reasoning=last))

    every = [*thoughts, Thinking(text=last)] if last else thoughts
    piece = Piece(**growing.said())
    assert piece == Piece(**said_of(every))
    assert list(piece.thinking) == every
    assert piece.reasoning == "".join(part.text for part in every)
    other = Thoughts()
    other.take(piece)
    assert Piece(**other.said()) == piece


def test_details_of_chat_completions_are_thoughts_of_their_own():
    details = [
        {"type": "reasoning.text", "text": "a", "signature": "1"},
        {"type": "reasoning.encrypted", "data": "x"},
        {"type": "reasoning.text", "text": "b", "signature": "2"},
    ]
    message = {"role": "assistant", "content": "Hi", "reasoning": "ab", "reasoning_details": details}
    body = {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "model": "m"}

    found = openai_chat.WIRE.reader("p", stream=False).whole(json.dumps(body).encode())

    assert found.reasoning == "ab"
    assert found.thoughts == (
        Thinking(text="a", signature="chat:1"),
        Thinking(redacted="chat:x"),
        Thinking(text="b", signature="chat:2"),
    )


def test_items_of_responses_are_thoughts_of_their_own():
    def item(known, text, cipher):
        summary = [{"type": "summary_text", "text": text}] if text else []
        return {"type": "reasoning", "id": known, "summary": summary, "encrypted_content": cipher}

    output = [item("rs_1", "a", "x"), item("rs_2", "", "y"), item("rs_3", "b", "z")]
    body = {"id": "resp_1", "status": "completed", "model": "m", "output": output}
    found = openai_responses.WIRE.reader("p", stream=False).whole(json.dumps(body).encode())

    assert found.reasoning == "a\n\nb"
    assert found.thoughts == (
        Thinking(text="a", signature="rs_1:x"),
        Thinking(redacted="rs_2:y"),
        Thinking(text="b", signature="rs_3:z"),
    )
