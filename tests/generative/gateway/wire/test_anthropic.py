"""Anthropic's messages: what a request says, and what goes out to a provider that speaks them."""

import base64
import json

import pytest

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
from gimbal.generative.gateway.wire.anthropic import WIRE
from gimbal.kernel.errors import BadInput, Busy, NotFound

MARK = {"type": "ephemeral", "ttl": "1h"}


def body(**more):
    return {"model": "claude-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}], **more}


def asked(**more):
    return WIRE.asked(json.dumps(body(**more)).encode(), {})


def said(**more):
    return WIRE.conversation(asked(**more))


def block(content, role="user"):
    """Return the parts of one message, and what has no place."""
    found = said(messages=[{"role": role, "content": content if isinstance(content, list) else [content]}])
    return [part for turn in found.turns for part in turn.parts], found.extras


def test_what_the_path_needs_is_read_without_the_messages():
    found = asked(stream=True, metadata={"user_id": "u"}, system="Be brief.")
    assert (found.model, found.stream, found.user, found.metadata) == ("claude-5", True, "u", {"user_id": "u"})
    assert json.loads(found.said) == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert json.loads(asked().said) == [{"role": "user", "content": "Hi"}]
    assert not asked(stream=None).stream


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"model": "m" * 257}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"user_id": 3}}, "metadata.user_id"),
    ],
)
def test_a_request_is_refused_at_once_by_its_field(more, where):
    with pytest.raises(BadInput) as caught:
        asked(**more)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": 1.1}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": ["a", 1]}, "stop_sequences[1]"),
        ({"service_tier": "fast"}, "service_tier"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tools": [{"name": "a"}, {"description": "b"}]}, "tools[1].name"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": "x"}]}]},
            "messages[0].content[0].source",
        ),
    ],
)
def test_a_conversation_is_refused_by_its_field(more, where):
    with pytest.raises(BadInput) as caught:
        said(**more)
    assert caught.value.where == where


def test_every_parameter_is_read():
    found = said(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        service_tier="standard_only",
        metadata={"user_id": "u"},
        thinking={"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        output_config={"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        tools=[
            {
                "name": "f",
                "description": "Do.",
                "input_schema": {"type": "object"},
                "strict": True,
                "cache_control": MARK,
                "type": "custom",
            }
        ],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    )
    assert found == Conversation(
        turns=(Turn(role="user", parts=(Text(text="Hi"),), where="messages[0]"),),
        tools=(Tool(name="f", description="Do.", parameters={"type": "object"}, strict=True, cache=MARK),),
        tool_choice=ToolChoice(mode="named", name="f", parallel=False),
        format=Format(kind="schema", schema={"type": "object"}),
        reasoning=Reasoning(effort="max", budget=2048, show=False),
        sampling=Sampling(max_tokens=10, temperature=0.5, top_p=0.9, top_k=40, stop=("END",), service_tier="default"),
        user="u",
    )


def test_labels_on_a_call_are_not_in_the_way():
    found = said(metadata={"user_id": "u", "feature": "f"})
    assert (found.user, found.extras) == ("u", {})


@pytest.mark.parametrize(
    ("thinking", "meant"),
    [
        ({"type": "disabled"}, Reasoning(budget=0)),
        ({"type": "adaptive"}, Reasoning()),
        ({"type": "adaptive", "display": "summarized"}, Reasoning(show=True)),
        ({"type": "enabled", "budget_tokens": 1024}, Reasoning(budget=1024)),
    ],
)
def test_thinking_goes_in_and_out_again(thinking, meant):
    found = said(thinking=thinking)
    assert found.reasoning == meant
    assert WIRE.request(found, "m", stream=False)["thinking"] == thinking


def test_every_block_with_a_place_is_read():
    text = base64.b64encode(b"words").decode()
    found, extras = block(
        [
            {"type": "text", "text": "a", "cache_control": MARK},
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AA=="}},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "t"},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
        ]
    )
    assert found == [
        Text(text="a", cache=MARK),
        Image(data="AA==", media_type="image/gif"),
        Image(url="https://x/y.png"),
        File(data="AA==", media_type="application/pdf"),
        File(data=text, media_type="text/plain", name="t"),
        File(id="file_1"),
        File(url="https://x/y.pdf", media_type="application/pdf"),
    ]
    assert not extras


def test_thoughts_and_tools_of_the_assistant_are_read():
    found, extras = block(
        [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
        ],
        role="assistant",
    )
    assert found == [
        Thinking(text="hm", signature="claude:s"),
        Thinking(redacted="claude:xx"),
        ToolUse(id="t1", name="f", arguments='{"a":1}'),
    ]
    # That the model itself called is what happens anyway.
    assert WIRE.request(
        Conversation(turns=(Turn(role="assistant", parts=tuple(found)),), extras=extras), "m", stream=False
    )


def test_results_of_tools_are_turns_of_their_own_in_their_place():
    found = said(
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "a"}],
                        "is_error": True,
                    },
                    {"type": "tool_result", "tool_use_id": "t2"},
                    {"type": "text", "text": "b"},
                ],
            }
        ]
    )
    assert found.turns == (
        Turn(
            role="tool",
            parts=(ToolResult(id="t1", parts=(Text(text="a"),), error=True), ToolResult(id="t2")),
            where="messages[0]",
        ),
        Turn(role="user", parts=(Text(text="b"),), where="messages[0]"),
    )


@pytest.mark.parametrize(
    ("given_block", "place"),
    [
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, ""),
        ({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, ""),
        ({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}, ""),
        ({"type": "container_upload", "file_id": "f"}, ""),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, ""),
        ({"type": "text", "text": "a", "citations": [{"type": "x"}]}, ".citations"),
        (
            {"type": "document", "source": {"type": "url", "url": "u"}, "citations": {"enabled": True}},
            ".citations",
        ),
        ({"type": "document", "source": {"type": "url", "url": "u"}, "context": "c"}, ".context"),
    ],
)
def test_blocks_without_a_place_are_told_by_their_path_and_refused(given_block, place):
    parts, extras = block([{"type": "text", "text": "x"}, given_block])
    path = f"messages[0].content[1]{place}"
    assert list(extras) == [path]
    with pytest.raises(BadInput) as caught:
        WIRE.request(Conversation(turns=(Turn(role="user", parts=tuple(parts)),), extras=extras), "m", stream=False)
    assert caught.value.where == path


def test_the_same_wire_sends_every_byte_on_but_the_model():
    raw = b'{"model":"a/b","new_field":{"x": [1,2.50]},"messages":[{"role":"user","content":"\\u00e4"}]}'
    sent = WIRE.same(WIRE.asked(raw, {}), "b")
    assert sent == b'{"model":"b","new_field":{"x": [1,2.50]},"messages":[{"role":"user","content":"\\u00e4"}]}'


def test_labels_that_are_meant_for_us_do_not_go_on():
    labels = {"user_id": "u", "feature": "f", "tags": ["a"], "new": 1}
    assert json.loads(WIRE.same(asked(metadata=labels), "m"))["metadata"] == {"user_id": "u", "new": 1}
    assert json.loads(WIRE.same(asked(metadata={"user_id": "u"}), "m"))["metadata"] == {"user_id": "u"}


def test_thoughts_of_other_makers_do_not_go_on_by_the_same_wire():
    thoughts = [
        {"type": "thinking", "thinking": "a", "signature": "gemini:1"},
        {"type": "thinking", "thinking": "b", "signature": "claude:2", "new": 1},
        {"type": "thinking", "thinking": "c", "signature": "3"},
        {"type": "redacted_thinking", "data": "rs_1:4"},
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {"signature": "chat:5"}},
    ]
    messages = [
        {"role": "assistant", "content": thoughts[:1]},
        {"role": "assistant", "content": thoughts},
        {"role": "user", "content": 'say "chat:x"'},
    ]
    sent = json.loads(WIRE.same(asked(messages=messages), "m"))
    assert sent["messages"] == [
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "b", "signature": "2", "new": 1}, *thoughts[2:3], thoughts[4]],
        },
        {"role": "user", "content": 'say "chat:x"'},
    ]


def test_a_request_without_a_limit_gets_one_with_room_for_the_thoughts():
    turns = (Turn(role="user", parts=(Text(text="x"),)),)
    assert WIRE.request(Conversation(turns=turns), "m", stream=True)["max_tokens"] == 4096
    found = WIRE.request(Conversation(turns=turns, reasoning=Reasoning(budget=8000)), "m", stream=True)
    assert found["max_tokens"] == 12096


def test_neighbours_of_one_role_become_one_message():
    turns = (
        Turn(role="system", parts=(Text(text="a"),)),
        Turn(role="developer", parts=(Text(text="b"),)),
        Turn(role="user", parts=(Text(text="c"),)),
        Turn(role="user", parts=(Text(text="  "),)),
        Turn(role="tool", parts=(ToolResult(id="t", parts=(Text(text="d"),)),)),
        Turn(role="assistant", parts=(Refused(text="no"),)),
        Turn(role="system", parts=(Text(text="e"),)),
        Turn(role="user", parts=(Text(text="f"),)),
    )
    found = WIRE.request(Conversation(turns=turns), "m", stream=False)
    assert found["system"] == "a\n\nb"
    assert found["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "c"},
                {"type": "tool_result", "tool_use_id": "t", "content": "d"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "no"}]},
        {"role": "system", "content": [{"type": "text", "text": "e"}]},
        {"role": "user", "content": [{"type": "text", "text": "f"}]},
    ]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Audio(data="AA=="), "Sound"),
        (Image(url="u", detail="low"), "The detail of a picture"),
        (File(id="file-openai"), "A file by the id of another provider"),
        (File(url="u", media_type="text/csv"), "A file of type 'text/csv' by address"),
        (File(data="AA==", media_type="application/zip"), "A file of type 'application/zip'"),
    ],
)
def test_parts_that_cannot_be_expressed_are_refused(part, reason):
    turn = Turn(role="user", parts=(part,), where="messages[3]")
    with pytest.raises(BadInput, match="cannot be expressed") as caught:
        WIRE.request(Conversation(turns=(turn,)), "m", stream=False)
    assert caught.value.message.startswith(reason)
    assert caught.value.where == "messages[3]"


def test_other_things_that_cannot_be_sent_are_refused():
    turn = Turn(role="user", parts=(Text(text="x"),), name="ann", where="messages[0]")
    wrong = Turn(role="assistant", parts=(ToolUse(id="t", name="f", arguments="[1"),), where="messages[1]")
    alone = Turn(role="system", parts=(Text(text="x"),))
    blank = Turn(role="user", parts=(Text(text=" "),))
    for turns, where, reason in (
        ((turn,), "messages[0].name", "name of a speaker"),
        ((wrong,), "messages[1]", "not a JSON object"),
        ((alone,), "messages", "no message but the system's"),
        ((alone, blank), "messages", "All messages are empty"),
    ):
        with pytest.raises(BadInput, match=reason) as caught:
            WIRE.request(Conversation(turns=turns), "m", stream=False)
        assert caught.value.where == where


@pytest.mark.parametrize(
    ("problem", "status", "kind"),
    [
        (BadInput("No.", where="top_k", todo="Leave it out."), 400, "invalid_request_error"),
        (NotFound("No such model.", where="model"), 404, "not_found_error"),
        (Busy("Too much.", retry_after=3), 429, "rate_limit_error"),
    ],
)
def test_errors_are_in_anthropics_form(problem, status, kind):
    reply = WIRE.error_reply(problem)
    found = json.loads(reply.body)
    assert (reply.status, found["type"], found["error"]["type"]) == (status, "error", kind)
    assert problem.message in found["error"]["message"]
    assert problem.where in found["error"]["message"]
    assert reply.headers == ({"retry-after": "3"} if problem.retry_after else {})


def test_the_count_of_tokens_is_in_anthropics_form():
    assert json.loads(WIRE.counted(7)) == {"input_tokens": 7}
