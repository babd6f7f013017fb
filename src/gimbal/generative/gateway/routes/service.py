"""The verbs of routes: publish one, show it, try it; and those that are called, ready in memory."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.pricing.service import PriceSource
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.resilience.health import Health, Known
from gimbal.generative.gateway.resilience.model import DEFAULT, Resilience
from gimbal.generative.gateway.resilience.vitals import ModelState
from gimbal.generative.gateway.routes.choosing import Prices, book_prices, choose, no_prices
from gimbal.generative.gateway.routes.files import read_route
from gimbal.generative.gateway.routes.model import RouteManifest, decode_manifest
from gimbal.generative.gateway.routes.prepared import Filled, Route, models_of, prepare, prompts_of
from gimbal.generative.gateway.routes.views import (
    ChooseByRoute,
    Chosen,
    ChosenTarget,
    PublishedRoute,
    PublishRoute,
    RouteView,
    TargetHealth,
)
from gimbal.generative.prompts.service import load_prompt
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, ConfigurationError, GimbalError, NotFound, Unavailable
from gimbal.kernel.operations import nearest
from gimbal.kernel.refs import Ref, ResolvedRef

_FRESH_S = 0.7
_MOST = 1024


def as_route(ref: Ref) -> Ref:
    """Return `ref` when it is a route's; raise BadInput otherwise."""
    if ref.kind != "route":
        raise BadInput(f"{ref} is not a route.", where="ref", todo="Write it like route:support@production.")
    return ref


class _Known(msgspec.Struct):
    """A route as it was when somebody last looked."""

    route: Route
    versions: tuple[str, ...]
    """Digests of the route and of the prompts that it names."""
    until: float
    looking: bool = False


class Routes:
    """Routes that are called, ready in memory: at most a second behind what the catalog says."""

    def __init__(self, resilience: Resilience = DEFAULT, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.resilience = resilience
        """How hard calls are tried that go by no route, or by one that does not say."""
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] = {}
        self._missing: dict[tuple[str, str], tuple[GimbalError, float]] = {}
        """What was looked for in vain, and until when that is believed."""
        self._loading: dict[tuple[str, str], asyncio.Lock] = {}

    async def of(self, ctx: Context, ref: str) -> Route:
        """Return the route that a model's name like `route:support@production` means; raise NotFound or BadInput.

        While the catalog is away what was known goes on to hold.
        """
        key = (ctx.project or "default", ref)
        known = self._known.get(key)
        if known is None:
            return (await self._first(ctx, key)).route
        # Those who ask while one looks go by what was known.
        if not known.looking and self._clock() >= known.until:
            known = await self._again(ctx, key, known)
        return known.route

    async def _first(self, ctx: Context, key: tuple[str, str]) -> _Known:
        lock = self._loading.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                missing = self._missing.get(key)
                if missing is not None and self._clock() < missing[1]:
                    raise missing[0].with_traceback(None)
                return self._known.get(key) or await self._searched(ctx, key)
        finally:
            if not lock.locked():
                self._loading.pop(key, None)

    async def _searched(self, ctx: Context, key: tuple[str, str]) -> _Known:
        try:
            return await self._look(ctx, key, None)
        except (NotFound, BadInput) as problem:
            if len(self._missing) >= _MOST:  # names come from callers
                self._missing.clear()
            self._missing[key] = problem, self._clock() + _FRESH_S
            raise

    async def _again(self, ctx: Context, key: tuple[str, str], known: _Known) -> _Known:
        known.looking = True
        try:
            return await self._look(ctx, key, known)
        except Unavailable:
            known.until = self._clock() + _FRESH_S
            return known
        except (NotFound, BadInput):
            self._known.pop(key, None)
            raise
        finally:
            known.looking = False

    def forget(self) -> None:
        """Look anew the next time: this process has changed something."""
        self._missing.clear()
        for known in self._known.values():
            known.until = 0.0

    async def _look(self, ctx: Context, key: tuple[str, str], known: _Known | None) -> _Known:
        version = await ctx.get(Assets).resolve(ctx, as_route(Ref.parse(key[1], kind="route")))
        manifest = decode_manifest(version.manifest)
        prompts, resolved = await resolve_prompts(ctx, manifest)
        versions = (version.digest, *(ref.digest for ref in resolved))
        until = self._clock() + _FRESH_S
        if known is not None and known.versions == versions:
            known.until = until
            return known
        route = prepare(version.name, manifest, ref=str(version.ref), prompts=prompts, resilience=self.resilience)
        if len(self._known) >= _MOST and key not in self._known:
            self._known.pop(next(iter(self._known)))
        found = self._known[key] = _Known(route=route, versions=versions, until=until)
        return found


async def resolve_prompts(ctx: Context, manifest: RouteManifest) -> tuple[dict[str, Filled], list[ResolvedRef]]:
    """Return what the prompts that a route names mean now; raise NotFound for one that is not there."""
    filled: dict[str, Filled] = {}
    refs: list[ResolvedRef] = []
    for name in prompts_of(manifest):
        ref, prompt = await load_prompt(ctx, Ref.parse(name, kind="prompt"))
        filled[name] = Filled(ref=str(ref), model=prompt.model)
        refs.append(ref)
    return filled, refs


async def publish(ctx: Context, body: PublishRoute) -> PublishedRoute:
    """Make a route file a version; a file that says what a version already says makes none."""
    named, manifest = read_route(body.text, body.path)
    name = body.name or named
    if not name:
        raise BadInput("The route has no name.", where=f"{body.path}:1", todo='Begin the file with name = "support".')
    prompts, inputs = await resolve_prompts(ctx, manifest)
    route = prepare(name, manifest, prompts=prompts)
    assets = ctx.get(Assets)
    before = await _newest(ctx, name)
    version = await assets.add_version(
        ctx, kind="route", name=name, manifest=msgspec.to_builtins(manifest), inputs=inputs, note=body.note
    )
    number = before.number if before else 0
    state = "created" if version.number > number else "unchanged" if version.number == number else "reverted"
    if ctx.services.has(Routes):
        ctx.get(Routes).forget()
    return PublishedRoute(ref=str(version.ref), state=state, notes=await _unknown(ctx, route))


async def _newest(ctx: Context, name: str) -> Version | None:
    try:
        return await ctx.get(Assets).resolve(ctx, Ref("route", name))
    except NotFound:
        return None


async def _unknown(ctx: Context, route: Route) -> list[str]:
    """Return what may be misspelt: providers may be set up after the routes that name them, so that it is no error."""
    if not ctx.services.has(Providers):
        return []
    known = set(await ctx.get(Providers).entries(ctx.project or "default"))
    missing = sorted({provider for provider, _ in models_of(route)} - known)
    return [f"No provider {name!r} is set up here. {nearest(name, known)}".strip() for name in missing]


async def known_to(ctx: Context) -> Known:
    """Return health by the names of the context's project: its own providers are its alone."""
    services, project = ctx.services, ctx.project or "default"
    health = services.get(Health)
    if not services.has(Providers):
        return health
    entries = await services.get(Providers).entries(project)
    # The same object until something changes.
    return health.of_project(project, entries) or health.within(
        project, {name for name, entry in entries.items() if entry.scope}, entries
    )


async def prices_for(ctx: Context, route: Route) -> Prices:
    """Return the project's prices, by the names by which the price book knows providers, where the route goes by them."""
    if not route.priced:
        return no_prices
    project = ctx.project or "default"
    called: dict[str, str] = {}
    if ctx.services.has(Providers):
        for provider, _ in models_of(route):
            with contextlib.suppress(NotFound, ConfigurationError):
                called[provider] = (await ctx.get(Providers).get(project, provider)).pricing
    pricer = await ctx.get(PriceSource).of(project)
    return book_prices(pricer, ctx.now(), lambda name: called.get(name, name))


def usual(ctx: Context) -> Resilience:
    """Return how hard calls are tried where their route does not say."""
    return ctx.get(Routes).resilience if ctx.services.has(Routes) else DEFAULT


async def _loaded(ctx: Context, ref: Ref) -> tuple[ResolvedRef, Route]:
    version = await ctx.get(Assets).resolve(ctx, as_route(ref))
    manifest = decode_manifest(version.manifest)
    prompts, _ = await resolve_prompts(ctx, manifest)
    return version.ref, prepare(version.name, manifest, ref=str(version.ref), prompts=prompts, resilience=usual(ctx))


async def view(ctx: Context, ref: Ref) -> RouteView:
    """Return one version of a route and how its models fare in this process."""
    resolved, route = await _loaded(ctx, ref)
    known = await known_to(ctx)
    states = [known.state(provider, model) for provider, model in models_of(route)]
    return RouteView(
        ref=str(resolved),
        digest=resolved.digest,
        manifest=route.manifest,
        health=[_seen(state) for state in states if state is not None],
    )


def _seen(state: ModelState) -> TargetHealth:
    window = state.window_calls
    return TargetHealth(
        model=f"{state.provider}/{state.model}",
        state=state.state,
        since=state.since,
        until_s=state.until_s,
        failing=min(1.0, round(state.window_failures / window, 3)) if window else None,
        first_byte_ms=state.first_byte_ms,
        first_byte_p95_ms=state.first_byte_p95_ms,
        whole_ms=state.whole_ms,
        whole_p95_ms=state.whole_p95_ms,
        last_error=state.last_error,
        last_error_at=state.last_error_at,
    )


async def try_out(ctx: Context, ref: Ref, asked: ChooseByRoute) -> Chosen:
    """Return what a route would choose for a call now; nothing is sent."""
    _, route = await _loaded(ctx, ref)
    known = await known_to(ctx)
    plan = choose(route, asked, known, await prices_for(ctx, route))
    return Chosen(
        ref=plan.route,
        targets=[
            ChosenTarget(
                model=f"{choice.provider}/{choice.model}",
                prompt=choice.prompt,
                why=choice.why,
                usable=known.usable(choice.provider, choice.model),
            )
            for choice in plan.choices
        ],
        shadow=f"{plan.shadow.provider}/{plan.shadow.model}" if plan.shadow else "",
        reasons=list(plan.reasons),
        resilience=plan.resilience,
    )
