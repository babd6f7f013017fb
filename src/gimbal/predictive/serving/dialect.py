"""The Open Inference Protocol V2 over HTTP and JSON; a model's name is the slug of an endpoint.

Source: kserve/open-inference-protocol. Errors are `{"error": message}` as it asks, with our code beside it.
"""

import re
from importlib.metadata import version as installed
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.endpoints.model import Endpoint
from gimbal.axis.endpoints.predictions import PredictionBatch, Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.http import HttpReply, HttpRequest, dialect
from gimbal.kernel.ids import new_id, new_span_id, new_trace_id, parse_traceparent
from gimbal.kernel.refs import AtVersion, Ref
from gimbal.kernel.settings import Settings
from gimbal.predictive.flavors.model import ModelManifest, manifest_of
from gimbal.predictive.serving import tensors
from gimbal.predictive.serving.pool import ModelPool

_NAME = "open-inference"
_VERSION = re.compile(r"v?([1-9][0-9]{0,8})")


def _reply(value: Any, status: int = 200) -> HttpReply:
    return HttpReply(body=msgspec.json.encode(value), status=status)


def _error(error: GimbalError) -> HttpReply:
    body = {"error": str(error), "code": error.code}
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after else {}
    return HttpReply(body=msgspec.json.encode(body), status=error.status, headers=headers)


async def _resolve(ctx: Context, request: HttpRequest) -> tuple[Endpoint, Version]:
    endpoints = ctx.get(Endpoints)
    endpoint, version = await endpoints.resolve(ctx, request.parameters["name"])
    number = request.parameters.get("version")
    if number is not None:
        found = _VERSION.fullmatch(number)
        if found is None:
            raise NotFound(f"There is no version {number!r}.", where="version", todo="Versions are numbers from 1.")
        asked = Ref(version.kind, version.name, AtVersion(int(found[1])))
        version = await ctx.get(Assets).resolve(ctx, asked)
    return endpoint, version


@dialect("GET", "/v2", dialect=_NAME, allow=Permission.VIEW, on_error=_error)
async def server_metadata(ctx: Context, request: HttpRequest) -> HttpReply:
    """Say who this is."""
    return _reply({"name": "gimbal", "version": installed("gimbal-ops"), "extensions": []})


@dialect("GET", "/v2/health/live", dialect=_NAME, allow=Permission.OPEN, on_error=_error)
async def live(ctx: Context, request: HttpRequest) -> HttpReply:
    """Say that the server is up."""
    return _reply({"live": True})


@dialect("GET", "/v2/health/ready", dialect=_NAME, allow=Permission.OPEN, on_error=_error)
async def ready(ctx: Context, request: HttpRequest) -> HttpReply:
    """Say that the server takes requests."""
    return _reply({"ready": True})


@dialect("GET", "/v2/models/{name}", dialect=_NAME, allow=Permission.VIEW, on_error=_error)
@dialect("GET", "/v2/models/{name}/versions/{version}", dialect=_NAME, allow=Permission.VIEW, on_error=_error)
async def model_metadata(ctx: Context, request: HttpRequest) -> HttpReply:
    """Describe a model: its versions, inputs and outputs."""
    endpoint, version = await _resolve(ctx, request)
    manifest = manifest_of(version.manifest)
    return _reply(
        {
            "name": endpoint.slug,
            "versions": [str(version.number)],
            "platform": f"gimbal_{manifest.flavor}",
            "inputs": [
                {"name": s.name, "datatype": s.datatype, "shape": list(s.shape)} for s in manifest.signature.inputs
            ],
            "outputs": [
                {"name": s.name, "datatype": s.datatype, "shape": list(s.shape)} for s in manifest.signature.outputs
            ],
        }
    )


@dialect("GET", "/v2/models/{name}/ready", dialect=_NAME, allow=Permission.VIEW, on_error=_error)
@dialect("GET", "/v2/models/{name}/versions/{version}/ready", dialect=_NAME, allow=Permission.VIEW, on_error=_error)
async def model_ready(ctx: Context, request: HttpRequest) -> HttpReply:
    """Say whether a model's process answers; asks for one when there is none."""
    endpoint, version = await _resolve(ctx, request)
    ctx.get(ModelPool).require_ready(version)
    return _reply({"name": endpoint.slug, "ready": True})


@dialect("POST", "/v2/models/{name}/infer", dialect=_NAME, allow=Permission.DEVELOP, on_error=_error)
@dialect("POST", "/v2/models/{name}/versions/{version}/infer", dialect=_NAME, allow=Permission.DEVELOP, on_error=_error)
async def infer(ctx: Context, request: HttpRequest) -> HttpReply:
    """Predict; the predictions are recorded with their inputs before this answers."""
    endpoint, version = await _resolve(ctx, request)
    manifest = manifest_of(version.manifest)
    if "inference-header-content-length" in request.headers:
        raise BadInput(
            "Binary tensors are not taken here.",
            where="Inference-Header-Content-Length",
            todo="Send the values as JSON in `data`: `set_data_from_numpy(values, binary_data=False)`.",
        )
    asked = tensors.parse(await request.body.read())
    tensors.check_outputs(asked, manifest)
    rows = tensors.rows_of(asked, manifest, ctx.get(Settings).limits.rows_per_inference)
    start = ctx.now()
    event_us = tensors.event_times(asked.parameters, rows.num_rows, start)
    entities = tensors.entities(asked.parameters, rows.num_rows)
    predictions = await ctx.get(ModelPool).infer(version, rows)
    parent = parse_traceparent(request.headers.get("traceparent", ""))
    span = _span(endpoint, version, rows, predictions, parent, to_us(start), to_us(ctx.now()))
    ids = [new_id() for _ in range(rows.num_rows)]
    if endpoint.capture:
        batch = PredictionBatch(
            endpoint=endpoint.slug,
            version=str(version.ref),
            ids=ids,
            at_us=to_us(start),
            event_us=event_us,
            entities=entities,
            inputs=rows,
            predicted=[str(value) for value in predictions["predict"].to_pylist()],
            scores=tensors.scores_of(predictions, manifest),
            trace_id=span.trace_id,
        )
        await ctx.get(Predictions).record(ctx, batch)
    await ctx.get(Traces).record(ctx, [span])
    await ctx.settle()
    return _answer(asked, endpoint, version, predictions, manifest, ids, span)


def _span(
    endpoint: Endpoint,
    version: Version,
    rows: pa.Table,
    predictions: pa.Table,
    parent: tuple[str, str, bool] | None,
    start_us: int,
    end_us: int,
) -> Span:
    first = {name: values[0].as_py() for name, values in zip(rows.column_names, rows.columns, strict=True)}
    return Span(
        trace_id=parent[0] if parent else new_trace_id(),
        span_id=new_span_id(),
        parent_id=parent[1] if parent else "",
        remote_parent=parent is not None,
        name=f"predict {endpoint.slug}",
        kind="prediction",
        start_us=start_us,
        end_us=end_us,
        status="ok",
        model=str(version.ref),
        refs=[str(version.ref)],
        input=msgspec.json.encode({"rows": rows.num_rows, "first": first}).decode(),
        output=msgspec.json.encode(
            {"first": {n: predictions[n][0].as_py() for n in predictions.column_names}}
        ).decode(),
        dialect="gimbal",
        scope="gimbal.predictive.serving",
    )


def _answer(
    asked: tensors.InferRequest,
    endpoint: Endpoint,
    version: Version,
    predictions: pa.Table,
    manifest: ModelManifest,
    ids: list[str],
    span: Span,
) -> HttpReply:
    body: dict[str, Any] = {
        "model_name": endpoint.slug,
        "model_version": str(version.number),
        "outputs": tensors.outputs_of(predictions, manifest, asked.outputs),
        "parameters": {"prediction_ids": ids, "trace_id": span.trace_id, "version": str(version.ref)},
    }
    if asked.id:
        body["id"] = asked.id
    return _reply(body)
