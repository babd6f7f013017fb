"""The console's pages of prompts: all versions with what became of them, two side by side, and one filled.

What one version says, its files, lineage and alias moves are on its asset's page, which leads here and back.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

import gimbal.generative.prompts.edit_pages  # noqa: F401  # pyright: ignore[reportUnusedImport] - importing it declares its pages
from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.service import Evaluations
from gimbal.engines.console.pages import Form, PageRequest, View, page, page_action
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.prompts import service
from gimbal.generative.prompts.changes import changes
from gimbal.generative.prompts.evaluated import Results, results_of
from gimbal.generative.prompts.model import KIND, PromptManifest, PromptVariable, declared_of, decode_manifest
from gimbal.generative.prompts.model.usage import PromptUsage
from gimbal.generative.prompts.service import as_prompt
from gimbal.generative.prompts.sides import sides
from gimbal.generative.prompts.stored import source_of, text_of
from gimbal.generative.prompts.using import DAYS, usage
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, DeadlineExceeded, GimbalError, Unavailable
from gimbal.kernel.refs import Ref

_VERSIONS, _CHOICES = 10, 200
_DAYS = (str(DAYS), "7", "90")
_BY = ("callers", "users")
_LONGEST_ADDRESS = 6_000


@page("/prompts", title="Prompts", nav="Prompts", order=35, icon="prompt")
async def prompts_page(ctx: Context, request: PageRequest) -> View:
    """Show the prompts of the project, those with the newest version first."""
    search = request.query.get("q") or None
    found = await ctx.get(Assets).page(
        ctx, kind=KIND.name, search=search, newest=True, cursor=request.query.get("cursor")
    )
    may = request.principal.may(Permission.DEVELOP, request.project)
    return View("prompts/list.html", {"prompts": found, "filtered": bool(search), "may": may})


@page("/prompts/{ref}", title="Prompt", icon="prompt")
async def prompt_page(ctx: Context, request: PageRequest) -> View:
    """Show the versions of a prompt: who made them and why, how they did on suites, and who used them."""
    assets = ctx.get(Assets)
    newest = await assets.show(ctx, _asset(as_prompt(Ref.parse(request.path["ref"]))))
    versions = await assets.versions(ctx, KIND.name, newest.name, cursor=request.query.get("cursor"), limit=_VERSIONS)
    used, unanswered = await _used(ctx, request, newest)
    found = await results_of(ctx, newest.name) if ctx.services.has(Evaluations) else Results(rows=[], more=False)
    return View(
        "prompts/prompt.html",
        {
            "newest": newest,
            "versions": versions,
            "aliases": await assets.aliases(ctx, KIND.name, newest.name),
            "foreign": bool(newest.manifest.get("foreign")),
            "results": found,
            "used": used,
            "unanswered": unanswered,
            "made": request.query.get("made", ""),
            "choices": await _choices(ctx, newest),
            "may": request.principal.may(Permission.DEVELOP, request.project),
        },
    )


def _asset(ref: Ref) -> Ref:
    return Ref(ref.kind, ref.name)


async def _choices(ctx: Context, version: Version) -> list[tuple[str, str]]:
    versions = await ctx.get(Assets).versions(ctx, version.kind, version.name, limit=_CHOICES)
    return [(f"v{one.number}", " ".join([f"v{one.number}", *one.aliases])) for one in versions.items]


async def _used(ctx: Context, request: PageRequest, version: Version) -> tuple[PromptUsage | None, str]:
    """Return who used the prompt, or why that is not known now."""
    since = ctx.get(Clock).now() - timedelta(days=int(request.one_of("days", _DAYS)))
    by = ("key", "feature", "service") if request.one_of("by", _BY) == "callers" else ("feature", "user")
    try:
        return await usage(ctx, Ref(version.kind, version.name), since=since, by=by, limit=50), ""
    except (DeadlineExceeded, Unavailable) as problem:
        return None, " ".join(filter(None, [problem.message, problem.todo]))


@page("/prompts/{ref}/compare", title="Compare", icon="prompt")
async def compare_page(ctx: Context, request: PageRequest) -> View:
    """Show any two versions side by side; unless told the newest and the one before it."""
    assets, blobs = ctx.get(Assets), ctx.get(Blobs)
    shown = await assets.resolve(ctx, as_prompt(Ref.parse(request.path["ref"])))
    before, after = [
        await assets.resolve(ctx, _chosen(shown, request.query.get(name) or usual))
        for name, usual in (("before", f"v{max(1, shown.number - 1)}"), ("after", f"v{shown.number}"))
    ]
    manifests = [decode_manifest(version.manifest) for version in (before, after)]
    texts = [
        await text_of(blobs, source_of(version), manifest)
        for version, manifest in zip((before, after), manifests, strict=True)
    ]
    same = texts[0] == texts[1] and before.manifest == after.manifest
    return View(
        "prompts/compare.html",
        {
            "before": before,
            "after": after,
            "same": same,
            "changes": [] if same else changes(manifests[0], manifests[1]),
            "lines": await asyncio.to_thread(sides, texts[0], texts[1]),
            "choices": await _choices(ctx, after),
        },
    )


def _chosen(shown: Version, text: str) -> Ref:
    """Return the version that was chosen: of this prompt by what stands behind the @, of another by its reference."""
    return as_prompt(Ref.parse(text if ":" in text and not text.startswith("b3:") else f"{shown.asset}@{text}"))


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One variable to fill."""

    variable: PromptVariable
    value: str
    """As it stands in the form: a text, or JSON."""
    retrieved: bool = False
    """Whether retrieval fills it when the prompt is called."""
    error: str = ""


@page("/prompts/{ref}/try", title="Try it", icon="prompt")
async def try_page(ctx: Context, request: PageRequest) -> View:
    """Show a field for each variable of a version, with its default."""
    return await _tried(ctx, request, None)


@page_action("/prompts/{ref}/try", allow=Permission.VIEW)
async def try_action(ctx: Context, request: PageRequest, form: Form) -> View:
    """Fill a version with the values of the form, and show what would be sent."""
    return await _tried(ctx, request, form)


async def _tried(ctx: Context, request: PageRequest, form: Form | None) -> View:
    version = await ctx.get(Assets).show(ctx, as_prompt(Ref.parse(request.path["ref"])))
    manifest = decode_manifest(version.manifest)
    fields = [_field(manifest, name, form) for name in manifest.variables]
    rendered, problem, given = None, None, dict[str, Any]()
    if form is not None or not fields:
        try:
            given = _values(fields)
            passages = {one.variable.name: _passages(manifest) for one in fields if one.retrieved and not one.value}
            rendered = service.render(version.ref, manifest, given | passages)
        except GimbalError as error:
            problem = error
            fields = [
                msgspec.structs.replace(one, error=f"{error.message} {error.todo}".strip())
                if error.where == f"variables.{one.variable.name}"
                else one
                for one in fields
            ]
    address = request.href(
        "/gateway/playground",
        model=str(version.ref),
        variable=[f"{one.variable.name}={one.value}" for one in fields if one.value and not one.retrieved],
    )
    data = {
        "version": version,
        "manifest": manifest,
        "fields": fields,
        "rendered": rendered,
        "problem": problem,
        "in_place": bool(problem and any(one.error for one in fields)),
        "address": address if len(address) <= _LONGEST_ADDRESS else "",
        "choices": await _choices(ctx, version),
        "may": request.principal.may(Permission.DEVELOP, request.project),
    }
    return View("prompts/try.html", data, 200 if problem is None else problem.status)


def _passages(manifest: PromptManifest) -> str:
    setting = manifest.retrieval
    return f"⟨{setting.k} passages of {setting.index}⟩" if setting else ""


def _field(manifest: PromptManifest, name: str, form: Mapping[str, str] | None) -> Field:
    variable = declared_of(manifest).get(name) or PromptVariable(name=name)
    value = form.get(f"v.{name}", "").replace("\r\n", "\n") if form is not None else _written(variable.default)
    retrieved = manifest.retrieval is not None and manifest.retrieval.into == name
    return Field(variable=variable, value=value, retrieved=retrieved)


def _written(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _values(fields: list[Field]) -> dict[str, Any]:
    """Return what the fields hold; an empty one is not given. Raise BadInput naming the variable whose value is no JSON."""
    found: dict[str, Any] = {}
    for one in fields:
        if not one.value:
            continue
        if one.variable.type == "text":
            found[one.variable.name] = one.value
            continue
        try:
            found[one.variable.name] = msgspec.json.decode(one.value)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            raise BadInput(
                "The value is not JSON.",
                where=f"variables.{one.variable.name}",
                todo='Write it like 3, true, ["a", "b"] or {"name": "Kettle"}.',
            ) from None
    return found
