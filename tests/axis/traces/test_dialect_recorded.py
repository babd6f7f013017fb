"""What real instrumentation packages send is understood: each recording of `fixtures/` in normal form.

Every recorded call has 21 input tokens, 8 of them cached, and 5 output tokens, 2 of them reasoning; of Anthropic 3 more
were written to the cache.
"""

import itertools
import json
from pathlib import Path

import msgspec
import pytest
from google.protobuf import json_format

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import otlp
from gimbal.axis.traces.dialects import read
from gimbal.axis.traces.dialects.reading import Reading
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.otlp import RawSpan
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
QUESTION, ANSWER = "What keeps the rings level?", "Gimbal keeps both rings level."
SYSTEM = {"role": "system", "content": "Be brief."}
ODD = (None, "x", 7, True, [1], {"a": [1]}, '{"choices": 5}', '[{"a":', "[]", 2.5, {}, '"', "1e999", "-1")
FULL = Usage.of(input_tokens=21, output_tokens=5, cache_read_tokens=8, reasoning_tokens=2)
CACHED = Usage.of(input_tokens=21, output_tokens=5, cache_read_tokens=8)
BARE = Usage.of(input_tokens=21, output_tokens=5)
CLAUDE = Usage.of(input_tokens=21, output_tokens=5, cache_read_tokens=8, cache_write_tokens=3)


def raw_spans(name: str) -> list[RawSpan]:
    """Return the spans of a recording, as they came over the wire, by their start."""
    request = otlp.parse((FIXTURES / f"{name}.json").read_bytes(), otlp.JSON)
    found = [raw for raw in otlp.spans(request) if isinstance(raw, RawSpan)]
    return sorted(found, key=lambda raw: raw.start_us)


def call(name: str) -> tuple[RawSpan, Reading]:
    """Return the innermost model call of a recording, with what was understood of it."""
    found = [(raw, seen) for raw in raw_spans(name) if (seen := read(raw)).kind == "llm"]
    parents = {raw.parent_id for raw in raw_spans(name)}
    return next((raw, seen) for raw, seen in found if raw.span_id not in parents)


# Dialect, provider, and the usage of a plain, a streamed and a tool call: not every package says everything.
SOURCES: dict[str, tuple[str, str, Usage | None, Usage | None, Usage | None]] = {
    "openai-v2": ("otel-genai", "openai", BARE, BARE, BARE),
    "openai-v2-latest": ("otel-genai", "openai", BARE, BARE, BARE),
    "traceloop-openai": ("otel-genai", "openai", FULL, CACHED, FULL),
    "traceloop-openai-0.40": ("traceloop", "openai", CACHED, None, CACHED),
    "traceloop-anthropic-0.40": ("traceloop", "anthropic", CLAUDE, None, CLAUDE),
    "openinference-openai": ("openinference", "openai", FULL, FULL, FULL),
    "langfuse": ("langfuse", "", FULL, FULL, FULL),
    "mlflow": ("mlflow", "openai", FULL, FULL, FULL),
    "vercel-ai5": ("vercel-ai", "openai", BARE, FULL, BARE),
    "vercel-ai7": ("otel-genai", "openai", CACHED, CACHED, CACHED),
}
WITHOUT_MESSAGES = {"openai-v2"}
"""What it says goes into logs."""

WITHOUT_FINISH = {("openai-v2", "streamed"), ("langfuse", "plain"), ("langfuse", "tools")}
"""They do not say it."""


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("scenario", "number"), [("plain", 2), ("streamed", 3), ("tools", 4)])
def test_a_call_is_understood(source: str, scenario: str, number: int) -> None:
    """Who answered, by which model, for how many tokens of which class, and why it stopped."""
    dialect, provider = SOURCES[source][:2]
    raw, seen = call(f"{source}-{scenario}")
    assert (seen.dialect, seen.provider, seen.usage) == (dialect, provider, SOURCES[source][number])
    answered = "claude-tiny" if "anthropic" in source else "tiny-2026"
    # Where nothing of the answer was kept, it is the model that was asked for.
    assert seen.model == (
        "claude-sonnet-4" if (source, scenario) == ("traceloop-anthropic-0.40", "streamed") else answered
    )
    assert raw.status in {"ok", "unset"}
    if (source, scenario) not in WITHOUT_FINISH:
        assert seen.finish == ("tool_calls" if scenario == "tools" else "stop")


@pytest.mark.parametrize("source", sorted(set(SOURCES) - WITHOUT_MESSAGES))
@pytest.mark.parametrize("scenario", ["plain", "streamed", "tools"])
def test_messages_and_tool_calls_are_found(source: str, scenario: str) -> None:
    """The conversation in its order; a tool call with its name and what it was called with."""
    _, seen = call(f"{source}-{scenario}")
    assert [row["role"] for row in seen.input] == ["system", "user"]
    assert "Be brief." in json.dumps(seen.input[0])
    assert QUESTION in json.dumps(seen.input[1])
    if scenario != "tools":
        assert ANSWER in (seen.output if isinstance(seen.output, str) else json.dumps(seen.output))
        return
    message = seen.output[0]
    assert message["role"] == "assistant"
    if "parts" in message:
        made = next(part for part in message["parts"] if part["type"] == "tool_call")
        assert (made["name"], made["arguments"]) == ("look", {"at": "sky"})
    else:
        made = message["tool_calls"][0]
        assert (made["id"], made["function"]["name"]) in {("call_1", "look"), ("toolu_1", "look")}
        assert json.loads(made["function"]["arguments"]) == {"at": "sky"}


@pytest.mark.parametrize("scenario", ["plain", "streamed", "tools"])
def test_both_spans_of_a_call_of_anthropic_are_understood(scenario: str) -> None:
    """That of the client itself, by the newest names, and that of the instrumentation, by older ones."""
    outer, own = (read(raw) for raw in raw_spans(f"traceloop-anthropic-{scenario}"))
    # The instrumentation adds up what the stream says cumulatively.
    counted = msgspec.structs.replace(CLAUDE, output=9) if scenario == "streamed" else CLAUDE
    assert (outer.usage, own.usage) == (counted, CLAUDE)
    assert {(seen.dialect, seen.provider, seen.model) for seen in (outer, own)} == {
        ("otel-genai", "anthropic", "claude-tiny")
    }
    assert [row["role"] for row in outer.input] == ["system", "user"]


def test_flattened_and_nested_messages_are_plain_ones() -> None:
    """OpenLLMetry's numbered attributes, Langfuse's bodies and MLflow's whole answers end as the same messages."""
    for source in ("traceloop-openai-0.40", "langfuse", "mlflow", "openinference-openai"):
        _, seen = call(f"{source}-plain")
        assert seen.input == [SYSTEM, {"role": "user", "content": QUESTION}], source
        assert {"role": "assistant", "content": ANSWER}.items() <= seen.output[0].items(), source


@pytest.mark.parametrize("source", sorted(set(SOURCES) - {"traceloop-anthropic-0.40"}))
def test_a_failed_call_is_an_error_without_usage(source: str) -> None:
    """What was asked is there, what it cost is not invented."""
    raw, seen = call(f"{source}-error")
    assert (raw.status, seen.kind, seen.usage, seen.finish) == ("error", "llm", None, "")
    assert seen.model == "gpt-4o"
    assert not seen.output
    said = [raw.status_message, *(str(event["attributes"].get("exception.message")) for event in raw.events)]
    assert any("Rate limit reached" in text for text in said)


@pytest.mark.parametrize("source", ["openinference-openai", "openai-v2-latest", "langfuse", "traceloop-anthropic"])
def test_a_stream_that_was_closed_in_the_middle_claims_nothing(source: str) -> None:
    """What had come is there; no usage is made up, and of one that was reported in part it is known to be a floor."""
    raw, seen = call(f"{source}-closed")
    assert (raw.status, seen.kind) == ("unset", "llm")
    assert seen.finish in {"", "error"}
    if source == "traceloop-anthropic":  # only the client's own span is sent, which says what went in
        assert (seen.usage, seen.estimated) == (msgspec.structs.replace(CLAUDE, output=0), True)
    else:
        assert (seen.usage, seen.estimated) == (None, False)
        assert "Gimbal " in json.dumps(seen.output)


def test_when_the_first_token_came_is_told() -> None:
    """By an event of OpenInference's, by a moment of Langfuse's."""
    for name in ("openinference-openai-streamed", "langfuse-streamed"):
        raw, seen = call(name)
        assert seen.first_token_us is not None, name
        assert 0 < seen.first_token_us <= raw.end_us - raw.start_us, name
    assert call("openinference-openai-plain")[1].first_token_us is None


@pytest.mark.parametrize("source", ["openinference-openai", "langfuse", "vercel-ai5"])
def test_sessions_and_users_are_found_on_every_span(source: str) -> None:
    """Wherever the package puts them."""
    seen = [read(raw) for raw in raw_spans(f"{source}-plain")]
    assert {(one.session_id, one.user_id) for one in seen} == {("talk-1", "ada")}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("langfuse-plain", {"answer": "agent", "OpenAI-generation": "llm"}),
        ("mlflow-plain", {"answer": "agent", "Completions": "llm"}),
        (
            "vercel-ai5-tools",
            {"ai.generateText": "chain", "ai.generateText.doGenerate": "llm", "ai.toolCall": "tool"},
        ),
        (
            "vercel-ai7-tools",
            {"invoke_agent gpt-4o": "agent", "step 1": "chain", "chat gpt-4o": "llm", "execute_tool look": "tool"},
        ),
    ],
)
def test_wrappers_and_tools_have_their_kinds(name: str, kinds: dict[str, str]) -> None:
    """Only what calls a model is a model call."""
    assert {raw.name: read(raw).kind for raw in raw_spans(name)} == kinds


@pytest.mark.parametrize("name", ["vercel-ai5-tools", "vercel-ai7-tools"])
def test_a_tool_has_its_arguments_and_its_result(name: str) -> None:
    """As they were."""
    seen = next(seen for raw in raw_spans(name) if (seen := read(raw)).kind == "tool")
    assert seen.input == {"at": "sky"}
    assert seen.output in {"seen: sky", '"seen: sky"'}


def test_a_stream_has_the_time_to_its_first_token() -> None:
    """In microseconds from the start of the span, between its start and its end."""
    for source in ("langfuse", "vercel-ai5"):
        raw, seen = call(f"{source}-streamed")
        assert seen.first_token_us is not None, source
        assert 0 < seen.first_token_us <= raw.end_us - raw.start_us, source


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("traceloop-anthropic-")])
async def test_each_recorded_call_counts_once_and_keeps_its_attributes(
    name: str, traces: Traces, here: Context
) -> None:
    """A wrapper, a second package and a provider's own span report the same tokens: the trace has them once."""
    request = otlp.parse((FIXTURES / f"{name}.json").read_bytes(), otlp.JSON)
    assert await ingest(here, request) == []
    sent = {raw.span_id: raw for raw in raw_spans(name)}
    trace = await traces.get(here, next(iter(sent.values())).trace_id)
    assert {span.span_id: span.attributes for span in trace.spans} == {key: raw.attributes for key, raw in sent.items()}
    if name.endswith(("-error", "-closed")) or name == "traceloop-openai-0.40-streamed":
        assert (trace.summary.input_tokens, trace.summary.output_tokens) == (None, None)
        assert (trace.summary.unpriced, trace.summary.cost) == (1, None)
    else:
        assert (trace.summary.input_tokens, trace.summary.output_tokens) == (21, 5)
    assert trace.summary.status == ("error" if name.endswith("-error") else trace.summary.status)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_tells_nothing_of_a_machine(name: str) -> None:
    """No path, host or process; and it is what a collector would send on."""
    text = (FIXTURES / f"{name}.json").read_text(encoding="utf-8")
    assert not [
        word for word in ("/root", "/home", "/tmp", "/work", "host.name", "process.", "stacktrace") if word in text
    ]
    assert all(read(raw).dialect != "generic" for raw in raw_spans(name))
    assert json_format.MessageToDict(otlp.parse(text.encode(), otlp.JSON))


@pytest.mark.parametrize("name", NAMES)
def test_no_value_of_a_wrong_kind_breaks_a_dialect(name: str) -> None:
    """Each attribute is replaced by something that it is not: the span is still read, and can be written."""
    for raw, odd in itertools.product(raw_spans(name), ODD):
        for key in raw.attributes:
            changed = msgspec.structs.replace(raw, attributes=raw.attributes | {key: odd})
            msgspec.json.encode(read(changed), enc_hook=str)
        every = msgspec.structs.replace(raw, attributes=dict.fromkeys(raw.attributes, odd))
        msgspec.json.encode(read(every), enc_hook=str)
