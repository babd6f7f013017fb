"""OTLP over gRPC: `TraceService/Export` and `LogsService/Export`, with the same guarantee as over HTTP."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from gimbal.axis.traces import ingest, ingest_logs, otlp, status
from gimbal.axis.traces.otlp import Rejected
from gimbal.axis.traces.placing import placed
from gimbal.axis.traces.signals import LOGS, SPANS, Signal
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import BodyRoom
from gimbal.kernel.ids import new_id

_log = logging.getLogger(__name__)

Identify = Callable[[dict[str, str]], Awaitable[Context]]
Take = Callable[[Context, bytes, str], Awaitable[list[Rejected]]]
SERVICE, LOGS_SERVICE = SPANS.service, LOGS.service
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class CollectorService:
    """The collector's service of one signal; `identify` turns the call's metadata into a context.

    It takes the request's bytes: gRPC's own decoder would refuse all records for one that cannot be read.
    """

    def __init__(self, identify: Identify, room: BodyRoom, signal: Signal[Any], take: Take) -> None:
        self._identify = identify
        self._room = room
        self._signal = signal
        self._take = take

    async def export(self, body: bytes, context: Any) -> Message:
        """Store the records of one request."""
        metadata = {key.lower(): str(value) for key, value in context.invocation_metadata() or ()}
        try:
            ctx = await placed(await self._identify(metadata), metadata)
            with self._room.holding(len(body)):
                rejected = await self._take(ctx, body, otlp.PROTOBUF)
            await ctx.settle()
        except GimbalError as error:
            await context.abort(_CODES[status.code_of(error)], str(error), _trailing(error))
            raise
        except Exception as problem:
            incident = new_id()
            _log.exception("incident %s at OTLP over gRPC", incident, exc_info=problem)
            await context.abort(grpc.StatusCode.INTERNAL, f"Something went wrong inside Gimbal: incident {incident}.")
            raise
        return otlp.answer(rejected, self._signal)


def _trailing(error: GimbalError) -> tuple[tuple[str, bytes], ...]:
    """Return the details of an error; when to come again stands in both places where exporters look for it."""
    found = (("grpc-status-details-bin", status.status(error)),)
    if error.retry_after is None:
        return found
    return (("google.rpc.retryinfo-bin", status.retry_info(error.retry_after)), *found)


async def serve(address: str, identify: Identify, *, most_bytes: int, room: BodyRoom) -> grpc.aio.Server:
    """Start the services on `host:port` without TLS; the caller stops it.

    One request has at most `most_bytes`, and all that are being answered fit into `room`.
    """
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", most_bytes)])
    takes: tuple[tuple[Signal[Any], Take], ...] = ((SPANS, ingest.take), (LOGS, ingest_logs.take))
    for signal, take in takes:
        handler = grpc.unary_unary_rpc_method_handler(
            CollectorService(identify, room, signal, take).export, response_serializer=signal.response.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(signal.service, {"Export": handler}),))
    server.add_insecure_port(address)
    await server.start()
    return server
