"""OTLP over HTTP: `POST /v1/traces`, protobuf and JSON, answered in the form of the request."""

from gimbal.axis.traces import otlp
from gimbal.axis.traces.ingest import ingest
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import WrongMediaType
from gimbal.kernel.http import HttpReply, HttpRequest, dialect


@dialect("POST", "/v1/traces", dialect="otlp", allow=Permission.DEVELOP)
async def export_traces(ctx: Context, request: HttpRequest) -> HttpReply:
    """Store the spans; the answer means that they are durable."""
    media_type = request.body.media_type or otlp.PROTOBUF
    if media_type not in {otlp.PROTOBUF, otlp.JSON}:
        raise WrongMediaType(
            f"{media_type!r} is not read here.", where="Content-Type", todo=f"Send {otlp.PROTOBUF} or {otlp.JSON}."
        )
    rejected = await ingest(ctx, otlp.parse(await request.body.read(), media_type))
    await ctx.settle()
    return HttpReply(body=otlp.response(rejected, media_type), media_type=media_type)
