"""The console's page of providers: who may be called with whose key; keys go in and are never shown."""

from collections.abc import Mapping
from typing import Any

from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.generative.gateway import provider_form
from gimbal.generative.gateway.provider_form import FIELDS, PROOFS
from gimbal.generative.gateway.providers.entries import LOCAL
from gimbal.generative.gateway.providers.model import ChangeProvider, ProviderCard, ProviderCheck
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.upstreams.kinds import kinds
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import Conflict, Forbidden, GimbalError, NotFound
from gimbal.kernel.operations import find, invoke

_PATH = "/gateway/providers"
_INSTALLATION = "installation"
_CATALOG = frozenset({"project", _INSTALLATION})


@page(_PATH, title="Providers", order=64, icon="key", tab="Providers", within="/gateway")
async def providers_page(ctx: Context, request: PageRequest) -> View:
    """List the providers that the project may call, and the forms of who may change them."""
    return await _shown(ctx, request)


async def _shown(
    ctx: Context,
    request: PageRequest,
    given: Mapping[str, str] | None = None,
    problem: GimbalError | None = None,
    changing: str = "",
) -> View:
    cards: list[ProviderCard] = await invoke(find("providers.list"), ctx, {"project": request.project})
    may = request.principal.may(Permission.ADMIN, request.project)
    everywhere = request.principal.may(Permission.ADMIN, None)
    wrong = "" if problem is None else problem.where.rpartition(".")[2]
    changeable = {
        one.name for one in cards if (one.source == "project" and may) or (one.source == _INSTALLATION and everywhere)
    }
    asked = changing or request.query.get("change", "")
    asked = asked if asked in changeable else ""
    shown = next((one for one in cards if one.name == (asked or request.query.get("show"))), None)
    fields = given if given is not None else provider_form.filled(shown) if shown and asked else {}
    data: dict[str, Any] = {
        "cards": cards,
        "may": may,
        "everywhere": everywhere,
        "changeable": changeable,
        "shown": shown,
        "changing": bool(asked),
        "about": provider_form.about(shown) if shown else [],
        "proofs": {one.name: provider_form.proof(one) for one in cards},
        "identities": PROOFS,
        "form": provider_form,
        "unfolded": provider_form.unfolded(fields, wrong, changing=bool(asked)),
        "choices": provider_form.identities(everywhere=everywhere),
        "may_check": request.principal.may(Permission.DEVELOP, request.project),
        "kinds": [(kind.name, kind.title) for kind in kinds().values() if kind.name != LOCAL],
        "given": {name: fields.get(name, "") for name in ("scope", *FIELDS)},
        "problem": problem,
        "wrong": wrong if wrong in {"scope", *FIELDS, "key"} else "",
        "local": LOCAL,
        "sealable": ctx.services.has(Providers) and bool(ctx.get(Providers).seals.ids),
    }
    return View("gateway/providers.html", data, 200 if problem is None else problem.status)


@page_action(_PATH, allow=Permission.ADMIN)
async def add_provider(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Add a provider; what is wrong is told beside its field, with the form as it was filled, but for the key."""
    given = provider_form.given(form)
    try:
        body = provider_form.created(given, form.get("key", "").strip())
        if form.get("scope") == _INSTALLATION:
            card = await invoke(find("providers.create_everywhere"), ctx.within(None), {"body": body})
        else:
            card = await invoke(find("providers.create"), ctx, {"project": request.project, "body": body})
    except GimbalError as problem:
        return await _shown(ctx, request, given | {"scope": form.get("scope", "")}, problem)
    return Redirect(
        request.href(_PATH), flash=f"The provider {card.name} is added; every process knows it within a second."
    )


@page_action("/gateway/providers/{name}/change", allow=Permission.ADMIN)
async def change_provider(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Change what a provider is; what is wrong is told beside its field, with the form as it was filled, but for the key."""
    name, given = request.path["name"], provider_form.given(form)
    try:
        card = await _as_shown(ctx, request, form)
        body = provider_form.changed(given, card, form.get("key", "").strip())
        await _changed(ctx, request, form, "update", {"name": name, "body": body})
    except (Conflict, NotFound) as problem:
        return _refused(request, problem)
    except GimbalError as problem:
        if problem.where == "source":
            return _refused(request, problem)
        return await _shown(ctx, request, given, problem, name)
    return Redirect(
        request.href(_PATH, show=name) + "#provider",
        flash=f"{name} is changed; every process knows it within a second.",
    )


async def _as_shown(ctx: Context, request: PageRequest, form: Form) -> ProviderCard:
    """Return the provider that a form was filled for; raise Conflict where it is not what the form showed any more."""
    name = request.path["name"]
    card: ProviderCard = await invoke(find("providers.show"), ctx, {"project": request.project, "name": name})
    if (card.source, str(card.updated_at)) != (form.get("source"), form.get("as_of")):
        raise Conflict(
            f"The provider {name} was changed meanwhile.", where=name, todo="Look at it, and change it again."
        )
    return card


@page_action("/gateway/providers/{name}/key", allow=Permission.ADMIN)
async def set_key(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Give a provider another key, or take it away."""
    name, key = request.path["name"], form.get("key", "").strip()
    taken = form.get("take") == "1"
    if not key and not taken:
        return Redirect(request.href(_PATH), flash=f"The key of {name} is as it was: none was given.", tone="bad")
    try:
        await _changed(ctx, request, form, "update", {"name": name, "body": ChangeProvider(key="" if taken else key)})
    except GimbalError as problem:
        return _refused(request, problem)
    words = (
        f"The key of {name} is taken away." if taken else f"{name} has another key; calls in flight end as they began."
    )
    return Redirect(request.href(_PATH), flash=words)


@page_action("/gateway/providers/{name}/delete", allow=Permission.ADMIN)
async def delete_provider(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Delete a provider with its key."""
    name = request.path["name"]
    try:
        await _changed(ctx, request, form, "delete", {"name": name})
    except GimbalError as problem:
        return _refused(request, problem)
    return Redirect(request.href(_PATH), flash=f"The provider {name} is deleted, and its key with it.")


@page_action("/gateway/providers/{name}/check", allow=Permission.DEVELOP)
async def check_provider(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Make one cheap request to a provider, and tell what came of it."""
    name, model = request.path["name"], form.get("model", "").strip()
    try:
        found: ProviderCheck = await invoke(
            find("providers.check"), ctx, {"project": request.project, "name": name, "model": model}
        )
    except GimbalError as problem:
        return _refused(request, problem)
    if not found.ok:
        return Redirect(request.href(_PATH), flash=f"{name} does not work: {found.problem} {found.todo}", tone="bad")
    said = f"{model} answered" if model else f"it lists {found.models} model{'' if found.models == 1 else 's'}"
    return Redirect(request.href(_PATH), flash=f"{name} works: {said}, in {found.took_ms:.0f} ms.")


async def _changed(ctx: Context, request: PageRequest, form: Form, verb: str, arguments: dict[str, Any]) -> Any:
    """Invoke the operation of the provider's scope; raise Forbidden for one that is not in the catalog."""
    source = form.get("source", "")
    if source not in _CATALOG:
        raise Forbidden(
            f"The provider {arguments['name']} is not in the catalog.",
            where="source",
            todo="Change the settings or the environment of the server, and start it again.",
        )
    if source == _INSTALLATION:
        return await invoke(find(f"providers.{verb}_everywhere"), ctx.within(None), arguments)
    return await invoke(find(f"providers.{verb}"), ctx, {"project": request.project, **arguments})


def _refused(request: PageRequest, problem: GimbalError) -> Redirect:
    return Redirect(request.href(_PATH), flash=f"{problem.message} {problem.todo}".strip(), tone="bad")
