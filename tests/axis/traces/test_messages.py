"""Messages have one form: recorded and hand-written, by every convention, the same question and answer end the same."""

import base64
import json
import random
from typing import Any

import msgspec
import pytest
from tests.axis.traces.test_dialect_recorded import ANSWER, NAMES, QUESTION, SOURCES, SYSTEM, WITHOUT_MESSAGES, call
from tests.axis.traces.test_dialects import reading

from gimbal.axis.traces.messages import messages_in

ASKED = [SYSTEM, {"role": "user", "content": QUESTION}]
ANSWERED = [{"role": "assistant", "content": ANSWER}]
LOOK = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
CALLED = [{"role": "assistant", "content": "", "tool_calls": [LOOK]}]
RESULT = [{"role": "tool", "content": "clear", "tool_call_id": "c1"}]
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
PNG = {"type": "image", "url": PIXEL, "media_type": "image/png"}
LINK = {"type": "image", "url": "https://a.example/x.png"}


@pytest.mark.parametrize("source", sorted(set(SOURCES) - WITHOUT_MESSAGES))
@pytest.mark.parametrize("scenario", ["plain", "streamed"])
def test_every_recorded_dialect_has_the_same_messages(source: str, scenario: str) -> None:
    """Role and text, letter by letter, and nothing beside them."""
    if f"{source}-{scenario}" in NAMES:
        _, seen = call(f"{source}-{scenario}")
        assert (seen.input, seen.output) == (ASKED, ANSWERED)


@pytest.mark.parametrize("source", sorted(set(SOURCES) - WITHOUT_MESSAGES))
def test_every_recorded_dialect_has_the_same_call_of_a_tool(source: str) -> None:
    """Name and arguments, in OpenAI's form; the ids are the providers' own."""
    _, seen = call(f"{source}-tools")
    assert seen.input == ASKED
    (made,) = seen.output[0]["tool_calls"]
    assert set(made) == {"id", "type", "function"}
    assert (made["type"], made["function"]["name"]) == ("function", "look")
    assert json.loads(made["function"]["arguments"]) == {"at": "sky"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # OpenAI
        ([{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        ([{"role": "assistant", "content": None, "tool_calls": [LOOK]}], CALLED),
        ([{"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": '{"at":"sky"}'}}],
         [{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": LOOK["function"]}]}]),
        ([{"role": "tool", "tool_call_id": "c1", "content": "clear"}], RESULT),
        ([{"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": LINK["url"]}}]}],
         [{"role": "user", "content": [{"type": "text", "text": "See"}, LINK]}]),
        ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]}],
         [{"role": "user", "content": [{"type": "audio", "url": "UklGRg==", "media_type": "audio/wav"}]}]),
        ([{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}}]}],
         [{"role": "user", "content": [{"type": "file", "url": "data:application/pdf;base64,JVBERg==", "media_type": "application/pdf", "name": "a.pdf"}]}]),
        ([{"role": "assistant", "content": None, "refusal": "No."}],
         [{"role": "assistant", "content": [{"type": "refusal", "text": "No."}]}]),
        # OpenAI's Responses
        ([{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}], [{"role": "assistant", "content": "Hi"}]),
        ([{"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at":"sky"}', "id": "fc_1"}], CALLED),
        ([{"type": "function_call_output", "call_id": "c1", "output": "clear"}], RESULT),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}],
         [{"role": "assistant", "content": [{"type": "reasoning", "text": "Hm"}]}]),
        ([{"role": "user", "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": LINK["url"]}]}],
         [{"role": "user", "content": [{"type": "text", "text": "See"}, LINK]}]),
        # Anthropic
        ([{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]}],
         [{"role": "user", "content": [PNG]}]),
        ([{"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "sky"}}]}], CALLED),
        ([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "clear"}]}]}], RESULT),
        ([{"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]}],
         [{"role": "assistant", "content": [{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": "Hi"}]}]),
        # The GenAI conventions
        ([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "sky"}}], "finish_reason": "x"}], CALLED),
        ([{"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "clear"}]}], RESULT),
        ([{"role": "user", "parts": [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": PIXEL}]}], [{"role": "user", "content": [PNG]}]),
        ([{"role": "user", "parts": [{"type": "uri", "modality": "image", "uri": LINK["url"]}]}], [{"role": "user", "content": [LINK]}]),
        ([{"role": "user", "parts": [{"type": "file", "modality": "image", "mime_type": "image/png", "file_id": "f1"}]}],
         [{"role": "user", "content": [{"type": "image", "url": "f1", "media_type": "image/png"}]}]),
        # The AI SDK
        ([{"role": "user", "content": [{"type": "file", "mediaType": "image/png", "data": PIXEL}]}], [{"role": "user", "content": [PNG]}]),
        ([{"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "look", "input": {"at": "sky"}}]}], CALLED),
        ([{"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "toolName": "look", "output": {"type": "text", "value": "clear"}}]}],
         [RESULT[0] | {"name": "look"}]),
        # Gemini
        ([{"role": "model", "parts": [{"text": "Hi"}]}], [{"role": "assistant", "content": "Hi"}]),
        ([{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}], [{"role": "user", "content": [PNG]}]),
        ([{"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"at": "sky"}}}]}],
         [{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": LOOK["function"]}]}]),
        # Bedrock
        ([{"role": "user", "content": [{"text": "Hi"}]}], [{"role": "user", "content": "Hi"}]),
        ([{"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "look", "input": {"at": "sky"}}}]}], CALLED),
        ([{"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "clear"}]}}]}], RESULT),
        ([{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": PIXEL}}}]}], [{"role": "user", "content": [PNG]}]),
        # LangChain
        ([{"type": "human", "content": "Hi"}, {"type": "ai", "content": "Yo"}], [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]),
        ([[{"role": "user", "content": "Hi"}]], [{"role": "user", "content": "Hi"}]),
        ([{"role": "ai", "content": "", "tool_calls": [{"name": "look", "args": {"at": "sky"}, "id": "c1", "type": "tool_call"}]}], CALLED),
        # Langfuse's tokens of media that it holds itself
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "@@@langfuseMedia:type=image/png|id=m|source=bytes@@@"}}]}],
         [{"role": "user", "content": [{"type": "image", "url": "@@@langfuseMedia:type=image/png|id=m|source=bytes@@@", "media_type": "image/png"}]}]),
        # An unknown part stays, several texts are one.
        ([{"role": "user", "content": [{"type": "hologram", "data": 5}]}], [{"role": "user", "content": [{"type": "hologram", "data": 5}]}]),
        ([{"role": "user", "parts": [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}]}], [{"role": "user", "content": "a\nb"}]),
    ],
)  # fmt: skip
def test_messages_of_each_provider(given: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Text, calls, results and media."""
    assert messages_in(given) == expected
    # What is in the common form stays as it is.
    assert messages_in(expected) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"model": "m", "messages": ASKED}, ASKED),
        ({"model": "m", "system": "Be brief.", "messages": ASKED[1:]}, ASKED),
        ({"model": "m", "instructions": "Be brief.", "input": QUESTION}, ASKED),
        ({"model": "m", "input": ASKED}, ASKED),
        ({"contents": [{"role": "user", "parts": [{"text": QUESTION}]}], "systemInstruction": {"parts": [{"text": "Be brief."}]}}, ASKED),
        ({"system": "Be brief.", "prompt": QUESTION}, ASKED),
        ({"id": "x", "choices": [{"message": ANSWERED[0], "finish_reason": "stop"}]}, ANSWERED),
        ({"choices": [{"text": ANSWER}]}, ANSWERED),
        ({"type": "message", "role": "assistant", "content": [{"type": "text", "text": ANSWER}]}, ANSWERED),
        ({"object": "response", "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWER}]}]}, ANSWERED),
        ({"candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER}]}}]}, ANSWERED),
        ({"message": {"role": "assistant", "content": [{"text": ANSWER}]}}, ANSWERED),
        (ANSWERED[0], ANSWERED),
    ],
)  # fmt: skip
def test_whole_requests_and_answers(given: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    """Of every provider; what stands beside the messages and is one comes first."""
    assert messages_in(given) == expected


@pytest.mark.parametrize(
    "given",
    [None, "", "text", 5, [], {}, [1, 2], ["a"], {"a": 1}, [{"a": 1}], {"input": [1.5, 2]}, {"output": ["x"]}, [{"id": "d", "content": "doc"}],
     {"messages": []}, {"messages": [5]}, {"role": None}, [{"role": ["x"]}], {"choices": 5}, {"choices": ["x"]}, {"prompt": "p"}],
)  # fmt: skip
def test_what_is_no_message_stays_as_it_came(given: Any) -> None:
    """The same value."""
    before = msgspec.json.encode(given)
    found = messages_in(given)
    assert msgspec.json.encode(found) == before or found == given.get("messages", given.get("choices"))


def test_plain_messages_are_not_copied() -> None:
    """They are what nearly all are."""
    row = {"role": "user", "content": "Hi"}
    assert messages_in([row])[0] is row


def test_no_nonsense_breaks_the_reading_of_messages() -> None:
    """Any of the known names with any value of a wrong kind."""
    chance = random.Random(5)
    names = ["role", "content", "parts", "type", "tool_calls", "function", "name", "text", "image_url", "source", "data",
             "toolUse", "output", "arguments", "messages", "choices", "message", "id", "summary", "value", "refusal"]  # fmt: skip
    words = [
        "user",
        "tool",
        "text",
        "image",
        "tool_use",
        "tool_result",
        "reasoning",
        "function_call",
        "blob",
        "",
        "assistant",
    ]

    def value(depth: int) -> Any:
        kind = chance.randrange(8 if depth else 4)
        if kind >= 6:
            return [value(depth - 1) for _ in range(chance.randrange(3))]
        if kind >= 4:
            return {chance.choice(names): value(depth - 1) for _ in range(chance.randrange(5))}
        return chance.choice([None, 5, True, 1.5, *words])

    for _ in range(20_000):
        row = {"role": chance.choice(["user", "tool", "assistant"]), "content": value(4), "type": value(1)}
        for given in (row, [row], value(5)):
            msgspec.json.encode(messages_in(given), enc_hook=str)


def test_text_alone_of_a_model_call_is_a_message() -> None:
    """Of a completion, or where a stream was put together."""
    asked = [{"role": "user", "content": "Hi"}]
    answered = [{"role": "assistant", "content": "Yo"}]
    for attributes in (
        {"langfuse.observation.type": "generation", "langfuse.observation.input": "Hi", "langfuse.observation.output": "Yo"},
        {"mlflow.spanType": '"LLM"', "mlflow.spanInputs": '"Hi"', "mlflow.spanOutputs": '"Yo"'},
        {"openinference.span.kind": "LLM", "input.value": "Hi", "output.value": "Yo"},
    ):  # fmt: skip
        seen = reading(attributes)
        assert (seen.input, seen.output) == (asked, answered)
    assert reading({"openinference.span.kind": "CHAIN", "input.value": "Hi"}).input == "Hi"


def test_flattened_parts_of_openinference_are_parts() -> None:
    """With the address of an image, and what a tool answered."""
    base = {"openinference.span.kind": "LLM", "llm.input_messages.0.message.role": "user"}
    at = "llm.input_messages.0.message.contents"
    seen = reading(
        base
        | {
            f"{at}.1.message_content.type": "image",
            f"{at}.1.message_content.image.image.url": LINK["url"],
            f"{at}.0.message_content.type": "text",
            f"{at}.0.message_content.text": "See",
            "llm.input_messages.1.message.role": "tool",
            "llm.input_messages.1.message.tool_call_id": "c1",
            "llm.input_messages.1.message.content": "clear",
        }
    )
    assert seen.input == [{"role": "user", "content": [{"type": "text", "text": "See"}, LINK]}, *RESULT]


@pytest.mark.parametrize(
    "value",
    [{"role": "admin", "content": "x", "id": 5}, [{"role": "admin", "level": 3}], {"prompt": "p", "model": "m"}],
)
def test_what_a_tool_is_given_and_gives_is_no_message(value: Any) -> None:
    """Though it may look like one."""
    text = json.dumps(value)
    for attributes in (
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": text, "gen_ai.tool.call.result": text},
        {"langfuse.observation.type": "tool", "langfuse.observation.input": text, "langfuse.observation.output": text},
        {"mlflow.spanType": '"TOOL"', "mlflow.spanInputs": text, "mlflow.spanOutputs": text},
        {"openinference.span.kind": "TOOL", "input.value": text, "output.value": text},
        {"ai.operationId": "ai.toolCall", "ai.toolCall.args": text, "ai.toolCall.result": text},
        {"traceloop.span.kind": "tool", "traceloop.entity.input": text, "traceloop.entity.output": text},
    ):
        seen = reading(attributes)
        assert (seen.input, seen.output) == (value, value), attributes
