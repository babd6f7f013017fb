"""MLflow's calls on files: the proxy by which clients put and get them, and the lists of a run's files.

Paths of the proxy are those of artifact URIs: `<experiment>/<run>/artifacts/…`, `<experiment>/models/<model>/artifacts/…`,
`<experiment>/traces/<trace>/artifacts/…`, each also under `workspaces/<project>/…`; anything else is a file of the project.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from gimbal.axis.runs.artifacts.paths import decoded, safe_folder, safe_path
from gimbal.axis.runs.artifacts.service import Artifacts, Owner, owner_in
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.service import Runs
from gimbal.faces.mlflow import trace_files
from gimbal.faces.mlflow.errors import NotServed
from gimbal.faces.mlflow.reading import artifact_root, must_be_active, run_row
from gimbal.faces.mlflow.table import bare, call, raw
from gimbal.faces.mlflow.wire import encoded, from_json, needed
from gimbal.faces.server.downloads import downloaded
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NotFound, TooLarge
from gimbal.kernel.http import HttpReply, HttpRequest

PROXY = "/mlflow-artifacts/artifacts"
_PARTS = "/mlflow-artifacts/mpu/parts"
# MLflow's pages send notes and pictures this way; larger files come by the proxy.
_MOST_SENT = 10 << 20
_RUN = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Headers by which the caller is known: who is told a URL to send parts to, or to get parts from, sends them there too.
_KNOWN_BY = ("authorization", "x-mlflow-workspace")


class Place(msgspec.Struct, frozen=True):
    """What a path of the proxy means."""

    owner: Owner
    path: str
    """Inside what the files belong to; empty for its root."""


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of a run to list."""

    run_id: str = ""
    run_uuid: str = ""
    path: str = ""


class ListedPath(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of the proxy to list."""

    path: str = ""


class BeginUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload in parts that begins."""

    path: str = ""
    num_parts: int = 1


class SentPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part as the client has sent it."""

    part_number: int
    etag: str = ""


class EndUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload in parts that ends."""

    path: str = ""
    upload_id: str = ""
    parts: list[SentPart] = []


@raw("PUT", PROXY + "/{path*}", allow=Permission.DEVELOP, large=True)
async def put(ctx: Context, request: HttpRequest) -> HttpReply:
    """Keep a file."""
    place = await placed(ctx, request.parameters["path"], changing=True)
    if _of_trace(place):
        await trace_files.put(ctx, place.owner, request.body)
    else:
        await ctx.get(Artifacts).put(ctx, place.owner, place.path, request.body)
    return HttpReply(body=encoded(None))


@raw("GET", PROXY + "/{path*}", allow=Permission.VIEW)
async def get(ctx: Context, request: HttpRequest) -> HttpReply:
    """Hand a file out, or the part of it that is asked for."""
    place = await placed(ctx, request.parameters["path"])
    return downloaded(await ctx.get(Artifacts).open(place.owner, place.path), request.method, request.headers)


@raw("DELETE", PROXY + "/{path*}", allow=Permission.DEVELOP)
async def delete(ctx: Context, request: HttpRequest) -> HttpReply:
    """Remove a file, or a folder with all in it."""
    place = await placed(ctx, request.parameters["path"], changing=True)
    await ctx.get(Artifacts).delete(ctx, place.owner, place.path)
    return HttpReply(body=encoded(None))


@call("GET", PROXY, ListedPath, allow=Permission.VIEW)
async def list_path(ctx: Context, asked: ListedPath) -> dict[str, Any]:
    """List what is right in a folder, by names."""
    place = await placed(ctx, asked.path)
    found = await _listed(ctx, place.owner, place.path)
    return {"files": [{**one, "path": str(one["path"]).rpartition("/")[2]} for one in found]}


@call("GET", "/mlflow/artifacts/list", ListedRun, allow=Permission.VIEW)
async def list_run(ctx: Context, asked: ListedRun) -> dict[str, Any]:
    """List what is right in a folder of a run, by paths inside it."""
    row = await run_row(ctx, asked.run_id or asked.run_uuid)
    files = await _listed(ctx, Owner("run", row.id), safe_folder(_decoded(asked.path)))
    locations = await ctx.get(Runs).experiments.locations({row.experiment_key})
    return {"root_uri": artifact_root(row, locations.get(row.experiment_key, "")), "files": files}


@bare("GET", "/get-artifact", "/ajax-api/2.0/mlflow/get-artifact", allow=Permission.VIEW)
async def get_of_run(ctx: Context, request: HttpRequest) -> HttpReply:
    """Hand a file of a run out."""
    row = await run_row(ctx, request.query.get("run_id") or request.query.get("run_uuid", ""))
    path = safe_path(_decoded(needed("path", request.query.get("path", ""))))
    found = await ctx.get(Artifacts).open(Owner("run", row.id), path)
    return downloaded(found, request.method, request.headers)


@raw("POST", "/mlflow/upload-artifact", allow=Permission.DEVELOP)
async def put_of_run(ctx: Context, request: HttpRequest) -> HttpReply:
    """Keep a small file of a run."""
    row = await run_row(ctx, needed("run_uuid", request.query.get("run_uuid", "")))
    must_be_active(row)
    path = safe_path(_decoded(needed("path", request.query.get("path", ""))))
    announced = request.body.announced
    if announced is not None and announced > _MOST_SENT:
        raise TooLarge("Artifact size is too large. Max size is 10MB.", where="artifact", todo="Log it by the client.")
    if announced == 0:
        raise BadInput("Request must specify data.", where="body")
    await ctx.get(Artifacts).put(ctx, Owner("run", row.id), path, request.body)
    return HttpReply(body=encoded(None))


@raw("POST", "/mlflow-artifacts/mpu/create/{path*}", allow=Permission.DEVELOP)
async def begin_upload(ctx: Context, request: HttpRequest) -> HttpReply:
    """Begin an upload in parts; the answer says where to put them."""
    asked = from_json(await request.body.read(), BeginUpload)
    place = await _upload_place(ctx, request, asked.path)
    artifacts = ctx.get(Artifacts)
    # What is said of a trace is read, and redacted, when it comes: clients then send it in one piece.
    if not artifacts.takes_parts or _of_trace(place):
        raise BadInput("Multipart upload is not supported for the current artifact repository", where="path")
    upload = await artifacts.begin(ctx, place.owner, place.path, asked.num_parts)
    base = _url(request, f"{_PARTS}/{upload}")
    headers = _known(request)
    credentials = [
        {"url": f"{base}/{number}", "part_number": number, "headers": headers}
        for number in range(1, asked.num_parts + 1)
    ]
    return _private({"upload_id": upload, "credentials": credentials})


@raw("PUT", _PARTS + "/{upload}/{number}", allow=Permission.DEVELOP, large=True)
async def put_part(ctx: Context, request: HttpRequest) -> HttpReply:
    """Keep a part."""
    text = request.parameters["number"]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    digest = await ctx.get(Artifacts).put_part(ctx, request.parameters["upload"], number, request.body)
    return HttpReply(body=encoded(None), headers={"etag": f'"{digest}"'})


@raw("POST", "/mlflow-artifacts/mpu/complete/{path*}", allow=Permission.DEVELOP)
async def end_upload(ctx: Context, request: HttpRequest) -> HttpReply:
    """Keep the file whose parts have come."""
    asked = from_json(await request.body.read(), EndUpload)
    place = await _upload_place(ctx, request, asked.path)
    if not asked.parts:
        raise BadInput("Missing value for required parameter 'parts'.", where="parts")
    digests = {one.part_number: one.etag.strip('"') for one in asked.parts}
    upload = needed("upload_id", asked.upload_id)
    await ctx.get(Artifacts).complete(ctx, upload, digests, to=(place.owner, place.path))
    return HttpReply(body=encoded(None))


@raw("POST", "/mlflow-artifacts/mpu/abort/{path*}", allow=Permission.DEVELOP)
async def abort_upload(ctx: Context, request: HttpRequest) -> HttpReply:
    """Give an upload up."""
    asked = from_json(await request.body.read(), EndUpload)
    await _upload_place(ctx, request, asked.path)
    await ctx.get(Artifacts).abort(ctx, needed("upload_id", asked.upload_id))
    return HttpReply(body=encoded(None))


@raw("GET", "/mlflow-artifacts/presigned/{path*}", allow=Permission.VIEW)
async def presigned(ctx: Context, request: HttpRequest) -> HttpReply:
    """Tell where a file can be had in parts: here, as whoever asks."""
    place = await placed(ctx, request.parameters["path"])
    found = await ctx.get(Artifacts).find(place.owner, place.path)
    url = _url(request, f"{PROXY}/{quote(request.parameters['path'])}")
    return _private({"url": url, "headers": _known(request), "file_size": found.size})


@raw("POST", "/mlflow/artifacts/presigned-upload-url", allow=Permission.VIEW)
@raw("POST", "/mlflow/artifacts/presigned-download-url", allow=Permission.VIEW)
async def presigned_elsewhere(ctx: Context, request: HttpRequest) -> HttpReply:
    """Refuse to send a client to an object store."""
    raise NotServed(
        f"{request.method} {request.path} (feature: presigned URLs of object stores) is not served by Gimbal.",
        where="path",
        kept="nothing",
        todo="Files go through Gimbal, under /api/2.0/mlflow-artifacts.",
    )


def _of_trace(place: Place) -> bool:
    """Tell whether a file is the one in which a trace's spans and contents come."""
    return place.owner.kind == "trace" and place.path == trace_files.FILE


async def placed(ctx: Context, path: str, *, changing: bool = False) -> Place:
    """Return what a path of the proxy means; raise BadInput for an unsafe one, NotFound for what is not there."""
    parts = safe_folder(_decoded(path)).split("/")
    if parts[0] == "workspaces":
        if len(parts) < 2:
            raise BadInput("Artifact paths prefixed with 'workspaces/' must include a workspace name.", where="path")
        if parts[1] != (ctx.project or "default"):
            raise BadInput(f"Artifact path targets workspace {parts[1]!r}, the request {ctx.project!r}.", where="path")
        parts = parts[2:]
    at = next((at for at in range(1, len(parts)) if parts[at] == "artifacts"), 0)
    inside = "/".join(parts[at + 1 :])
    if at >= 1 and _RUN.fullmatch(parts[at - 1]):
        row = await run_row(ctx, parts[at - 1])
        root = parts[: at - 1]
        if len(root) == 1 and root[0].isdecimal() and root[0] not in {"0", str(row.experiment_key)}:
            raise NotFound(f"Run '{parts[at - 1]}' is not in experiment {root[0]}.", where="path")
        if changing:
            must_be_active(row)
        return Place(Owner("run", row.id), inside)
    if at >= 2 and parts[at - 2] == "models":
        return Place(Owner("model", (await ctx.get(LoggedModels).get(ctx, parts[at - 1])).id), inside)
    if at >= 2 and parts[at - 2] == "traces":
        return Place(owner_in(ctx, "trace", parts[at - 1]), inside)
    return Place(owner_in(ctx, "free"), "/".join(parts))


async def _listed(ctx: Context, owner: Owner, folder: str) -> list[dict[str, Any]]:
    return [
        {"path": one.path, "is_dir": True}
        if one.is_folder
        else {"path": one.path, "is_dir": False, "file_size": one.size}
        for one in await ctx.get(Artifacts).entries(owner, folder)
    ]


async def _upload_place(ctx: Context, request: HttpRequest, local: str) -> Place:
    """Return where an upload goes: a folder stands in the path, and the path of the caller's own file in the body."""
    name = re.split(r"[\\/]", needed("path", local))[-1]
    place = await placed(ctx, request.parameters["path"], changing=True)
    return Place(place.owner, safe_path(_decoded(f"{place.path}/{name}" if place.path else name)))


def _decoded(path: str) -> str:
    """Return a path as it stands for what it is; raise BadInput for one with `#`, which MLflow refuses."""
    plain = decoded(path)
    if "#" in plain:
        raise BadInput(f"Invalid path {path[:80]!r}.", where="path", kept="nothing", todo="Leave `#` out of it.")
    return plain


def _url(request: HttpRequest, path: str) -> str:
    """Return a URL under which the caller reaches this server, as it did with this request."""
    prefix = request.path.partition("/mlflow-artifacts/")[0]
    return f"{request.scheme}://{request.headers.get('host', '')}{prefix}{path}"


def _known(request: HttpRequest) -> Mapping[str, str]:
    return {name: request.headers[name] for name in _KNOWN_BY if name in request.headers}


def _private(answer: dict[str, Any]) -> HttpReply:
    return HttpReply(body=encoded(answer), headers={"cache-control": "no-store"})
