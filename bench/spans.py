"""Spans per second, acknowledged durable through OTLP over HTTP at batches of 500, and chDB alone with the same rows."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.bar import Figure, gimbal_up
from gimbal.axis.traces import otlp
from gimbal.axis.traces.dialects import read
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows
from gimbal.engines.storage import migrate
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server.stores import MIGRATIONS
from gimbal.kernel.ids import new_span_id, new_trace_id

BATCH, BATCHES, SENDERS = 500, 80, 8
QUESTION = "What was in production on the third of May at noon, and who let it in? " * 12


def request(batch: int) -> bytes:
    """Return one OTLP request of LLM spans of about 2 KB each."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    scope.scope.name = "bench"
    now = time.time_ns()
    for i in range(batch):
        span = scope.spans.add(
            trace_id=bytes.fromhex(new_trace_id()), span_id=bytes.fromhex(new_span_id()), name="chat gpt-4o",
            start_time_unix_nano=now + i * 1000, end_time_unix_nano=now + i * 1000 + 900_000_000,
        )  # fmt: skip
        for key, value in (
            ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "openai"), ("gen_ai.request.model", "gpt-4o"),
            ("gen_ai.input.messages", f'[{{"role":"user","parts":[{{"type":"text","content":"{QUESTION}"}}]}}]'),
        ):  # fmt: skip
            span.attributes.add(key=key).value.string_value = value
        for key, count in (("gen_ai.usage.input_tokens", 900), ("gen_ai.usage.output_tokens", 120)):
            span.attributes.add(key=key).value.int_value = count
    return message.SerializeToString()


def acknowledged(url: str, senders: int) -> float:
    """Return spans per second that were answered 200."""
    bodies = [request(BATCH) for _ in range(BATCHES)]

    def send(some: list[bytes]) -> None:
        with httpx.Client(base_url=url, headers={"content-type": otlp.PROTOBUF}, timeout=60) as client:
            for body in some:
                client.post("/v1/traces", content=body).raise_for_status()

    started = time.perf_counter()
    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, [bodies[i::senders] for i in range(senders)]))
    return BATCH * BATCHES / (time.perf_counter() - started)


async def alone() -> float:
    """Return rows per second of chDB inserting the same rows, ready as Arrow, in batches of 500, each synced."""
    with tempfile.TemporaryDirectory() as folder:
        columns = await Columns.open(f"chdb://{Path(folder) / 'columns'}")
        await migrate.columns(columns, MIGRATIONS / "columns")
        tables = []
        for _ in range(BATCHES):
            spans = []
            for raw in otlp.spans(otlp.parse(request(BATCH), otlp.PROTOBUF)):
                assert isinstance(raw, otlp.RawSpan)
                seen = read(raw)
                spans.append(
                    Span(trace_id=raw.trace_id, span_id=raw.span_id, name=raw.name, start_us=raw.start_us, end_us=raw.end_us,
                         kind=seen.kind, usage=seen.usage, input=str(seen.input), attributes=raw.attributes)
                )  # fmt: skip
            tables.append(to_rows("default", spans).table())
        await columns.insert("spans", tables[0])
        started = time.perf_counter()
        for table in tables:
            await columns.insert("spans", table)
        rate = BATCH * BATCHES / (time.perf_counter() - started)
        await columns.close()
        return rate


def figures() -> Iterator[Figure]:
    """Measure one and eight senders against the engine alone."""
    limit = asyncio.run(alone())
    with gimbal_up() as running:
        acknowledged(running.url, 1)
        for senders in (1, SENDERS):
            value = acknowledged(running.url, senders)
            what = f"spans/s acknowledged durable, batch {BATCH}, {senders} sender{'s' * (senders > 1)}"
            yield Figure(what, value, "/s", limit, f"chDB alone ({limit:,.0f}/s)", lower_is_better=False, physical=True)
