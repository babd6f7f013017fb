"""OTLP over gRPC: `TraceService/Export`, with the same guarantee as over HTTP."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from gimbal.axis.traces import otlp, status
from gimbal.axis.traces.ingest import take
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.ids import new_id

_log = logging.getLogger(__name__)

Identify = Callable[[dict[str, str]], Awaitable[Context]]
SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class TraceService:
    """The collector's service; `identify` turns the call's metadata into a context.

    It takes the request's bytes: gRPC's own decoder would refuse all spans for one that cannot be read.
    """

    def __init__(self, identify: Identify) -> None:
        self._identify = identify

    async def export(self, body: bytes, context: Any) -> ExportTraceServiceResponse:
        """Store the spans of one request."""
        metadata = {key.lower(): str(value) for key, value in context.invocation_metadata() or ()}
        try:
            ctx = await self._identify(metadata)
            ctx.require(Permission.DEVELOP)
            rejected = await take(ctx, body, otlp.PROTOBUF)
            await ctx.settle()
        except GimbalError as error:
            await context.abort(_CODES[status.code_of(error)], str(error), _trailing(error))
            raise
        except Exception as problem:
            incident = new_id()
            _log.exception("incident %s at OTLP over gRPC", incident, exc_info=problem)
            await context.abort(grpc.StatusCode.INTERNAL, f"Something went wrong inside Gimbal: incident {incident}.")
            raise
        return otlp.answer(rejected)


def _trailing(error: GimbalError) -> tuple[tuple[str, bytes], ...]:
    """Return the details of an error; when to come again stands in both places where exporters look for it."""
    found = (("grpc-status-details-bin", status.status(error)),)
    if error.retry_after is None:
        return found
    return (("google.rpc.retryinfo-bin", status.retry_info(error.retry_after)), *found)


async def serve(address: str, identify: Identify, *, most_bytes: int) -> grpc.aio.Server:
    """Start the service on `host:port` without TLS; the caller stops it."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", most_bytes)])
    handler = grpc.unary_unary_rpc_method_handler(
        TraceService(identify).export, response_serializer=ExportTraceServiceResponse.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
    server.add_insecure_port(address)
    await server.start()
    return server
