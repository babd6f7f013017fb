"""`local/extractive` over a conversation: it answers from the context, counts its tokens, and refuses what it cannot do."""

import json

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, texts

from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import (
    Conversation,
    Format,
    Image,
    Sampling,
    Text,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.providers.upstreams.local import FINGERPRINT, LocalProvider
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.generative.knowledge.analysis import count_tokens
from gimbal.kernel.errors import BadInput, NotFound

CONTEXT = "Context:\n[1] a.md\nGimbal keeps both rings level.\n\n"
QUESTION = f"{CONTEXT}Question: What keeps both rings level?"
TURN = Turn(role="user", parts=(Text(text=QUESTION),))
LOCAL = LocalProvider()


def said(*, stream=False, **fields):
    body = {
        "model": "local/extractive",
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": stream,
        **fields,
    }
    return Call(WIRE, WIRE.asked(json.dumps(body).encode(), {}))


def meant(**fields):
    call = said()
    call.__dict__["conversation"] = Conversation(**{"turns": (TURN,), **fields})
    return call


async def test_it_answers_from_the_context_whole_and_streamed():
    whole = await LOCAL.open(said(), "extractive", DEADLINES)
    streamed = await LOCAL.open(said(stream=True), "extractive", DEADLINES)
    pieces = [piece async for piece in streamed.pieces]

    assert whole.whole.text == "Gimbal keeps both rings level. [1]"
    assert "".join(piece.text for piece in pieces) == whole.whole.text
    assert len(pieces) > 3
    assert whole.whole.usage == pieces[-1].usage
    assert whole.whole.usage.input_tokens == count_tokens(QUESTION)
    assert whole.whole.usage.output_tokens == count_tokens(whole.whole.text)
    assert (whole.whole.finish, pieces[-1].finish) == ("stop", "stop")
    assert (whole.model, whole.fingerprint, whole.same) == ("local/extractive", FINGERPRINT, False)
    assert whole.note["gimbal.answer.known"] is True


async def test_a_tools_answer_is_read_as_context():
    turns = (
        Turn(role="user", parts=(Text(text="What keeps both rings level?"),)),
        Turn(role="assistant", parts=(ToolUse(id="1", name="look", arguments="{}"),)),
        Turn(role="tool", parts=(ToolResult(id="1", parts=(Text(text="[1] a.md\nGimbal keeps both rings level."),)),)),
    )

    assert await texts(await LOCAL.open(meant(turns=turns), "extractive", DEADLINES)) == [
        "Gimbal keeps both rings level. [1]"
    ]


async def test_stop_texts_and_limits_are_kept_to():
    short = await LOCAL.open(meant(sampling=Sampling(max_tokens=2)), "extractive", DEADLINES)
    stopped = await LOCAL.open(meant(sampling=Sampling(stop=("both",))), "extractive", DEADLINES)

    assert short.whole.finish == "length"
    assert short.whole.usage.output_tokens <= 2
    assert (stopped.whole.text, stopped.whole.finish) == ("Gimbal keeps ", "stop")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"sampling": Sampling(n=2)}, "n"),
        ({"sampling": Sampling(logprobs=0)}, "logprobs"),
        ({"sampling": Sampling(modalities=("text", "audio"))}, "modalities"),
        ({"format": Format(kind="json")}, "response_format"),
        ({"tool_choice": ToolChoice(mode="required")}, "tool_choice"),
        ({"extras": {"audio": {"voice": "x"}}}, "audio"),
        ({"turns": (TURN, Turn(role="user", parts=(Image(url="http://a/b.png"),)))}, "messages[1].content"),
    ],
)
async def test_what_it_cannot_do_is_named(fields, where):
    with pytest.raises(BadInput) as caught:
        await LOCAL.open(meant(**fields), "extractive", DEADLINES)

    assert caught.value.where == where


async def test_harmless_values_are_taken():
    fields = {
        "sampling": Sampling(n=1, modalities=("text",)),
        "format": Format(),
        "tool_choice": ToolChoice(mode="auto"),
        "extras": {"store": True, "modalities": ["text"]},
    }

    assert (await LOCAL.open(meant(**fields), "extractive", DEADLINES)).whole.text


async def test_there_is_one_model():
    assert await LOCAL.models() == ["extractive"]
    with pytest.raises(NotFound):
        await LOCAL.open(said(), "else", DEADLINES)
