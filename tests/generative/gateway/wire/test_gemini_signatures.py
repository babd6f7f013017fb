"""Gemini's signatures of thoughts: where they stand, and whose go out."""

import json

from gimbal.generative.gateway.conversation import Conversation, Text, Thinking, ToolUse, Turn
from gimbal.generative.gateway.wire.gemini import WIRE
from gimbal.generative.gateway.wire.seals import packed

HI = Turn(role="user", parts=(Text(text="Hi"),))


def sent(*turns):
    return WIRE.request(Conversation(turns=turns), "m", stream=False)


def test_signatures_stand_on_the_part_after_the_thoughts():
    use = ToolUse(id="t", name="f", arguments="{}")
    turn = Turn(role="assistant", parts=(Thinking(text="hm", signature="s"), use))
    assert sent(HI, turn)["contents"][1]["parts"] == [
        {"text": "hm", "thought": True},
        {"functionCall": {"id": "t", "name": "f", "args": {}}, "thoughtSignature": "s"},
    ]
    alone = Turn(role="assistant", parts=(Thinking(signature="s"),))
    assert sent(HI, alone)["contents"][1]["parts"] == [{"text": "", "thoughtSignature": "s"}]

    said_between = Turn(role="assistant", parts=(Thinking(text="hm", signature="s"), Text(text="I look."), use))
    assert sent(HI, said_between)["contents"][1]["parts"] == [
        {"text": "hm", "thought": True},
        {"text": "I look."},
        {"functionCall": {"id": "t", "name": "f", "args": {}}, "thoughtSignature": "s"},
    ]
    again = (Thinking(signature="s1"), use, Thinking(signature="s2"), ToolUse(id="u", name="g", arguments="{}"))
    parts = sent(HI, Turn(role="assistant", parts=again))["contents"][1]["parts"]
    assert [part["thoughtSignature"] for part in parts] == ["s1", "s2"]


def test_calls_that_another_model_made_are_marked_so_for_models_that_want_signatures():
    uses = tuple(ToolUse(id=known, name="f", arguments="{}") for known in "tu")
    conversation = Conversation(turns=(HI, Turn(role="assistant", parts=uses)))
    for model, signatures in (
        ("gemini-2.5-pro", [None, None]),
        ("gemini-3.1-pro", ["skip_thought_signature_validator", None]),
    ):
        parts = WIRE.request(conversation, model, stream=False)["contents"][1]["parts"]
        assert [part.get("thoughtSignature") for part in parts] == signatures
    signed = Turn(role="assistant", parts=(Thinking(signature="s"), *uses))
    found = WIRE.request(Conversation(turns=(HI, signed)), "gemini-3-pro", stream=False)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in found] == ["s", None]


def test_thoughts_that_another_provider_hid_are_left_to_it():
    turn = Turn(role="assistant", parts=(Thinking(redacted="x"), Text(text="a")))
    assert sent(HI, turn)["contents"][1]["parts"] == [{"text": "a"}]


def test_signatures_of_other_makers_do_not_go_on_by_the_same_wire():
    rows = [
        {"functionCall": {"name": "f"}, "thoughtSignature": packed("claude:1")},
        {"text": "a", "thought_signature": packed("claude:2", hidden=True), "new": 1},
        {"text": "b", "thoughtSignature": "gemini:3"},
        {"text": "c", "thoughtSignature": "4"},
    ]
    contents = [{"role": "model", "parts": rows}, {"parts": "odd"}]
    raw = json.dumps({"contents": contents}).encode()
    found = WIRE.asked(raw, {"model": "m", "action": "generateContent"})
    plain = [{"text": "a", "new": 1}, {"text": "b", "thoughtSignature": "3"}, {"text": "c", "thoughtSignature": "4"}]
    for model, call in (
        ("gemini-2.5-pro", {"functionCall": {"name": "f"}}),
        ("gemini-3-pro", {"functionCall": {"name": "f"}, "thoughtSignature": "skip_thought_signature_validator"}),
    ):
        assert json.loads(WIRE.same(found, model))["contents"] == [
            {"role": "model", "parts": [call, *plain]},
            {"parts": "odd"},
        ]
