"""The console pages of assets: the list, one asset with its versions, aliases, history and lineage, and comparisons."""

import asyncio
from typing import Any
from urllib.parse import quote

import msgspec

from gimbal.axis.assets.comparing import changed_paths, text_of
from gimbal.axis.assets.lineage import LineageQuery
from gimbal.axis.assets.model import KINDS, FileEntry, Lineage, MoveAlias, Version, diff_values
from gimbal.axis.assets.service import Assets
from gimbal.engines.console import graph
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, all_pages, page, page_action
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.operations import PREFIX, find, invoke
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Latest, Ref

_LONGEST_MANIFEST = 200_000
_DEPTH = 3
_TABS = ("overview", "versions", "history", "lineage", "files")
# Where the things that use versions have their pages; the first that this process has is linked.
_USERS = {
    "run": ("/runs/{id}",),
    "endpoint": ("/endpoints/{slug}", "/endpoints/{id}"),
    "decision": ("/decisions/{id}", "/gates/decisions/{id}"),
    "evaluation": ("/evaluations/{id}",),
    "trace": ("/traces/{id}", "/traces/{trace_id}"),
}


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One file that differs, with both texts where it is text."""

    path: str
    before: FileEntry | None
    after: FileEntry | None
    texts: tuple[str, str] | None


@page("/assets", title="Assets", nav="Assets", order=30, icon="assets")
async def assets_page(ctx: Context, request: PageRequest) -> View:
    """Show the assets of the project, filtered by kind and name."""
    kind = request.query.get("kind") or None
    search = request.query.get("q") or None
    by_name = request.query.get("order") == "name"
    found = await invoke(
        find("assets.list"),
        ctx,
        {
            "project": request.project,
            "kind": kind,
            "search": search,
            "newest": not by_name,
            "cursor": request.query.get("cursor"),
        },
    )
    kinds = [("", "Any kind"), *((name, KINDS.get(name).title) for name in KINDS)]
    return View("assets/list.html", {"assets": found, "kinds": kinds, "filtered": bool(kind or search)})


@page("/assets/{ref}", title="Asset", icon="assets")
async def asset_page(ctx: Context, request: PageRequest) -> View:
    """Show one version of an asset, the newest when none is named, and what belongs to the asset as a whole."""
    ref = Ref.parse(request.path["ref"])
    assets = ctx.get(Assets)
    version = await assets.show(ctx, ref)
    aliases = await assets.aliases(ctx, ref.kind, ref.name)
    versions = await assets.versions(ctx, ref.kind, ref.name, cursor=request.query.get("cursor"), limit=25)
    tab = request.one_of("tab", _TABS)
    history = await assets.history(ctx, ref.kind, ref.name) if tab in {"history", "overview"} else []
    numbers = sorted({version.number, *(v.number for v in versions.items)}, reverse=True)
    return View(
        "assets/detail.html",
        {
            "version": version,
            "kind": KINDS.get(ref.kind).title if ref.kind in KINDS else ref.kind,
            "aliases": aliases,
            "versions": versions,
            "newest": versions.total,
            "choices": [f"v{number}" for number in numbers],
            "downloads": {file.path: _download(request, version, file.path) for file in version.files},
            "tab": tab,
            "history": history,
            "decisions": {m.decision_id: _user_url(request, f"decision:{m.decision_id}") for m in history},
            "lineage": await _lineage(ctx, request, version) if tab == "lineage" else None,
            "manifest": version.manifest,
            **_own(version),
            "manifest_shown": len(msgspec.json.encode(version.manifest)) <= _LONGEST_MANIFEST,
            "run_url": _user_url(request, f"run:{version.run_id}") if version.run_id else "",
            "may_release": request.principal.may(Permission.RELEASE, request.project),
        },
    )


def _own(version: Version) -> dict[str, Any]:
    """Return the template by which the kind's owner shows a version, empty without one or when it could not show it."""
    kind = KINDS.get(version.kind) if version.kind in KINDS else None
    if kind is None or not kind.template:
        return {"own_template": ""}
    try:
        if kind.check is not None:
            kind.check(version.manifest, version.files)
        return {"own_template": kind.template, "told": kind.told(version.manifest) if kind.told else {}}
    except GimbalError:
        return {"own_template": ""}  # a manifest of before the owner's present rules


def _download(request: PageRequest, version: Version, path: str) -> str:
    parts = [quote(part, safe="") for part in (request.project, str(version.ref), path)]
    return f"{PREFIX}/projects/{parts[0]}/assets/{parts[1]}/files/{parts[2]}"


async def _lineage(ctx: Context, request: PageRequest, version: Version) -> dict[str, Any]:
    depth = min(6, max(1, request.number("depth", _DEPTH)))
    found: Lineage = await ctx.get(LineageQuery).around_node(ctx, str(version.ref), depth)
    nodes = [
        graph.Node(
            id=node.id,
            title=node.label.partition("@")[0],
            note=f"{node.kind} {node.label.partition('@')[2]}".strip(),
            kind=node.kind,
            href=_user_url(request, node.id),
            current=node.id == found.root,
        )
        for node in found.nodes
    ]
    edges = [graph.Edge(source=edge.source, target=edge.target) for edge in found.edges]
    return {"nodes": nodes, "edges": edges, "truncated": found.truncated, "depth": depth, "rows": found.edges}


def _user_url(request: PageRequest, node: str) -> str:
    """Return the address of what a node of the lineage stands for, or an empty text when it has no page here."""
    if "@" in node:
        return request.href("/assets/{ref}", ref=node)
    kind, _, id_ = node.partition(":")
    there = {row.path for row in all_pages()}
    path = next((path for path in _USERS.get(kind, ()) if path in there), None)
    return request.href(path, **{path.partition("{")[2].rstrip("}"): id_}) if path else ""


@page("/assets/{ref}/compare", title="Compare versions", icon="assets")
async def compare_page(ctx: Context, request: PageRequest) -> View:
    """Show what differs between the version of the path and `to`; the one before it when `to` is not given."""
    ref = Ref.parse(request.path["ref"])
    assets, blobs = ctx.get(Assets), ctx.get(Blobs)
    shown = await assets.resolve(ctx, ref)
    other = request.query.get("to") or f"v{max(1, shown.number - 1)}"
    before = await assets.resolve(ctx, Ref.parse(other if ":" in other else f"{ref.asset}@{other}", kind=ref.kind))
    files = [await _comparison(blobs, path, before, shown) for path in changed_paths(before, shown)]
    versions: Page[Version] = await assets.versions(ctx, ref.kind, ref.name, limit=200)
    return View(
        "assets/compare.html",
        {
            "before": before,
            "after": shown,
            "changes": await asyncio.to_thread(lambda: list(diff_values(before.manifest, shown.manifest))),
            "files": files,
            "choices": [(f"v{v.number}", f"v{v.number} {' '.join(v.aliases)}".strip()) for v in versions.items],
        },
    )


async def _comparison(blobs: Blobs, path: str, before: Version, after: Version) -> Comparison:
    left, right = before.file(path), after.file(path)
    texts = await text_of(blobs, left), await text_of(blobs, right)
    both = (texts[0], texts[1]) if texts[0] is not None and texts[1] is not None else None
    return Comparison(path=path, before=left, after=right, texts=both)


@page_action("/assets/{ref}/aliases", allow=Permission.RELEASE)
async def move_alias_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Move or remove an alias; a gate's refusal is told on the page."""
    ref = Ref.parse(request.path["ref"])
    asset, alias = Ref(ref.kind, ref.name, Latest()), form.need("alias")
    back = request.href("/assets/{ref}", ref=str(ref))
    given: dict[str, Any] = {"project": request.project, "ref": asset, "alias": alias}
    reason = form.get("reason", "").strip()
    try:
        if form.get("remove"):
            await invoke(find("assets.remove-alias"), ctx, given | {"reason": reason})
            return Redirect(back, flash=f"{alias} was removed; its history stays.")
        move = await invoke(
            find("assets.move-alias"), ctx, given | {"body": MoveAlias(to=form.need("to"), reason=reason)}
        )
    except GimbalError as error:
        if error.status in {409, 422}:
            return Redirect(back, flash=" ".join(filter(None, [error.message, error.todo])), tone="bad")
        raise
    return Redirect(back, flash=f"{alias} stands on v{move.to_number}.")
