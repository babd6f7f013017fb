"""OTLP over gRPC: `TraceService/Export`, with the same guarantee as over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from gimbal.axis.traces import otlp
from gimbal.axis.traces.ingest import ingest
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import Busy, Forbidden, GimbalError, NotAuthenticated, TooLarge, Unavailable

Identify = Callable[[dict[str, str]], Awaitable[Context]]
_CODES: tuple[tuple[type[GimbalError], grpc.StatusCode], ...] = (
    (NotAuthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (Busy, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (TooLarge, grpc.StatusCode.INVALID_ARGUMENT),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
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
            rejected = await ingest(ctx, request.SerializeToString(), otlp.PROTOBUF)
            await ctx.settle()
        except GimbalError as error:
            code = next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(code, str(error))
            raise
        answer = ExportTraceServiceResponse()
        answer.ParseFromString(otlp.response(rejected, otlp.PROTOBUF))
        return answer


async def serve(address: str, identify: Identify, *, most_bytes: int) -> grpc.aio.Server:
    """Start the service on `host:port` without TLS; the caller stops it."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", most_bytes)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(TraceService(identify), server)
    server.add_insecure_port(address)
    await server.start()
    return server
