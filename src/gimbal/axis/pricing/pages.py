"""The console's pages of prices: what counts for which model, how it came to be, and the form for prices of one's own."""

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, get_args

import msgspec

from gimbal.axis.pricing.finding import FindPrice, FoundPrice
from gimbal.axis.pricing.listing import LAYERS, PriceEntry
from gimbal.axis.pricing.model import RATES, Tier
from gimbal.axis.pricing.overrides import SetPrice
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.records import PriceChange
from gimbal.engines.console import charts
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.settings import Settings

_ROWS = 30
_TIERS: tuple[str, ...] = get_args(Tier)
_MOST_HISTORY = 200
# What the form checks a price with, unless somebody says otherwise.
_INPUT, _OUTPUT = 2000, 500
_AMOUNTS = ("input", "output", "cache_read", "cache_write", "factor")
_WORDS = ("provider", "model", "tier", "valid_from", "valid_until", "source")


@page("/prices", title="Prices", order=86, icon="money", tab="Prices", within="/costs")
async def prices_page(ctx: Context, request: PageRequest) -> View:
    """Show what the project pays, by provider and model, and which book is in force."""
    prices, query = ctx.get(Prices), request.query
    asked: dict[str, Any] = {
        "model": query.get("q", "").strip() or None,
        "provider": query.get("provider", "").strip() or None,
        "tier": _one_of("tier", query.get("tier", ""), _TIERS),
        "layer": _one_of("layer", query.get("layer", ""), LAYERS),
    }
    now = query.get("state", "now") == "now"
    found = await prices.page(
        ctx,
        **asked,
        at=ctx.now() if now else None,
        removed=not now,
        cursor=query.get("cursor"),
        limit=_ROWS,
    )
    layers = await prices.snapshot.layers(request.project)
    own = (await prices.page(ctx, layer="project", limit=1)).total
    shared = (await prices.page(ctx, layer="installation", limit=1)).total
    providers = {name for lookup in (*layers.overrides, *layers.books) for name in lookup.providers()}
    data = {
        "found": found,
        "filtered": any(asked.values()),
        "providers": sorted(providers),
        "tiers": _TIERS,
        "books": [book.version for book in layers.books],
        "own": own,
        "shared": shared,
        "refresh": prices.snapshot.state.refresh,
        "source": bool(ctx.get(Settings).prices.url or ctx.get(Settings).prices.file),
        "may": request.principal.may(Permission.ADMIN, request.project),
        "owns": request.principal.may(Permission.ADMIN, None),
    }
    return View("pricing/list.html", data)


@page("/prices/model", title="Price", icon="money")
async def model_page(ctx: Context, request: PageRequest) -> View:
    """Show every price that a model has or had, over time, and what a call of it costs."""
    provider, model = request.query.get("provider", "").strip(), request.query.get("model", "").strip()
    if not provider or not model:
        raise NotFound("No model is named.", where="model", todo="Choose one from the list of prices.")
    tier = _one_of("tier", request.query.get("tier", ""), _TIERS) or "standard"
    prices = ctx.get(Prices)
    listed = await prices.page(ctx, provider=provider, model=model, removed=True, limit=_MOST_HISTORY)
    name = model.lower()
    rows = [row for row in listed.items if name in (row.model, *row.aliases) or "*" in row.model]
    cost = await _cost(ctx, request, provider, model, tier)
    shown = [row for row in rows if row.tier in {tier, None}]
    data = {
        "provider": provider,
        "model": model,
        "tier": tier,
        "tiers": _TIERS,
        "rows": sorted(rows, key=lambda row: (row.valid_from, row.layer), reverse=True),
        "history": _history(shown, ctx.now()),
        "cost": cost,
        "rates": _rates(cost),
        "input": request.number("input", _INPUT),
        "output": request.number("output", _OUTPUT),
        "may": request.principal.may(Permission.ADMIN, request.project),
    }
    return View("pricing/model.html", data)


async def _cost(ctx: Context, request: PageRequest, provider: str, model: str, tier: str) -> FoundPrice:
    asked = {name: request.number(name, usual) for name, usual in (("input", _INPUT), ("output", _OUTPUT))}
    return await ctx.get(Prices).find(ctx, _asked({"provider": provider, "model": model, "tier": tier, **asked}))


def _asked(fields: dict[str, Any]) -> FindPrice:
    try:
        return msgspec.convert(fields, FindPrice)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(f"{text}.", where=place.strip("`$."), todo="Go back and correct it.") from None


def _rates(cost: FoundPrice) -> list[tuple[str, Decimal]]:
    """Return what the price that counts says of each class, without factors."""
    entry = cost.entries[-1] if cost.entries else None
    return [(name, rate) for name in RATES if entry is not None and (rate := getattr(entry, name)) is not None]


def _history(rows: list[PriceEntry], now: datetime) -> charts.Spec | None:
    """Return input and output of the prices of one's own, or else of the book, from day to day."""
    layer = next((name for name in LAYERS if any(row.layer == name and row.input is not None for row in rows)), None)
    listed = [row for row in rows if row.layer == layer and row.input is not None and row.state != "removed"]
    first = {row.valid_from: row for row in listed}
    if len(first) < 2:
        return None
    points: list[charts.Point] = []
    days = sorted(first)
    for name in ("input", "output"):
        for day, until in zip(days, [*days[1:], None], strict=True):
            rate = getattr(first[day], name)
            begins = datetime.combine(day, time(), UTC)
            ends = datetime.combine(until, time(), UTC) if until else max(now, begins)
            points += [charts.Point(x=moment, y=float(rate), series=name) for moment in (begins, ends)]
    return charts.line(points, y_title="per million tokens", zero=True)


@page("/prices/set", title="Set a price", icon="money", allow=Permission.ADMIN)
async def set_page(ctx: Context, request: PageRequest) -> View:
    """Show the form for a price of one's own."""
    given = {name: request.query.get(name, "") for name in (*_WORDS, *_AMOUNTS)}
    given["valid_from"] = given["valid_from"] or ctx.now().astimezone(UTC).date().isoformat()
    return _form(request, given)


def _form(
    request: PageRequest, given: dict[str, str], problem: GimbalError | None = None, tried: dict[str, Any] | None = None
) -> View:
    data = {
        "given": {"everywhere": "", "unusual": "", "tokens_in": str(_INPUT), "tokens_out": str(_OUTPUT), **given},
        "tiers": [("", "standard, or every with a factor"), *_TIERS],
        "problem": problem,
        "tried": tried,
        "owns": request.principal.may(Permission.ADMIN, None),
    }
    return View("pricing/set.html", data, 200 if problem is None else problem.status)


@page_action("/prices/set", allow=Permission.ADMIN)
async def set_action(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Set the price, or try it out; what cannot be meant is told beside the form as it was filled."""
    given = {name: value.strip() for name, value in form.items()}
    given |= {name: given.get(name, "") for name in (*_WORDS, *_AMOUNTS)}
    where = None if given.get("everywhere") else request.project
    try:
        body = _body(given)
        if given.get("do") == "try":
            return _form(request, given, tried=await _try(ctx, given, body, where))
        if where is None:
            done: PriceChange = await invoke(find("prices.set_everywhere"), ctx.within(None), {"body": body})
        else:
            done = await invoke(find("prices.set"), ctx, {"project": where, "body": body})
    except GimbalError as problem:
        return _form(request, given, problem)
    return Redirect(
        request.href("/prices/model", provider=done.price.provider, model=done.price.model),
        flash=_told(done),
        tone="info" if done.stored_calls or done.notes else "good",
    )


def _told(done: PriceChange) -> str:
    words = [f"{done.price.name}: {done.effect}."]
    if done.stored_calls:
        words.append(f"{done.stored_calls:,} calls are stored at the price before; `{done.todo}` counts them anew.")
    return " ".join([*words, *done.notes])


def _body(given: dict[str, str]) -> SetPrice:
    fields: dict[str, Any] = {name: given[name] for name in (*_WORDS, *_AMOUNTS) if given[name]}
    try:
        return msgspec.convert({**fields, "unusual": bool(given.get("unusual"))}, SetPrice)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"{text}.", where=place.strip("`$.") or "body", kept="the prices as they were", todo="Correct it."
        ) from None


async def _try(ctx: Context, given: dict[str, str], body: SetPrice, where: str | None) -> dict[str, Any]:
    """Return what a call costs now and would cost with the price, on its first day."""
    begins = body.valid_from or ctx.now().date()
    fields = {
        "provider": body.provider,
        # A pattern is tried with the first words of it.
        "model": given.get("tried_model") or body.model,
        "tier": body.tier or "standard",
        "at": datetime.combine(begins, time(12), UTC),
        "input": _count(given, "tokens_in"),
        "output": _count(given, "tokens_out"),
    }
    asked, there = _asked(fields), ctx.within(where)
    if where is None:
        there.require(Permission.ADMIN)
    prices = ctx.get(Prices)
    return {"asked": asked, "now": await prices.find(there, asked), "then": await prices.try_out(there, body, asked)}


def _count(given: dict[str, str], name: str) -> int:
    text = given.get(name, "") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadInput(f"{text!r:.40} is not a number of tokens.", where=name, todo="Give a whole number.")
    return int(text)


@page_action("/prices/remove", allow=Permission.ADMIN)
async def remove_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Remove a price of the project or of the installation."""
    name = form.need("name")
    if name.startswith("i"):
        done: PriceChange = await invoke(find("prices.remove_everywhere"), ctx.within(None), {"name": name})
    else:
        done = await invoke(find("prices.remove"), ctx, {"project": request.project, "name": name})
    words = f"{name} is removed: {done.effect}."
    if done.stored_calls:
        words += f" {done.stored_calls:,} calls are stored at its price; `{done.todo}` counts them anew."
    return Redirect(request.href("/prices"), flash=words, tone="info" if done.stored_calls else "good")


@page_action("/prices/refresh", allow=Permission.ADMIN)
async def refresh_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Look for a newer book now."""
    try:
        done = await invoke(find("prices.refresh"), ctx.within(None), {})
    except GimbalError as problem:
        return Redirect(request.href("/prices"), flash=problem.message, tone="bad")
    words = f"{done.version} is in force, as before." if done.outcome == "unchanged" else f"{done.version} is in force."
    return Redirect(request.href("/prices"), flash=words)


def _one_of(name: str, text: str, known: tuple[str, ...]) -> Any:
    if text and text not in known:
        raise BadInput(f"{text!r:.40} is no {name}.", where=name, todo=f"Choose one of {', '.join(known)}.")
    return text or None
