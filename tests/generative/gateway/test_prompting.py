"""A released prompt as a model's name: variables of any type, its tools and the form of its answer reach the model."""

import json
from typing import Any

import httpx
import pytest

from gimbal.axis.traces.service import Traces
from gimbal.generative.knowledge.model import Document
from gimbal.generative.knowledge.service import Indexes
from gimbal.generative.prompts.model import VARIABLES_ATTRIBUTE, PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context

TEXT = """+++
model = "MODEL"

[variables.items]
type = "list"

[variables.who]
type = "object"

[variables.loud]
type = "boolean"
default = false

[[tools]]
name = "search"
description = "Look it up."
[tools.parameters]
type = "object"

[[tools]]
name = "stop"

[response]
name = "answer"
[response.schema]
type = "object"
+++

## user
For {{who.name}}:{{#each items as item}} {{item}};{{/each}}{{#if loud}} NOW{{/if}}
"""
GIVEN = {"items": ["a", 2, 1.5, True], "who": {"name": "Ada"}, "loud": True}
SAID = "For Ada: a; 2; 1.5; true; NOW"


async def ask(http: httpx.AsyncClient, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    body = {"model": "prompt:help/answer", "messages": [{"role": "user", "content": "Go on."}]}
    return await http.post(path, json=body | more)


async def synced(ctx: Context, model: str = "up/tiny", text: str = TEXT) -> None:
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=text.replace("MODEL", model))])


def texts(message: dict[str, Any]) -> str:
    """Return the text of a message of either wire."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize(
    "where",
    [
        {"variables": GIVEN},
        {"variables": json.dumps(GIVEN)},
        {"metadata": {"variables": json.dumps(GIVEN)}},
        {"metadata": {"variables": GIVEN}},
    ],
)
async def test_variables_go_in_as_they_were_sent(http: httpx.AsyncClient, ctx: Context, upstream: Any, where: Any):
    """Lists, objects, numbers and booleans, beside the call or in its metadata."""
    await synced(ctx)
    reply = await ask(http, **where)

    assert reply.status_code == 200, reply.text
    assert upstream.received[-1]["messages"][0]["content"] == SAID


async def test_a_call_records_what_a_prompt_was_filled_with(http: httpx.AsyncClient, ctx: Context):
    """And how many of the messages are the prompt's, so that another version can be asked the same."""
    await synced(ctx)
    replies = [await ask(http, variables=GIVEN), await ask(http, model="up/tiny", variables=GIVEN)]
    traces = [await ctx.get(Traces).get(ctx, reply.headers["x-gimbal-trace-id"]) for reply in replies]

    (by_prompt,), (plain,) = (trace.spans for trace in traces)
    assert json.loads(by_prompt.attributes[VARIABLES_ATTRIBUTE]) == GIVEN
    assert by_prompt.attributes["gimbal.prompt.messages"] == 1
    assert [row["content"] for row in json.loads(by_prompt.input)] == [SAID, "Go on."]
    assert VARIABLES_ATTRIBUTE not in plain.attributes


@pytest.mark.parametrize(
    ("variables", "param"),
    [
        (GIVEN | {"items": "a"}, "variables.items"),
        (GIVEN | {"loud": "true"}, "variables.loud"),
        (GIVEN | {"who": None}, "variables.who"),
        (["a"], "variables"),
        ("no json", "variables"),
        ("[" * 5_000, "variables"),
        (7, "variables"),
    ],
)
async def test_variables_that_do_not_fit_are_named(
    http: httpx.AsyncClient, ctx: Context, upstream: Any, variables: Any, param: str
):
    await synced(ctx)
    reply = await ask(http, variables=variables)

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert upstream.received == []


@pytest.mark.parametrize("query", [["a"], 5, None, {"a": 1}])
async def test_what_an_index_is_searched_for_is_text(http: httpx.AsyncClient, ctx: Context, upstream: Any, query: Any):
    await ctx.get(Indexes).build(ctx, "help/docs", [Document(source="a.md", text="# A\n\nIt is on port 7.")])
    retrieval = '+++\nmodel = "up/tiny"\n\n[retrieval]\nindex = "index:help/docs"\n+++\n\n## user\n'
    await synced(ctx, text=retrieval + "{{context}} {{question}}\n")
    refused = await ask(http, variables={"question": query})
    answered = await ask(http, variables={"question": "Which port?"})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "variables.question")
    assert "not text" in refused.text
    assert answered.status_code == 200
    (sent,) = upstream.received
    assert "It is on port 7." in sent["messages"][0]["content"]


async def test_tools_and_the_form_of_the_answer_reach_the_model(http: httpx.AsyncClient, ctx: Context, upstream: Any):
    """As the wire says them; a form that is not strict says nothing of it."""
    await synced(ctx)
    assert (await ask(http, variables=GIVEN)).status_code == 200

    sent = upstream.received[-1]
    search = {"name": "search", "description": "Look it up.", "parameters": {"type": "object"}}
    assert [tool["function"] for tool in sent["tools"]] == [search, {"name": "stop"}]
    form = {"name": "answer", "schema": {"type": "object"}}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": form}


async def test_they_are_written_in_the_providers_wire(http: httpx.AsyncClient, ctx: Context, upstream: Any):
    """Whatever wire the call came by."""
    await synced(ctx, model="claude/tiny")
    reply = await ask(http, variables=GIVEN)

    assert reply.status_code == 200, reply.text
    sent = upstream.received[-1]
    assert texts(sent["messages"][0]).startswith(SAID)
    assert [tool["name"] for tool in sent["tools"]] == ["search", "stop"]
    assert sent["output_config"]["format"] == {"type": "json_schema", "schema": {"type": "object"}}


async def test_what_the_caller_gives_itself_holds(http: httpx.AsyncClient, ctx: Context, upstream: Any):
    """Its own tools in place of all of the prompt's, its own form in place of the prompt's."""
    await synced(ctx)
    own = [{"type": "function", "function": {"name": "mine", "parameters": {"type": "object"}}}]
    for more in ({"tools": own}, {"response_format": {"type": "json_object"}}):
        assert (await ask(http, variables=GIVEN, **more)).status_code == 200

    first, second = upstream.received
    assert [tool["function"]["name"] for tool in first["tools"]] == ["mine"]
    assert first["response_format"]["type"] == "json_schema"
    assert [tool["function"]["name"] for tool in second["tools"]] == ["search", "stop"]
    assert second["response_format"] == {"type": "json_object"}
