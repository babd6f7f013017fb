"""The operations on assets, their versions, aliases, lineage and files."""

import re
from typing import Annotated

from gimbal.axis.assets.comparing import compare
from gimbal.axis.assets.content import known_kind
from gimbal.axis.assets.lineage import LineageQuery
from gimbal.axis.assets.model import (
    AddVersion,
    Alias,
    AliasMove,
    Asset,
    AssetDiff,
    Lineage,
    MoveAlias,
    Version,
)
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blob_ref import BlobRef
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Latest, Ref

describe("assets", "Named things with immutable versions: aliases, history, lineage, differences.")
describe("blobs", "Raw content by its digest: what versions are made of.")

_PATH = "/projects/{project}/assets/{ref}"
_UNSAFE = re.compile(r"[^A-Za-z0-9._ ()+=-]")


def _without_selector(ref: Ref) -> None:
    if not isinstance(ref.selector, Latest):
        raise BadInput(
            f"This is about {ref.asset} as a whole, not about {ref.selector}.",
            where="path.ref",
            todo=f"Give {ref.asset} without @{ref.selector}.",
        )


@operation("PUT", "/projects/{project}/blobs", name="blobs.put", allow=Permission.DEVELOP)
async def put_blob(
    ctx: Context,
    project: str,
    body: Upload,
    digest: Annotated[str | None, "Digest that the bytes must have; they are refused otherwise."] = None,
) -> BlobRef:
    """Upload bytes; the answer is their digest, by which versions name them."""
    return await ctx.get(Blobs).put(body, expect=digest)


@operation("GET", "/projects/{project}/assets", name="assets.list", allow=Permission.VIEW)
async def list_assets(
    ctx: Context,
    project: str,
    kind: Annotated[str | None, "Only this kind: model, dataset, prompt …"] = None,
    search: Annotated[str | None, "Only names that contain this."] = None,
    newest: Annotated[bool, "Those with the newest version first, instead of by kind and name."] = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Asset]:
    """List assets with their aliases."""
    if kind:
        known_kind(kind)
    return await ctx.get(Assets).page(ctx, kind=kind, search=search, newest=newest, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/alias-moves", name="assets.moves", allow=Permission.VIEW)
async def list_moves(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[AliasMove]:
    """List the moves of all aliases in the project, newest first: what went into production, and what left it."""
    return await ctx.get(Assets).moves(ctx, cursor=cursor, limit=limit)


@operation("GET", _PATH, name="assets.show", allow=Permission.VIEW)
async def show_asset(ctx: Context, project: str, ref: Ref) -> Version:
    """Show the version that a reference means."""
    return await ctx.get(Assets).show(ctx, ref)


@operation("POST", _PATH + "/versions", name="assets.add", allow=Permission.DEVELOP, audited=True)
async def add_version(ctx: Context, project: str, ref: Ref, body: AddVersion) -> Version:
    """Add a version; the same content again is the same version."""
    _without_selector(ref)
    assets = ctx.get(Assets)
    inputs = [(await assets.resolve(ctx, text)).ref for text in body.inputs]
    return await assets.add_version(
        ctx,
        kind=ref.kind,
        name=ref.name,
        manifest=body.manifest,
        files=body.files,
        inputs=inputs,
        run_id=body.run_id,
        note=body.note,
    )


@operation("GET", _PATH + "/versions", name="assets.versions", allow=Permission.VIEW)
async def list_versions(
    ctx: Context, project: str, ref: Ref, cursor: str | None = None, limit: int = 50
) -> Page[Version]:
    """List the versions of an asset, newest first."""
    return await ctx.get(Assets).versions(ctx, ref.kind, ref.name, cursor=cursor, limit=limit)


@operation("GET", _PATH + "/aliases", name="assets.aliases", allow=Permission.VIEW)
async def list_aliases(ctx: Context, project: str, ref: Ref) -> list[Alias]:
    """List the aliases of an asset."""
    return await ctx.get(Assets).aliases(ctx, ref.kind, ref.name)


@operation("POST", _PATH + "/aliases/{alias}", name="assets.move-alias", allow=Permission.RELEASE, audited=True)
async def move_alias(
    ctx: Context, project: str, ref: Ref, alias: Annotated[str, "Name of the alias."], body: MoveAlias
) -> AliasMove:
    """Let an alias stand on a version; one that a gate guards moves by `gates.promote` only."""
    _without_selector(ref)
    ctx.audit(to=body.to)
    return await ctx.get(Assets).move_alias(
        ctx, ref.kind, ref.name, alias, body.to, reason=body.reason, expected=body.expected
    )


@operation("DELETE", _PATH + "/aliases/{alias}", name="assets.remove-alias", allow=Permission.RELEASE, audited=True)
async def remove_alias(
    ctx: Context,
    project: str,
    ref: Ref,
    alias: Annotated[str, "Name of the alias."],
    reason: Annotated[str, "Why."] = "",
    expected: Annotated[int | None, "Version number on which it stands as far as you know."] = None,
) -> AliasMove:
    """Remove an alias; its history stays."""
    _without_selector(ref)
    return await ctx.get(Assets).move_alias(ctx, ref.kind, ref.name, alias, None, reason=reason, expected=expected)


@operation("GET", _PATH + "/history", name="assets.history", allow=Permission.VIEW)
async def alias_history(
    ctx: Context, project: str, ref: Ref, alias: Annotated[str | None, "Only this alias."] = None
) -> list[AliasMove]:
    """List every move of the aliases of an asset, newest first."""
    return await ctx.get(Assets).history(ctx, ref.kind, ref.name, alias)


@operation("GET", _PATH + "/lineage", name="assets.lineage", allow=Permission.VIEW)
async def lineage(
    ctx: Context, project: str, ref: Ref, depth: Annotated[int, "How many steps away, 1 to 6."] = 3
) -> Lineage:
    """Show what a version was made from and what was made from it."""
    if not 1 <= depth <= 6:
        raise BadInput("The depth is 1 to 6.", where="query.depth", todo="Start from a version nearer to it.")
    return await ctx.get(LineageQuery).around(ctx, ref, depth)


@operation("GET", _PATH + "/diff", name="assets.diff", allow=Permission.VIEW)
async def diff(
    ctx: Context, project: str, ref: Ref, to: Annotated[str, "Reference of the other version."]
) -> AssetDiff:
    """Compare two versions: what `to` has that `ref` has not, and the other way round."""
    assets = ctx.get(Assets)
    before = await assets.resolve(ctx, ref)
    after = await assets.resolve(ctx, Ref.parse(to, kind=ref.kind))
    return await compare(ctx.get(Blobs), before, after)


@operation("GET", _PATH + "/files/{path}", name="assets.file", allow=Permission.VIEW)
async def download(
    ctx: Context, project: str, ref: Ref, path: Annotated[str, "Path of the file inside the version."]
) -> Download:
    """Download one file of a version."""
    version = await ctx.get(Assets).resolve(ctx, ref)
    entry = version.file(path)
    if entry is None:
        raise NotFound(
            f"{version.ref} has no file {path!r}.",
            where="path",
            todo=f"It has: {', '.join(f.path for f in version.files[:20]) or 'none'}.",
        )
    return Download(
        chunks=ctx.get(Blobs).stream(entry.digest),
        media_type=entry.media_type,
        filename=_UNSAFE.sub("_", path.rpartition("/")[2]),
        size=entry.size,
    )
