"""Pieces of an answer through guards: the order of what it is made of, thoughts and their signatures, guards that break."""

import msgspec
import pytest

from gimbal.axis.pricing.model import Usage
from gimbal.engines.text.model import Detector
from gimbal.engines.text.scanner import Scanner
from gimbal.generative.gateway.conversation import Piece, Text, Thinking, ToolCall
from gimbal.generative.gateway.guarding.answered import Outflow, joined
from gimbal.generative.gateway.guarding.looking import Looking
from gimbal.generative.gateway.order import answer_of
from gimbal.generative.guards.checks import decode_manifest
from gimbal.generative.guards.prepared import Policy
from gimbal.kernel.errors import GuardRefused, GuardUnavailable

MAIL = {"name": "mail", "detectors": ["email"], "action": "mask"}


def under(*guards):
    """Return an outflow and its records."""
    records = {}
    return Outflow(Looking(Policy(decode_manifest({"guards": list(guards)})), records)), records


async def told(outflow, *pieces):
    found = [one for piece in pieces for one in await outflow.feed(piece)]
    return found + await outflow.end()


async def test_what_waits_goes_before_what_follows():
    outflow, _ = under(MAIL)
    found = await told(
        outflow,
        Piece(reasoning="I think of bob@exam"),
        Piece(reasoning="ple.com"),
        Piece(text="Well "),
        Piece(text="then"),
        Piece(tool_calls=(ToolCall(index=0, id="a", name="look", arguments='{"to": "bob@exa'),)),
        Piece(tool_calls=(ToolCall(index=0, arguments='mple.com"}'),)),
        Piece(tool_calls=(ToolCall(index=1, id="b", name="look", arguments="{}"),)),
        Piece(finish="tool_calls", usage=Usage(input=1, output=2)),
    )

    kinds = [
        next(name for name in ("reasoning", "text", "tool_calls", "finish") if getattr(piece, name)) for piece in found
    ]
    assert kinds == sorted(kinds, key=["reasoning", "text", "tool_calls", "finish"].index)
    whole = joined(found)
    assert (whole.reasoning, whole.text) == ("I think of [email]", "Well then")
    assert [(call.id, call.arguments) for call in whole.tool_calls] == [("a", '{"to":"[email]"}'), ("b", "{}")]
    assert (whole.finish, whole.usage) == ("tool_calls", Usage(input=1, output=2))


@pytest.mark.parametrize(("thought", "signature"), [("of bob@example.com", ""), ("of Bob", "sig")])
async def test_a_thought_that_was_changed_has_no_signature(thought, signature):
    outflow, _ = under(MAIL)
    whole = joined(await told(outflow, Piece(reasoning=thought), Piece(signature="sig"), Piece(text="x")))

    assert whole.signature == signature


async def test_each_of_several_thoughts_keeps_its_own_signature():
    thoughts = (Thinking(text="a", signature="1"), Thinking(redacted="x"), Thinking(text="b", signature="2"))
    outflow, _ = under(MAIL)
    whole = joined(await told(outflow, Piece(reasoning="ab", thoughts=thoughts, text="x", finish="stop")))

    assert (whole.thoughts, whole.reasoning, whole.text) == (thoughts, "ab", "x")


async def test_thoughts_between_what_is_said_and_called_stay_there():
    parts = (
        Thinking(text="of Bob", signature="1"),
        Text(text="to bob@example.com"),
        Thinking(redacted="x"),
        ToolCall(index=0, id="a", name="f", arguments='{"to":"bob@example.com"}'),
        Thinking(text="of Ann", signature="2"),
        ToolCall(index=1, id="b", name="f", arguments="{}"),
    )
    outflow, _ = under(MAIL)
    whole = joined(await told(outflow, Piece(**answer_of(parts), finish="stop")))

    masked = msgspec.structs.replace(parts[3], arguments='{"to":"[email]"}')
    assert whole.parts == (parts[0], Text(text="to [email]"), parts[2], masked, *parts[4:])
    assert (whole.text, whole.tool_calls) == ("to [email]", (masked, parts[5]))


async def test_after_a_thought_that_was_changed_no_other_is_signed():
    outflow, _ = under(MAIL)
    whole = joined(
        await told(
            outflow,
            Piece(reasoning="of bob@example.com"),
            Piece(signature="1"),
            Piece(redacted="x"),
            Piece(reasoning=" of Bob"),
            Piece(signature="2"),
            Piece(finish="stop"),
        )
    )

    assert whole.reasoning == "of [email] of Bob"
    assert (whole.signature, whole.redacted, whole.thoughts) == ("", "", ())


async def test_nothing_of_raw_bytes_goes_on():
    outflow, _ = under(MAIL)
    found = await told(outflow, Piece(text="bob@example.com ", raw=b'{"x": "bob@example.com"}', event="e", id="i"))

    assert all((piece.raw, piece.event) == (b"", "") for piece in found)


async def test_the_second_guard_blocks_what_the_first_leaves():
    block = {"name": "tag", "action": "block", "patterns": [{"kind": "tag", "pattern": r"\[email\]!", "longest": 8}]}
    outflow, records = under(MAIL, block)

    with pytest.raises(GuardRefused, match="tag"):
        await told(outflow, *(Piece(text=sign) for sign in "to bob@example.com! and more to come"))
    assert records["mail"]["output_found"] == {"email": 1}
    assert records["tag"]["output_did"] == "blocked"
    assert outflow.heard > outflow.told


def _broken(data):
    raise RuntimeError("out of order")


def break_first(outflow):
    """Give the first guard a detector that breaks at the letter X."""
    detector = Detector(
        name="x", kind="x", family="x", description="", rank=1, gate=lambda data: b"X" in data, find=_broken
    )
    outflow._guards[0]._scanner = Scanner([detector])


@pytest.mark.parametrize("required", [True, False])
async def test_a_guard_that_breaks_refuses_or_steps_aside(required):
    outflow, records = under({**MAIL, "required": required}, {**MAIL, "name": "after"})
    break_first(outflow)
    pieces = [Piece(text="a word, "), Piece(text="wordX bob@"), Piece(text="example.com."), Piece(finish="stop")]

    if required:
        with pytest.raises(GuardUnavailable):
            await told(outflow, *pieces)
    else:
        assert joined(await told(outflow, *pieces)).text == "a word, wordX [email]."
        assert records["after"]["output_found"] == {"email": 1}
    assert records["mail"] == {
        "input": "skipped",
        "input_why": "not reached",
        "output": "failed",
        "output_why": "RuntimeError",
    }


async def test_whole_and_streamed_answers_say_the_same():
    text = "one bob@example.com, two 4111 1111 1111 1111; three: token = a8F3kd92LmQx71Zp now"
    guards = (MAIL, {"name": "rest", "detectors": ["payment", "secret"], "action": "mask"})
    whole = joined(await told(under(*guards)[0], Piece(text=text, reasoning=text, finish="stop")))
    for size in (1, 2, 3, 5, 8, 13, 30):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        pieces = [*(Piece(reasoning=part) for part in parts), *(Piece(text=part) for part in parts)]
        outflow, _ = under(*guards)
        found = joined(await told(outflow, *pieces, Piece(finish="stop")))
        assert found == msgspec.structs.replace(whole), size
    assert whole.text == "one [email], two [card]; three: token = [secret] now"
