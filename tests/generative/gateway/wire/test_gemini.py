"""Gemini's generateContent: what a request says, and what goes out to a provider that speaks it."""

import json

import pytest

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
from gimbal.generative.gateway.wire.gemini import WIRE
from gimbal.generative.gateway.wire.gemini.schema import json_schema
from gimbal.kernel.errors import BadInput, Busy

PATH = {"model": "gemini-3-pro", "action": "generateContent"}


def asked(path=PATH, **more):
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], **more}
    return WIRE.asked(json.dumps(body).encode(), path)


def said(**more):
    return WIRE.conversation(asked(**more))


def parts(*rows, role="user"):
    """Return the parts of one content, and what has no place."""
    found = said(contents=[{"role": role, "parts": list(rows)}])
    return [part for turn in found.turns for part in turn.parts], found.extras


def sent(*turns, **more):
    return WIRE.request(Conversation(turns=turns, **more), "m", stream=False)


HI = Turn(role="user", parts=(Text(text="Hi"),))


def test_the_address_says_which_model_and_how_it_answers():
    found = asked({"model": "models/g", "action": "streamGenerateContent", "alt": "sse"})
    assert (found.model, found.stream, found.array) == ("g", True, False)
    found = asked({"model": "g", "action": "streamGenerateContent"})
    assert (found.stream, found.array) == (True, True)
    found = asked({"model": "g", "action": "generateContent", "alt": "json"}, labels={"team": "a"})
    assert (found.stream, found.array, found.metadata) == (False, False, {"team": "a"})


@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_what_the_trace_shows_has_what_the_system_says(name):
    found = asked(**{name: {"role": "user", "parts": [{"text": "Be brief."}]}})
    assert json.loads(found.said) == [
        {"role": "system", "parts": [{"text": "Be brief."}]},
        {"role": "user", "parts": [{"text": "Hi"}]},
    ]


def test_a_request_to_count_may_stand_in_a_field():
    inner = {"model": "models/g", "contents": [{"parts": [{"text": "Hi"}]}], "tools": []}
    raw = json.dumps({"generateContentRequest": inner}).encode()
    found = WIRE.asked(raw, {"model": "g", "action": "countTokens"})
    assert WIRE.conversation(found).turns[0].text == "Hi"
    assert json.loads(WIRE.same(found, "g")) == json.loads(raw)
    assert json.loads(WIRE.counted(7)) == {"totalTokens": 7}


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"contents": None}, "contents"),
        ({"contents": "Hi"}, "contents"),
        ({"contents": [{"role": "robot", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 3}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"generationConfig": {"temperature": 3}}, "generationConfig.temperature"),
        ({"generation_config": {"max_output_tokens": "x"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"topK": 1, "top_k": 2}}, "generationConfig.topK"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "SOME"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        ({"toolConfig": {"functionCallingConfig": {"mode": "X"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"serviceTier": "fast"}, "serviceTier"),
        ({"labels": []}, "labels"),
    ],
)
def test_a_request_is_refused_by_its_field(more, where):
    with pytest.raises(BadInput) as caught:
        said(**more)
    assert caught.value.where == where


def test_every_parameter_is_read_in_either_spelling():
    config = {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40.0,
        "candidateCount": 2,
        "maxOutputTokens": 10,
        "stopSequences": ["END"],
        "responseLogprobs": True,
        "logprobs": 3,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "seed": 7,
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
        "responseModalities": ["TEXT"],
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 512, "thinkingLevel": "LOW"},
    }
    found = said(generationConfig=config, serviceTier="PRIORITY")
    assert found.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        n=2,
        max_tokens=10,
        stop=("END",),
        logprobs=3,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        seed=7,
        modalities=("text",),
        service_tier="priority",
    )
    assert found.format == Format(kind="schema", schema={"type": "object"})
    assert found.reasoning == Reasoning(effort="low", budget=512, show=True)
    assert not found.extras
    snake = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): value for name, value in config.items()}
    thinking = snake.pop("thinking_config")
    snake["thinking_config"] = {"include_thoughts": True, "thinking_budget": 512, "thinking_level": "LOW"}
    assert thinking
    assert said(generation_config=snake, service_tier="PRIORITY") == found


def test_every_part_with_a_place_is_read():
    found, extras = parts(
        {"text": "a"},
        {"inlineData": {"mimeType": "image/png", "data": "_-8="}},
        {"inline_data": {"mime_type": "audio/mpeg", "data": "AA=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AA==", "displayName": "d"}},
        {"fileData": {"fileUri": "gs://a/b.png", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://a/b"}},
    )
    assert found == [
        Text(text="a"),
        Image(data="/+8=", media_type="image/png"),
        Audio(data="AA==", format="mp3"),
        File(data="AA==", media_type="application/pdf", name="d"),
        Image(url="gs://a/b.png", media_type="image/png"),
        File(url="https://a/b"),
    ]
    assert not extras


def test_calls_and_answers_of_tools_find_each_other_without_ids():
    call = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"}
    found = said(
        contents=[
            {"role": "model", "parts": [call, {"functionCall": {"name": "f"}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"output": "one"}}},
                    {"functionResponse": {"name": "f", "response": {"error": {"code": 5}}}},
                    {"functionResponse": {"name": "g", "response": {"x": 1}}},
                ],
            },
        ]
    )
    assert found.turns[0].parts == (
        Thinking(signature="gemini:s"),
        ToolUse(id="call_1", name="f", arguments='{"a":1}'),
        ToolUse(id="call_2", name="f", arguments="{}"),
    )
    assert found.turns[1] == Turn(
        role="tool",
        parts=(
            ToolResult(id="call_1", name="f", parts=(Text(text="one"),)),
            ToolResult(id="call_2", name="f", parts=(Text(text='{"code":5}'),), error=True),
            ToolResult(id="call_g", name="g", parts=(Text(text='{"x":1}'),)),
        ),
        where="contents[1]",
    )


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"contents": [{"parts": [{"executableCode": {"code": "1"}}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": "a", "functionCall": {"name": "f"}}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": "a", "videoMetadata": {"fps": 1}}]}]}, "contents[0].parts[0].videoMetadata"),
        ({"safetySettings": [{"category": "A", "threshold": "B"}]}, "safetySettings"),
        ({"cached_content": "c"}, "cachedContent"),
        ({"tools": [{"codeExecution": {}}]}, "tools[0].codeExecution"),
        ({"generationConfig": {"speechConfig": {}}}, "generationConfig.speechConfig"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}}, "toolConfig.functionCallingConfig.mode"),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
    ],
)
def test_what_has_no_place_is_told_by_its_path_and_refused(more, path):
    found = said(**more)
    assert list(found.extras) == [path]
    with pytest.raises(BadInput) as caught:
        WIRE.request(found, "m", stream=False)
    assert caught.value.where == path


def test_schemas_of_googles_form_become_json_schema():
    own = {
        "type": "OBJECT",
        "properties": {
            "b": {"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum"},
            "a": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
            "type": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": True},
        },
        "propertyOrdering": ["a", "b"],
        "required": ["a"],
    }
    found = json_schema(own)
    assert list(found["properties"]) == ["a", "b", "type"]
    assert found == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "b": {"type": ["string", "null"], "enum": ["x", None], "format": "enum"},
            "type": {"anyOf": [{"anyOf": [{"type": "number"}, {"type": "boolean"}]}, {"type": "null"}]},
        },
        "required": ["a"],
    }


def test_a_schema_of_either_form_is_read_for_tools():
    exact = {"type": "object", "properties": {"x": {"const": 1}}}
    rows = [
        {"name": "f", "parameters": {"type": "OBJECT"}},
        {"name": "g", "parametersJsonSchema": exact},
        {"name": "h"},
    ]
    found = said(tools=[{"functionDeclarations": rows}]).tools
    assert [tool.parameters for tool in found] == [{"type": "object"}, exact, None]
    assert [row.get("parametersJsonSchema") for row in sent(HI, tools=found)["tools"][0]["functionDeclarations"]] == [
        {"type": "object"},
        exact,
        None,
    ]


def test_what_a_function_gives_back_is_said_in_words():
    row = {"name": "f", "description": "Look.", "response_json_schema": {"type": "string"}}
    (tool,) = said(tools=[{"functionDeclarations": [row]}]).tools
    assert tool.description == 'Look.\n\nIt gives back JSON of this schema: {"type":"string"}'


@pytest.mark.parametrize(
    ("thinking", "meant"),
    [
        ({"thinkingBudget": -1}, Reasoning()),
        ({"thinkingBudget": 0}, Reasoning(budget=0)),
        ({"thinkingBudget": 512, "includeThoughts": True}, Reasoning(budget=512, show=True)),
        ({"thinkingLevel": "XHIGH"}, Reasoning(effort="xhigh")),
    ],
)
def test_thinking_goes_in_and_out_again(thinking, meant):
    assert said(generationConfig={"thinkingConfig": thinking}).reasoning == meant
    assert sent(HI, reasoning=meant)["generationConfig"]["thinkingConfig"] == thinking


def test_no_thinking_is_a_budget_of_nothing():
    assert sent(HI, reasoning=Reasoning(effort="none"))["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}


@pytest.mark.parametrize(
    ("choice", "strict", "meant"),
    [
        (None, None, None),
        (ToolChoice(mode="auto"), None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="none"), None, {"mode": "NONE"}),
        (ToolChoice(mode="required"), True, {"mode": "ANY"}),
        (ToolChoice(mode="named", name="f"), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_whether_tools_are_called_goes_out(choice, strict, meant):
    found = sent(HI, tools=(Tool(name="f", strict=strict),), tool_choice=choice)
    assert found.get("toolConfig") == ({"functionCallingConfig": meant} if meant else None)


def test_a_system_that_says_nothing_is_not_sent():
    assert "systemInstruction" not in sent(Turn(role="system", parts=(Text(text=""),)), HI)


def test_pictures_of_a_tool_stand_beside_its_answer():
    use = Turn(role="assistant", parts=(ToolUse(id="t", name="f", arguments="{}"),))
    result = ToolResult(id="t", parts=(Text(text='{"a": 1}'), Image(data="AA==", media_type="image/png")))
    found = sent(HI, use, Turn(role="tool", parts=(result,)))["contents"][2]["parts"]
    assert found == [
        {
            "functionResponse": {
                "id": "t",
                "name": "f",
                "response": {"a": 1},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
            }
        }
    ]


@pytest.mark.parametrize(
    ("turn", "where"),
    [
        (Turn(role="system", parts=(Text(text="x"),), where="messages[1]"), "messages[1]"),
        (Turn(role="user", parts=(Text(text="x"),), name="ann", where="messages[1]"), "messages[1].name"),
        (Turn(role="user", parts=(Image(url="u", detail="low"),), where="messages[1]"), "messages[1]"),
        (Turn(role="user", parts=(File(id="file-1"),), where="messages[1]"), "messages[1]"),
        (Turn(role="tool", parts=(ToolResult(id="lost"),), where="messages[1]"), "messages[1]"),
        (Turn(role="assistant", parts=(ToolUse(id="t", name="f", arguments="x"),), where="messages[1]"), "messages[1]"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_its_place(turn, where):
    with pytest.raises(BadInput) as caught:
        sent(HI, turn)
    assert caught.value.where == where


def test_the_same_wire_sends_every_byte_on():
    raw = b'{"contents":[{"parts":[{"text":"a"}]}],"new_field":[1,2.50]}'
    assert WIRE.same(WIRE.asked(raw, PATH), "other") == raw


def test_errors_are_in_googles_form():
    reply = WIRE.error_reply(Busy("Too much.", where="model", retry_after=3))
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["status"]) == (429, 429, "RESOURCE_EXHAUSTED")
    assert "Too much." in error["message"]
    assert reply.headers == {"retry-after": "3"}
    assert {row["@type"].rpartition(".")[2] for row in error["details"]} == {"BadRequest", "RetryInfo"}
    assert reply.body.startswith(b'{"error":')
