"""Calls models through one real instrumentation package, which sends what it sees to a Gimbal; run by test_callers.py.

A process for each package, because instrumenting is for good. The upstream is `tests/upstreams.py`. Everything goes by the
variables that people set: `OTEL_*` and `LANGFUSE_*`. At the end it prints, as JSON, the ids of the spans of each scenario:
those that were begun, and those that were ended and thereby sent.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.axis.traces.record import CLAUDE_TOOLS, QUESTION, TOOLS, leave, running
from tests.upstreams import Upstream

SCENARIOS = ("plain", "streamed", "tools", "streamed-tools", "refused", "broken", "closed", "cancelled", "unanswered")
FAULTS: dict[str, list[str | int]] = {
    "refused": [429], "broken": [500], "closed": ["stall"], "cancelled": ["stall"], "unanswered": ["hang"],
}  # fmt: skip
PRICED = {"plain": ("gpt-4o-2024-08-06", "claude-sonnet-4-20250514")}
"""Models of OpenAI and of Anthropic that answer; the others have no price."""


class Seen(SpanProcessor):
    """Keeps which spans were begun and ended."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str]] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.begun.append(_ids(span))

    def on_end(self, span: Any) -> None:
        self.ended.append(_ids(span))


def _ids(span: Any) -> tuple[str, str]:
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


class OpenAI:
    """The scenarios with OpenAI's own client."""

    question: Any = QUESTION
    tools: Any = TOOLS

    def __init__(self, module: Any, url: str) -> None:
        self._known = {"base_url": f"{url}/v1", "api_key": "sk-loopback", "max_retries": 0}
        self._module = module
        self.client = module.OpenAI(**self._known)

    def asynchronous(self) -> Any:
        return self._module.AsyncOpenAI(**self._known)

    def create(self, client: Any, **asked: Any) -> Any:
        if asked.get("stream"):
            asked["stream_options"] = {"include_usage": True}
        return client.chat.completions.create(model="gpt-4o", messages=self.question, **asked)


class Anthropic:
    """The scenarios with Anthropic's own client."""

    tools: Any = CLAUDE_TOOLS

    def __init__(self, module: Any, url: str) -> None:
        self._known = {"base_url": url, "api_key": "sk-loopback", "max_retries": 0}
        self._module = module
        self.client = module.Anthropic(**self._known)

    def asynchronous(self) -> Any:
        return self._module.AsyncAnthropic(**self._known)

    def create(self, client: Any, **asked: Any) -> Any:
        return client.messages.create(
            model="claude-sonnet-4", max_tokens=50, system="Be brief.", messages=QUESTION[1:], **asked
        )


Calls = OpenAI | Anthropic


def call(calls: Calls, scenario: str, app: Upstream) -> None:
    """Make the call of a scenario."""
    if scenario == "plain":
        calls.create(calls.client)
    elif scenario == "streamed":
        list(calls.create(calls.client, stream=True))
    elif scenario == "tools":
        calls.create(calls.client, tools=calls.tools)
    elif scenario == "streamed-tools":
        list(calls.create(calls.client, tools=calls.tools, stream=True))
    elif scenario in {"refused", "broken"}:
        with contextlib.suppress(Exception):
            calls.create(calls.client)
    elif scenario == "closed":
        leave(calls.create(calls.client, stream=True))
    else:
        asyncio.run(cancelled(calls, streamed=scenario == "cancelled", app=app))


async def cancelled(calls: Calls, *, streamed: bool, app: Upstream) -> None:
    """Cancel a call: in the middle of its stream, or before anything came."""
    arrived = asyncio.Event()
    client = calls.asynchronous()

    async def talk() -> None:
        if not streamed:
            await calls.create(client)
            return
        async for _ in await calls.create(client, stream=True):
            arrived.set()

    app.arrived.clear()
    task = asyncio.create_task(talk())
    if streamed:
        await arrived.wait()
    else:
        while not app.arrived.is_set():  # noqa: ASYNC110 - the event is of the upstream's own loop
            await asyncio.sleep(0.001)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await client.close()


def span_exporter() -> Any:
    """Return the official exporter of the protocol that the environment names."""
    protocol = os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        return Grpc()
    if protocol == "http/json":
        from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as Json

        return Json()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Protobuf

    return Protobuf()


def provider() -> TracerProvider:
    """Return a tracer provider that sends in batches."""
    found = TracerProvider()
    found.add_span_processor(BatchSpanProcessor(span_exporter()))
    trace.set_tracer_provider(found)
    return found


def openinference(app: Upstream) -> Calls:
    """Turn on OpenInference's instrumentation of OpenAI."""
    import openai
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider())
    return OpenAI(openai, app.url)


def openai_v2(app: Upstream) -> Calls:
    """Turn on OpenTelemetry's own; messages go into logs or onto the spans, as the environment says."""
    import openai
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    logs = LoggerProvider()
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    set_logger_provider(logs)
    OpenAIInstrumentor().instrument(tracer_provider=provider(), logger_provider=logs)
    return OpenAI(openai, app.url)


def anthropic(app: Upstream) -> Calls:
    """Turn on OpenLLMetry's instrumentation of Anthropic."""
    import anthropic
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=provider())
    return Anthropic(anthropic, app.url)


def langfuse(app: Upstream) -> Calls:
    """Use Langfuse's own client in place of OpenAI's; it sets tracing up by itself."""
    from langfuse import get_client
    from langfuse.openai import openai

    get_client()
    return OpenAI(openai, app.url)


def instrumented(app: Upstream) -> Calls:
    """Let `gimbal.instrument()` turn on what is installed."""
    import gimbal

    found = gimbal.instrument()
    assert {"openai", "anthropic"} <= set(found.on), found
    import openai

    return OpenAI(openai, app.url)


PACKAGES: dict[str, tuple[str, Callable[[Upstream], Calls]]] = {
    "openinference": ("openinference-instrumentation-openai", openinference),
    "openai-v2": ("opentelemetry-instrumentation-openai-v2", openai_v2),
    "anthropic": ("opentelemetry-instrumentation-anthropic", anthropic),
    "langfuse": ("langfuse", langfuse),
    "gimbal": ("gimbal-ops", instrumented),
}
Within = Callable[[str, Callable[[], None]], None]


def around(package: str) -> Within:
    """Return what runs a call as people of that package would have it: with a session and a user where it knows them."""
    if package == "openinference":
        from openinference.instrumentation import using_attributes

        def in_session(question: str, run: Callable[[], None]) -> None:
            with using_attributes(session_id="talk-1", user_id="ada"):
                run()

        return in_session
    if package == "langfuse":
        from langfuse import observe, propagate_attributes

        def observed(question: str, run: Callable[[], None]) -> None:
            @observe(as_type="agent")
            def answer(question: str) -> str:
                with propagate_attributes(user_id="ada", session_id="talk-1", tags=["help"]):
                    run()
                return "done"

            answer(question)

        return observed

    if package == "gimbal":
        import gimbal

        def in_trace(question: str, run: Callable[[], None]) -> None:
            with gimbal.trace("ask", user="ada", session="talk-1"):
                run()

        return in_trace

    def in_span(question: str, run: Callable[[], None]) -> None:
        name = os.environ.get("CALLERS_SPAN")
        with trace.get_tracer("application").start_as_current_span(name) if name else contextlib.nullcontext():
            run()

    return in_span


def main() -> None:
    """Run every scenario of a package."""
    package = sys.argv[1]
    distribution, turn_on = PACKAGES[package]
    app, seen, within = Upstream(), Seen(), around(package)
    scenarios: dict[str, Any] = {}
    with running(app):
        calls = turn_on(app)
        tracing: Any = trace.get_tracer_provider()
        tracing.add_span_processor(seen)
        for scenario in SCENARIOS:
            seen.begun, seen.ended = [], []
            app.faults, app.tools = list(FAULTS.get(scenario, [])), scenario.endswith("tools")
            app.answers_as = PRICED.get(scenario, ("", ""))[package == "anthropic"]
            within(QUESTION[1]["content"], lambda name=scenario: call(calls, name, app))
            scenarios[scenario] = {"begun": seen.begun, "ended": seen.ended}
        if package == "gimbal":
            import gimbal

            gimbal.flush()
        # Whether there are logs is known by then.
        flushed = tracing.force_flush() and getattr(get_logger_provider(), "force_flush", lambda: True)()
    print(json.dumps({"package": f"{distribution} {version(distribution)}", "flushed": flushed, "spans": scenarios}))


if __name__ == "__main__":
    main()
