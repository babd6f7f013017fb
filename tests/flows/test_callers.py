"""The real callers: instrumentation packages around the providers' own clients, sending to a real Gimbal.

Every call of `callers.py` costs 21 input tokens, 8 of them read from the cache (of Anthropic 3 more were written to it),
and 5 output tokens, 2 of them reasoning. What a package does not say cannot be stored; the tables below tell so.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import msgspec
import pytest
from bench.bar import Running, free_port, gimbal_up
from tests.flows.callers import PACKAGES

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span, Trace

ROOT = Path(__file__).parents[2]
PROJECT = "callers"
QUESTION, ANSWER = "What keeps the rings level?", "Gimbal keeps both rings level."
FULL = Usage.of(input_tokens=21, output_tokens=5, cache_read_tokens=8, reasoning_tokens=2)
BARE = Usage.of(input_tokens=21, output_tokens=5)
CLAUDE = Usage.of(input_tokens=21, output_tokens=5, cache_read_tokens=8, cache_write_tokens=3)

BEGUN = Usage.of(input_tokens=21, cache_read_tokens=8, cache_write_tokens=3)


class Caller(NamedTuple):
    """A package, how it is set up, and what it says."""

    package: str
    protocol: str
    dialect: str
    provider: str
    usage: Usage
    cost: str
    """Of the call that has a price, in US dollars."""
    settings: Mapping[str, str] = MappingProxyType({})
    finish: bool = True
    """Whether it says why the model stopped, also of a plain call and of a stream."""


CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
# gpt-4o costs 2.50 dollars a million for input, 1.25 where it was cached, and 10 for output; Sonnet 4 costs 3, 0.30 and 15,
# and 3.75 for writing to the cache. Those who do not say what was cached are priced as if nothing was.
CALLERS = {
    "openinference": Caller("openinference", "http/protobuf", "openinference", "openai", FULL, "0.0000925"),
    "openai-v2-in-logs": Caller(
        "openai-v2", "http/json", "otel-genai", "openai", BARE, "0.0001025", settings={CONTENT: "event_only"}
    ),
    "openai-v2-on-spans": Caller(
        "openai-v2", "http/json", "otel-genai", "openai", BARE, "0.0001025", settings={CONTENT: "span_only"}
    ),
    "anthropic": Caller(
        "anthropic", "grpc", "otel-genai", "anthropic", CLAUDE, "0.00011865",
        settings={"ANTHROPIC_OPEN_TELEMETRY": "false"},
    ),
    "langfuse": Caller("langfuse", "", "langfuse", "openai", FULL, "0.0000925", finish=False),
}  # fmt: skip


class Report(msgspec.Struct):
    """What a process of `callers.py` says."""

    package: str
    flushed: bool
    spans: dict[str, dict[str, list[tuple[str, str]]]]


class Ran(NamedTuple):
    """What a package did, and what is stored of it."""

    report: Report
    traces: dict[str, list[Trace]]
    said: str
    """On stderr."""

    def trace(self, scenario: str) -> Trace:
        """Return the only trace of a scenario."""
        (found,) = self.traces[scenario]
        return found

    def call(self, scenario: str) -> Span:
        """Return the only call of a model in a scenario."""
        (found,) = [span for span in self.trace(scenario).spans if span.kind == "llm"]
        return found


Run = Callable[..., Ran]


class Place(NamedTuple):
    """A running Gimbal with a project, and a key of it."""

    gimbal: Running
    grpc_port: int
    key: str


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Start Gimbal."""
    grpc_port = free_port()
    with gimbal_up(grpc_port=grpc_port) as gimbal, httpx.Client(base_url=f"{gimbal.url}/api/v1") as client:
        client.post("/projects", json={"slug": PROJECT, "title": "Callers"}).raise_for_status()
        made = client.post(f"/projects/{PROJECT}/keys", json={"name": "callers"}).raise_for_status().json()
        yield Place(gimbal, grpc_port, made["secret"])


@pytest.fixture(scope="module")
def run(place: Place) -> Run:
    """Run a package's scenarios, once, and look up what was stored."""
    done: dict[str, Ran] = {}

    def ran(name: str, **settings: str) -> Ran:
        if name not in done:
            done[name] = _run(place, CALLERS[name], settings)
        return done[name]

    return ran


def _run(place: Place, caller: Caller, settings: dict[str, str]) -> Ran:
    url = f"http://127.0.0.1:{place.grpc_port}" if caller.protocol == "grpc" else place.gimbal.url
    sending = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": caller.protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={quote(f'Bearer {place.key}')}",
        "OTEL_SERVICE_NAME": caller.package,
        "LANGFUSE_BASE_URL": place.gimbal.url,
        "LANGFUSE_PUBLIC_KEY": place.key,
        "LANGFUSE_SECRET_KEY": "not-ours",
        "GIMBAL_URL": place.gimbal.url,
        "GIMBAL_API_KEY": place.key,
        "GIMBAL_PROJECT": PROJECT,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.callers", caller.package],
        env=os.environ | sending | dict(caller.settings) | settings | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    report = msgspec.json.decode(done.stdout.splitlines()[-1], type=Report)
    with httpx.Client(base_url=f"{place.gimbal.url}/api/v1/projects/{PROJECT}") as client:
        traces = {name: list(_stored(client, spans["begun"])) for name, spans in report.spans.items()}
    return Ran(report, traces, done.stderr)


def _stored(client: httpx.Client, ids: list[tuple[str, str]]) -> Iterator[Trace]:
    for trace_id in dict.fromkeys(trace_id for trace_id, _ in ids):
        reply = client.get(f"/traces/{trace_id}")
        if reply.status_code != httpx.codes.NOT_FOUND:
            yield msgspec.json.decode(reply.raise_for_status().content, type=Trace)


def decoded(text: str) -> Any:
    return json.loads(text) if text else None


@pytest.mark.parametrize("name", CALLERS)
def test_what_a_package_sends_is_stored(run: Run, name: str) -> None:
    """Each span that was ended, once; one trace for each call; and the exporter complains of nothing."""
    ran = run(name)
    assert ran.report.flushed
    assert "export" not in ran.said
    for scenario, spans in ran.report.spans.items():
        stored = [(trace.summary.trace_id, span.span_id) for trace in ran.traces[scenario] for span in trace.spans]
        assert sorted(stored) == sorted(spans["ended"]), scenario
        assert len({trace_id for trace_id, _ in spans["begun"]}) == 1, scenario


@pytest.mark.parametrize("name", CALLERS)
def test_a_plain_call_is_known_and_priced(run: Run, name: str) -> None:
    """Who answered, by which model, for how many tokens of which class, and what that cost."""
    caller, ran = CALLERS[name], run(name)
    call = ran.call("plain")
    assert (call.dialect, call.provider, call.usage) == (caller.dialect, caller.provider, caller.usage)
    assert call.model == ("claude-sonnet-4-20250514" if caller.provider == "anthropic" else "gpt-4o-2024-08-06")
    assert (call.cost, call.unpriced, call.billable) == (Decimal(caller.cost), "", True)
    assert ran.trace("plain").summary.cost == Decimal(caller.cost)
    assert call.status in {"ok", "unset"}


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize("scenario", ["streamed", "tools", "streamed-tools"])
def test_a_call_without_a_price_says_so(run: Run, name: str, scenario: str) -> None:
    """Also where it was streamed the usage is what the provider said; a cost of nothing is not claimed."""
    caller, ran = CALLERS[name], run(name)
    call = ran.call(scenario)
    assert call.model == ("claude-tiny" if caller.provider == "anthropic" else "tiny-2026")
    if (caller.package, call.usage) == ("anthropic", msgspec.structs.replace(CLAUDE, output=9)):
        assert scenario.startswith("streamed")  # the package adds up what a stream says cumulatively
    else:
        assert call.usage == caller.usage
    assert (call.cost, call.unpriced) == (None, "unknown_model")
    assert (ran.trace(scenario).summary.cost, ran.trace(scenario).summary.unpriced) == (None, 1)
    if caller.finish:
        assert call.finish == ("tool_calls" if scenario.endswith("tools") else "stop")


@pytest.mark.parametrize("name", CALLERS)
def test_messages_and_tool_calls_arrive(run: Run, name: str) -> None:
    """What was asked, what was answered, and a tool call with what it is called with."""
    ran = run(name)
    for scenario in ("plain", "streamed", "tools", "streamed-tools", "refused", "closed"):
        if not ran.traces[scenario]:
            continue
        call = ran.call(scenario)
        asked = decoded(call.input)
        assert [row["role"] for row in asked] == ["system", "user"], scenario
        assert "Be brief." in json.dumps(asked[0]), scenario
        assert QUESTION in json.dumps(asked[1]), scenario
        if scenario in {"plain", "streamed"}:
            assert ANSWER in call.output, scenario
        if scenario.endswith("tools"):
            assert tool_call(decoded(call.output)[0]) == ("look", {"at": "sky"}), scenario
        if scenario == "closed":
            assert "Gimbal " in call.output
            assert ANSWER not in call.output


def tool_call(message: dict[str, Any]) -> tuple[str, Any]:
    """Return the name and the arguments of a message's only tool call, in either form."""
    if "parts" in message:
        (made,) = [part for part in message["parts"] if part["type"] == "tool_call"]
        return made["name"], made["arguments"]
    (made,) = message["tool_calls"]
    return made["function"]["name"], json.loads(made["function"]["arguments"])


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize(
    ("scenario", "words"), [("refused", "429 - .*Rate limit reached"), ("broken", "500 - .*The server had an error")]
)
def test_a_providers_error_is_kept_in_its_words(run: Run, name: str, scenario: str, words: str) -> None:
    """What was to be called is known; usage and cost are not made up."""
    caller, ran = CALLERS[name], run(name)
    call = ran.call(scenario)
    assert (call.status, ran.trace(scenario).summary.status) == ("error", "error")
    assert re.search(words, call.status_message)
    assert call.model == ("claude-sonnet-4" if caller.provider == "anthropic" else "gpt-4o")
    assert (call.usage, call.cost, call.unpriced) == (None, None, "no_usage")


# What becomes of the span of a call whose caller goes away: None where the package never ends it, and so sends nothing.
GONE: dict[str, tuple[str | None, str | None, str | None]] = {
    "openinference": ("unset", "cancelled", "cancelled"),
    "openai-v2-in-logs": ("unset", None, None),
    "openai-v2-on-spans": ("unset", None, None),
    "anthropic": (None, None, None),
    "langfuse": ("unset", "unset", None),
}


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize(("scenario", "number"), [("closed", 0), ("cancelled", 1), ("unanswered", 2)])
def test_a_call_whose_caller_goes_away_is_no_success_and_costs_no_guess(
    run: Run, name: str, scenario: str, number: int
) -> None:
    """A stream closed in the middle, one whose task is cancelled, and a call cancelled before anything came."""
    ran, status = run(name), GONE[name][number]
    calls = [span for trace in ran.traces[scenario] for span in trace.spans if span.kind == "llm"]
    assert [call.status for call in calls] == ([] if status is None else [status])
    for call in calls:
        assert (call.usage, call.cost, call.unpriced) == (None, None, "no_usage")
        assert call.finish not in {"stop", "length", "tool_calls"}


def test_two_reports_of_one_call_count_once(place: Place) -> None:
    """Anthropic's client sends a span of its own beside that of the instrumentation: the id of the answer tells."""
    ran = _run(place, CALLERS["anthropic"], {"ANTHROPIC_OPEN_TELEMETRY": "true", "CALLERS_SPAN": "ask"})
    for scenario in ("plain", "tools", "streamed"):
        trace = ran.trace(scenario)
        outer, *calls = trace.spans
        assert (outer.name, {span.parent_id for span in calls}) == ("ask", {outer.span_id})
        assert sorted(span.name for span in calls) == ["anthropic.chat", "anthropic.messages.create"]
        assert [span.billable for span in calls].count(True) == 1
        assert (trace.summary.input_tokens, trace.summary.unpriced) == (21, int(scenario != "plain"))
    assert ran.trace("plain").summary.cost == Decimal(CALLERS["anthropic"].cost)
    # Only its own span tells of a call whose caller went away.
    for scenario in ("closed", "cancelled", "unanswered"):
        _, call = ran.trace(scenario).spans
        assert (call.name, call.status) == ("anthropic.messages.create", "unset")
        # A stream says at its start what went in; what had come out by then nobody knows.
        assert (call.usage, call.estimated) == ((None, False) if scenario == "unanswered" else (BEGUN, True))


def test_what_gimbal_instruments_is_a_step_of_what_gimbal_traces(place: Place) -> None:
    """`gimbal.instrument()` turns on one package for each library; the call beneath counts, and is for the same user."""
    ran = _run(place, Caller("gimbal", "http/protobuf", "openinference", "openai", FULL, ""), {})
    for scenario in ran.traces:
        outer, call = ran.trace(scenario).spans
        assert (outer.name, call.kind, call.parent_id) == ("ask", "llm", outer.span_id), scenario
        summary = ran.trace(scenario).summary
        assert (summary.user_id, summary.session_id) == ("ada", "talk-1"), scenario
    assert ran.trace("streamed").summary.input_tokens == 21
    assert ran.call("cancelled").status == "cancelled"


def test_sessions_and_users_arrive(run: Run) -> None:
    """Of OpenInference and Langfuse, which know them; the trace is found by them."""
    for name in ("openinference", "langfuse"):
        ran = run(name)
        for scenario in ran.traces:
            summary = ran.trace(scenario).summary
            assert (summary.session_id, summary.user_id) == ("talk-1", "ada"), (name, scenario)


def test_an_observed_function_of_langfuse_holds_its_call(run: Run) -> None:
    """Its name, what it was given and what it returned; the call beneath it is counted, it is not."""
    ran = run("langfuse")
    outer, call = ran.trace("plain").spans
    assert (outer.name, outer.kind, call.parent_id) == ("answer", "agent", outer.span_id)
    assert decoded(outer.input) == {"args": [QUESTION], "kwargs": {}}
    assert decoded(outer.output) == "done"
    assert outer.attributes["langfuse.trace.tags"] == ["help"]
    assert (outer.usage, outer.cost, outer.unpriced) == (None, None, "")


def test_the_documentation_names_the_versions_that_are_tested() -> None:
    """Every package of its table, in the version that is installed here."""
    text = (ROOT / "docs/how-to/send-traces.md").read_text(encoding="utf-8")
    section = text.partition("## Works with")[2].partition("\n## ")[0]
    named = dict(re.findall(r"^\| ([a-z0-9-]+) \| ([0-9][^ ]*) \|", section, re.MULTILINE))
    assert set(named) >= {PACKAGES[caller.package][0] for caller in CALLERS.values()}
    assert named == {package: version(package) for package in named}
