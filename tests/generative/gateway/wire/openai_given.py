"""Conversations and requests that the tests of OpenAI's wires draw, and small helpers they share."""

import json

import msgspec
from hypothesis import strategies as st

from gimbal.generative.gateway.conversation import (
    Audio,
    Conversation,
    File,
    Format,
    Image,
    Reasoning,
    Refused,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.kernel.errors import GimbalError

words = st.text(min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)
base64s = st.sampled_from(["aGVsbG8=", "AAAA", "iVBORw0KGgo="])
texts = st.builds(Text, text=words)
images = st.builds(Image, data=base64s, media_type=st.sampled_from(["image/png", "image/jpeg"])) | st.builds(
    Image, url=st.sampled_from(["https://example.com/a.png"]), detail=st.sampled_from(["auto", "low"])
)
audios = st.builds(Audio, data=base64s, format=st.sampled_from(["wav", "mp3"]))
files = st.builds(File, id=names) | st.builds(
    File, data=base64s, media_type=st.just("application/pdf"), name=st.sampled_from(["a.pdf"])
)
schemas = st.sampled_from([{"type": "object", "properties": {"q": {"type": "string"}}}, {"type": "object"}])


def thoughts(mark):
    """Draw thoughts that a provider sealed, with the mark of its wire."""
    signed = st.builds(Thinking, text=words, signature=st.just(f"{mark}:c2ln"))
    return signed | st.builds(Thinking, redacted=st.just(f"{mark}:aGlkZGVu"))


arguments = st.dictionaries(words, st.integers(), max_size=2).map(json.dumps)


@st.composite
def exchanges(draw, *, of_chat):
    """Draw a user's turn, the assistant's, and where it called tools their answers."""
    # Sound, and the names of who speaks, are known to chat completions only.
    name = {"name": draw(st.sampled_from(["", "ann"]))} if of_chat else {}
    heard = draw(st.lists(texts | images | files | (audios if of_chat else st.nothing()), max_size=3))
    turns = [Turn(role="user", parts=tuple(heard), **name)]
    thinking = st.lists(thoughts("chat" if of_chat else "rs_1"), max_size=2)
    if of_chat:
        thinking |= st.builds(Thinking, text=words).map(lambda part: [part])
    parts = [*draw(thinking), *draw(st.lists(texts, max_size=1))]
    if draw(st.booleans()):
        parts.append(Refused(text=draw(words)))
    uses = [
        ToolUse(id=f"call_{draw(st.integers(0, 10**9))}_{number}", name=draw(names), arguments=draw(arguments))
        for number in range(draw(st.integers(0, 2)))
    ]
    parts += uses
    if parts:
        turns.append(Turn(role="assistant", parts=tuple(parts)))
    if uses:
        answers = tuple(ToolResult(id=use.id, name=use.name, parts=(draw(texts),)) for use in uses)
        turns.append(Turn(role="tool", parts=answers))
    return turns


@st.composite
def conversations(draw, *, sampling, of_chat=True):
    """Draw a conversation that OpenAI's wires can say all of."""
    system = draw(st.lists(st.builds(Turn, role=st.sampled_from(["system", "developer"]), parts=st.tuples(texts))))
    turns = [turn for turns in draw(st.lists(exchanges(of_chat=of_chat), min_size=1, max_size=3)) for turn in turns]
    known = draw(st.lists(names, unique=True, max_size=3))
    tools = tuple(
        Tool(
            name=name,
            description=draw(st.sampled_from(["", "Looks up."])),
            parameters=draw(schemas),
            strict=draw(st.sampled_from([True, False])),
        )
        for name in known
    )
    choices = st.builds(
        ToolChoice,
        mode=st.sampled_from(["auto", "none", "required"]),
        parallel=st.sampled_from([None, True, False]),
    )
    if tools:
        choices |= st.builds(ToolChoice, mode=st.just("named"), name=st.sampled_from(known))
    formats = st.just(Format(kind="json")) | st.builds(
        Format, kind=st.just("schema"), name=names, schema=schemas, strict=st.sampled_from([None, True])
    )
    return Conversation(
        turns=(*system, *turns),
        tools=tools,
        tool_choice=draw(st.none() | choices) if tools else None,
        format=draw(st.none() | formats),
        reasoning=draw(st.none() | st.builds(Reasoning, effort=st.sampled_from(["none", "low", "high", "max"]))),
        sampling=draw(sampling),
        user=draw(st.sampled_from(["", "u-1"])),
    )


chat_sampling = st.builds(
    Sampling,
    max_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(words, max_size=3).map(tuple),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    logit_bias=st.none() | st.dictionaries(st.sampled_from(["1", "50256"]), st.integers(-100, 100), min_size=1),
    service_tier=st.sampled_from(["", "flex", "priority"]),
    verbosity=st.sampled_from(["", "low", "high"]),
)
responses_sampling = st.builds(
    Sampling,
    max_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    service_tier=st.sampled_from(["", "flex", "priority"]),
    verbosity=st.sampled_from(["", "low", "high"]),
)


def plain(conversation):
    """Return the same without what tells where it stood."""
    turns = tuple(msgspec.structs.replace(turn, where="") for turn in conversation.turns)
    return msgspec.structs.replace(conversation, turns=turns)


def unsealed(conversation):
    """Return the same with the seals of thoughts as their provider has them, without our marks."""

    def told(part):
        if not isinstance(part, Thinking):
            return part
        seals = {name: getattr(part, name).partition(":")[2] for name in ("signature", "redacted")}
        return msgspec.structs.replace(part, **seals)

    turns = [msgspec.structs.replace(turn, parts=tuple(map(told, turn.parts))) for turn in conversation.turns]
    return msgspec.structs.replace(conversation, turns=tuple(turns))


def body(**fields):
    """Return a request as the official client writes it."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def mutated(draw, value):
    """Return a value with one place in it replaced by something else, or put beside something unknown."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        return value | {key: mutated(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], mutated(draw, value[place]), *value[place + 1 :]]
    if isinstance(value, dict) and draw(st.booleans()):
        return value | {draw(st.text(max_size=6)): draw(json_values)}
    return draw(json_values)


def outcome(function):
    """Return what a function gives, or the GimbalError it raises; anything else is a failure of the test."""
    try:
        return function()
    except GimbalError as problem:
        return problem
