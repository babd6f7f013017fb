"""What is encoded for Gemini and decoded again is the same conversation."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.generative.gateway.conversation import (
    Audio,
    Conversation,
    File,
    Format,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.gemini import WIRE

PATH = {"model": "m", "action": "generateContent"}
words = st.text(min_size=1, max_size=6).filter(str.strip)
seals = words.map("gemini:{}".format)
texts = st.builds(Text, text=words)
heard = st.one_of(
    texts,
    st.builds(Image, data=st.just("AA=="), media_type=st.sampled_from(["image/png", "image/webp"])),
    st.builds(Image, url=words, media_type=st.just("image/png")),
    st.builds(Audio, data=st.just("AA=="), format=st.sampled_from(["wav", "mp3", "ogg"])),
    st.builds(File, data=st.just("AA=="), media_type=st.just("application/pdf")),
    st.builds(File, url=words, media_type=st.just("video/mp4")),
)


@st.composite
def exchanges(draw):
    """Return turns in which every call of a tool has its answer."""
    turns = []
    for number in range(draw(st.integers(1, 3))):
        turns.append(Turn(role="user", parts=tuple(draw(st.lists(heard, min_size=1, max_size=3)))))
        calls = [
            ToolUse(
                id=f"c{number}.{place}", name=draw(words), arguments=json.dumps({"a": place}, separators=(",", ":"))
            )
            for place in range(draw(st.integers(0, 2)))
        ]
        thoughts = draw(st.lists(st.builds(Thinking, text=words, signature=seals), max_size=1))
        said, signed = (draw(texts),), (Thinking(signature=draw(seals)),) if calls and draw(st.booleans()) else ()
        between = draw(st.booleans())
        # A signature stands on the call right after it, or where none follows on whatever does.
        thoughts = [Thinking(text=thought.text) for thought in thoughts] if calls and said and between else thoughts
        parts = (*thoughts, *said, *signed, *calls) if between or not calls else (*thoughts, *calls)
        turns.append(Turn(role="assistant", parts=parts))
        if calls:
            answers = [draw(st.sampled_from(['{"x":1}', "plain", "[1]"])) for _ in calls]
            turns.append(
                Turn(
                    role="tool",
                    parts=tuple(
                        ToolResult(id=call.id, name=call.name, parts=(Text(text=text),), error=draw(st.booleans()))
                        for call, text in zip(calls, answers, strict=True)
                    ),
                )
            )
    return tuple(turns)


@given(
    turns=exchanges(),
    reasoning=st.none() | st.builds(Reasoning, budget=st.integers(0, 99), show=st.none() | st.booleans()),
    form=st.sampled_from([None, Format(kind="json"), Format(kind="schema", schema={"type": "object"})]),
    sampling=st.builds(
        Sampling,
        max_tokens=st.integers(1, 9),
        temperature=st.none() | st.floats(0, 2),
        top_k=st.none() | st.integers(1, 9),
        seed=st.none() | st.integers(0, 9),
        stop=st.lists(words, max_size=2).map(tuple),
        frequency_penalty=st.none() | st.floats(-2, 2),
        service_tier=st.sampled_from(["", "flex", "priority"]),
    ),
)
@settings(max_examples=100, deadline=None)
def test_what_is_encoded_is_decoded_to_the_same(turns, reasoning, form, sampling):
    given_ = Conversation(turns=turns, reasoning=reasoning, format=form, sampling=sampling)
    raw = json.dumps(WIRE.request(given_, "m", stream=False)).encode()
    found = WIRE.conversation(WIRE.asked(raw, PATH))
    assert tuple(Turn(role=turn.role, parts=turn.parts) for turn in found.turns) == turns
    for name in ("reasoning", "format", "sampling", "extras"):
        assert getattr(found, name) == getattr(given_, name), name
