"""`gimbal.instrument()` with the real OpenTelemetry SDK and packages that are installed as pip installs them.

A program has one tracer provider: each case is a program of its own.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from bench.bar import Running
from tests.kernel.test_http_and_plugins import installed

import gimbal

# What an instrumentation package does: it wraps a library's function in a span of the provider that it is given.
PACKAGE = """
import functools
import json
from opentelemetry import trace

class Instrumentor:
    def instrument(self, *, tracer_provider, skip_dep_check):
        tracer = tracer_provider.get_tracer("toy")
        plain = json.dumps
        @functools.wraps(plain)
        def dumps(*args, **kwargs):
            with tracer.start_as_current_span("dumps", attributes={"gen_ai.system": "toy"}):
                return plain(*args, **kwargs)
        json.dumps = dumps

class Other(Instrumentor):
    pass

class Broken:
    def instrument(self, **_):
        raise RuntimeError("no such library")

class Clashing:
    def _check_dependency_conflicts(self):
        return "requests >= 99 is needed"
    def instrument(self, **_):
        raise AssertionError("it was said to clash")
"""
POINTS = """[opentelemetry_instrumentor]
toy = toy_instrumentation:Instrumentor
toy-broken = toy_instrumentation:Broken
toy-clash = toy_instrumentation:Clashing
toy-gone = toy_instrumentation:Gone
toy-not = toy_instrumentation:Broken
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Install the packages into a folder."""
    (tmp_path / "toy_instrumentation.py").write_text(PACKAGE)
    installed(tmp_path, "toy-instrumentation", POINTS)
    installed(tmp_path, "others-toy", "[opentelemetry_instrumentor]\ntoy = toy_instrumentation:Other\n")
    return tmp_path


def told(program: str, url: str, site: Path, **more: str) -> list[str]:
    """Run a program and return the lines that it prints."""
    environment = {"GIMBAL_URL": url, "GIMBAL_SPOOL": str(site / "spool"), "PYTHONPATH": str(site), **more}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def parents(client: gimbal.Client, trace_id: str) -> dict[str, str]:
    rows = client.traces.show(trace_id).spans
    by_id = {row.span_id: row.name for row in rows}
    return {row.name: by_id.get(row.parent_id, "") for row in rows}


def test_it_says_what_it_turned_on_and_what_not(up: Running, site: Path) -> None:
    """Left off, with the reason, is what fails, clashes, is not there, is named in the variable, or would trace twice."""
    program = """
import gimbal, logging
logging.basicConfig(level=logging.INFO)
first = gimbal.instrument()
print("toy" in first.on, first.url)
for name in sorted(name for name in first.off if name.startswith("toy")):
    print(name, "|", first.off[name])
again = gimbal.instrument()
print(again.on == first.on, again.off == first.off)
"""
    lines = told(program, up.url, site, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="other, toy-not")

    assert lines == [
        f"True {up.url}",
        "toy-broken | RuntimeError: no such library",
        "toy-clash | requests >= 99 is needed",
        "toy-gone | AttributeError: module 'toy_instrumentation' has no attribute 'Gone'",
        "toy-not | OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names it",
        "toy_instrumentation:Other | toy_instrumentation:Instrumentor is on under the same name, toy",
        "True True",
    ]


def test_spans_of_both_are_one_trace(up: Running, client: gimbal.Client, site: Path) -> None:
    """A library's span is a step of ours, and ours of it, in streams and threads too; each is stored once."""
    program = """
import gimbal, json, threading
from opentelemetry import trace
gimbal.instrument()
gimbal.instrument()
tracer = trace.get_tracer("app")

@gimbal.span("stream")
def parts():
    with gimbal.span("inside"):
        yield json.dumps(1)
        with tracer.start_as_current_span("inside theirs"):
            yield "2"

with gimbal.trace("ours", feature="help") as root:
    json.dumps({})
    with tracer.start_as_current_span("theirs"):
        with gimbal.span("ours again"):
            pass
    for _ in parts():
        with tracer.start_as_current_span("reader"):
            pass
    thread = threading.Thread(target=gimbal.carry(lambda: tracer.start_span("threaded").end()))
    thread.start()
    thread.join()
with tracer.start_as_current_span("outside") as outside:
    assert outside.get_span_context().trace_id != int(root.trace_id, 16)
with tracer.start_as_current_span("theirs first") as first:
    with gimbal.trace("ours inside"):
        pass
print(root.trace_id)
print(f"{first.get_span_context().trace_id:032x}")
gimbal.flush()
"""
    ours, theirs = told(program, up.url, site)

    found = parents(client, ours)
    assert found.pop("dumps") in {"ours", "inside"}
    assert found == {
        "ours": "", "theirs": "ours", "ours again": "theirs", "stream": "ours", "inside": "stream",
        "inside theirs": "inside", "reader": "ours", "threaded": "ours",
    }  # fmt: skip
    names = sorted(s.name for s in client.traces.show(ours).spans)
    assert names == sorted([*found, "dumps", "dumps", "reader"])
    assert parents(client, theirs) == {"theirs first": "", "ours inside": "theirs first"}


def test_a_provider_of_the_program_keeps_its_exporters(up: Running, client: gimbal.Client, site: Path) -> None:
    """Ours is one more; the key and project are the client's, and the resource is the program's."""
    program = """
import gimbal
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
mine = InMemorySpanExporter()
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(SimpleSpanProcessor(mine))
trace.set_tracer_provider(provider)
gimbal.instrument()
with trace.get_tracer("app").start_as_current_span("both") as span:
    pass
assert [s.name for s in mine.get_finished_spans()] == ["both"]
print(f"{span.get_span_context().trace_id:032x}")
"""
    (trace_id,) = told(program, up.url, site)

    (row,) = client.traces.show(trace_id).spans
    assert (row.name, row.resource["service.name"]) == ("both", "shop")


def test_without_the_sdk_it_says_what_to_install(up: Running, site: Path) -> None:
    """And `gimbal.trace` works as before."""
    program = """
import sys
sys.modules["opentelemetry.sdk.trace"] = None
import gimbal
try:
    gimbal.instrument()
except gimbal.GimbalError as problem:
    print(problem.code, "|", problem.todo)
with gimbal.trace("fine"):
    pass
gimbal.flush()
"""
    assert told(program, up.url, site) == [
        "missing_extra | pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
    ]


def test_tracing_alone_loads_nothing_of_opentelemetry(up: Running, site: Path) -> None:
    """What nobody asked for costs nothing."""
    program = """
import sys, gimbal
with gimbal.trace("light"):
    pass
gimbal.flush()
gimbal.instrument
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    assert told(program, up.url, site) == ["[]"]
