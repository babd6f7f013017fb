"""Evaluating a prompt: retrieval, filling and the call are one trace; what fails is missing, not wrong."""

import json
from decimal import Decimal

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import Example
from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway import target
from gimbal.generative.gateway.complete import complete
from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.knowledge.model import Document
from gimbal.generative.knowledge.service import Indexes
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref

PROMPT = """+++
model = "MODEL"

[retrieval]
index = "index:help/docs"
k = 2
+++

## system
Answer from the sources only.

## user
{{context}}

Question: {{question}}
"""
DOCS = [
    Document(source="docs/gates.md", text="# Gates\n\nA gate weighs evidence and leaves a Decision."),
    Document(source="docs/ports.md", text="# Ports\n\nThe server listens on port 8765. OTLP over gRPC uses port 4317."),
]


async def version_of(ctx, model="local/extractive", text=PROMPT):
    await ctx.get(Indexes).build(ctx, "help/docs", DOCS)
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=text.replace("MODEL", model))])
    return await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/answer"))


async def test_an_example_is_answered_with_its_source_and_one_trace(ctx):
    version = await version_of(ctx)
    example = Example(id="1", input={"question": "Which port does the server listen on?"}, expected={"answer": "8765"})

    output = await target.PROMPTS(ctx, version, example)

    assert output.text == "The server listens on port 8765."
    assert output.sources == ["docs/ports.md"]
    assert output.error == ""
    assert output.cost == 0
    trace = await ctx.get(Traces).get(ctx, output.trace_id)
    by_kind = {span.kind: span for span in trace.spans}
    assert set(by_kind) == {"chain", "retriever", "llm"}
    chain = by_kind["chain"]
    assert {by_kind["retriever"].parent_id, by_kind["llm"].parent_id} == {chain.span_id}
    assert chain.refs == ["prompt:help/answer@v1", "index:help/docs@v1"] == by_kind["llm"].refs
    assert by_kind["retriever"].documents[0].source == "docs/ports.md"
    assert by_kind["llm"].usage.input_tokens == output.input_tokens
    assert chain.start_us <= by_kind["llm"].start_us <= by_kind["llm"].end_us <= chain.end_us


async def test_what_the_docs_do_not_say_is_not_known(ctx):
    version = await version_of(ctx)
    example = Example(id="1", input={"question": "Which port does the database of the moon base use?"})
    unknown = await target.PROMPTS(ctx, version, Example(id="2", input={"question": "How do I bake bread?"}))
    guessed = await target.PROMPTS(ctx, version, example)

    assert unknown.text.startswith("I don't know")
    assert unknown.error == guessed.error == ""


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "missing"),
        ({"question": None}, "not text"),
        ({"question": ["a"]}, "not text"),
        ({"question": 5}, "not text"),
    ],
)
async def test_an_input_that_does_not_fit_is_an_error_in_the_output(ctx, inputs, says):
    version = await version_of(ctx)
    output = await target.PROMPTS(ctx, version, Example(id="1", input=inputs))

    assert output.text is None
    assert says in output.error
    trace = await ctx.get(Traces).get(ctx, output.trace_id)
    assert [span.status for span in trace.spans if span.kind == "chain"] == ["error"]


TYPED = """+++
model = "up/tiny"

[variables.items]
type = "list"

[variables.limit]
type = "integer"
default = 3

[[tools]]
name = "search"
description = "Look it up."
[tools.parameters]
type = "object"
properties.q.type = "string"

[response]
name = "answer"
strict = true
[response.schema]
type = "object"
+++

## user
At most {{limit}}:{{#each items as item}} {{item}};{{/each}}
"""


async def test_inputs_go_in_as_they_are_and_tools_and_the_form_reach_the_model(ctx, upstream):
    version = await version_of(ctx, text=TYPED)

    good = await target.PROMPTS(ctx, version, Example(id="1", input={"items": ["a", 2, True], "beside": {"x": 1}}))
    bad = await target.PROMPTS(ctx, version, Example(id="2", input={"items": "a, b", "limit": 2}))

    (sent,) = upstream.received
    assert good.error == ""
    assert sent["messages"] == [{"role": "user", "content": "At most 3: a; 2; true;"}]
    function = {"name": "search", "description": "Look it up."}
    function["parameters"] = {"type": "object", "properties": {"q": {"type": "string"}}}
    assert sent["tools"] == [{"type": "function", "function": function}]
    form = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": form}
    assert "'items' is not a list" in bad.error


async def test_tools_that_are_called_are_said(ctx, upstream):
    """With their arguments; none called is none, and nothing is said of a prompt that offers none."""
    version = await version_of(ctx, text=TYPED)
    example = Example(id="1", input={"items": ["a"]})
    none = await target.PROMPTS(ctx, version, example)
    upstream.tools = True
    called = await target.PROMPTS(ctx, version, example)
    upstream.tools = False
    plain = await target.PROMPTS(ctx, await version_of(ctx), Example(id="2", input={"question": "Which port?"}))

    assert (none.tool_calls, plain.tool_calls) == ([], None)
    assert called.tool_calls == [{"name": "look", "arguments": json.loads("".join(upstream.arguments))}]
    assert (called.error, called.text) == ("", "")


async def test_a_conversation_goes_on_after_a_prompt(ctx, upstream):
    """`turns` of an example come after the prompt's own, unless it has a variable of that name."""
    version = await version_of(ctx, text=TYPED)
    turns = [{"role": "assistant", "content": "Which?"}, {"role": "user", "content": "All."}]
    good = await target.PROMPTS(ctx, version, Example(id="1", input={"items": ["a"], "turns": turns}))
    bad = await target.PROMPTS(ctx, version, Example(id="2", input={"items": ["a"], "turns": "All."}))
    named = await version_of(ctx, model="up/tiny", text='+++\nmodel = "MODEL"\n+++\n\n## user\n{{turns}}\n')
    filled = await target.PROMPTS(ctx, named, Example(id="3", input={"turns": "All."}))

    assert (good.error, filled.error) == ("", "")
    assert [sent["messages"][1:] for sent in upstream.received] == [turns, []]
    assert "no conversation" in bad.error


async def test_a_query_has_its_default(ctx):
    text = PROMPT.replace("[retr", '[variables.question]\ndefault = "Which port does the server listen on?"\n\n[retr')
    output = await target.PROMPTS(ctx, await version_of(ctx, text=text), Example(id="1", input={}))

    assert (output.error, output.sources) == ("", ["docs/ports.md"])


async def test_a_provider_that_fails_is_missing_not_wrong(ctx, upstream):
    version = await version_of(ctx, model="up/tiny")
    upstream.faults = [500, 500]
    question = {"question": "Which port does the server listen on?"}
    failed = await target.PROMPTS(ctx, version, Example(id="1", input=question))
    good = await target.PROMPTS(ctx, version, Example(id="1", input=question))

    assert (failed.text, failed.sources) == (None, None)
    assert "had an error" in failed.error
    assert good.text == "Gimbal keeps both rings level."
    assert good.sources[0] == "docs/ports.md"
    assert good.cost is None
    sent = upstream.received[-1]["messages"]
    assert sent[1]["content"].startswith("[1] docs/ports.md — Ports\nThe server listens on port 8765.")
    assert sent[1]["content"].endswith("Question: Which port does the server listen on?")


async def test_a_refusal_is_told_apart_from_a_failure(ctx, upstream):
    version = await version_of(ctx, model="up/tiny")
    upstream.faults = ["refusal", 429]
    question = {"question": "Which port does the server listen on?"}
    refused = await target.PROMPTS(ctx, version, Example(id="1", input=question))
    early = await target.PROMPTS(ctx, version, Example(id="1", input=question))

    assert (refused.failure, refused.text) == ("refused", "I cannot help with that.")
    assert "I cannot help with that." in refused.error
    assert (early.failure, early.retry_after_s) == ("error", 7)


async def test_what_a_call_costs_is_foreseen(ctx, upstream):
    """About and at most, by the price book; free where the model is; and what names its answers changes with the index."""
    examples = [
        Example(id="1", input={"question": "Which port?"}),
        Example(id="2", input={"question": "Which port? " * 50}),
    ]
    version = await version_of(
        ctx, model="openai/gpt-4o-mini", text=PROMPT.replace("[retr", "[params]\nmax_tokens = 100\n\n[retr")
    )
    seen = await target.PROMPTS.foresee(ctx, version, examples)
    await ctx.get(Indexes).build(ctx, "help/docs", DOCS[:1])
    again = await target.PROMPTS.foresee(ctx, version, examples)
    open_ended = await target.PROMPTS.foresee(ctx, await version_of(ctx, model="openai/gpt-4o-mini"), examples)
    free = await target.PROMPTS.foresee(ctx, await version_of(ctx), examples)
    unknown = await target.PROMPTS.foresee(ctx, await version_of(ctx, model="up/tiny"), examples)
    nobody = await target.PROMPTS.foresee(ctx, await version_of(ctx, model="nobody/x"), examples)

    assert None not in (seen.cost, seen.most)
    assert Decimal("0.0001") < seen.cost < seen.most < Decimal("0.01")
    assert seen.identity != again.identity
    assert (seen.cost, seen.most) == (again.cost, again.most)
    assert (open_ended.most, open_ended.cost is not None) == (None, True)
    assert (free.cost, free.most) == (0, 0)
    assert (unknown.cost, nobody.cost) == (None, None)
    assert unknown.unpriced
    assert "nobody" in nobody.unpriced


async def test_complete_is_recorded_and_raises_what_failed(ctx, upstream):
    done = await complete(
        ctx, model="up/tiny", messages=[{"role": "user", "content": "x"}], params={"temperature": 0.0}
    )
    upstream.faults = [500, 500]
    with pytest.raises(Refusal):
        await complete(ctx, model="up/tiny", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(BadInput):
        await complete(ctx, model="up/tiny", messages=[])

    assert (done.model, done.finish, done.usage.input_tokens) == ("up/tiny", "stop", 21)
    assert upstream.received[0]["temperature"] == 0.0
    assert (await ctx.get(Traces).get(ctx, done.trace_id)).spans[0].span_id == done.span_id


def test_markers_point_to_sources_and_are_not_part_of_the_answer():
    from gimbal.generative.knowledge.model import Hit

    hits = [Hit(id=str(n), source=f"{n}.md", title="", heading="", text="", score=1.0, position=0) for n in (1, 2, 3)]

    assert target.sources("It is so [2]. And so [1, 2] and [9].", hits) == ["2.md", "1.md"]
    assert target.sources("No marker.", hits) == ["1.md", "2.md", "3.md"]
    assert target.without_markers("It is so [2]. And so [1, 2].") == "It is so. And so."
    cited = '{"answer": "8765 [1]", "sources": [1, 2]}'
    assert target.without_markers(cited) == cited


PLAIN = '+++\nmodel = "up/tiny"\n+++\n\n## user\n{{question}}\n'


@pytest.mark.parametrize(
    ("question", "said", "scored"),
    [
        ("Sort it.", "return xs[0], ys [1]", "return xs[0], ys [1]"),
        ("Which ids?", '{"ids": [1, 2]}', '{"ids": [1, 2]}'),
        ("[1] docs/ports.md\nIt is 8765.\n\nWhich port?", "8765 [1].", "8765."),
    ],
)
async def test_brackets_are_markers_only_where_passages_were_sent(ctx, upstream, question, said, scored):
    """A list or an index in code is part of an answer that has nothing to point to."""
    version = await version_of(ctx, text=PLAIN)
    upstream.words = [said]

    output = await target.PROMPTS(ctx, version, Example(id="1", input={"question": question}))

    assert (output.text, output.error) == (scored, "")
