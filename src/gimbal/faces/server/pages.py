"""The two pages that belong to no room: Home, which looks across all of them, and Settings."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec

from gimbal.axis.assets.model import AliasMove
from gimbal.axis.assets.service import Assets
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.gates.model import Decision
from gimbal.axis.gates.service import Gates
from gimbal.axis.monitors.service import Monitors
from gimbal.axis.runs.service import Runs
from gimbal.axis.traces.service import Traces
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import is_loopback
from gimbal.kernel.settings import LoadedSettings, Settings, load_settings

_RECENT = 8
_DAYS = 7


@page("/", title="Home", nav="Home", order=0, icon="home")
async def home(ctx: Context, request: PageRequest) -> View:
    """Show what is in production, whether it is healthy, what it costs, and what changed."""
    production, health, cost = await asyncio.gather(
        _production(ctx), _health(ctx), ctx.get(Traces).activity(ctx, ctx.now() - timedelta(days=_DAYS))
    )
    moves, decisions, runs, evaluations = await asyncio.gather(
        ctx.get(Assets).moves(ctx, limit=_RECENT),
        ctx.get(Gates).decisions(ctx, limit=_RECENT),
        ctx.get(Runs).page(ctx, limit=5),
        ctx.get(Evaluations).runs.page(ctx, limit=5),
    )
    fresh = not (production or runs.items or evaluations.items or cost.traces)
    data = {
        "production": production,
        "health": health,
        "cost": cost,
        "changes": _changes(moves.items, decisions.items),
        "runs": runs.items,
        "evaluations": evaluations.items,
        "fresh": fresh,
        "days": _DAYS,
    }
    return View("server/home.html", data)


async def _production(ctx: Context) -> list[dict[str, Any]]:
    """Return what stands on `production`, with when it came there."""
    assets = ctx.get(Assets)
    rows: list[dict[str, Any]] = []
    page_ = await assets.page(ctx, limit=200)
    for asset in page_.items:
        if "production" in asset.aliases:
            stands = next(a for a in await assets.aliases(ctx, asset.kind, asset.name) if a.alias == "production")
            rows.append({"asset": asset, "alias": stands, "ref": f"{asset.kind}:{asset.name}@v{stands.number}"})
    return rows


async def _health(ctx: Context) -> dict[str, Any]:
    """Return the newest report of each monitor, and the endpoints."""
    monitors = ctx.get(Monitors)
    reports = [{"monitor": m, "report": await monitors.latest(ctx, m.slug)} for m in await monitors.all(ctx)]
    return {"monitors": reports, "endpoints": await ctx.get(Endpoints).all(ctx)}


def _changes(moves: list[AliasMove], decisions: list[Decision]) -> list[dict[str, Any]]:
    """Return alias moves and refusals in one order, newest first; a promotion is told by its move."""
    rows: list[dict[str, Any]] = [{"at": m.at, "move": m, "decision": None} for m in moves]
    rows += [{"at": d.at, "move": None, "decision": d} for d in decisions if d.verdict == "refused"]
    return sorted(rows, key=lambda row: row["at"], reverse=True)[:_RECENT]


@page("/settings", title="Settings", nav="Settings", order=92, icon="settings", allow=Permission.ADMIN)
async def settings_page(ctx: Context, request: PageRequest) -> View:
    """Show every setting with its value, where it came from, and what it means."""
    in_force = ctx.get(Settings)
    loaded = load_settings()
    # What this process runs with may come from flags that its environment does not show.
    shown = LoadedSettings(settings=in_force, sources=loaded.sources, unknown_variables=loaded.unknown_variables)
    read = {value.path: value.value for value in loaded.values()}
    groups: dict[str, list[Any]] = {}
    for found in shown.values():
        value = found if found.value == read[found.path] else msgspec.structs.replace(found, source="flag")
        groups.setdefault(value.path.partition(".")[0] if "." in value.path else "general", []).append(value)
    return View("server/settings.html", {"groups": groups, "loopback": is_loopback(in_force.server.host)})
