"""The console's pages of routes: which there are, whom they ask, how those fare, and a form that tries one out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.model import Asset
from gimbal.axis.assets.service import Assets
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.generative.gateway.resilience.model import HedgeSettings, Resilience
from gimbal.generative.gateway.routes import service
from gimbal.generative.gateway.routes.model import When, own_targets
from gimbal.generative.gateway.routes.views import ChooseByRoute, RouteView, TargetHealth
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref
from gimbal.kernel.settings_resilience import DeadlineSettings, RetrySettings

_CALLED = "production"
_TEXTS = ("feature", "user", "session", "tags", "model", "key_name")
_FLAGS = ("stream", "tools", "vision", "json_schema")
_NUMBERS = ("input_tokens", "answer_tokens")
_WHEN = {
    "feature": "the feature is", "user": "the user is", "session": "the session is", "tag": "it has the tag",
    "model": "it asks for", "key": "the key is", "tokens_above": "its input has more tokens than",
    "tokens_up_to": "its input has at most so many tokens:",
}  # fmt: skip
_FLAG_WORDS = {
    "stream": ("it is streamed", "it is not streamed"),
    "tools": ("it brings tools", "it brings no tools"),
}


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    asset: Asset
    ref: str
    """The version that is shown: that of `production`, else the newest."""
    view: RouteView | None
    problem: str = ""


@page("/gateway/routes", title="Routes", order=63, icon="gateway", tab="Routes", within="/gateway")
async def routes_page(ctx: Context, request: PageRequest) -> View:
    """List the routes with whom they ask, and how those fare here."""
    listed = await invoke(
        find("routes.list"),
        ctx,
        {"project": request.project, "cursor": request.query.get("cursor") or None, "limit": 25},
    )
    rows = [await _row(ctx, asset) for asset in listed.items]
    return View("gateway/routes.html", {"listed": listed, "rows": rows, "health": _by_model(rows)})


async def _row(ctx: Context, asset: Asset) -> _Row:
    ref = f"route:{asset.name}@{_CALLED}" if _CALLED in asset.aliases else f"route:{asset.name}"
    try:
        return _Row(asset=asset, ref=ref, view=await service.view(ctx, Ref.parse(ref)))
    except GimbalError as problem:  # a prompt that it names may be gone: the others are shown all the same
        return _Row(asset=asset, ref=ref, view=None, problem=problem.message)


def _by_model(rows: Sequence[_Row]) -> dict[str, TargetHealth]:
    return {one.model: one for row in rows if row.view for one in row.view.health}


@page("/gateway/routes/{ref}", title="Route", icon="gateway")
async def route_page(ctx: Context, request: PageRequest) -> View:
    """Show a version of a route, and what it would choose for a call that is described in the address."""
    ref = service.as_route(Ref.parse(request.path["ref"], kind="route"))
    seen: RouteView = await invoke(find("routes.show"), ctx, {"project": request.project, "ref": ref})
    versions = await ctx.get(Assets).versions(ctx, "route", ref.name, limit=20)
    aliases = await ctx.get(Assets).aliases(ctx, "route", ref.name)
    chosen, problem = None, None
    if "try" in request.query:
        try:
            asked = _asked(request.query)
            chosen = await invoke(
                find("routes.choose"), ctx, {"project": request.project, "ref": Ref.parse(seen.ref), "body": asked}
            )
        except GimbalError as refused:
            problem = refused
    data: dict[str, Any] = {
        "seen": seen,
        "ref": ref,
        "targets": own_targets(seen.manifest),
        "health": {one.model: one for one in seen.health},
        "rules": [(rule, when_words(rule.when)) for rule in seen.manifest.rules],
        "resilience": resilience_words(seen.manifest.resilience.over(service.usual(ctx))),
        "versions": versions,
        "aliases": aliases,
        "given": {name: request.query.get(name, "") for name in (*_TEXTS, *_FLAGS, *_NUMBERS)},
        "chosen": chosen,
        "problem": problem,
        "calls": f"route:{ref.name}@{_CALLED}" if any(one.alias == _CALLED for one in aliases) else f"route:{ref.name}",
    }
    return View("gateway/route_page.html", data, problem.status if problem else 200)


def _asked(query: Mapping[str, str]) -> ChooseByRoute:
    values: dict[str, Any] = {name: query[name].strip() for name in _TEXTS if query.get(name, "").strip()}
    if "tags" in values:
        values["tags"] = [word.strip() for word in values["tags"].split(",") if word.strip()]
    values |= {name: True for name in _FLAGS if query.get(name)}
    for name in _NUMBERS:
        if text := query.get(name, "").strip():
            if not text.isdecimal() or len(text) > 9:
                raise BadInput(f"{text[:40]!r} is not a number of tokens.", where=name, todo="Give a whole number.")
            values[name] = int(text)
    return msgspec.convert(values, ChooseByRoute)


def when_words(when: When) -> list[tuple[str, tuple[str, ...]]]:
    """Return what a call must be for a rule: words, and the patterns or numbers after them; all must hold."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for name in when.__struct_fields__:
        value = getattr(when, name)
        if value is None:
            continue
        if name in _FLAG_WORDS:
            found.append((_FLAG_WORDS[name][0 if value else 1], ()))
        else:
            given: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
            found.append((_WHEN[name], tuple(f"{one:,}" if isinstance(one, int) else str(one) for one in given)))
    return found


def resilience_words(settings: Resilience) -> list[tuple[str, str]]:
    """Return how hard a call is tried, in words."""
    return [
        ("Deadlines", _deadlines(settings.deadlines)),
        ("Retries", _retries(settings.retry)),
        ("Fallback", _fallback(settings)),
        ("Hedging", _hedging(settings.hedge)),
    ]


def _deadlines(times: DeadlineSettings) -> str:
    return (
        f"{times.connect_s:g} s to connect, {times.first_byte_s:g} s to the first byte, {times.between_s:g} s of silence "
        f"between two chunks, {times.total_s:g} s for the call with all its attempts; what the caller allows caps them."
    )


def _retries(retry: RetrySettings) -> str:
    if retry.attempts == 1:
        return "A target that fails is not tried again."
    safe = (
        "also where the provider may have begun to work on it"
        if retry.repeatable
        else "only where that is safe: refused before any work, or never sent"
    )
    return (
        f"Up to {retry.attempts} attempts at each target, {safe}. The waits are drawn at random up to {retry.base_s:g} s, "
        f"doubling, {retry.most_s:g} s at most; never after the first byte."
    )


def _hedging(hedge: HedgeSettings | None) -> str:
    if hedge is None:
        return "No second attempt beside a slow one."
    after = (
        f"{hedge.after_s:g} s"
        if hedge.after_s is not None
        else "as long as 95 of 100 calls of that model needed of late"
    )
    whom = "the same target" if hedge.to == "same" else "the next target"
    return (
        f"After {after} without a byte a second attempt goes to {whom}; whoever begins first answers. At most "
        f"{hedge.share * 100:.3g} % of a model's calls."
    )


def _fallback(settings: Resilience) -> str:
    also = " and ".join(
        {"content_filter": "a content filter's refusal", "context_length": "an input that is too long"}[one]
        for one in settings.fall_back_on
    )
    return "The next target is asked when one is away, limits its calls, or fails." + (
        f" Also after {also}." if also else ""
    )
