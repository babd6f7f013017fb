"""What is encoded for Anthropic's messages and decoded again is the same conversation."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.generative.gateway.conversation import (
    Conversation,
    File,
    Format,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.anthropic import WIRE

MARK = {"type": "ephemeral", "ttl": "1h"}
words = st.text(min_size=1, max_size=6).filter(str.strip)
seals = words.map("claude:{}".format)
texts = st.builds(Text, text=words, cache=st.none() | st.just(MARK))
heard = st.one_of(
    texts,
    st.builds(Image, data=st.just("AA=="), media_type=st.sampled_from(["image/png", "image/webp"])),
    st.builds(Image, url=words),
    st.builds(File, data=st.just("AA=="), media_type=st.just("application/pdf"), name=words),
    st.builds(File, url=words, media_type=st.just("application/pdf")),
)
told = st.one_of(
    texts,
    st.builds(Thinking, text=words, signature=seals),
    st.builds(Thinking, redacted=seals),
    st.builds(
        ToolUse,
        id=words,
        name=words,
        arguments=st.dictionaries(words, st.integers(), max_size=2).map(
            lambda row: json.dumps(row, separators=(",", ":"), ensure_ascii=False)
        ),
    ),
)
results = st.builds(ToolResult, id=words, parts=st.lists(heard, max_size=2).map(tuple), error=st.booleans())


def turns_of(role, parts):
    return st.builds(Turn, role=st.just(role), parts=st.lists(parts, min_size=1, max_size=3).map(tuple))


exchanges = st.lists(
    st.tuples(turns_of("user", heard) | turns_of("tool", results), turns_of("assistant", told)), min_size=1, max_size=2
).map(lambda rows: tuple(turn for row in rows for turn in row))
tools = st.builds(
    Tool,
    name=words,
    description=st.text(max_size=4),
    parameters=st.just({"type": "object"}),
    strict=st.none() | st.booleans(),
    cache=st.none() | st.just(MARK),
)
conversations = st.builds(
    lambda system, turns, **more: Conversation(turns=(*system, *turns), **more),
    system=st.lists(st.builds(Turn, role=st.just("system"), parts=st.tuples(texts)), max_size=1).map(tuple),
    turns=exchanges,
    tools=st.lists(tools, min_size=1, max_size=2).map(tuple),
    tool_choice=st.none()
    | st.builds(ToolChoice, mode=st.sampled_from(["auto", "required"]), parallel=st.none() | st.booleans()),
    format=st.none() | st.just(Format(kind="schema", schema={"type": "object"})),
    reasoning=st.none() | st.builds(Reasoning, budget=st.none() | st.integers(0, 9000), show=st.none()),
    sampling=st.builds(
        Sampling,
        max_tokens=st.integers(1, 9),
        temperature=st.none() | st.floats(0, 1),
        top_k=st.none() | st.integers(1, 9),
        stop=st.lists(words, max_size=2).map(tuple),
        service_tier=st.sampled_from(["", "auto", "default"]),
    ),
    user=st.text(max_size=4),
)


@given(conversation=conversations)
@settings(max_examples=100, deadline=None)
def test_what_is_encoded_is_decoded_to_the_same(conversation):
    raw = json.dumps(WIRE.request(conversation, "m", stream=False)).encode()
    found = WIRE.conversation(WIRE.asked(raw, {}))
    bare = tuple(Turn(role=turn.role, parts=turn.parts) for turn in found.turns)
    assert bare == conversation.turns
    for name in ("tools", "tool_choice", "format", "reasoning", "sampling", "user", "extras"):
        assert getattr(found, name) == getattr(conversation, name), name
