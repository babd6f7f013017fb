"""OTLP over HTTP: `POST /v1/traces` and `/v1/logs`, protobuf and JSON, answered in the form of the request.

The same under the paths of other products, so that moving here is a change of address: their exporters keep their
headers, which `faces/server/access` reads the key from and this the project.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from gimbal.axis.traces import ingest, ingest_logs, otlp, status
from gimbal.axis.traces.facts.model import ExperimentIds
from gimbal.axis.traces.otlp import Rejected
from gimbal.axis.traces.placing import placed
from gimbal.axis.traces.signals import LOGS, SPANS, Signal
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import WrongMediaType
from gimbal.kernel.http import HttpReply, HttpRequest, dialect

PATHS = (
    "/v1/traces",
    # Langfuse
    "/api/public/otel/v1/traces",
    # Opik
    "/api/v1/private/otel/v1/traces",
    # LangSmith, Weave, Braintrust
    "/otel/v1/traces",
)
LOGS_PATHS = tuple(path.removesuffix("traces") + "logs" for path in PATHS)
# Where MLflow's clients name the experiment.
_EXPERIMENT = "x-mlflow-experiment-id"


Take = Callable[[Context, bytes, str], Awaitable[list[Rejected]]]


async def export_traces(ctx: Context, request: HttpRequest) -> HttpReply:
    """Store the spans; the answer means that they are durable."""

    async def take(ctx: Context, body: bytes, media_type: str) -> list[Rejected]:
        named = request.headers.get(_EXPERIMENT, "").strip()
        experiment = await ctx.get(ExperimentIds).key_of(ctx, named) if named else None
        return await ingest.take(ctx, body, media_type, experiment=experiment)

    return await _export(ctx, request, SPANS, take)


async def export_logs(ctx: Context, request: HttpRequest) -> HttpReply:
    """Store the GenAI events among the log records; the answer means that they are durable."""
    return await _export(ctx, request, LOGS, ingest_logs.take)


for _paths, _handler in ((PATHS, export_traces), (LOGS_PATHS, export_logs)):
    for _path in _paths:
        dialect("POST", _path, dialect="otlp", allow=Permission.DEVELOP, on_error_in=status.reply, places=True)(
            _handler
        )


async def _export(ctx: Context, request: HttpRequest, signal: Signal[Any], take: Take) -> HttpReply:
    ctx = await placed(ctx, request.headers)
    media_type = request.body.media_type or otlp.PROTOBUF
    if media_type not in {otlp.PROTOBUF, otlp.JSON}:
        raise WrongMediaType(
            f"{media_type!r} is not read here.", where="Content-Type", todo=f"Send {otlp.PROTOBUF} or {otlp.JSON}."
        )
    rejected = await take(ctx, await request.body.read(), media_type)
    await ctx.settle()
    return HttpReply(body=otlp.response(rejected, media_type, signal), media_type=media_type)
