"""MLflow's calls on versions of registered models: made, described, staged, tagged, searched, taken out."""

from typing import Any

import msgspec

from gimbal.axis.assets.registry.model import Asked, NewVersion, RegisteredName
from gimbal.axis.assets.registry.search import VERSION_ORDERS, VERSIONS
from gimbal.axis.assets.registry.service import Registry
from gimbal.faces.mlflow.errors import NotServed
from gimbal.faces.mlflow.names import KeyValue
from gimbal.faces.mlflow.paging import limited
from gimbal.faces.mlflow.registered import Search, number_of
from gimbal.faces.mlflow.shown import kind_of, must_be_free, own_clauses, own_run_id, shown_version, tags_of
from gimbal.faces.mlflow.sources import source_of
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.wire import needed
from gimbal.generative.prompts import mlflow as prompts
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import parse, parse_order
from gimbal.kernel.ids import new_id

_USUAL, _MOST = 10_000, 200_000
_PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})


class NewModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version to make."""

    name: str = ""
    source: str = ""
    run_id: str = ""
    tags: list[KeyValue] = []
    run_link: str = ""
    description: str = ""
    model_id: str = ""


class OneVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version by its name and number."""

    name: str = ""
    version: str = ""


class DescribedVersion(OneVersion, frozen=True, kw_only=True):
    """Its new description."""

    description: str | None = None


class StagedVersion(OneVersion, frozen=True, kw_only=True):
    """Its new stage."""

    stage: str = ""
    archive_existing_versions: bool = False


class VersionTag(OneVersion, frozen=True, kw_only=True):
    """A tag of it."""

    key: str = ""
    value: str = ""


@call("POST", "/mlflow/model-versions/create", NewModelVersion, allow=Permission.DEVELOP)
async def create(ctx: Context, asked: NewModelVersion) -> dict[str, Any]:
    """Make a version of a registered model, or of a prompt by its tag."""
    registry = ctx.get(Registry)
    named = await registry.named(ctx, needed("name", asked.name))
    tags = tags_of(asked.tags)
    if kind_of(tags) != named.kind:
        raise BadInput(
            f"{named.name!r} is registered as a {named.kind}.",
            where="tags",
            kept="nothing",
            todo="Models and prompts cannot have one name.",
        )
    if named.kind == "prompt":
        new = _prompt(asked, tags)
    else:
        source = await source_of(ctx, asked.source, asked.run_id, asked.model_id)
        manifest = {
            "format": "mlflow", "registration": new_id(), "source": source.text, "files_at": source.files_at,
            "model_id": source.model_id,
        }  # fmt: skip
        new = NewVersion(
            manifest=manifest,
            files=source.files,
            inputs=source.inputs,
            made_by=source.made_by,
            source=source.text,
            run_id=own_run_id(source.run_id),
            run_link=asked.run_link,
            model_id=source.model_id,
            description=asked.description,
            tags=tags,
        )
    return {"model_version": shown_version(await registry.add(ctx, named.name, new))}


def _prompt(asked: NewModelVersion, tags: dict[str, str]) -> NewVersion:
    if asked.source not in _PROMPT_SOURCES:
        raise BadInput(
            f"Invalid prompt source: '{asked.source[:80]}'. Prompt sources must use an MLflow placeholder.",
            where="source",
            kept="nothing",
        )
    manifest = msgspec.to_builtins(prompts.manifest_of(tags, new_id()))
    kept = {name: value for name, value in tags.items() if name != prompts.IS_PROMPT}
    return NewVersion(manifest=manifest, source=asked.source, description=asked.description, tags=kept)


@call("GET", "/mlflow/model-versions/get", OneVersion, allow=Permission.VIEW)
async def get(ctx: Context, asked: OneVersion) -> dict[str, Any]:
    """Show a version."""
    number = number_of(asked.version)
    return {"model_version": shown_version(await ctx.get(Registry).version(ctx, needed("name", asked.name), number))}


@call("PATCH", "/mlflow/model-versions/update", DescribedVersion, allow=Permission.DEVELOP)
async def update(ctx: Context, asked: DescribedVersion) -> dict[str, Any]:
    """Write the description of a version."""
    number = number_of(asked.version)
    changed = await ctx.get(Registry).change(ctx, needed("name", asked.name), number, description=asked.description)
    return {"model_version": shown_version(changed)}


@call("POST", "/mlflow/model-versions/transition-stage", StagedVersion, allow=Permission.DEVELOP)
async def transition(ctx: Context, asked: StagedVersion) -> dict[str, Any]:
    """Put a version into a stage; the alias of that name follows, by its gate where it has one."""
    number, stage = number_of(asked.version), needed("stage", asked.stage)
    changed = await ctx.get(Registry).to_stage(
        ctx, needed("name", asked.name), number, stage, archive_others=asked.archive_existing_versions
    )
    return {"model_version": shown_version(changed)}


@call("DELETE", "/mlflow/model-versions/delete", OneVersion, allow=Permission.DEVELOP)
async def delete(ctx: Context, asked: OneVersion) -> None:
    """Take a version out of the registry; it stays as evidence."""
    await ctx.get(Registry).remove(ctx, needed("name", asked.name), number_of(asked.version))


@call("GET", "/mlflow/model-versions/search", Search, allow=Permission.VIEW)
async def search(ctx: Context, asked: Search) -> dict[str, Any]:
    """List versions of models, or of prompts where the filter asks for them."""
    limit = limited(asked.max_results, _USUAL, _MOST)
    kind, clauses = own_clauses(parse(asked.filter, VERSIONS))
    order = parse_order(asked.order_by, VERSION_ORDERS)
    page = await ctx.get(Registry).search_versions(
        ctx, Asked(kind=kind, clauses=clauses, order=order, limit=limit, cursor=asked.page_token or None)
    )
    shown = {"model_versions": [shown_version(one) for one in page.items]}
    return shown | ({"next_page_token": page.next} if page.next else {})


@call("GET", "/mlflow/model-versions/get-download-uri", OneVersion, allow=Permission.VIEW)
async def download_uri(ctx: Context, asked: OneVersion) -> dict[str, str]:
    """Tell where the files of a version are."""
    found = await ctx.get(Registry).version(ctx, needed("name", asked.name), number_of(asked.version))
    at = found.manifest.get("files_at")
    if not isinstance(at, str) or not at:
        raise NotServed(
            f"{found.kind}:{found.asset}@v{found.number} was not logged with MLflow (feature: MLmodel files).",
            where="version",
            todo="Load it with gimbal.load_model, or from its page.",
        )
    return {"artifact_uri": at}


@call("POST", "/mlflow/model-versions/set-tag", VersionTag, allow=Permission.DEVELOP)
async def set_tag(ctx: Context, asked: VersionTag) -> None:
    """Set a tag of a version."""
    number, tag = number_of(asked.version), needed("key", asked.key)
    named = await _named(ctx, asked)
    must_be_free(named.kind, tag, prompts.CONTENT)
    await ctx.get(Registry).tag_version(ctx, asked.name, number, tag, asked.value)


@call("DELETE", "/mlflow/model-versions/delete-tag", VersionTag, allow=Permission.DEVELOP)
async def delete_tag(ctx: Context, asked: VersionTag) -> None:
    """Take a tag of a version away."""
    number, tag = number_of(asked.version), needed("key", asked.key)
    named = await _named(ctx, asked)
    must_be_free(named.kind, tag, prompts.CONTENT)
    await ctx.get(Registry).untag_version(ctx, asked.name, number, tag)


async def _named(ctx: Context, asked: OneVersion) -> RegisteredName:
    return await ctx.get(Registry).named(ctx, needed("name", asked.name))
