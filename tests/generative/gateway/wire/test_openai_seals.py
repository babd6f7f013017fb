"""Thoughts go back to those who sealed them, and to nobody else: a provider refuses a request with the seal of another."""

import json

import msgspec
import pytest

from gimbal.generative.gateway.conversation import Conversation, Text, Thinking, Turn
from gimbal.generative.gateway.wire import anthropic, bedrock, cohere, gemini, openai_chat, openai_responses
from gimbal.generative.gateway.wire.seals import CHAT, CLAUDE, claimed, marked, opened, own

PROVIDERS = {
    "chat": openai_chat.WIRE,
    "responses": openai_responses.WIRE,
    "anthropic": anthropic.WIRE,
    "bedrock": bedrock.WIRE,
    "gemini": gemini.WIRE,
    "cohere": cohere.WIRE,
}
SEALS = {
    "chat": "chat:c2lnbmVk",
    "responses": "rs_1:c2lnbmVk",
    "claude": "claude:c2lnbmVk",
    "gemini": "gemini:c2lnbmVk",
    "nobody": "c2lnbmVk",
}
TAKES = {
    "chat": {"chat"},
    "responses": {"responses"},
    "claude": {"anthropic", "bedrock"},
    "gemini": {"gemini"},
    "nobody": {"anthropic", "bedrock", "gemini"},
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("by", SEALS)
def test_a_seal_goes_back_to_the_wire_that_it_came_by_without_its_mark(provider, by):
    turns = (
        Turn(role="user", parts=(Text(text="hello"),)),
        Turn(role="assistant", parts=(Thinking(text="hm", signature=SEALS[by]), Text(text="Hi."))),
        Turn(role="user", parts=(Text(text="why?"),)),
    )

    raw = json.dumps(PROVIDERS[provider].request(Conversation(turns=turns), "claude-opus-4-5", stream=False))

    assert ("c2lnbmVk" in raw) == (provider in TAKES[by])
    assert not any(f"{mark}:" in raw for mark in ("chat", "rs_1", "claude", "gemini"))


@pytest.mark.parametrize("provider", ["chat", "responses", "anthropic", "bedrock"])
@pytest.mark.parametrize("by", SEALS)
def test_a_hidden_thought_goes_back_to_the_wire_that_it_came_by(provider, by):
    hidden = Turn(role="assistant", parts=(Thinking(redacted=SEALS[by]), Text(text="Hi.")))
    user = Turn(role="user", parts=(Text(text="why?"),))

    raw = json.dumps(
        PROVIDERS[provider].request(Conversation(turns=(user, hidden, user)), "claude-opus-4-5", stream=False)
    )

    assert ("c2lnbmVk" in raw) == (provider in TAKES[by])


@pytest.mark.parametrize("wire", [openai_chat.WIRE, openai_responses.WIRE])
def test_what_a_reader_marks_its_own_encoder_hands_back(wire):
    if wire is openai_chat.WIRE:
        details = [{"type": "reasoning.text", "text": "hm", "signature": "sig"}]
        message = {"role": "assistant", "content": "Hi.", "reasoning_details": details}
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    else:
        thought = {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "sig",
        }
        answer = {"status": "completed", "output": [thought]}

    piece = wire.reader("some", stream=False).whole(msgspec.json.encode(answer))
    turn = Turn(role="assistant", parts=(Thinking(text=piece.reasoning, signature=piece.signature),))
    written = wire.request(Conversation(turns=(turn,)), "m", stream=False)

    if wire is openai_chat.WIRE:
        assert written["messages"][0]["reasoning_details"] == details
    else:
        assert written["input"] == [thought]


@pytest.mark.parametrize("seal", ["", "c2ln", "EqQB/+a=", "rs_", "chat", "x:y", ":", "rs_a b:c", "Chat:x"])
def test_what_has_no_mark_is_left_as_it_is(seal):
    assert opened(seal) == ("", seal)
    assert own(CLAUDE, seal) == seal


def test_a_mark_is_taken_off_once():
    assert opened(marked("chat", "rs_1:x")) == ("chat", "rs_1:x")
    assert own(CLAUDE, marked("rs_1", "x:y")) == ""
    assert own(CLAUDE, marked(CLAUDE, "x:y")) == "x:y"
    assert claimed(CLAUDE, "x") == "claude:x"
    assert claimed(CLAUDE, marked(CHAT, "x")) == "chat:x"
    assert marked("chat", "") == ""
