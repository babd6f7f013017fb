"""MLflow's calls on registered models: made, renamed, described, tagged, searched, deleted; and their aliases."""

from typing import Any

import msgspec

from gimbal.axis.assets.registry.model import Asked
from gimbal.axis.assets.registry.search import NAME_ORDERS, NAMES
from gimbal.axis.assets.registry.service import Registry
from gimbal.faces.mlflow.names import KeyValue
from gimbal.faces.mlflow.paging import limited
from gimbal.faces.mlflow.shown import (
    kind_of,
    must_be_free,
    own_clauses,
    shown_name,
    shown_version,
    tags_of,
)
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.wire import needed
from gimbal.generative.prompts.mlflow import IS_PROMPT
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.filters import parse, parse_order

_USUAL, _MOST = 100, 1000


class NewName(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model to make."""

    name: str = ""
    tags: list[KeyValue] = []
    description: str = ""


class OneName(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model by its name."""

    name: str = ""


class Renamed(OneName, frozen=True, kw_only=True):
    """Its new name."""

    new_name: str = ""


class Described(OneName, frozen=True, kw_only=True):
    """Its new description."""

    description: str = ""


class NameTag(OneName, frozen=True, kw_only=True):
    """A tag of it."""

    key: str = ""
    value: str = ""


class NameStages(OneName, frozen=True, kw_only=True):
    """Stages of its versions; all where none is named."""

    stages: list[str] = []


class NameAlias(OneName, frozen=True, kw_only=True):
    """An alias of it."""

    alias: str = ""
    version: str = ""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which ones, in which order, and which page."""

    filter: str = ""
    max_results: int | None = None
    order_by: list[str] = []
    page_token: str = ""


def number_of(text: str) -> int:
    """Return the number of a version; raise BadInput for what is none."""
    needed("version", text)
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise BadInput(f"Parameter 'version' must be an integer, got '{text[:80]}'.", where="version")
    return int(text)


async def _shown(ctx: Context, name: str) -> dict[str, Any]:
    registry = ctx.get(Registry)
    found = await registry.named(ctx, name)
    latest = await registry.latest(ctx, [found])
    return {"registered_model": shown_name(found, latest.get(found.asset_id, []))}


@call("POST", "/mlflow/registered-models/create", NewName, allow=Permission.DEVELOP)
async def create(ctx: Context, asked: NewName) -> dict[str, Any]:
    """Make a registered model, or a prompt by its tag."""
    tags = tags_of(asked.tags)
    kind = kind_of(tags)
    tags.pop(IS_PROMPT, None)
    name = needed("name", asked.name)
    made = await ctx.get(Registry).create(ctx, kind, name, tags=tags, description=asked.description)
    return {"registered_model": shown_name(made, [])}


@call("GET", "/mlflow/registered-models/get", OneName, allow=Permission.VIEW)
async def get(ctx: Context, asked: OneName) -> dict[str, Any]:
    """Show a registered model with the newest version of each stage."""
    return await _shown(ctx, needed("name", asked.name))


@call("POST", "/mlflow/registered-models/rename", Renamed, allow=Permission.DEVELOP)
async def rename(ctx: Context, asked: Renamed) -> dict[str, Any]:
    """Give a registered model another name."""
    new = needed("new_name", asked.new_name)
    await ctx.get(Registry).rename(ctx, needed("name", asked.name), new)
    return await _shown(ctx, new)


@call("PATCH", "/mlflow/registered-models/update", Described, allow=Permission.DEVELOP)
async def update(ctx: Context, asked: Described) -> dict[str, Any]:
    """Write the description of a registered model."""
    await ctx.get(Registry).describe(ctx, needed("name", asked.name), asked.description)
    return await _shown(ctx, asked.name)


@call("DELETE", "/mlflow/registered-models/delete", OneName, allow=Permission.DEVELOP)
async def delete(ctx: Context, asked: OneName) -> None:
    """Take a registered model and its versions out of the registry."""
    await ctx.get(Registry).retire(ctx, needed("name", asked.name))


@call("GET", "/mlflow/registered-models/search", Search, allow=Permission.VIEW)
async def search(ctx: Context, asked: Search) -> dict[str, Any]:
    """List registered models, or prompts where the filter asks for them."""
    registry = ctx.get(Registry)
    limit = limited(asked.max_results, _USUAL, _MOST)
    kind, clauses = own_clauses(parse(asked.filter, NAMES))
    order = parse_order(asked.order_by, NAME_ORDERS)
    page = await registry.search_names(
        ctx, Asked(kind=kind, clauses=clauses, order=order, limit=limit, cursor=asked.page_token or None)
    )
    latest = await registry.latest(ctx, page.items)
    shown = {"registered_models": [shown_name(one, latest.get(one.asset_id, [])) for one in page.items]}
    return shown | ({"next_page_token": page.next} if page.next else {})


@call("POST", "/mlflow/registered-models/get-latest-versions", NameStages, allow=Permission.VIEW)
@call("GET", "/mlflow/registered-models/get-latest-versions", NameStages, allow=Permission.VIEW)
async def get_latest_versions(ctx: Context, asked: NameStages) -> dict[str, Any]:
    """Show the newest version of each stage, or of those that are named."""
    registry = ctx.get(Registry)
    found = await registry.named(ctx, needed("name", asked.name))
    latest = await registry.latest(ctx, [found], asked.stages)
    return {"model_versions": [shown_version(one) for one in latest.get(found.asset_id, [])]}


@call("POST", "/mlflow/registered-models/set-tag", NameTag, allow=Permission.DEVELOP)
async def set_tag(ctx: Context, asked: NameTag) -> None:
    """Set a tag of a registered model."""
    registry = ctx.get(Registry)
    tag = needed("key", asked.key)
    found = await registry.named(ctx, needed("name", asked.name))
    if tag == IS_PROMPT and asked.value.lower() == str(found.kind == "prompt").lower():
        return
    must_be_free(found.kind, tag, frozenset())
    await registry.tag(ctx, asked.name, tag, asked.value)


@call("DELETE", "/mlflow/registered-models/delete-tag", NameTag, allow=Permission.DEVELOP)
async def delete_tag(ctx: Context, asked: NameTag) -> None:
    """Take a tag of a registered model away."""
    tag = needed("key", asked.key)
    must_be_free("model", tag, frozenset())
    await ctx.get(Registry).untag(ctx, needed("name", asked.name), tag)


@call("POST", "/mlflow/registered-models/alias", NameAlias, allow=Permission.RELEASE)
async def set_alias(ctx: Context, asked: NameAlias) -> None:
    """Let an alias stand on a version; a gated one moves by its gate only."""
    alias, number = needed("alias", asked.alias), number_of(asked.version)
    await ctx.get(Registry).set_alias(ctx, needed("name", asked.name), alias, number)


@call("DELETE", "/mlflow/registered-models/alias", NameAlias, allow=Permission.RELEASE)
async def delete_alias(ctx: Context, asked: NameAlias) -> None:
    """Take an alias away."""
    await ctx.get(Registry).remove_alias(ctx, needed("name", asked.name), needed("alias", asked.alias))


@call("GET", "/mlflow/registered-models/alias", NameAlias, allow=Permission.VIEW)
async def get_by_alias(ctx: Context, asked: NameAlias) -> dict[str, Any]:
    """Show the version on which an alias stands; `latest` is the newest."""
    registry, alias = ctx.get(Registry), needed("alias", asked.alias)
    found = await registry.named(ctx, needed("name", asked.name))
    if alias.lower() == "latest":
        newest = (await registry.latest(ctx, [found])).get(found.asset_id, [])
        if not newest:
            raise NotFound(f"Registered Model (name={asked.name}) has no versions.", where="name")
        return {"model_version": shown_version(max(newest, key=lambda one: one.number))}
    if alias not in found.aliases:
        raise BadInput(f"Registered model alias {alias} not found.", where="alias")
    return {"model_version": shown_version(await registry.version(ctx, found.name, found.aliases[alias]))}
