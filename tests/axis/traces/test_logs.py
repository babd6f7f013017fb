"""GenAI events that come as OTLP log records: kept with their span whichever is first, once, durable; logs are refused."""

import asyncio
import gzip
import itertools
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry._logs import LogRecord as SdkRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.projects.service import Projects
from gimbal.axis.traces import grpc as otlp_grpc
from gimbal.axis.traces.dialect import LOGS_PATHS
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.renormalise import renormalise
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.http import BodyRoom
from gimbal.kernel.settings import LimitSettings, Settings, WriterSettings

CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Berne"}}


def conversation(trace: str, span: int = 1) -> list[Any]:
    """Return the events of one call, as opentelemetry-instrumentation-openai-v2 sends them."""
    call = {"id": "c1", "type": "function", "function": {"name": "map", "arguments": "{}"}}
    said = [
        ("gen_ai.system.message", {"content": "Be brief."}),
        ("gen_ai.user.message", {"content": "The capital of Switzerland?"}),
        ("gen_ai.assistant.message", {"tool_calls": [call]}),
        ("gen_ai.tool.message", {"content": "a map", "id": "c1"}),
        ("gen_ai.choice", CHOICE),
    ]
    # All in one microsecond: what came first is first.
    return [wire.event(trace, span, name, body, attributes={"gen_ai.system": "openai"}, at_ms=2) for name, body in said]


async def send(site: httpx.AsyncClient, *records: Any, path: str = "/v1/logs") -> ExportLogsServiceResponse:
    reply = await site.post(path, content=wire.logs(*records).SerializeToString(), headers={"content-type": PROTOBUF})
    assert (reply.status_code, reply.headers["content-type"]) == (200, PROTOBUF), reply.text
    return ExportLogsServiceResponse.FromString(reply.content)


async def send_spans(site: httpx.AsyncClient, *spans: wire.Span) -> None:
    body = wire.request(*spans).SerializeToString()
    assert (await site.post("/v1/traces", content=body, headers={"content-type": PROTOBUF})).content == b""


def check(span: Span) -> None:
    asked, answered = json.loads(span.input), json.loads(span.output)
    assert [(m["role"], m.get("content") or "") for m in asked] == [
        ("system", "Be brief."), ("user", "The capital of Switzerland?"), ("assistant", ""), ("tool", "a map"),
    ]  # fmt: skip
    assert asked[2]["tool_calls"][0]["id"] == asked[3]["tool_call_id"] == "c1"
    assert [m["content"] for m in answered] == ["Berne"]
    assert span.finish == "stop"
    assert [e["name"].split(".")[1] for e in span.events] == ["system", "user", "assistant", "tool", "choice"]


@pytest.mark.parametrize("before", [True, False])
async def test_events_are_the_messages_of_their_span_whichever_comes_first(
    site: httpx.AsyncClient, traces: Traces, here: Context, before: bool
) -> None:
    """And sent again they are the same."""
    trace = wire.trace_id()
    if before:
        await send(site, *conversation(trace))
    await send_spans(site, wire.chat(trace, 1), wire.span(trace, 2, 1))
    for _ in range(2):
        assert not (await send(site, *conversation(trace))).HasField("partial_success")

    found = await traces.get(here, trace)

    check(found.spans[0])
    assert (found.spans[1].events, found.spans[1].input) == ([], "")
    assert (str(found.summary.cost), found.summary.input_tokens) == ("0.0035", 1000)


async def test_details_in_one_event(site: httpx.AsyncClient, traces: Traces, here: Context) -> None:
    """The newer convention has all messages in one, and the usage; what it makes known is priced."""
    trace = wire.trace_id()
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Ho"}]}],
    }
    await send_spans(site, wire.span(trace, 1, name="chat"))
    await send(site, wire.event(trace, 1, "gen_ai.client.inference.operation.details", attributes=said))

    found = await traces.get(here, trace)

    span = found.spans[0]
    assert (span.kind, span.model, span.usage and span.usage.input_tokens) == ("llm", "gpt-4o", 1000)
    assert "Hi" in span.input
    assert "Ho" in span.output
    assert str(found.summary.cost) == "0.0035"


async def test_renormalise_folds_them_in_for_lists_and_sums(
    site: httpx.AsyncClient, traces: Traces, here: Context, columns: Columns
) -> None:
    """Once; the row's own events stay as they came, and the trace looks the same."""
    trace = wire.trace_id()
    await send_spans(site, wire.chat(trace, 1))
    await send(site, *conversation(trace))
    shown = await traces.get(here, trace)

    since = from_us(wire.START)
    first, second = await renormalise(here, since, None), await renormalise(here, since, None)

    assert (first.spans, first.changed, second.changed) == (1, 1, 0)
    rows = await columns.query(
        "SELECT output, events, finish FROM spans FINAL WHERE project = {p:String}", {"p": here.project}
    )
    assert [("Berne" in row["output"], row["events"], row["finish"]) for row in rows] == [(True, "", "stop")]
    assert (await traces.get(here, trace)).spans == shown.spans


async def test_each_record_is_kept_or_rejected_by_itself(
    site: httpx.AsyncClient, traces: Traces, here: Context, columns: Columns, services: Services
) -> None:
    """Gimbal is no place for logs; what belongs to nothing, or has no time, is told so."""
    services.register(Counters, Counters())
    trace = wire.trace_id()
    good = wire.event(trace, 1, "gen_ai.user.message", {"content": "kept"})
    old = wire.event(trace, 1, "", {"content": "older"}, attributes={"event.name": "gen_ai.user.message"}, at_ms=3)
    text = wire.event(trace, 1, "gen_ai.user.message", "only text", at_ms=4)
    bad = [
        (wire.event(trace, 1, "", "GET / 200"), "Gimbal keeps GenAI events, not logs"),
        (wire.event(trace, 1, "http.request"), "Gimbal keeps GenAI events, not logs"),
        (wire.event(trace, 1, "gen_ai." + "x" * 200), "Gimbal keeps GenAI events, not logs"),
        (wire.event(trace, 1, "gen_ai.choice", trace_id=b""), "belongs to no span"),
        (wire.event(trace, 1, "gen_ai.choice", span_id=b"\0" * 8), "belongs to no span"),
        (wire.event(trace, 1, "gen_ai.choice", trace_id=b"x"), "the trace id is not 16 bytes"),
        (wire.event(trace, 1, "gen_ai.choice", span_id=b"x"), "the span id is not 8 bytes"),
        (wire.event(trace, 1, "gen_ai.choice", observed_time_unix_nano=0), "neither a time"),
        (wire.event(trace, 1, "gen_ai.choice", time_unix_nano=2**64 - 1), "neither a time"),
        (wire.event(trace, 1, "gen_ai.evaluation.result"), "names no evaluation"),
    ]
    await send_spans(site, wire.chat(trace, 1))

    answer = (await send(site, good, *(record for record, _ in bad), old, text)).partial_success

    assert answer.rejected_log_records == len(bad)
    told = answer.error_message.split("; ")
    assert [reason in one for one, (_, reason) in zip(told, bad, strict=True)] == [True] * len(bad)
    messages = json.loads((await traces.get(here, trace)).spans[0].input)
    assert [m["content"] or "" for m in messages] == ["kept", "older", ""]
    rows = await columns.query("SELECT count() AS n FROM span_events WHERE project = {p:String}", {"p": here.project})
    assert rows[0]["n"] == 3
    counted = {(s.name, *s.labels.values()): s.value for s in services.get(Counters).samples()}
    assert counted["gimbal_ingest_events_received_total",] == len(bad) + 3
    assert counted["gimbal_ingest_events_stored_total",] == 3
    assert counted["gimbal_ingest_events_rejected_total", "not_genai"] == 3


@pytest.mark.parametrize("path", LOGS_PATHS)
@pytest.mark.parametrize("packed", [False, True])
async def test_every_door_and_encoding(
    site: httpx.AsyncClient, traces: Traces, here: Context, path: str, packed: bool
) -> None:
    """JSON with hex ids, plain and gzipped, is answered as JSON."""
    trace = wire.trace_id()
    await send_spans(site, wire.chat(trace, 1))
    body = json.dumps(wire.logs_as_json(wire.logs(*conversation(trace)))).encode()
    headers = {"content-type": JSON} | ({"content-encoding": "gzip"} if packed else {})

    reply = await site.post(path, content=gzip.compress(body) if packed else body, headers=headers)

    assert (reply.status_code, reply.json()) == (200, {})
    check((await traces.get(here, trace)).spans[0])


async def test_one_that_cannot_be_decoded_is_rejected_alone(
    site: httpx.AsyncClient, traces: Traces, here: Context
) -> None:
    """In protobuf a name that is not UTF-8, in JSON a time that is no number."""
    trace = wire.trace_id()
    await send_spans(site, wire.chat(trace, 1))
    good = wire.event(trace, 1, "gen_ai.user.message", {"content": "kept"})
    broken = wire.logs(good, wire.event(trace, 1, "XXXX")).SerializeToString().replace(b"XXXX", b"X\xff\xfeX")
    document = wire.logs_as_json(wire.logs(good, wire.event(trace, 1, "gen_ai.choice")))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1]["observedTimeUnixNano"] = "soon"

    one = await site.post("/v1/logs", content=broken, headers={"content-type": PROTOBUF})
    two = await site.post("/v1/logs", json=document)
    nothing = await site.post("/v1/logs", content=b"\x0a\xff", headers={"content-type": PROTOBUF})

    told = ExportLogsServiceResponse.FromString(one.content).partial_success
    assert (told.rejected_log_records, f"{1:016x} (X" in told.error_message) == (1, True)
    assert two.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert "gen_ai.choice" in two.json()["partialSuccess"]["errorMessage"]
    assert (nothing.status_code, wire.told(nothing)["message"]) == (400, "The body is not an OTLP logs request.")
    assert [m["content"] for m in json.loads((await traces.get(here, trace)).spans[0].input)] == ["kept"]


async def test_limits_are_those_of_spans(
    site: httpx.AsyncClient, traces: Traces, here: Context, services: Services
) -> None:
    """A long message is in the blobs; too many records are refused as a whole, with a code that is not retried."""
    services.register(Settings, Settings(limits=LimitSettings(spans_per_request=5, span_attribute_bytes=2000)))
    trace = wire.trace_id()
    await send_spans(site, wire.chat(trace, 1))
    await send(site, wire.event(trace, 1, "gen_ai.user.message", {"content": "long " * 1000}))

    six = [*conversation(trace), wire.event(trace, 1, "gen_ai.choice", CHOICE)]
    many = await site.post("/v1/logs", content=wire.logs(*six).SerializeToString(), headers={"content-type": PROTOBUF})

    assert (many.status_code, wire.told(many)["code"]) == (413, "too_large")
    said = (await traces.get(here, trace)).spans[0].events
    assert [(e["attributes"]["content"]["size"], e["attributes"]["gimbal.ingest"]["cut"]) for e in said] == [
        (5000, {"values": 1})
    ]


async def test_a_full_writer_says_when_to_come_again(
    site: httpx.AsyncClient, traces: Traces, here: Context, services: Services, columns: Columns
) -> None:
    """429 with Retry-After, nothing stored; then all of it is."""
    trace = wire.trace_id()
    await send_spans(site, wire.chat(trace, 1))
    full = Writer(columns, WriterSettings(max_queued_rows=1, max_wait_ms=1))
    services.register(Writer, full)
    waiting = asyncio.create_task(send(site, *conversation(trace)))
    async with asyncio.timeout(10):
        while not full.state().queued_rows:  # noqa: ASYNC110 - the queue offers no event to wait on
            await asyncio.sleep(0.001)

    body = wire.logs(*conversation(trace)).SerializeToString()
    pushed = await site.post("/v1/logs", content=body, headers={"content-type": PROTOBUF})
    full.start()
    await waiting

    assert pushed.status_code == 429
    assert int(pushed.headers["retry-after"]) >= 1
    check((await traces.get(here, trace)).spans[0])
    await full.close()


async def test_a_wrong_key_is_refused(site: httpx.AsyncClient) -> None:
    reply = await site.post(
        "/v1/logs", content=b"", headers={"content-type": PROTOBUF, "authorization": "Bearer gk_nothing"}
    )
    assert (reply.status_code, wire.told(reply)["code"]) == (401, "not_authenticated")


async def test_another_form_is_refused(site: httpx.AsyncClient) -> None:
    reply = await site.post("/v1/logs", content=b"x", headers={"content-type": "text/plain"})
    assert reply.status_code == 415


@pytest.fixture
async def address(traces: Traces, here: Context, services: Services, projects: Projects) -> AsyncIterator[str]:
    """Serve OTLP over gRPC for a developer."""

    async def identify(metadata: dict[str, str]) -> Context:
        return Context(services, Principal(kind="key", id="k", name="k", everywhere=Role.DEVELOPER), here.project)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    server = await otlp_grpc.serve(place, identify, most_bytes=1 << 20, room=BodyRoom(1 << 22))
    yield place
    await server.stop(None)


def talk(spans: Any, logs: Any) -> str:
    """Hold a conversation with the official SDK: a span, and what was said as events of it; return the trace id."""
    tracing, logging = TracerProvider(), LoggerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    logging.add_log_record_processor(SimpleLogRecordProcessor(logs))
    logger = logging.get_logger("opentelemetry.instrumentation.openai_v2", "2.2")
    with tracing.get_tracer("t").start_as_current_span("chat gpt-4o") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        for name, body in (("gen_ai.user.message", {"content": "Hi"}), ("gen_ai.choice", CHOICE)):
            logger.emit(SdkRecord(event_name=name, body=body, attributes={"gen_ai.system": "openai"}))
    tracing.shutdown()
    logging.shutdown()
    return f"{span.get_span_context().trace_id:032x}"


@pytest.mark.parametrize("over", ["http", "grpc"])
async def test_the_official_exporters(
    site: httpx.AsyncClient, traces: Traces, here: Context, address: str, over: str
) -> None:
    """Events come first here: the span is sent when it ends."""
    headers = {"x-gimbal-project": str(here.project)}
    spans = OTLPSpanExporter(endpoint=f"{site.base_url}/v1/traces", headers=headers)
    if over == "http":
        logs: Any = HttpLogs(endpoint=f"{site.base_url}/v1/logs", headers=headers)
    else:
        logs = GrpcLogs(endpoint=f"http://{address}", insecure=True)

    trace = await asyncio.to_thread(talk, spans, logs)

    span = (await traces.get(here, trace)).spans[0]
    assert [m["content"] for m in json.loads(span.input)] == ["Hi"]
    assert [m["content"] for m in json.loads(span.output)] == ["Berne"]


async def test_grpc_rejects_by_name_and_refuses_what_is_no_request(here: Context, address: str) -> None:
    """As for spans, with the logs service's own answer."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{otlp_grpc.LOGS_SERVICE}/Export")
        answer = ExportLogsServiceResponse.FromString(
            await call(wire.logs(wire.event(wire.trace_id(), 1, "", "a log")).SerializeToString())
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"\x0a\xff")

    assert answer.partial_success.rejected_log_records == 1
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_acknowledged_means_in_the_columns(
    here: Context, services: Services, columns: Columns, traces: Traces, site: httpx.AsyncClient
) -> None:
    """The answer waits for the commit: there is none while the writer stands, and all of it with the answer."""
    standing = Writer(columns, WriterSettings(max_wait_ms=1))
    services.register(Writer, standing)
    trace = wire.trace_id()
    sending = asyncio.create_task(send(site, *conversation(trace)))
    async with asyncio.timeout(10):
        while not standing.state().queued_rows:  # noqa: ASYNC110 - the queue offers no event to wait on
            await asyncio.sleep(0.001)
    assert not sending.done()

    standing.start()
    await sending
    rows = await columns.query("SELECT count() AS n FROM span_events WHERE trace_id = {t:String}", {"t": trace})

    assert rows[0]["n"] == 5
    await standing.close()


async def test_another_projects_events_are_not_seen(
    site: httpx.AsyncClient, traces: Traces, here: Context, columns: Columns, writer: Writer
) -> None:
    trace = wire.trace_id()
    await send_spans(site, wire.chat(trace, 1))
    body = wire.logs(*conversation(trace)).SerializeToString()
    headers = {"content-type": PROTOBUF, "x-gimbal-project": "default"}
    assert (await site.post("/v1/logs", content=body, headers=headers)).status_code == 200

    assert (await traces.get(here, trace)).spans[0].events == []


async def test_order_of_arrival_does_not_matter(site: httpx.AsyncClient, traces: Traces, here: Context) -> None:
    """Sent one by one, in any order, they are read by their time."""
    said = [("gen_ai.user.message", {"content": f"word {n}"}) for n in range(3)]
    for order in itertools.permutations(range(3)):
        trace = wire.trace_id()
        await send_spans(site, wire.chat(trace, 1))
        for n in order:
            await send(site, wire.event(trace, 1, *said[n], at_ms=n + 1))
        assert [m["content"] for m in json.loads((await traces.get(here, trace)).spans[0].input)] == [
            f"word {n}" for n in range(3)
        ]
