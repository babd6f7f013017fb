"""The console's page of traces: the list with its filters, what they come to, and what comes in while one watches."""

from collections.abc import Sequence
from typing import Any

import gimbal.axis.traces.session_pages  # pyright: ignore[reportUnusedImport] - importing them declares their pages
import gimbal.axis.traces.trace_page  # noqa: F401  # pyright: ignore[reportUnusedImport]
from gimbal.axis.traces import list_filters, overview
from gimbal.axis.traces.finding import read_filter
from gimbal.axis.traces.intake import intake
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.list_filters import Asked
from gimbal.axis.traces.model import KINDS, TraceSummary
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.tail import Tails
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, DeadlineExceeded, GimbalError
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.pages import Page
from gimbal.kernel.settings import Settings

_STATUSES = ("error", "ok", "cancelled", "unset")
# Seconds that the page's script lets one question for what comes wait.
_WAIT_S = 10.0
_NOTHING: Page[TraceSummary] = Page(items=[])


@page("/traces", title="Traces", nav="Traces", order=70, icon="traces")
async def traces_page(ctx: Context, request: PageRequest) -> View:
    """Show traces that fit, by what the address says; `part` asks for a part of the page by itself."""
    asked = list_filters.read(ctx, request)
    part = request.query.get("part")
    if part == "overview":
        return await _overview(ctx, request, asked)
    if part == "live":
        return await _live(ctx, request, asked)
    live = request.query.get("live") == "1" and not request.query.get("cursor") and ctx.services.has(Tails)
    # The tail begins before the list is read: what comes meanwhile is told by one of them, or by both.
    since = await ctx.get(Tails).now(ctx) if live else ""
    found, problem = _NOTHING, asked.error
    if problem is None:
        try:
            found = await _listed(ctx, request, asked, live=live)
        except (BadInput, DeadlineExceeded) as refused:
            if isinstance(refused, BadInput) and not list_filters.of_field(refused) and refused.where:
                raise
            problem, asked = refused, list_filters.with_error(asked, request, refused)
    data = {
        "found": found,
        "asked": asked,
        "problem": problem,
        "live": live,
        "tail": since,
        "scores": await _scores(ctx, found.items),
        "kinds": KINDS,
        "statuses": _STATUSES,
        "ranges": list_filters.RANGES,
        "server": ctx.get(Settings).server,
        "ingest": intake(ctx),
        "sampling": await ctx.get(SamplingPolicies).get(ctx),
        "may_set": request.principal.may(Permission.ADMIN, request.project),
    }
    return View("traces/list.html", data, 200 if problem is None else problem.status)


async def _listed(ctx: Context, request: PageRequest, asked: Asked, *, live: bool) -> Page[TraceSummary]:
    order = {} if live else {"sort": request.query.get("sort") or "start"}
    place = {"cursor": request.query.get("cursor") or None, "limit": request.number("limit", 50)}
    return await invoke(find("traces.list"), ctx, {"project": request.project, **asked.values, **order, **place})


async def _overview(ctx: Context, request: PageRequest, asked: Asked) -> View:
    """Show what the traces that fit come to."""
    if asked.error is not None:
        return View("traces/overview.html", {"overview": None, "problem": asked.error}, asked.error.status)
    try:
        found = await overview.overview(ctx, read_filter(ctx, asked.values))
    except GimbalError as problem:
        return View("traces/overview.html", {"overview": None, "problem": problem}, problem.status)
    most = max((bar.traces for bar in found.bars), default=0)
    return View("traces/overview.html", {"overview": found, "most": most, "problem": None})


async def _live(ctx: Context, request: PageRequest, asked: Asked) -> View:
    """Show what came since the tail's cursor, as rows."""
    if asked.error is not None:
        raise asked.error
    values = {name: value for name, value in asked.values.items() if name not in {"since", "until"}}
    arguments = {"project": request.project, "cursor": request.query.get("tail"), "wait": _WAIT_S, **values}
    answer = await invoke(find("traces.tail"), ctx, arguments)
    rows = [one.trace for one in answer.items]
    return View("traces/live.html", {"answer": answer, "scores": await _scores(ctx, rows)})


async def _scores(ctx: Context, rows: Sequence[TraceSummary]) -> Any:
    ids = [row.trace_id for row in rows]
    return await ctx.get(Judgements).of_many(ctx, "trace", ids) if ids and ctx.services.has(Judgements) else {}
