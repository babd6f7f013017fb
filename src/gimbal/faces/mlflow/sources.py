"""Where a version is registered from: which files that means, who made them, and what cannot be a source.

The rules are MLflow's own: no local path, no way out of a folder, and a run's or a model's files only with its id.
"""

import re
import urllib.parse
from typing import NoReturn

import msgspec

from gimbal.axis.assets.model import FileEntry
from gimbal.axis.assets.registry.model import RegisteredVersion
from gimbal.axis.assets.registry.service import Registry
from gimbal.axis.runs.artifacts.service import Artifacts, Owner
from gimbal.axis.runs.candidates.model import LoggedModel
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import Artifact
from gimbal.axis.runs.service import Runs
from gimbal.faces.mlflow.reading import artifact_root, experiment_id, run_row
from gimbal.faces.mlflow.wire import needed
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import ResolvedRef

MAX_SOURCE = 2000
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,60}/[\w!#$&^.+-]{1,60}(?:; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)
_LOGGED = re.compile(r"models:/+(m-[0-9a-f]{32})/?")
_REGISTERED = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
_OURS = "mlflow-artifacts"
_PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a source turned out to be."""

    text: str
    files_at: str
    """Where clients read the files."""
    files: list[FileEntry] = []
    inputs: list[ResolvedRef] = []
    run_id: str = ""
    """As the client said, or as what it was made from says."""
    model_id: str = ""
    made_by: str | None = None


async def source_of(ctx: Context, text: str, run_id: str, model_id: str) -> Source:
    """Return what a source means; raise BadInput for one that may not be."""
    needed("source", text)
    if len(text) > MAX_SOURCE or not text.isprintable():
        raise BadInput("The source is too long, or has characters that cannot be printed.", where="source")
    _no_way_out(text)
    run = await _run(ctx, run_id)
    logged = _LOGGED.fullmatch(text)
    if logged is None and text.startswith("models:/"):
        return await _copied(ctx, text, run_id, model_id)
    scheme = urllib.parse.urlsplit(text).scheme.lower()
    if scheme in {"", "file"} or len(scheme) == 1:
        raise BadInput(
            f"Invalid model version source: '{text}'. To use a local path as a model version source, it has to be "
            "contained within the artifacts of the run.",
            where="source",
            todo="Log the model to this server first.",
        )
    if logged is not None and logged[1] != model_id:
        _foreign(text, "model_id")
    model = await _model(ctx, text, model_id) if model_id else None
    if model is not None:
        found = await _of_model(ctx, text, model)
    elif scheme in {"runs", _OURS} or (scheme in {"http", "https"} and _PROXY in urllib.parse.unquote(text)):
        found = await _of_run(ctx, text, run)
    else:
        found = Source(text=text, files_at=text)
    of_model = model.source_run_id or "" if model is not None else ""
    made_by = run.id if run is not None else of_model or None
    return msgspec.structs.replace(found, run_id=run_id or of_model, model_id=model_id, made_by=made_by)


async def model_root(ctx: Context, model: LoggedModel) -> str:
    """Return where clients read the files of a logged model."""
    locations = await ctx.get(Runs).experiments.locations({model.experiment_key})
    shown = experiment_id(model.experiment_key, model.experiment)
    base = locations.get(model.experiment_key, "").rstrip("/") or f"{_OURS}:/{shown}"
    return f"{base}/models/{model.id}/artifacts"


async def _copied(ctx: Context, text: str, run_id: str, model_id: str) -> Source:
    """Return what a version of this registry means as a source."""
    match = _REGISTERED.fullmatch(text)
    if match is None:
        _foreign(text, "model_id")
    registry, name = ctx.get(Registry), urllib.parse.unquote(match["name"])
    named = await registry.named(ctx, name)
    if named.kind == "prompt":
        raise BadInput(
            f"Invalid model version source: '{text}'. Prompt versions cannot be used as model version sources.",
            where="source",
        )
    found = await _version(ctx, text, name, match["version"], named.aliases.get(match["alias"] or ""))
    if (run_id and run_id != found.run_id.replace("-", "") and run_id != found.run_id) or (
        model_id and model_id != found.model_id
    ):
        raise BadInput(
            f"Invalid model version source: '{text}'. The run_id and model_id request parameters must match the "
            "referenced model version.",
            where="source",
        )
    run = await _run(ctx, found.run_id)
    return Source(
        text=f"models:/{name}/{found.number}",
        files_at=str(found.manifest.get("files_at", "")),
        files=found.files,
        inputs=[ResolvedRef(kind=found.kind, name=found.asset, number=found.number, digest=found.digest)],
        run_id=found.run_id,
        model_id=found.model_id,
        made_by=run.id if run is not None else None,
    )


async def _version(ctx: Context, text: str, name: str, number: str | None, standing: int | None) -> RegisteredVersion:
    if number is not None and number.isascii() and number.isdecimal() and len(number) < 10:
        standing = int(number)
    if standing is None:
        _foreign(text, "version")
    return await ctx.get(Registry).version(ctx, name, standing)


async def _of_model(ctx: Context, text: str, model: LoggedModel) -> Source:
    root = await model_root(ctx, model)
    if not _LOGGED.fullmatch(text) and not _within(text, root):
        if _is_ours(text):
            _foreign(text, "model_id")
        return Source(text=text, files_at=text)
    files = await ctx.get(Artifacts).listing(Owner("model", model.id))
    below = _below(text, root) if not _LOGGED.fullmatch(text) else ""
    return Source(text=text, files_at=f"{root}/{below}".rstrip("/"), files=_entries(files, below))


async def _of_run(ctx: Context, text: str, run: RunRow | None) -> Source:
    if run is None:
        _foreign(text, "run_id")
    locations = await ctx.get(Runs).experiments.locations({run.experiment_key})
    root = artifact_root(run, locations.get(run.experiment_key, ""))
    parts = urllib.parse.urlsplit(text)
    if parts.scheme.lower() == "runs":
        said, _, below = parts.path.strip("/").partition("/")
        if parts.netloc or said.replace("-", "") != run.id.replace("-", ""):
            _foreign(text, "run_id")
    elif _within(text, root):
        below = _below(text, root)
    else:
        _foreign(text, "run_id")
    files = await ctx.get(Artifacts).listing(Owner("run", run.id))
    return Source(text=text, files_at=f"{root}/{below}".rstrip("/"), files=_entries(files, below))


async def _run(ctx: Context, run_id: str) -> RunRow | None:
    if not run_id:
        return None
    try:
        return await run_row(ctx, run_id)
    except (NotFound, BadInput):
        return None


async def _model(ctx: Context, text: str, model_id: str) -> LoggedModel:
    try:
        return await ctx.get(LoggedModels).get(ctx, model_id)
    except NotFound:
        _foreign(text, "model_id")


def _entries(files: list[Artifact], below: str) -> list[FileEntry]:
    prefix = f"{below}/" if below else ""
    return [
        FileEntry(
            path=one.path.removeprefix(prefix),
            digest=one.digest,
            size=one.size,
            media_type=one.media_type if _MEDIA_TYPE.fullmatch(one.media_type) else "application/octet-stream",
        )
        for one in files
        if one.path.startswith(prefix)
    ]


def _is_ours(text: str) -> bool:
    scheme = urllib.parse.urlsplit(text).scheme.lower()
    return scheme in {"runs", _OURS} or (scheme in {"http", "https"} and _PROXY in urllib.parse.unquote(text))


def _within(text: str, root: str) -> bool:
    return text.rstrip("/") == root or text.startswith(root + "/")


def _below(text: str, root: str) -> str:
    return text.removeprefix(root).strip("/")


def _no_way_out(text: str) -> None:
    plain = text
    while (unquoted := urllib.parse.unquote_plus(plain)) != plain:
        plain = unquoted
    if "\0" in plain or any(part in {".", ".."} for part in re.split(r"[/\\]", plain)):
        raise BadInput(
            f"Invalid model version source: '{text}'. An absolute path must be provided without relative path "
            "references present.",
            where="source",
            todo="Give the whole path.",
        )


def _foreign(text: str, name: str) -> NoReturn:
    raise BadInput(
        f"Invalid model version source: '{text}'. The {name} request parameter must identify the resource that contains "
        "the source.",
        where="source",
        kept="nothing",
    )
