"""The official exporters against a real server: HTTP in protobuf and in JSON, and gRPC, in gzipped batches.

What they are told they obey: they read `partial_success`, come again after 429 and after an outage, and nothing is lost or
doubled by it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from bench import load
from bench.bar import free_port, gimbal_up
from opentelemetry.exporter.otlp.common.http import Compression as JsonCompression
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as JsonExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as ProtobufExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

KINDS = ("protobuf", "json", "grpc")
VALUES: dict[str, Any] = {"text": "größe 🚆", "count": 2**53 + 1, "ratio": 0.25, "yes": True, "list": ["a", "b"]}
BATCH, DEADLINE_S = 100, 60.0


class Place(NamedTuple):
    """Where a Gimbal listens."""

    url: str
    grpc_port: int

    def exporter(self, kind: str, key: str = "") -> SpanExporter:
        """Return an official exporter to it."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if kind == "grpc":
            address = f"http://127.0.0.1:{self.grpc_port}"
            return GrpcExporter(
                endpoint=address, insecure=True, headers=headers, compression=grpc.Compression.Gzip, timeout=DEADLINE_S
            )
        address = f"{self.url}/v1/traces"
        if kind == "json":
            return JsonExporter(endpoint=address, headers=headers, compression=JsonCompression.GZIP, timeout=DEADLINE_S)
        return ProtobufExporter(endpoint=address, headers=headers, compression=Compression.Gzip, timeout=DEADLINE_S)

    def stored(self, trace_id: str) -> list[dict[str, Any]]:
        """Return the spans of a trace, oldest first; none where there is no such trace."""
        reply = httpx.get(f"{self.url}/api/v1/projects/default/traces/{trace_id}", timeout=30)
        if reply.status_code == httpx.codes.NOT_FOUND:
            return []
        return reply.raise_for_status().json()["spans"]

    def metric(self, name: str) -> float:
        """Return the sum of a counter or a gauge."""
        lines = httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


class Teller:
    """An application with the official SDK that tells one trace."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter
        self.provider = TracerProvider(resource=Resource({"service.name": "exporter"}))
        # It sends whole batches, and what is left when it is told to, not by the clock.
        batches = BatchSpanProcessor(
            exporter, max_queue_size=8192, max_export_batch_size=BATCH, schedule_delay_millis=600_000
        )
        self.provider.add_span_processor(batches)
        self._tracer = self.provider.get_tracer("teller", "1.0")
        self.trace_id = ""
        self.told: list[str] = []
        self.spans: list[ReadableSpan] = []

    def tell(self, count: int) -> None:
        """Tell a root with so many spans in all."""
        with self._tracer.start_as_current_span("root", attributes=VALUES) as root:
            self._keep(root)
            for number in range(count - 1):
                with self._tracer.start_as_current_span(f"step {number}") as span:
                    self._keep(span)

    def _keep(self, span: Any) -> None:
        context = span.get_span_context()
        self.trace_id = f"{context.trace_id:032x}"
        self.told.append(f"{context.span_id:016x}")
        self.spans.append(span)

    def flush(self) -> bool:
        """Return whether everything was sent."""
        return self.provider.force_flush(int(DEADLINE_S * 1000))


def wait_for(what: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, message


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Start Gimbal."""
    grpc_port = free_port()
    with gimbal_up(grpc_port=grpc_port) as gimbal:
        yield Place(gimbal.url, grpc_port)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_arrive_whole(place: Place, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Several batches of one trace, every span once, values as they were; no exporter has anything to complain of."""
    with caplog.at_level(logging.WARNING, logger="opentelemetry"):
        teller = Teller(place.exporter(kind))
        teller.tell(1000)
        teller.provider.shutdown()

    found = place.stored(teller.trace_id)
    assert sorted(span["span_id"] for span in found) == sorted(teller.told)
    root = next(span for span in found if span["name"] == "root")
    assert {name: root["attributes"][name] for name in VALUES} == VALUES
    assert {span["parent_id"] for span in found if span is not root} == {root["span_id"]}
    assert not caplog.records


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_span_is_no_trouble(place: Place, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """The answer is a success in part: the exporter goes on, the other spans are stored, the bad one is counted."""
    before = place.metric("gimbal_ingest_spans_rejected_total")
    with caplog.at_level(logging.WARNING, logger="opentelemetry"):
        teller = Teller(place.exporter(kind))
        teller.tell(3)
        # Of a clock that had not been set.
        teller.provider.get_tracer("teller").start_span("bad", start_time=0).end()
        assert teller.flush()
        teller.tell(1)
        teller.provider.shutdown()

    assert place.metric("gimbal_ingest_spans_rejected_total") == before + 1
    assert not caplog.records


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_is_said_in_the_senders_log(place: Place, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Over gRPC in our words, over HTTP by the status, which is all that those exporters log; and nobody tries again."""
    headers = {"authorization": "Bearer gk_wrong", "content-type": load.PROTOBUF}
    answer = httpx.post(f"{place.url}/v1/traces", content=load.batch(1).body, headers=headers)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    with caplog.at_level(logging.WARNING, logger="opentelemetry"):
        teller = Teller(place.exporter(kind, "gk_wrong"))
        teller.tell(1)
        teller.provider.shutdown()

    (record,) = caplog.records
    words = record.getMessage()
    if kind == "grpc":
        assert "The key" in words, words
        assert words.partition("error details: ")[2].split(".")[0] in answer.text
    else:
        assert words == "Failed to export spans batch code: 401, reason: Unauthorized"
    assert not place.stored(teller.trace_id)


def retries(caplog: pytest.LogCaptureFixture) -> dict[str, list[str]]:
    """Return what each exporter said of trying again."""
    names = {"opentelemetry.exporter.otlp.proto.grpc": "grpc", "opentelemetry.exporter.otlp.json": "json"}
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for record in list(caplog.records):
        kind = next((kind for name, kind in names.items() if record.name.startswith(name)), "protobuf")
        if "retrying in" in record.getMessage():
            found[kind].append(record.getMessage())
    return found


def occupied(place: Place, pool: ThreadPoolExecutor, rows: int) -> Future[load.Answer]:
    """Return a request that waits in the writer's queue."""
    sender, body = load.Sender(int(place.url.rpartition(":")[2])), load.batch(rows).body
    sent = pool.submit(sender.send, body)
    deadline = time.monotonic() + DEADLINE_S
    while not place.metric("gimbal_writer_queue_rows"):
        assert time.monotonic() < deadline, "nothing waits"
        if sent.done():  # it was gone before we looked
            sent = pool.submit(sender.send, body)
    return sent


def test_a_full_writer_makes_them_come_again_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """While a large request waits no other has room: each exporter is refused, waits as told, and gets in behind it.

    They try six times, whatever they are told.
    """
    small = {
        "GIMBAL_WRITER_MAX_QUEUED_ROWS": f"{BATCH * 4}",
        "GIMBAL_WRITER_EAGER_ROWS": "10000",
        "GIMBAL_WRITER_MAX_WAIT_MS": "2500",
    }
    grpc_port = free_port()
    with gimbal_up(grpc_port=grpc_port, **small) as gimbal, ThreadPoolExecutor() as pool:
        place = Place(gimbal.url, grpc_port)
        tellers = {kind: Teller(place.exporter(kind)) for kind in KINDS}
        for teller in tellers.values():
            teller.tell(BATCH - 1)  # a whole batch would go at once
        first = occupied(place, pool, BATCH * 7 // 2)
        with caplog.at_level(logging.WARNING, logger="opentelemetry"):
            flushed = [pool.submit(teller.flush) for teller in tellers.values()]
            assert all(done.result() for done in flushed)

        assert first.result().status == httpx.codes.OK
        said = retries(caplog)
        assert all(said.values()), said
        assert "rows wait to be stored already" in said["grpc"][0]
        assert "Too Many Requests" in said["protobuf"][0]
        assert "Too Many Requests" in said["json"][0]
        assert len(caplog.records) == sum(map(len, said.values())), "somebody gave up"
        for kind, teller in tellers.items():
            found = [span["span_id"] for span in place.stored(teller.trace_id)]
            assert sorted(found) == sorted(teller.told), kind
            teller.provider.shutdown()


def test_an_outage_in_the_middle_is_bridged_and_nothing_doubled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is sent while the server restarts arrives by the exporters' own retries; sent once more, it is stored once."""
    port, grpc_port = free_port(), free_port()
    place = Place(f"http://127.0.0.1:{port}", grpc_port)
    tellers = {kind: Teller(place.exporter(kind)) for kind in KINDS}
    with gimbal_up(tmp_path / "data", port=port, grpc_port=grpc_port):
        for teller in tellers.values():
            teller.tell(10)
            assert teller.flush()
    with ThreadPoolExecutor() as pool, caplog.at_level(logging.WARNING, logger="opentelemetry"):
        before = {kind: (teller.trace_id, list(teller.told)) for kind, teller in tellers.items()}
        for teller in tellers.values():
            teller.told.clear()
            teller.spans.clear()
            teller.tell(10)
        flushed = [pool.submit(teller.flush) for teller in tellers.values()]
        wait_for(lambda: all(retries(caplog).values()), "somebody did not notice the outage")
        with gimbal_up(tmp_path / "data", port=port, grpc_port=grpc_port):
            assert all(done.result() for done in flushed)
            for teller in tellers.values():
                assert teller.exporter.export(teller.spans) is SpanExportResult.SUCCESS
            for kind, teller in tellers.items():
                for trace_id, told in (before[kind], (teller.trace_id, teller.told)):
                    found = [span["span_id"] for span in place.stored(trace_id)]
                    assert sorted(found) == sorted(told), kind
                teller.provider.shutdown()
