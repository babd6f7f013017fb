"""Records the fixtures of the dialects from the real instrumentation packages; no test runs this.

A loopback upstream (`tests/upstreams.py`) speaks the provider's wire, the packages instrument its clients, and a loopback
collector keeps the OTLP that they export. Ids, times and what belongs to the machine are replaced, so that a second
recording differs only where the packages do. `fixtures/README.md` says what to install and how to run it.
"""

import argparse
import asyncio
import base64
import contextlib
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.upstreams import Upstream, serve

FIXTURES = Path(__file__).parent / "fixtures"
START_NS = 1_770_000_000_000_000_000
QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What keeps the rings level?"}]
TOOLS = [
    {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
    }
]
CLAUDE_TOOLS = [{"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}]
SCENARIOS = ("plain", "streamed", "tools", "error", "closed")
FAULTS: dict[str, list[str | int]] = {"error": [429], "closed": ["stall"]}
_ID_FIELDS = ("traceId", "spanId", "parentSpanId")
_ID_DIGITS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_OF_THE_MACHINE = re.compile(r"^(host|process|os|container)\.|\.stacktrace$|^thread\.|instance\.id$")
_KEPT_PORT = "4000"
# Moments of this century in texts; what the upstream says is of 1970.
_MOMENT = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z")


class Collector:
    """Keeps every OTLP request that comes to its address, protobuf or JSON, gzip or plain."""

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []
        self.url = ""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        media_type = headers.get("content-type", "")
        if "traces" in scope["path"]:
            self.take(body, media_type)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media_type.encode())]})
        await send({"type": "http.response.body", "body": b"{}" if "json" in media_type else b""})

    def take(self, body: bytes, media_type: str) -> None:
        """Keep a request as OTLP JSON."""
        if "json" in media_type:
            document = json.loads(body)
        else:
            request = ExportTraceServiceRequest()
            request.ParseFromString(body)
            document = json_format.MessageToDict(request)
            for span in _spans(document):
                for name in set(_ID_FIELDS) & set(span):
                    span[name] = base64.b64decode(span[name]).hex()
        self.groups += document["resourceSpans"]


def _spans(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in document["resourceSpans"]:
        for part in group["scopeSpans"]:
            yield from part["spans"]


@contextlib.contextmanager
def running(app: Any) -> Iterator[None]:
    """Run an application in a thread of its own; its `url` becomes its address."""
    loop = asyncio.new_event_loop()
    started, end = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with serve(app) as url:
            app.url = url
            started.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    started.wait(10)
    yield
    loop.call_soon_threadsafe(end.set)
    thread.join(10)


def scrub(document: dict[str, Any]) -> dict[str, Any]:
    """Return a recording without what differs from run to run or tells of the machine."""
    numbers: dict[str, str] = {}
    counter = itertools.count(1)
    earliest = min(int(span["startTimeUnixNano"]) for span in _spans(document))

    def moved(value: Any) -> str:
        return str(int(value) - earliest + START_NS)

    for span in sorted(_spans(document), key=lambda s: (int(s["startTimeUnixNano"]), s["spanId"])):
        for name in _ID_FIELDS:
            if span.get(name):
                span[name] = numbers.setdefault(span[name], f"{next(counter):0{_ID_DIGITS[name]}x}")
        for holder in (span, *span.get("events", [])):
            for name in {"startTimeUnixNano", "endTimeUnixNano", "timeUnixNano"} & set(holder):
                holder[name] = moved(holder[name])
            holder["attributes"] = [a for a in holder.get("attributes", []) if not _OF_THE_MACHINE.search(a["key"])]
    for group in document["resourceSpans"]:
        held = group.get("resource", {}).get("attributes", [])
        kept = [a for a in held if a["key"].startswith(("service.name", "telemetry.sdk", "langfuse"))]
        group["resource"] = {"attributes": kept}
    text = json.dumps(document)
    for old, new in numbers.items():
        text = text.replace(old, new)
    text = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{_KEPT_PORT}", text)
    text = re.sub(r'("server\.port", "value": \{"intValue": )("?)\d+', rf"\g<1>\g<2>{_KEPT_PORT}", text)
    shift = timedelta(microseconds=(START_NS - earliest) // 1000)
    shifted = lambda found: (datetime.fromisoformat(found[0]) + shift).isoformat().replace("+00:00", "Z")
    text = _MOMENT.sub(shifted, text)
    return json.loads(text)


def openai_client(app: Upstream) -> Any:
    """Return OpenAI's own client of the upstream."""
    import openai

    return openai.OpenAI(base_url=f"{app.url}/v1", api_key="sk-loopback", max_retries=0)


def call_openai(client: Any, scenario: str, **extra: Any) -> None:
    """Make the call of a scenario."""
    if scenario == "streamed":
        asked = {"stream": True, "stream_options": {"include_usage": True}, **extra}
        for _ in client.chat.completions.create(model="gpt-4o", messages=QUESTION, **asked):
            pass
    elif scenario == "closed":
        asked = {"stream": True, "stream_options": {"include_usage": True}, **extra}
        leave(client.chat.completions.create(model="gpt-4o", messages=QUESTION, **asked))
    elif scenario == "tools":
        client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=TOOLS, **extra)
    elif scenario == "error":
        with contextlib.suppress(Exception):
            client.chat.completions.create(model="gpt-4o", messages=QUESTION, **extra)
    else:
        client.chat.completions.create(model="gpt-4o", messages=QUESTION, temperature=0.5, **extra)


def leave(stream: Any) -> None:
    """Close a stream after its first word."""
    next(stream)
    next(stream)
    stream.close()


def call_anthropic(app: Upstream, scenario: str) -> None:
    """Make the call of a scenario with Anthropic's own client."""
    import anthropic

    client = anthropic.Anthropic(base_url=app.url, api_key="sk-loopback", max_retries=0)
    asked: dict[str, Any] = {
        "model": "claude-sonnet-4",
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": QUESTION[1:],
    }
    if scenario == "streamed":
        for _ in client.messages.create(stream=True, **asked):
            pass
    elif scenario == "closed":
        leave(client.messages.create(stream=True, **asked))
    elif scenario == "tools":
        client.messages.create(tools=CLAUDE_TOOLS, **asked)
    else:
        with contextlib.suppress(Exception):
            client.messages.create(**asked)


def provider(collector: Collector) -> Any:
    """Return a tracer provider that exports each span to the collector when it ends."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    found = TracerProvider(resource=Resource({"service.name": "recorded"}))
    found.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces")))
    trace.set_tracer_provider(found)
    return found


def openai_v2(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record opentelemetry-instrumentation-openai-v2 by the conventions it has by default."""
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider(collector))
    call_openai(openai_client(app), scenario)


def openai_v2_latest(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record it by the newest conventions, with messages on the span."""
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "span_only"
    openai_v2(collector, app, scenario)


def traceloop_openai(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record opentelemetry-instrumentation-openai, of whatever version is installed."""
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider(collector))
    call_openai(openai_client(app), scenario)


def traceloop_anthropic(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record opentelemetry-instrumentation-anthropic, of whatever version is installed."""
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=provider(collector))
    call_anthropic(app, scenario)


def openinference_openai(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record openinference-instrumentation-openai under a session and a user."""
    from openinference.instrumentation import using_attributes
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider(collector))
    with using_attributes(session_id="talk-1", user_id="ada"):
        call_openai(openai_client(app), scenario)


def langfuse(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record the SDK's drop-in client inside an observed function, with a session and a user."""
    from langfuse import Langfuse, observe, propagate_attributes
    from langfuse.openai import openai

    client = Langfuse(public_key="pk-loopback", secret_key="sk-loopback", base_url=collector.url)

    @observe(as_type="agent")
    def answer(question: str) -> str:
        inner = openai.OpenAI(base_url=f"{app.url}/v1", api_key="sk-loopback", max_retries=0)
        with propagate_attributes(user_id="ada", session_id="talk-1", tags=["help"]):
            call_openai(inner, scenario)
        return "done"

    answer("What keeps the rings level?")
    client.flush()


def mlflow(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record OpenAI autologging inside a traced function, exported by OTLP."""
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{collector.url}/v1/traces"
    os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    os.environ["OTEL_SERVICE_NAME"] = "recorded"
    import mlflow

    mlflow.openai.autolog()

    @mlflow.trace(span_type="AGENT")
    def answer(question: str) -> str:
        mlflow.update_current_trace(user="ada", session_id="talk-1")
        call_openai(openai_client(app), scenario)
        return "done"

    answer("What keeps the rings level?")
    mlflow.flush_trace_async_logging()


def doubled(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record one call that two packages instrument at once: each reports its usage."""
    from openinference.instrumentation.openai import OpenAIInstrumentor as Inner
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor as Outer

    tracing = provider(collector)
    Inner().instrument(tracer_provider=tracing)
    Outer().instrument(tracer_provider=tracing)
    call_openai(openai_client(app), scenario)


def vercel(collector: Collector, app: Upstream, scenario: str) -> None:
    """Record the AI SDK under Node; VERCEL names the folder with its `node_modules`."""
    program = (Path(__file__).parent / "record_vercel.mjs").read_text()
    subprocess.run(
        ["node", "--input-type=module", "-", scenario, app.url, collector.url],
        input=program.encode(),
        cwd=os.environ["VERCEL"],
        check=True,
    )


SOURCES: dict[str, Callable[[Collector, Upstream, str], None]] = {
    "openai-v2": openai_v2,
    "openai-v2-latest": openai_v2_latest,
    "traceloop-openai": traceloop_openai,
    "traceloop-anthropic": traceloop_anthropic,
    "openinference-openai": openinference_openai,
    "langfuse": langfuse,
    "mlflow": mlflow,
    "doubled": doubled,
    "vercel": vercel,
}


def record(source: str, scenario: str, name: str) -> None:
    """Record one fixture."""
    collector, app = Collector(), Upstream()
    with running(collector), running(app):
        app.tools = scenario == "tools"
        app.faults = list(FAULTS.get(scenario, []))
        SOURCES[source](collector, app, scenario)
        deadline = time.monotonic() + 10
        while not collector.groups and time.monotonic() < deadline:
            time.sleep(0.05)
    if not collector.groups:
        print(f"{name} {scenario}: nothing was exported.")
        return
    document = scrub({"resourceSpans": collector.groups})
    path = FIXTURES / f"{name}-{scenario}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.name}: {len(list(_spans(document)))} spans")


def main() -> None:
    """Record the scenarios of a source, each in a process of its own, because instrumenting is for good."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("--name", help="of the fixtures; that of the source unless told")
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one, in this process")
    given = parser.parse_args()
    name = given.name or given.source
    if given.scenario:
        record(given.source, given.scenario, name)
        return
    for scenario in SCENARIOS:
        again = [sys.executable, "-m", "tests.axis.traces.record", given.source, "--name", name]
        subprocess.run([*again, "--scenario", scenario], check=True)


if __name__ == "__main__":
    main()
