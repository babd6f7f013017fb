"""What clients ask before they begin: that there is a server, which MLflow it speaks, and what it can do."""

import msgspec

from gimbal.faces.mlflow.table import Nothing, bare, call
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import HttpReply, HttpRequest

VERSION = "3.17.2"
"""The MLflow whose interface this is; clients send spans to `/v1/traces` from 3.4 on."""


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a server of MLflow can do."""

    store_type: str = "SqlStore"
    workspaces_enabled: bool = True
    trace_archival_enabled: bool = False
    multipart_uploads_enabled: bool = False
    multipart_downloads_enabled: bool = False
    artifact_serving_enabled: bool = True
    artifacts_presigned_only: bool = False
    tracking_auth: str = ""
    presigned_upload_run_id_supported: bool = False
    presigned_upload_model_id_supported: bool = False
    model_artifact_presigned_downloads_supported: bool = False
    features_enabled: dict[str, bool] = msgspec.field(default_factory=lambda: {"gateway": False})


@bare("GET", "/health", allow=Permission.OPEN)
async def health(ctx: Context, request: HttpRequest) -> HttpReply:
    """Tell that the server answers."""
    return HttpReply(body=b"OK", media_type="text/plain")


@bare("GET", "/version", allow=Permission.OPEN)
async def version(ctx: Context, request: HttpRequest) -> HttpReply:
    """Tell which MLflow this is like."""
    return HttpReply(body=VERSION.encode(), media_type="text/plain")


@call("GET", "/mlflow/server-info", Nothing, allow=Permission.OPEN, version=3)
async def server_info(ctx: Context, asked: Nothing) -> ServerInfo:
    """Tell what can be asked here."""
    return ServerInfo()
