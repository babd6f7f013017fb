"""Names of dialects beside those that were recorded: older versions, other providers, attributes set by hand."""

import json
from typing import Any

import pytest
from tests.axis.traces.test_dialects import reading

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Document

CLAUDE = Usage.of(input_tokens=1000, output_tokens=50, cache_read_tokens=600, cache_write_tokens=100)


@pytest.mark.parametrize(
    ("details", "usage"),
    [
        # The provider's own: what is cached is in the input.
        (
            {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 600}},
            Usage.of(input_tokens=1000, output_tokens=50, cache_read_tokens=600),
        ),
        (
            {"input_tokens": 9, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}},
            Usage.of(input_tokens=9, output_tokens=5, reasoning_tokens=2),
        ),
        # Langfuse's types exclude each other.
        (
            {"input": 300, "input_cached_tokens": 600, "input_cache_creation": 100, "output": 50, "total": 1050},
            CLAUDE,
        ),
        (
            {
                "input_tokens": 300,
                "cache_read_input_tokens": 600,
                "cache_creation_input_tokens": 100,
                "output_tokens": 50,
            },
            CLAUDE,
        ),
        (
            {"input": 10, "output": 3, "output_reasoning_tokens": 2},
            Usage.of(input_tokens=10, output_tokens=5, reasoning_tokens=2),
        ),
        ({"total": 10}, None),
        ({}, None),
    ],
)
def test_langfuse_counts_what_is_cached_once(details: dict[str, Any], usage: Usage | None) -> None:
    """Whichever of its forms the usage has."""
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "claude-sonnet-4",
        "langfuse.observation.usage_details": json.dumps(details),
    }
    seen = reading(attributes)
    assert (seen.dialect, seen.usage, seen.provider) == ("langfuse", usage, "anthropic")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("span", "other"), ("event", "other"), ("guardrail", "guard"), ("evaluator", "evaluator"), ("retriever", "retriever"),
     ("tool", "tool"), ("chain", "chain"), ("embedding", "embedding"), ("GENERATION", "llm"), (5, "other")],
)  # fmt: skip
def test_langfuse_observations_are_kinds(kind: Any, expected: str) -> None:
    """What is not known is other."""
    assert reading({"langfuse.observation.type": kind}).kind == expected


def test_what_langfuse_puts_on_every_span_does_not_hide_another_dialect() -> None:
    """Its SDK gives its trace's attributes to spans of instrumentations, too."""
    of_trace = {"langfuse.trace.name": "t", "langfuse.trace.tags": ["x"], "langfuse.user.id": "ada"}
    seen = reading({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"} | of_trace)
    assert (seen.dialect, seen.kind, seen.user_id) == ("otel-genai", "llm", "ada")


def test_langfuse_takes_from_genai_names_what_it_does_not_say() -> None:
    """Applications put both on one span; the span is still one call."""
    seen = reading(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.input": '"Hi"',
            "gen_ai.provider.name": "aws.bedrock",
            "gen_ai.response.model": "m",
            "gen_ai.usage.input_tokens": 7,
        }
    )
    assert (seen.dialect, seen.provider, seen.model) == ("langfuse", "aws.bedrock", "m")
    assert seen.usage == Usage.of(input_tokens=7)


VERCEL = {"ai.operationId": "ai.generateText.doGenerate", "ai.model.id": "m", "ai.usage.outputTokens": 50}


@pytest.mark.parametrize(
    "attributes",
    [
        # Up to version 5 the provider's own counts.
        {
            "ai.model.provider": "anthropic.messages",
            "ai.usage.inputTokens": 300,
            "ai.usage.cachedInputTokens": 600,
            "ai.response.providerMetadata": '{"anthropic":{"cacheCreationInputTokens":100}}',
        },
        # From version 6 on the whole, with its parts.
        {
            "ai.model.provider": "anthropic.messages",
            "ai.usage.inputTokens": 1000,
            "ai.usage.cachedInputTokens": 600,
            "ai.usage.inputTokenDetails.noCacheTokens": 300,
            "ai.usage.inputTokenDetails.cacheReadTokens": 600,
            "ai.usage.inputTokenDetails.cacheWriteTokens": 100,
        },
    ],
    ids=["5", "6"],
)
def test_vercel_input_of_anthropic_is_whole_in_every_version(attributes: dict[str, Any]) -> None:
    """Cached tokens are a part of the input, and are counted once."""
    seen = reading(VERCEL | attributes)
    assert (seen.dialect, seen.kind, seen.provider, seen.usage) == ("vercel-ai", "llm", "anthropic", CLAUDE)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [("ai.generateText", "chain"), ("ai.streamText", "chain"), ("ai.generateObject", "chain"), ("ai.embed", "chain"),
     ("ai.streamText.doStream", "llm"), ("ai.generateObject.doGenerate", "llm"), ("ai.embedMany.doEmbed", "embedding"),
     ("ai.toolCall", "tool")],
)  # fmt: skip
def test_vercel_operations_are_kinds(operation: str, kind: str) -> None:
    """A wrapper is no call."""
    assert reading({"ai.operationId": operation}).kind == kind


def test_vercel_objects_embeddings_and_providers() -> None:
    """An object is the output; an embedding's tokens are input; a provider has its conventional name."""
    made = reading(VERCEL | {"ai.response.object": '{"a":1}', "ai.model.provider": "amazon-bedrock"})
    assert (made.output, made.provider) == ({"a": 1}, "aws.bedrock")
    embedded = reading(
        {"ai.operationId": "ai.embed.doEmbed", "ai.usage.tokens": 4, "ai.values": ['"one"', '"two"']},
    )
    assert (embedded.usage, embedded.input) == (Usage.of(input_tokens=4), ["one", "two"])


def test_mlflow_input_of_anthropic_is_whole() -> None:
    """Its autologging keeps the provider's own count, without what was cached."""
    usage = {
        "input_tokens": 300,
        "output_tokens": 50,
        "total_tokens": 350,
        "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 100,
    }
    answer = {"type": "message", "role": "assistant", "content": "At noon.", "stop_reason": "max_tokens"}
    seen = reading(
        {
            "mlflow.spanType": '"CHAT_MODEL"',
            "mlflow.message.format": '"anthropic"',
            "mlflow.spanInputs": json.dumps({"model": "claude-sonnet-4", "messages": [{"role": "user", "content": "When?"}]}),
            "mlflow.spanOutputs": json.dumps(answer),
            "mlflow.chat.tokenUsage": json.dumps(usage),
            "mlflow.trace.session": '"s"',
            "user.id": "ada",
        }
    )  # fmt: skip
    assert (seen.dialect, seen.provider, seen.model, seen.usage) == ("mlflow", "anthropic", "claude-sonnet-4", CLAUDE)
    assert (seen.input, seen.finish) == ([{"role": "user", "content": "When?"}], "length")
    assert seen.output == [{"role": "assistant", "content": "At noon."}]
    assert (seen.session_id, seen.user_id) == ("s", "ada")


def test_mlflow_retrievers_have_documents() -> None:
    """With where they are from."""
    rows = [{"page_content": "text", "metadata": {"doc_uri": "a.md", "chunk_id": "c1"}, "id": None}, "x", {"other": 1}]
    seen = reading({"mlflow.spanType": '"RETRIEVER"', "mlflow.spanOutputs": json.dumps(rows)})
    assert seen.kind == "retriever"
    metadata = {"doc_uri": "a.md", "chunk_id": "c1"}
    assert seen.documents == [Document(id="c1", content="text", source="a.md", metadata=metadata)]


def test_openllmetry_workflows() -> None:
    """Their kind, what went in and came out, and the session that the application associated."""
    seen = reading(
        {
            "traceloop.span.kind": "workflow",
            "traceloop.entity.name": "answer",
            "traceloop.entity.input": '{"args": ["When?"], "kwargs": {}}',
            "traceloop.entity.output": '"At noon."',
            "traceloop.association.properties.session_id": "s",
            "traceloop.association.properties.user_id": "ada",
        }
    )
    assert (seen.dialect, seen.kind, seen.session_id, seen.user_id) == ("traceloop", "chain", "s", "ada")
    assert (seen.input, seen.output) == ({"args": ["When?"], "kwargs": {}}, "At noon.")


def test_the_first_names_of_openllmetry_are_read() -> None:
    """All of them under `llm.`; contents of several parts; the older form of a call."""
    seen = reading(
        {
            "llm.request.type": "chat",
            "llm.vendor": "OpenAI",
            "llm.request.model": "gpt-4",
            "llm.usage.prompt_tokens": 7,
            "llm.usage.completion_tokens": 3,
            "llm.prompts.1.role": "user",
            "llm.prompts.1.content": '[{"type":"text","text":"When?"}]',
            "llm.prompts.0.role": "system",
            "llm.completions.0.role": "assistant",
            "llm.completions.0.finish_reason": "function_call",
            "llm.completions.0.function_call.name": "clock",
            "llm.completions.0.function_call.arguments": "{}",
        }
    )
    assert (seen.dialect, seen.provider, seen.model, seen.finish) == ("traceloop", "openai", "gpt-4", "tool_calls")
    assert seen.usage == Usage.of(input_tokens=7, output_tokens=3)
    assert seen.input == [{"role": "system", "content": ""}, {"role": "user", "content": "When?"}]
    call = {"type": "function", "function": {"name": "clock", "arguments": "{}"}}
    assert seen.output == [{"role": "assistant", "content": "", "tool_calls": [call]}]


def test_the_event_with_an_operations_details_is_read() -> None:
    """Newer GenAI conventions let the messages ride on it; what the span says itself wins."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "When?"}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "Noon."}], "finish_reason": "stop"}]
    details = {
        "gen_ai.input.messages": messages,
        "gen_ai.output.messages": answer,
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.request.model": "other",
        "gen_ai.usage.input_tokens": 7,
    }
    event = {"gen_ai.client.inference.operation.details": details}
    seen = reading({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}, event)
    assert seen.input == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When?"}]
    assert (seen.output, seen.finish) == ([{"role": "assistant", "content": "Noon."}], "stop")
    assert (seen.model, seen.usage) == ("gpt-4o", Usage.of(input_tokens=7))
    assert reading({}, event).dialect == "otel-genai"


@pytest.mark.parametrize(
    ("given", "word"),
    [(["end_turn"], "stop"), ("tool-calls", "tool_calls"), ("MAX_TOKENS", "length"), ("odd", "odd"), ([], "")],
)
def test_reasons_for_stopping_have_one_word_each(given: Any, word: str) -> None:
    """What is not known stays as it was."""
    assert reading({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": given}).finish == word


def test_a_convention_nobody_knows_is_kept_as_it_came() -> None:
    """It is a span like others."""
    seen = reading({"acme.llm.model": "m", "acme.llm.tokens": 5, "session.id": "s"})
    assert (seen.dialect, seen.kind, seen.model, seen.usage, seen.session_id) == ("generic", "other", "", None, "s")
