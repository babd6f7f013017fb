"""Cohere's chat, and the embeddings of Cohere and Gemini: what goes out, and what is read."""

import json

import pytest
from tests.wire_answers import SAID, stream, whole
from tests.wires import sse

from gimbal.axis.pricing.model import Usage
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
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.wire.cohere import WIRE
from gimbal.generative.gateway.wire.cohere.embed import WIRE as EMBED
from gimbal.generative.gateway.wire.embedding import Embeddings
from gimbal.generative.gateway.wire.gemini.embed import WIRE as GEMINI_EMBED
from gimbal.kernel.errors import BadInput, Upstream

HI = Turn(role="user", parts=(Text(text="Hi"),))


def sent(*turns, **more):
    return WIRE.request(Conversation(turns=turns, **more), "command-a", stream=True)


def test_every_message_goes_out():
    turns = (
        Turn(role="developer", parts=(Text(text="Be brief."),)),
        Turn(role="user", parts=(Text(text="a"), Image(data="AA==", media_type="image/png", detail="low"))),
        Turn(
            role="assistant",
            parts=(
                Thinking(text="hm", signature="s"),
                Thinking(redacted="x"),
                Text(text="b"),
                ToolUse(id="t", name="f", arguments=""),
            ),
        ),
        Turn(
            role="tool",
            parts=(
                ToolResult(id="t", parts=(Text(text="c"),)),
                ToolResult(id="u", parts=(Text(text="d"),), error=True),
            ),
        ),
    )
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    assert sent(*turns) == {
        "model": "command-a",
        "stream": True,
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "text", "text": "a"}, picture]},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}],
                "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "t", "content": "c"},
            {"role": "tool", "tool_call_id": "u", "content": '{"error":"d"}'},
        ],
    }


def test_every_parameter_goes_out():
    found = sent(
        HI,
        tools=(Tool(name="f", description="Do.", strict=True), Tool(name="g", strict=True)),
        tool_choice=ToolChoice(mode="required"),
        format=Format(kind="schema", description="d", schema={"type": "object"}),
        reasoning=Reasoning(budget=99, show=True),
        sampling=Sampling(
            max_tokens=9,
            temperature=0.5,
            top_p=0.9,
            top_k=4,
            stop=("E",),
            seed=1,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            n=1,
            service_tier="auto",
            modalities=("text",),
        ),
        user="u",
    )
    nothing = {"type": "object", "properties": {}}
    assert {name: value for name, value in found.items() if name not in {"model", "messages", "stream"}} == {
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": nothing, "description": "Do."}},
            {"type": "function", "function": {"name": "g", "parameters": nothing}},
        ],
        "tool_choice": "REQUIRED",
        "strict_tools": True,
        "response_format": {"type": "json_object", "json_schema": {"description": "d", "type": "object"}},
        "thinking": {"type": "enabled", "token_budget": 99},
        "max_tokens": 9,
        "temperature": 0.5,
        "p": 0.9,
        "k": 4,
        "stop_sequences": ("E",),
        "seed": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
    }


def test_a_named_tool_is_the_only_one_they_are_given():
    found = sent(HI, tools=(Tool(name="f"), Tool(name="g")), tool_choice=ToolChoice(mode="named", name="g"))
    assert [tool["function"]["name"] for tool in found["tools"]] == ["g"]
    assert found["tool_choice"] == "REQUIRED"
    with pytest.raises(BadInput, match="none of the tools"):
        sent(HI, tools=(Tool(name="f"),), tool_choice=ToolChoice(mode="named", name="x"))


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"reasoning": Reasoning(effort="low")}, "reasoning_effort"),
        ({"reasoning": Reasoning(show=False)}, "reasoning"),
        ({"sampling": Sampling(presence_penalty=-0.5)}, "presence_penalty"),
        ({"sampling": Sampling(logit_bias={"1": 1})}, "logit_bias"),
        ({"sampling": Sampling(service_tier="flex")}, "service_tier"),
        ({"tools": (Tool(name="f", strict=True), Tool(name="g"))}, "tools.strict"),
        ({"tools": (Tool(name="f"),), "tool_choice": ToolChoice(parallel=False)}, "parallel_tool_calls"),
    ],
)
def test_parameters_that_cannot_be_expressed_are_refused(more, where):
    with pytest.raises(BadInput) as caught:
        sent(HI, **more)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("user", Audio(data="AA==")),
        ("user", File(id="file-1")),
        ("assistant", Image(url="u")),
        ("tool", ToolResult(id="t", parts=(Image(url="u"),))),
    ],
)
def test_parts_that_cannot_be_expressed_are_refused(role, part):
    with pytest.raises(BadInput) as caught:
        sent(HI, Turn(role=role, parts=(part,), where="messages[1]"))
    assert caught.value.where == "messages[1]"


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_an_answer_that_failed_is_an_error(reason):
    body = json.loads(whole("cohere")) | {"finish_reason": reason}
    with pytest.raises(Upstream, match=reason):
        WIRE.reader("p", stream=False).whole(json.dumps(body).encode())
    last = {"type": "message-end", "delta": {"error": "Out of luck.", "finish_reason": reason}}
    with pytest.raises(Upstream, match=r"Out of luck\.") as caught:
        WIRE.reader("p", stream=True).feed(sse([("message-end", last)]))
    assert caught.value.kept == "what was streamed before"


def test_the_plan_of_its_tools_is_what_it_thought():
    body = json.loads(whole("cohere"))
    body["message"] |= {"tool_plan": "I look. ", "content": [{"type": "text", "text": SAID}]}
    assert WIRE.reader("p", stream=False).whole(json.dumps(body).encode()).reasoning == "I look. "
    plan = {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I look."}}}
    (piece,) = WIRE.reader("p", stream=True).feed(sse([("tool-plan-delta", plan)]))
    assert piece.reasoning == "I look."


def test_usage_is_what_they_bill():
    assert WIRE.reader("p", stream=False).whole(whole("cohere")).usage == Usage(input=100, output=50)
    body = json.loads(whole("cohere"))
    del body["usage"]["billed_units"]
    assert WIRE.reader("p", stream=False).whole(json.dumps(body).encode()).usage == Usage(input=160, output=50)


def test_an_error_within_a_200_is_an_error():
    with pytest.raises(Upstream, match="p answered with an error: invalid request"):
        WIRE.reader("p", stream=False).whole(b'{"message":"invalid request"}')


def test_a_stream_may_say_that_it_is_done_as_others_do():
    reader = WIRE.reader("p", stream=True)
    reader.feed(stream("cohere") + b"data: [DONE]\n\n")
    assert reader.end() == []


TEXTS = Embeddings(inputs=("a", "b"), dimensions=3, purpose="query", user="u", extras={"metadata": {}})


def test_texts_to_embed_go_out():
    assert EMBED.request(TEXTS, "embed-v4") == {
        "model": "embed-v4",
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 3,
    }
    assert EMBED.request(Embeddings(inputs=("a",)), "m")["input_type"] == "search_document"
    assert GEMINI_EMBED.request(TEXTS, "g") == {
        "requests": [
            {
                "model": "models/g",
                "content": {"parts": [{"text": text}]},
                "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 3,
            }
            for text in "ab"
        ]
    }


@pytest.mark.parametrize("wire", [EMBED, GEMINI_EMBED])
def test_what_cannot_be_embedded_is_refused(wire):
    for embeddings, where in (
        (Embeddings(inputs=((1, 2),)), "input"),
        (Embeddings(inputs=("a",), purpose="fun"), "purpose"),
        (Embeddings(inputs=("a",), extras={"late": True}), "late"),
    ):
        with pytest.raises(BadInput) as caught:
            wire.request(embeddings, "m")
        assert caught.value.where == where
    with pytest.raises(NotImplementedError):
        wire.embeddings(None)


VECTORS = [[0.5, 1.0], [2, -0.25]]
ANSWERS = {
    "cohere": (EMBED, {"embeddings": {"float": VECTORS}, "meta": {"billed_units": {"input_tokens": 4}}}),
    "gemini": (
        GEMINI_EMBED,
        {"embeddings": [{"values": row} for row in VECTORS], "usageMetadata": {"promptTokenCount": 4}},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_vectors_are_read(name):
    wire, body = ANSWERS[name]
    found = wire.read(json.dumps(body).encode(), provider="p", count=2, same=False)
    assert [list(row) for row in found.vectors] == VECTORS
    assert found.usage == Usage(input=4)
    with pytest.raises(Upstream, match="2 vectors for 3 inputs"):
        wire.read(json.dumps(body).encode(), provider="p", count=3, same=False)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"embeddings":{"float":["x"]}}', b'{"error":{"message":"m"}}', b'{"message":"m"}']
)
def test_what_is_no_vectors_is_an_upstream_error(name, raw):
    with pytest.raises(Upstream):
        ANSWERS[name][0].read(raw, provider="p", count=1, same=False)
