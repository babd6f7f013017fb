"""Thoughts between what is said and called: they come back to whoever thought them where they stood, byte for byte.

A provider answers by its own wire, the answer is written by the caller's, the caller hands it back as it came, and the next
request to the provider has in it the very content that the provider sent.
"""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generative.gateway.wire.interleaving_given import (
    BLOCKS,
    CONTENTS,
    GIVEN,
    MODELS,
    answered,
    call,
    handed_back,
    hide,
    merged,
    of_request,
    said,
    say,
    sent,
    think,
    use,
)
from tests.wires import DOORS, ask, gathered, rich

from gimbal.generative.gateway.conversation import Piece, Refused, Text, Thinking, ToolCall
from gimbal.generative.gateway.order import answer_of, together
from gimbal.generative.gateway.wire import cohere, openai_chat
from gimbal.generative.gateway.wire.seals import packed, unpacked


@pytest.mark.parametrize(("provider", "name"), GIVEN)
@pytest.mark.parametrize("door", DOORS)
def test_a_whole_answer_comes_back_as_it_was(door, provider, name):
    content = CONTENTS[provider][name]
    assert sent(provider, door, handed_back(door, answered(door, provider, content))) == content


STREAMED = [(door, *row) for door in DOORS for row in GIVEN if row[0] != "bedrock"]


@pytest.mark.parametrize(("door", "provider", "name"), STREAMED)
def test_a_streamed_answer_comes_back_as_it_was(door, provider, name):
    content = CONTENTS[provider][name]
    back = sent(provider, door, handed_back(door, answered(door, provider, content, streamed=True)))
    assert merged(back) == content


@pytest.mark.parametrize("door", DOORS)
def test_thoughts_that_nobody_signs_keep_their_places_too(door):
    content = [
        {"type": kind, kind: text}
        for kind, text in (("thinking", "a"), ("text", "1"), ("thinking", "b"), ("text", "2"))
    ]
    usage = {"tokens": {"input_tokens": 3, "output_tokens": 5}}
    body = {"message": {"role": "assistant", "content": content}, "finish_reason": "COMPLETE", "usage": usage}
    done = gathered([cohere.WIRE.reader("p", stream=False).whole(json.dumps(body).encode())])
    writer = DOORS[door].writer(ask(door, rich(door)), answer_id="a1", model="m", created=1)
    back = handed_back(door, said(door, [json.loads(writer.whole(done))]))
    if door == "gemini":
        back["toolConfig"] = {}
    request = cohere.WIRE.request(DOORS[door].conversation(ask(door, back)), "command", stream=False)
    (message,) = [row for row in request["messages"] if row["role"] == "assistant"]
    assert message["content"] == content


@pytest.mark.parametrize(("door", "name"), [row for row in GIVEN if row[0] in DOORS])
def test_an_answer_that_guards_wrote_anew_goes_back_by_the_same_wire_as_it_was(door, name):
    """Then the next request goes on as the caller's own bytes, but for our marks."""
    content = CONTENTS[door][name]
    body = handed_back(door, answered(door, door, content))
    request = json.loads(DOORS[door].same(ask(door, body), MODELS[door]))
    found = of_request(door, request)
    if door == "responses":
        # Ids and states of items but for thoughts are ours.
        found = [item_only(row) for row in found]
    assert found == content


def item_only(row):
    if row["type"] == "message":
        return {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": row["content"][0]["text"]}],
        }
    return {
        name: value for name, value in row.items() if name != "status" and (name != "id" or row["type"] == "reasoning")
    }


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("door", "provider"), [(a, b) for a in DOORS for b in ("anthropic", "gemini", "responses") if a != b]
)
def test_no_provider_gets_what_another_sealed(door, provider, streamed):
    """The door's own wire included, by which the caller's bytes go on."""
    for content in CONTENTS[provider].values():
        body = handed_back(door, answered(door, provider, content, streamed=streamed))
        asked = ask(door, body)
        requests = [DOORS[door].same(asked, MODELS.get(door, "gpt-5")).decode()]
        conversation = DOORS[door].conversation(asked)
        others = {name: wire for name, wire in DOORS.items() if name != provider}
        requests += [json.dumps(wire.request(conversation, "m", stream=False)) for wire in others.values()]
        for raw in requests:
            assert not any(
                trace in raw
                for trace in ("c2ln", "aGlk", "claude:", "gemini:", "rs_h", "after-", packed("claude:")[:16])
            )
            assert json.loads(raw)


def test_a_caller_of_gemini_gets_seals_in_base64():
    parts = answered("gemini", "anthropic", BLOCKS["hidden between"])
    hidden = [part for part in parts if part.get("thought")]
    assert [part["text"] for part in hidden] == ["", "", ""]
    assert [unpacked(part["thoughtSignature"]) for part in hidden] == [(f"claude:aGlk+{n}/==", True) for n in (1, 2, 3)]


@pytest.mark.parametrize("streamed", [False, True])
def test_clients_of_gemini_that_keep_each_event_as_a_content_lose_nothing(streamed):
    content = BLOCKS["several together"]
    parts = answered("gemini", "anthropic", content, streamed=streamed)
    user = {"role": "user", "parts": [{"text": "Hi"}]}
    # Bytes come back in the other alphabet, without what fills them up, and nothing where there was an empty text.
    for part in parts:
        if "thoughtSignature" in part:
            part["thoughtSignature"] = part["thoughtSignature"].replace("+", "-").replace("/", "_").rstrip("=")
        if part.get("text") == "":
            del part["text"]
    rows = [{"role": "model", "parts": [part]} for part in parts if part]
    assert merged(sent("anthropic", "gemini", rich("gemini") | {"contents": [user, *rows, user]})) == content


@given(st.text(max_size=9), st.booleans())
def test_what_is_packed_is_unpacked(cipher, hidden):
    seal = f"claude:{cipher}"
    raw = packed(seal, hidden=hidden)
    for given_ in (raw, raw.rstrip("="), raw.replace("+", "-").replace("/", "_")):
        assert unpacked(given_) == (seal, hidden)


@pytest.mark.parametrize(
    "given_", ["", "c2ln", "claude:x", packed("x")[:17], packed("x") + "!", packed("x")[:16] + "/w=="]
)
def test_what_was_not_packed_is_as_it_came(given_):
    assert unpacked(given_) == (given_, False)


def test_what_a_caller_of_chat_completions_changes_moves_nothing_else():
    message = answered("chat", "anthropic", BLOCKS["several together"])
    for change in (
        {"content": "☃"},
        {"content": None},
        {"content": [{"type": "text", "text": "☃ said"}]},
        {"tool_calls": []},
    ):
        back = sent("anthropic", "chat", handed_back("chat", message | change))
        thoughts = [block for block in BLOCKS["several together"] if block["type"].endswith("thinking")]
        assert [block for block in back if block["type"].endswith("thinking")] == thoughts
        assert "".join(block.get("text", "") for block in back) in ("☃", "", "☃ said", "☃ said 1.")


def test_a_refusal_and_pictures_among_the_content_keep_their_places():
    details = [{"type": "reasoning.text", "text": "a", "signature": "claude:s", "id": "after-2-1"}]
    picture = {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}
    content = [{"type": "text", "text": "12"}, {"type": "text", "text": "34"}, picture]
    call_ = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {
        "role": "assistant",
        "content": content,
        "refusal": "No.",
        "tool_calls": [call_],
        "reasoning_details": details,
    }
    parts = openai_chat.WIRE.conversation(ask("chat", handed_back("chat", message))).turns[1].parts
    assert [type(part).__name__ for part in parts] == ["Text", "ToolUse", "Thinking", "Text", "Image", "Refused"]


def test_details_of_a_provider_of_chat_completions_come_back_with_all_that_it_knows_them_by():
    details = [
        {"type": "reasoning.text", "text": "a", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "aGlk", "id": "tool_1", "format": "google-gemini-v1", "index": 1},
        {"type": "reasoning.encrypted", "data": "bGFzdA=="},
    ]
    message = {"role": "assistant", "content": "Hi", "reasoning_details": details}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "1", "choices": [{"message": message, "finish_reason": "stop"}], "model": "m", "usage": usage}
    done = gathered([openai_chat.WIRE.reader("p", stream=False).whole(json.dumps(body).encode())])
    for door in DOORS:
        writer = DOORS[door].writer(ask(door, rich(door)), answer_id="a1", model="m", created=1)
        asked = ask(door, handed_back(door, said(door, [json.loads(writer.whole(done))])))
        request = openai_chat.WIRE.request(DOORS[door].conversation(asked), "m", stream=False)
        (back,) = [row for row in request["messages"] if row["role"] == "assistant"]
        assert back["reasoning_details"] == details
        if door == "chat":
            assert json.loads(openai_chat.WIRE.same(asked, "m"))["messages"][1]["reasoning_details"] == details


@pytest.mark.parametrize("cipher", ["{", "{}", "[]", '{"other": 1}', '{"signature": 1}'])
def test_what_a_caller_makes_up_of_a_seal_breaks_nothing(cipher):
    detail = {"type": "reasoning.text", "text": "a", "signature": f"chat:{cipher}"}
    asked = ask("chat", handed_back("chat", {"role": "assistant", "content": "x", "reasoning_details": [detail]}))
    assert openai_chat.WIRE.request(openai_chat.WIRE.conversation(asked), "m", stream=False)
    assert openai_chat.WIRE.same(asked, "m")


words = st.text("ab", min_size=1, max_size=2)
spoken = st.one_of(
    st.builds(Thinking, text=words, signature=words),
    st.builds(Thinking, redacted=words),
    st.builds(Text, text=words),
    st.builds(ToolCall, id=words, name=words, arguments=words),
)


@given(st.lists(spoken, max_size=7))
def test_whatever_the_order_is_it_is_kept(parts):
    calls, found = 0, []
    for part in parts:
        if isinstance(part, ToolCall):
            found.append(msgspec.structs.replace(part, index=calls))
            calls += 1
        elif isinstance(part, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(text=found[-1].text + part.text)
        else:
            found.append(part)
    piece = Piece(**answer_of(found))
    thought = any(isinstance(part, Thinking) for part in found)
    assert not thought or list(piece.order) == found
    assert piece.text == "".join(part.text for part in found if isinstance(part, Text))
    assert together([Piece(**answer_of([part])) for part in found]) == answer_of(found)


def test_an_answer_without_thoughts_has_no_order_of_its_own():
    parts = [ToolCall(id="a", name="f", arguments="{}"), Text(text="x"), Refused(text="y")]
    piece = Piece(**answer_of(parts))
    assert (piece.parts, piece.thoughts) == ((), ())
    assert list(piece.order) == [parts[1], parts[2], parts[0]]


def told_apart(rows):
    """Return parts of which none could be joined with the one before it."""
    kept = []
    for row in rows:
        kind = row.get("type") or ("thought" if "thought" in row else "text" if "text" in row else "call")
        if not kept or kind not in {"text", "thought"} or kind != kept[-1][0]:
            kept.append((kind, row))
    return [row for _, row in kept]


numbers = st.integers(1, 9)
signed = st.sampled_from([{}, {"thoughtSignature": "c2ln"}])
BLOCK = st.one_of(*[st.builds(make, numbers) for make in (think, hide, say, use)])
PART = st.one_of(
    st.builds(lambda number: {"text": f"a{number}", "thought": True}, numbers),
    st.builds(lambda number, more: {"text": f"t{number}"} | more, numbers, signed),
    st.builds(lambda number, more: call(number, **more), numbers, signed),
)


@given(st.lists(BLOCK, min_size=1, max_size=7), st.lists(PART, min_size=1, max_size=7), st.booleans())
def test_any_answer_with_thoughts_comes_back_as_it_was(blocks, parts, streamed):
    for provider, rows in (("anthropic", blocks), ("gemini", parts)):
        content = told_apart(rows)
        if not any({"thinking", "data", "thought", "thoughtSignature"} & row.keys() for row in content):
            continue
        for door in DOORS:
            back = sent(provider, door, handed_back(door, answered(door, provider, content, streamed=streamed)))
            assert merged(back) == content, door
