"""The operations on providers of models."""

from typing import Annotated

from gimbal.generative.gateway.providers.model import (
    ChangeProvider,
    CreateProvider,
    ProviderCard,
    ProviderCheck,
    ProviderKind,
    Resealed,
)
from gimbal.generative.gateway.providers.service import ProviderService
from gimbal.generative.gateway.providers.upstreams.kinds import kinds
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation

describe("providers", "Who answers model calls: addresses, and keys that are sealed and never shown.")

Name = Annotated[str, "Its short name."]
Model = Annotated[
    str, "Ask this model for a word, which costs next to nothing; without it, ask for the list of models."
]


@operation("GET", "/projects/{project}/providers", name="providers.list", allow=Permission.VIEW)
async def list_providers(ctx: Context, project: str) -> list[ProviderCard]:
    """List the providers that the project may call, in the order in which they are asked; never their keys."""
    return await ctx.get(ProviderService).list(ctx)


@operation("GET", "/projects/{project}/providers/{name}", name="providers.show", allow=Permission.VIEW)
async def show_provider(ctx: Context, project: str, name: Name) -> ProviderCard:
    """Show the provider that a name means in the project; never its key."""
    return await ctx.get(ProviderService).show(ctx, name)


@operation("POST", "/projects/{project}/providers", name="providers.create", allow=Permission.ADMIN, audited=True)
async def create_provider(ctx: Context, project: str, body: CreateProvider) -> ProviderCard:
    """Add a provider to the project; every process knows it within a second.

    The key is sealed under the master key of the installation, for this project and name only.
    """
    ctx.audit(name=body.name, kind=body.kind, base_url=body.base_url, with_key=bool(body.key))
    return await ctx.get(ProviderService).create(ctx, body)


@operation("POST", "/providers", name="providers.create_everywhere", allow=Permission.ADMIN, audited=True)
async def create_provider_everywhere(ctx: Context, body: CreateProvider) -> ProviderCard:
    """Add a provider that every project may call which has none of that name."""
    ctx.audit(name=body.name, kind=body.kind, base_url=body.base_url, with_key=bool(body.key), key_env=body.key_env)
    return await ctx.get(ProviderService).create(ctx, body)


@operation(
    "PATCH", "/projects/{project}/providers/{name}", name="providers.update", allow=Permission.ADMIN, audited=True
)
async def update_provider(ctx: Context, project: str, name: Name, body: ChangeProvider) -> ProviderCard:
    """Change a provider of the project, or give it another key; calls in flight end as they began."""
    _audit(ctx, body)
    return await ctx.get(ProviderService).change(ctx, name, body)


@operation("PATCH", "/providers/{name}", name="providers.update_everywhere", allow=Permission.ADMIN, audited=True)
async def update_provider_everywhere(ctx: Context, name: Name, body: ChangeProvider) -> ProviderCard:
    """Change a provider of the installation, or give it another key."""
    _audit(ctx, body)
    return await ctx.get(ProviderService).change(ctx, name, body)


@operation(
    "DELETE", "/projects/{project}/providers/{name}", name="providers.delete", allow=Permission.ADMIN, audited=True
)
async def delete_provider(ctx: Context, project: str, name: Name) -> None:
    """Delete a provider of the project with its key; calls in flight end as they began."""
    await ctx.get(ProviderService).delete(ctx, name)


@operation("DELETE", "/providers/{name}", name="providers.delete_everywhere", allow=Permission.ADMIN, audited=True)
async def delete_provider_everywhere(ctx: Context, name: Name) -> None:
    """Delete a provider of the installation with its key."""
    await ctx.get(ProviderService).delete(ctx, name)


@operation("POST", "/projects/{project}/providers/{name}/check", name="providers.check", allow=Permission.DEVELOP)
async def check_provider(ctx: Context, project: str, name: Name, model: Model = "") -> ProviderCheck:
    """Make one cheap request to a provider and tell what is wrong: address, key, model, limits.

    With a model it is asked for one word, which is billed, and recorded for the feature `gimbal.check`.
    """
    return await ctx.get(ProviderService).check(ctx, name, model)


@operation("GET", "/providers/kinds", name="providers.kinds", allow=Permission.VIEW)
async def list_kinds(ctx: Context) -> list[ProviderKind]:
    """List the kinds of providers that Gimbal knows, with their addresses, variables and quirks."""
    return [
        ProviderKind(
            name=kind.name,
            title=kind.title,
            base_url=kind.base_url,
            variables=kind.key_env,
            found=kind.found,
            wires=tuple(kind.wires),
            quirks=tuple(quirk.reason for quirk in (*kind.quirk, *kind.only)),
        )
        for kind in kinds().values()
    ]


@operation("POST", "/providers/reseal", name="providers.reseal", allow=Permission.ADMIN, audited=True)
async def reseal_keys(ctx: Context) -> Resealed:
    """Seal every key anew under the newest master key, so that older ones can be destroyed."""
    return await ctx.get(ProviderService).reseal(ctx)


def _audit(ctx: Context, body: ChangeProvider) -> None:
    changed = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not None}
    if "key" in changed:
        changed["key"] = "changed" if changed["key"] else "taken away"
    ctx.audit(**changed)
