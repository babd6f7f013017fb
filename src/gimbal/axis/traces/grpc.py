"""OTLP over gRPC: `TraceService/Export`, with the same guarantee as over HTTP."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from gimbal.axis.traces import otlp
from gimbal.axis.traces.ingest import ingest
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import Busy, DeadlineExceeded, Forbidden, GimbalError, NotAuthenticated, NotFound, Unavailable
from gimbal.kernel.ids import new_id

_log = logging.getLogger(__name__)

Identify = Callable[[dict[str, str]], Awaitable[Context]]
_CODES: tuple[tuple[type[GimbalError], grpc.StatusCode], ...] = (
    (NotAuthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    # The protocol's sign of back-pressure. Not RESOURCE_EXHAUSTED: with that, some exporters drop the spans.
    (Busy, grpc.StatusCode.UNAVAILABLE),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
    (DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
)


class TraceService(trace_service_pb2_grpc.TraceServiceServicer):
    """The collector's service; `identify` turns the call's metadata into a context."""

    def __init__(self, identify: Identify) -> None:
        self._identify = identify

    async def Export(  # noqa: N802 - the name in the protocol
        self, request: ExportTraceServiceRequest, context: Any
    ) -> ExportTraceServiceResponse:
        """Store the spans of one request."""
        metadata = {key.lower(): str(value) for key, value in context.invocation_metadata() or ()}
        try:
            ctx = await self._identify(metadata)
            ctx.require(Permission.DEVELOP)
            rejected = await ingest(ctx, request)
            await ctx.settle()
        except GimbalError as error:
            code = next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(code, str(error), _retry_info(code, error))
            raise
        except Exception as problem:
            incident = new_id()
            _log.exception("incident %s at OTLP over gRPC", incident, exc_info=problem)
            await context.abort(grpc.StatusCode.INTERNAL, f"Something went wrong inside Gimbal: incident {incident}.")
            raise
        return otlp.answer(rejected)


def _retry_info(code: grpc.StatusCode, error: GimbalError) -> tuple[tuple[str, bytes], ...]:
    """Return when to come again, in the two places where exporters look for `google.rpc.RetryInfo`.

    Source: google/rpc/status.proto and error_details.proto; written here because their Python package is not needed
    for anything else.
    """
    if error.retry_after is None:
        return ()
    delay = Duration()
    delay.FromMilliseconds(round(error.retry_after * 1000))
    info = _field(1, delay.SerializeToString())
    detail = _field(1, b"type.googleapis.com/google.rpc.RetryInfo") + _field(2, info)
    number: int = code.value[0]
    status = bytes([1 << 3, number]) + _field(2, error.message.encode()) + _field(3, detail)
    return (("google.rpc.retryinfo-bin", info), ("grpc-status-details-bin", status))


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field of a protobuf message."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


async def serve(address: str, identify: Identify, *, most_bytes: int) -> grpc.aio.Server:
    """Start the service on `host:port` without TLS; the caller stops it."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", most_bytes)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(TraceService(identify), server)
    server.add_insecure_port(address)
    await server.start()
    return server
