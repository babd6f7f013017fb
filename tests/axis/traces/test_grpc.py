"""OTLP over gRPC and the official exporters: the same guarantee as over HTTP, and back-pressure that exporters obey."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus
from tests.axis.traces import wire

from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces import grpc as otlp_grpc
from gimbal.axis.traces import status
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import NotAuthenticated, NotFound
from gimbal.kernel.http import BodyRoom
from gimbal.kernel.settings import LimitSettings, Settings, WriterSettings

Call = Callable[..., Any]


@pytest.fixture
async def address(traces: Traces, here: Context, services: Services, projects: Projects) -> AsyncIterator[str]:
    """Serve the collector's service; the metadata name the role, without one it is nobody."""

    async def identify(metadata: dict[str, str]) -> Context:
        role = metadata.get("x-role")
        if role is None:
            raise NotAuthenticated("This needs a key.")
        if role == "broken":
            raise RuntimeError("secret detail")
        return Context(services, Principal(kind="key", id="k", name="k", everywhere=Role(role)), here.project)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    server = await otlp_grpc.serve(place, identify, most_bytes=1 << 20, room=BodyRoom(1 << 22))
    yield place
    await server.stop(None)


@pytest.fixture
async def export(address: str) -> AsyncIterator[Call]:
    """Give the raw call."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = TraceServiceStub(channel)

        async def call(*spans: wire.Span, role: str | None = "developer", **metadata: str) -> Any:
            told = [(name.replace("_", "-"), value) for name, value in metadata.items()]
            return await stub.Export(wire.request(*spans), metadata=[*((("x-role", role),) if role else ()), *told])

        yield call


def story(exporter: SpanExporter) -> str:
    """Tell a story of three spans with the official SDK; return its trace id."""
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("story", "2.0")
    with tracer.start_as_current_span("POST /ask", kind=SpanKind.SERVER) as root:
        with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as call:
            call.set_attributes(
                {
                    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
                    "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100,
                    "gen_ai.response.finish_reasons": ["stop"],
                }
            )  # fmt: skip
        with tracer.start_as_current_span("save") as save:
            save.record_exception(ValueError("no room"))
            save.set_status(SpanStatus(StatusCode.ERROR, "no room"))
    provider.shutdown()
    return f"{root.get_span_context().trace_id:032x}"


async def check(traces: Traces, here: Context, trace: str) -> None:
    found = await traces.get(here, trace)
    assert [s.name for s in found.spans] == ["POST /ask", "chat gpt-4o", "save"]
    assert (found.summary.name, found.summary.status, found.summary.input_tokens) == ("POST /ask", "error", 1000)
    assert str(found.summary.cost) == "0.0035"
    assert found.spans[1].finish == "stop"
    assert (found.spans[2].status_message, found.spans[2].events[0]["name"]) == ("no room", "exception")
    assert (found.spans[0].resource["service.name"], found.spans[0].scope) == ("shop", "story 2.0")


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_the_official_grpc_exporter(traces: Traces, here: Context, address: str, compression: Any) -> None:
    """Plain and gzipped."""
    exporter = GrpcExporter(
        endpoint=f"http://{address}", insecure=True, headers=(("x-role", "developer"),), compression=compression
    )
    await check(traces, here, await asyncio.to_thread(story, exporter))


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
async def test_the_official_http_exporter(
    site: httpx.AsyncClient, traces: Traces, here: Context, compression: Compression
) -> None:
    """In each of its encodings."""
    exporter = HttpExporter(
        endpoint=f"{site.base_url}/v1/traces", headers={"x-gimbal-project": str(here.project)}, compression=compression
    )
    await check(traces, here, await asyncio.to_thread(story, exporter))


async def test_bad_spans_are_named_and_the_good_ones_stored(traces: Traces, here: Context, export: Call) -> None:
    """As over HTTP."""
    trace = wire.trace_id()
    good = await export(wire.span(trace, 1))
    mixed = await export(wire.span(trace, 2, 1), wire.span(trace, 3, name="bad", trace_id=b"x"), wire.span(trace, 1))

    assert not good.HasField("partial_success")
    assert mixed.partial_success.rejected_spans == 1
    assert "(bad): the trace id is not 16 bytes" in mixed.partial_success.error_message
    assert len((await traces.get(here, trace)).spans) == 2


async def test_a_span_that_cannot_be_decoded_is_rejected_alone(traces: Traces, here: Context, address: str) -> None:
    """GRPC's own decoder would refuse the whole call."""
    trace = wire.trace_id()
    body = wire.request(wire.span(trace, 1), wire.span(trace, 2, 1, name="XXXX")).SerializeToString()
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{otlp_grpc.SERVICE}/Export")
        metadata = (("x-role", "developer"),)
        answer = wire.answered(await call(body.replace(b"XXXX", b"X\xff\xfeX"), metadata=metadata))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"\x0a\xff", metadata=metadata)

    assert answer.partial_success.rejected_spans == 1
    assert [s.span_id for s in (await traces.get(here, trace)).spans] == [f"{1:016x}"]
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    told = Status.FromString(dict(refused.value.trailing_metadata())["grpc-status-details-bin"])
    assert (told.code, told.message) == (3, "The body is not an OTLP trace request.")


@pytest.mark.parametrize(
    ("role", "code"),
    [
        (None, grpc.StatusCode.UNAUTHENTICATED),
        ("viewer", grpc.StatusCode.PERMISSION_DENIED),
        ("broken", grpc.StatusCode.INTERNAL),
    ],
)
async def test_who_may_not_send_is_told_so(
    traces: Traces, here: Context, export: Call, role: str | None, code: grpc.StatusCode
) -> None:
    """And nothing is stored; what breaks inside is not told to strangers."""
    trace = wire.trace_id()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await export(wire.span(trace, 1), role=role)
    assert refused.value.code() is code
    assert "secret" not in str(refused.value.details())
    with pytest.raises(NotFound):
        await traces.get(here, trace)


async def test_spans_go_where_they_are_meant_to(
    traces: Traces, here: Context, services: Services, export: Call
) -> None:
    """As over HTTP: into the workspace or the project that is named, and into none that is archived."""
    projects, slug = services.get(Projects), f"other-{here.project}"
    await projects.create(here.within(None), CreateProject(slug=slug))
    for name in ("x_mlflow_workspace", "projectname"):
        trace = wire.trace_id()
        await export(wire.span(trace, 1), **{name: slug})
        assert len((await traces.get(here.within(slug), trace)).spans) == 1
        with pytest.raises(NotFound):
            await traces.get(here, trace)
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await export(wire.span(wire.trace_id(), 1), x_mlflow_workspace="nowhere")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    await projects.archive(here, slug, archived=True)
    with pytest.raises(grpc.aio.AioRpcError) as closed:
        await export(wire.span(wire.trace_id(), 1), x_mlflow_workspace=slug)
    assert closed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "archived" in str(closed.value.details())


async def test_too_many_spans_are_refused_for_good(services: Services, export: Call) -> None:
    """With a code that no exporter retries."""
    services.register(Settings, Settings(limits=LimitSettings(spans_per_request=1)))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await export(wire.span(wire.trace_id(), 1), wire.span(wire.trace_id(), 2))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "limits.spans_per_request" in str(refused.value.details())


@pytest.fixture
def full(services: Services, columns: Columns) -> Writer:
    """Give a writer that does not run yet and holds one row at most."""
    found = Writer(columns, WriterSettings(max_queued_rows=1, max_wait_ms=1))
    services.register(Traces, Traces(columns, found, PriceBook.read()))
    return found


async def queued(writer: Writer) -> None:
    async with asyncio.timeout(10):
        while not writer.state().queued_rows:  # noqa: ASYNC110 - the queue offers no event to wait on
            await asyncio.sleep(0.001)


async def test_a_full_writer_says_when_to_come_again(here: Context, export: Call, full: Writer) -> None:
    """UNAVAILABLE with RetryInfo where exporters look for it; what waited is stored, what was refused is not."""
    kept, refused = wire.trace_id(), wire.trace_id()
    first = asyncio.create_task(export(wire.span(kept, 1)))
    await queued(full)

    with pytest.raises(grpc.aio.AioRpcError) as pushed:
        await export(wire.span(refused, 1))
    full.start()
    await first

    assert pushed.value.code() is grpc.StatusCode.UNAVAILABLE
    trailing = dict(pushed.value.trailing_metadata())
    told = Status.FromString(trailing["grpc-status-details-bin"])
    assert (told.code, told.message) == (14, "1 rows wait to be stored already.")
    info = RetryInfo()
    assert told.details[1].Unpack(info)
    assert info == RetryInfo.FromString(trailing["google.rpc.retryinfo-bin"])
    assert info.retry_delay.ToMilliseconds() >= 1000
    found = {item.trace_id for item in (await here.get(Traces).page(here, TraceFilter())).items}
    assert found == {kept}
    await full.close()


def turned_away(counters: Counters) -> float:
    """Return how many requests were told to come again."""
    return sum(s.value for s in counters.samples() if s.labels.get("outcome") == "busy")


async def test_the_official_exporter_comes_again_and_loses_nothing(
    here: Context, export: Call, address: str, full: Writer, services: Services
) -> None:
    """It waits as long as it is told."""
    counters = Counters()
    services.register(Counters, counters)
    first = asyncio.create_task(export(wire.span(wire.trace_id(), 1)))
    await queued(full)
    exporter = GrpcExporter(endpoint=f"http://{address}", insecure=True, headers=(("x-role", "developer"),))
    telling = asyncio.create_task(asyncio.to_thread(story, exporter))
    async with asyncio.timeout(20):
        while not turned_away(counters):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
    full.start()

    await first
    await check(here.get(Traces), here, await telling)
    assert turned_away(counters) == 1
    await full.close()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 20_000])
def test_fields_are_as_protobuf_writes_them(size: int) -> None:
    """Lengths of one, two and three bytes."""
    content = b"x" * size
    assert Status.FromString(status.field(2, content)).message == content.decode()
