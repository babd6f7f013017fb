"""Dialects: what current and older instrumentations call things ends in one normal form; nonsense ends in none."""

import json
import math
from typing import Any

import pytest
from tests.axis.traces import wire

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import otlp
from gimbal.axis.traces.dialects import ended, read
from gimbal.axis.traces.dialects.reading import Reading, json_value, number
from gimbal.axis.traces.dialects.usage import usage_of
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.otlp import RawSpan

MESSAGES = [{"role": "user", "parts": [{"type": "text", "content": "When?"}]}]
ANSWER = [{"role": "assistant", "parts": [{"type": "text", "content": "At noon."}], "finish_reason": "stop"}]
SAID, ANSWERED = [{"role": "user", "content": "When?"}], [{"role": "assistant", "content": "At noon."}]


def reading(attributes: dict[str, Any], events: dict[str, dict[str, Any]] | None = None) -> Reading:
    """Return what is understood of a span that came over the wire."""
    given = wire.span("1" * 32, 1, attributes=attributes)
    for name, fields in (events or {}).items():
        given.events.add(name=name.partition("#")[0], attributes=wire.pairs(fields))
    raw = next(otlp.spans(wire.request(given)))
    assert isinstance(raw, RawSpan)
    return read(raw)


CURRENT = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4",
    "gen_ai.response.model": "claude-sonnet-4-20250514", "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 50, "gen_ai.usage.cache_read.input_tokens": 600,
    "gen_ai.usage.cache_write.input_tokens": 100, "gen_ai.usage.reasoning.output_tokens": 20,
    "gen_ai.response.finish_reasons": ["stop"], "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.input.messages": MESSAGES, "gen_ai.output.messages": ANSWER, "gen_ai.conversation.id": "c1", "user.id": "ann",
    "gimbal.feature": "help", "gimbal.refs": ["prompt:help/answer@v2"],
}  # fmt: skip
OLDER = {
    "gen_ai.operation.name": "chat", "gen_ai.system": "anthropic", "gen_ai.request.model": "claude-sonnet-4",
    "gen_ai.response.model": "claude-sonnet-4-20250514", "gen_ai.usage.prompt_tokens": 1000,
    "gen_ai.usage.completion_tokens": "50", "gen_ai.usage.cache_read.input_tokens": 600.0,
    "gen_ai.usage.cache_creation.input_tokens": 100, "gen_ai.usage.reasoning.output_tokens": 20,
    "gen_ai.response.finish_reasons": '["stop"]', "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.prompt": json.dumps(MESSAGES), "gen_ai.completion": json.dumps(ANSWER), "session.id": "c1",
    "enduser.id": "ann", "gimbal.feature": "help", "gimbal.refs": ["prompt:help/answer@v2"],
}  # fmt: skip


@pytest.mark.parametrize("attributes", [CURRENT, OLDER], ids=["current", "older"])
def test_genai_says_the_same_by_its_current_and_its_older_names(attributes: dict[str, Any]) -> None:
    """And structured values or JSON text."""
    assert reading(attributes) == Reading(
        dialect="otel-genai",
        kind="llm",
        provider="anthropic",
        model="claude-sonnet-4-20250514",
        # Input has the cached tokens in it: they are a part, not an addition.
        usage=Usage.of(
            input_tokens=1000, output_tokens=50, cache_read_tokens=600, cache_write_tokens=100, reasoning_tokens=20
        ),
        first_token_us=250_000,
        finish="stop",
        input=SAID,
        output=ANSWERED,
        session_id="c1",
        user_id="ann",
        feature="help",
        refs=["prompt:help/answer@v2"],
    )


def test_of_current_and_older_names_that_differ_the_current_win() -> None:
    """Instrumentations in transition send both."""
    both = {name: "old" if isinstance(value, str) else 1 for name, value in OLDER.items()} | CURRENT
    assert reading(both) == reading(CURRENT)


def test_genai_messages_of_events_are_read_in_order() -> None:
    """As instrumentations before 1.38 send them."""
    events = {
        "gen_ai.system.message": {"content": "Be brief."},
        "gen_ai.user.message": {"content": "When?"},
        "gen_ai.assistant.message": {"content": None},
        "gen_ai.tool.message": {"content": '{"hour": 12}', "id": "call_1"},
        "other": {"content": "x"},
        "gen_ai.choice": {"index": 0, "message": {"role": "assistant", "content": "Noon."}, "finish_reason": "stop"},
    }
    seen = reading({"gen_ai.request.model": "gpt-4o"}, events)
    assert seen.input == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": '{"hour": 12}', "tool_call_id": "call_1"},
    ]
    assert seen.output == [{"role": "assistant", "content": "Noon."}]


def test_system_instructions_stand_before_the_messages() -> None:
    """They are a message like others."""
    seen = reading(
        {"gen_ai.system_instructions": '[{"type":"text","content":"Be brief."}]', "gen_ai.input.messages": MESSAGES}
    )
    assert seen.input == [{"role": "system", "content": "Be brief."}, *SAID]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("chat", "llm"), ("text_completion", "llm"), ("generate_content", "llm"), ("embeddings", "embedding"),
        ("retrieval", "retriever"), ("execute_tool", "tool"), ("invoke_agent", "agent"), ("create_agent", "agent"),
        ("invoke_workflow", "chain"), ("update_memory", "other"),
    ],
)  # fmt: skip
def test_genai_operations_are_kinds(operation: str, kind: str) -> None:
    """What is not known is other."""
    assert reading({"gen_ai.operation.name": operation}).kind == kind


def test_genai_tools_and_retrievals() -> None:
    """Arguments and results; documents with their scores."""
    tool = reading(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.arguments": '{"city":"Bern"}',
            "gen_ai.tool.call.result": "21°",
        }
    )
    assert (tool.input, tool.output) == ({"city": "Bern"}, "21°")
    found = [{"id": "d1", "content": "text", "score": 0.5, "source": "a.md"}, {"id": 7, "score": "high"}, "x"]
    docs = reading({"gen_ai.retrieval.query.text": "why?", "gen_ai.retrieval.documents": json.dumps(found)})
    assert docs.input == "why?"
    assert docs.documents == [Document(id="d1", content="text", score=0.5, source="a.md"), Document(id="7")]


OPENINFERENCE = {
    "openinference.span.kind": "LLM", "llm.provider": "openai", "llm.system": "other", "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 1000, "llm.token_count.completion": 50, "llm.token_count.total": 1050,
    "llm.token_count.prompt_details.cache_read": 600, "llm.token_count.prompt_details.cache_write": 100,
    "llm.token_count.completion_details.reasoning": 20, "llm.finish_reason": "tool_calls",
    "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "Be brief.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "What is",
    "llm.input_messages.1.message.contents.1.message_content.text": "this?",
    "llm.input_messages.10.message.role": "tool", "llm.input_messages.2.message.role": "assistant",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_1",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city":"Bern"}',
    "llm.output_messages.0.message.tool_calls.1.tool_call.function.name": "time",
    "input.value": "ignored where there are messages", "session.id": "s", "user.id": "u", "gimbal.feature": "f",
}  # fmt: skip


def test_openinference_messages_tools_and_usage() -> None:
    """Flattened names become messages in the order of their numbers."""
    seen = reading(OPENINFERENCE)
    assert (seen.dialect, seen.kind, seen.provider, seen.model) == ("openinference", "llm", "openai", "gpt-4o")
    assert seen.usage == Usage.of(
        input_tokens=1000, output_tokens=50, cache_read_tokens=600, cache_write_tokens=100, reasoning_tokens=20
    )
    assert seen.input == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is\nthis?"},
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": ""},
    ]
    calls = seen.output[0]["tool_calls"]
    assert calls[0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Bern"}'},
    }
    assert calls[1] == {"type": "function", "function": {"name": "time"}}
    assert (seen.finish, seen.session_id, seen.user_id, seen.feature) == ("tool_calls", "s", "u", "f")


@pytest.mark.parametrize("kind", ["CHAIN", "AGENT", "TOOL", "RETRIEVER", "RERANKER", "EMBEDDING", "GUARDRAIL", "EVALUATOR", "PROMPT", "UNKNOWN", "chain", 5])  # fmt: skip
def test_openinference_kinds(kind: Any) -> None:
    """Each has its own in the normal form."""
    expected = {"guardrail": "guard", "prompt": "chain", "unknown": "other", "5": "other"}
    assert reading({"openinference.span.kind": kind}).kind == expected.get(str(kind).lower(), str(kind).lower())


def test_openinference_documents_and_plain_values() -> None:
    """Documents by number, values as JSON where they are JSON; absurd numbers make no absurd lists."""
    seen = reading(
        {
            "openinference.span.kind": "RETRIEVER", "input.value": "why?", "output.value": '{"n": 2}',
            "retrieval.documents.1.document.content": "second", "retrieval.documents.0.document.id": "d0",
            "retrieval.documents.0.document.score": 1.5, "retrieval.documents.999999999.document.id": "far",
            "retrieval.documents.x.document.id": "odd", "llm.input_messages.99999999.message.role": "far",
        }
    )  # fmt: skip
    assert (seen.input, seen.output) == ("why?", {"n": 2})
    assert seen.documents == [Document(id="d0", score=1.5), Document(content="second")]


def test_a_span_of_two_conventions_is_read_by_one_of_them() -> None:
    """Never the sum of both: a span that carries both has called once."""
    seen = reading(OPENINFERENCE | CURRENT)
    assert seen.dialect == "openinference"
    assert seen.usage == Usage.of(
        input_tokens=1000, output_tokens=50, cache_read_tokens=600, cache_write_tokens=100, reasoning_tokens=20
    )


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({}, "other"),
        ({"http.request.method": "GET"}, "http"),
        ({"http.method": "GET"}, "http"),
        ({"gimbal.kind": "tool"}, "tool"),
        ({"gimbal.kind": "nonsense", "http.method": "GET"}, "http"),
    ],
)
def test_spans_of_no_convention(attributes: dict[str, Any], kind: str) -> None:
    """Kept, with what general conventions say."""
    extra = {"gimbal.input": '{"a":1}', "gimbal.output": "plain", "session.id": "s", "enduser.id": "u"}
    seen = reading(attributes | extra)
    assert (seen.dialect, seen.kind, seen.input, seen.output) == ("generic", kind, {"a": 1}, "plain")
    assert (seen.session_id, seen.user_id, seen.usage, seen.model) == ("s", "u", None, "")


@pytest.mark.parametrize("odd", [None, "", "many", True, math.nan, math.inf, -5, 2**62, 1e300, [1], {"n": 1}, b"5"])
def test_a_count_that_is_none_is_missing_and_not_zero(odd: Any) -> None:
    """And never breaks the span that has it."""
    assert number(odd) is None
    assert usage_of(odd, odd) is None
    assert usage_of(7, odd, odd, odd, odd) == Usage.of(input_tokens=7)
    for name in ("gen_ai.usage.input_tokens", "gen_ai.response.time_to_first_chunk"):
        seen = reading({"gen_ai.operation.name": "chat", name: odd})
        assert (seen.usage, seen.first_token_us) == (None, None)


@pytest.mark.parametrize(("given", "count"), [(5, 5), ("12", 12), (" 12 ", 12), (7.0, 7), ("1e3", 1000), (0, 0)])
def test_counts_as_senders_write_them(given: Any, count: int) -> None:
    """Numbers, texts and floats."""
    assert number(given) == count


@pytest.mark.parametrize("text", ["[" * 60_000, '{"a":' * 10_000, '[{"' * 5000, '["' + '\\"' * 30_000, "[1,", "{x}"])
def test_json_that_is_broken_or_too_deep_stays_text(text: str) -> None:
    """Hostile nesting costs neither a crash nor seconds."""
    assert json_value(text) == text
    seen = reading({"gen_ai.input.messages": text})
    assert seen.input == text


def test_brackets_in_texts_are_no_depth() -> None:
    """A long conversation about code is still a list of messages."""
    messages = [{"role": "user", "content": "[[{{" * 50 + '\\" ['} for _ in range(50)]
    assert json_value(json.dumps(messages)) == messages


@pytest.mark.parametrize("score", [True, "high", None, {}, [1], math.inf])
def test_a_score_that_is_none_does_not_cost_the_document(score: Any) -> None:
    """It is missing, whatever stood there."""
    flat = {"openinference.span.kind": "RETRIEVER", "retrieval.documents.0.document.id": "d"}
    assert reading(flat | {"retrieval.documents.0.document.score": score}).documents == [Document(id="d")]
    listed = [{"id": "d", "score": score}]
    assert reading({"gen_ai.retrieval.documents": listed}).documents == [Document(id="d")]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("asyncio.exceptions.CancelledError", "cancelled"),
        ("GeneratorExit", "cancelled"),
        ("AbortError", "cancelled"),
        ("java.util.concurrent.CancellationException", "cancelled"),
        ("<class 'asyncio.exceptions.CancelledError'>", "cancelled"),
        ("openai.RateLimitError", "error"),
        ("TimeoutError", "error"),
        ("", "error"),
        (7, "error"),
    ],
)
@pytest.mark.parametrize("by_event", [True, False], ids=["an event", "error.type"])
def test_what_was_stopped_from_outside_is_cancelled_and_no_error(error: Any, status: str, by_event: bool) -> None:
    """By the last exception of the span, or by the type of its error; a span that did not fail stays as it is."""
    given = wire.span("1" * 32, 1, attributes={} if by_event else {"error.type": error}, status={"code": 2})
    if by_event:
        given.events.add(name="exception", attributes=wire.pairs({"exception.type": "ValueError"}))
        given.events.add(name="exception", attributes=wire.pairs({"exception.type": error}))
    for code, expected in ((2, status), (1, "ok"), (0, "unset")):
        given.status.code = code
        raw = next(otlp.spans(wire.request(given)))
        assert isinstance(raw, RawSpan)
        assert ended(raw) == expected


def test_an_event_without_a_type_says_no_more_than_the_attribute() -> None:
    given = wire.span("1" * 32, 1, attributes={"error.type": "CancelledError"}, status={"code": 2})
    given.events.add(name="exception")
    raw = next(otlp.spans(wire.request(given)))
    assert isinstance(raw, RawSpan)
    assert ended(raw) == "cancelled"
