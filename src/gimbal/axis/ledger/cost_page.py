"""The console's page of costs: what a stretch of time came to, by what, against which budget lines."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from gimbal.axis.ledger import budgets, cost_chart, cost_range, spending
from gimbal.axis.ledger.cost_range import Asked
from gimbal.axis.ledger.narrowing import DIMENSIONS, in_traces
from gimbal.axis.ledger.spending import Figures
from gimbal.axis.pricing.model import Usage
from gimbal.engines.console.pages import PageRequest, View, page, with_query
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import iso
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, DeadlineExceeded
from gimbal.kernel.settings import Settings

_ROWS = 50
_MOST_DAYS = 400
# What is looked at next when one value of the others was chosen.
_NEXT = ("model", "feature", "user", "prompt", "session")
_SEVERAL = frozenset({"tag", "ref", "prompt"})
_PARTS = ("figures", "chart", "table")
# Token classes as people sum them up, by what is in their names; every other part of a cost is what a tool took.
_CLASSES = (
    ("cache_read", "Cache read"), ("cache_write", "Cache write"), ("audio", "Audio"), ("image", "Images"),
    ("input", "Input"), ("output", "Output"), ("reasoning", "Reasoning"),
)  # fmt: skip
_TOOLS = "Tools"
_COLUMNS = ("Input", "Cache read", "Cache write", "Output", "Reasoning", "Audio", "Images", _TOOLS)
_FIELDS = frozenset({"range", "since", "until", "by", "by_key", "then", "then_key", "where", "sort"})


@page("/costs", title="Costs", nav="Costs", order=76, icon="money", tab="Overview")
async def costs_page(ctx: Context, request: PageRequest) -> View:
    """Show what the calls of a stretch of time cost; `part` asks for one part by itself, `whole` for all at once.

    Each of them reads every call of the time: they are fetched behind the form, so that the page is there at once.
    """
    part = request.query.get("part")
    try:
        asked = cost_range.read(ctx, request)
    except BadInput as problem:
        return _wrong(ctx, request, problem)
    if part in _PARTS:
        return View(f"ledger/costs_{part}_alone.html", await _part(ctx, request, asked, str(part)))
    data = _about(ctx, request, asked) | {"fresh": not await _any(ctx)}
    if request.query.get("whole") and not data["fresh"]:
        for name in _PARTS:
            data |= await _part(ctx, request, asked, name)
    return View("ledger/costs.html", data)


def _wrong(ctx: Context, request: PageRequest, problem: BadInput) -> View:
    """Show the form with what was given, and what is wrong beside its field."""
    data = _about(ctx, request, cost_range.usual(ctx)) | {"fresh": False}
    field = problem.where.rpartition(".")[2]
    # What it narrows by is a dimension, too.
    wrong = "where" if field in {"dimension", "value"} else field if field in _FIELDS else ""
    return View("ledger/costs.html", {**data, "problem": problem, "wrong": wrong}, problem.status)


def _about(ctx: Context, request: PageRequest, asked: Asked) -> dict[str, Any]:
    """Return what the page says whatever there is."""
    return {
        "asked": asked,
        "fields": cost_range.fields(request),
        "ranges": cost_range.RANGES,
        "usual": cost_range.USUAL,
        "dimensions": cost_range.DIMENSIONS,
        "chips": _chips(request, asked),
        "problem": None,
        "wrong": "",
        "whole": bool(request.query.get("whole")),
        "export": _export(request, asked),
        "server": ctx.get(Settings).server,
    }


async def _any(ctx: Context) -> bool:
    """Return whether the project has any span at all."""
    found = await ctx.get(Columns).query(
        "SELECT 1 AS one FROM spans WHERE project = {project:String} LIMIT 1", {"project": ctx.project or "default"}
    )
    return bool(found)


def _change(now: Figures, before: Figures) -> float | None:
    """Return by which share of what was before the cost changed; None where either is unknown."""
    return None if now.spent is None or not before.spent else float(now.spent / before.spent) - 1


async def _part(ctx: Context, request: PageRequest, asked: Asked, part: str) -> dict[str, Any]:
    """Return the data of the chart or of the table; what takes too long, or cannot be, is told in its place."""
    inner = msgspec.structs.replace(request, query={k: v for k, v in request.query.items() if k != "part"})
    about: dict[str, Any] = {"asked": asked, "request": inner, "export": _export(request, asked)}
    try:
        if part == "figures":
            return about | await _figures(ctx, inner, asked)
        return about | (await _table(ctx, inner, asked) if part == "table" else await _chart(ctx, asked))
    except (BadInput, DeadlineExceeded) as problem:
        return about | {f"{part}_problem": problem}


async def _figures(ctx: Context, request: PageRequest, asked: Asked) -> dict[str, Any]:
    now, before = await spending.beside(ctx, asked.narrowed, asked.stretch.before)
    days = (ctx.now() - asked.stretch.since).days + 1
    return {
        "now": now,
        "before": before,
        "change": _change(now, before),
        "unpriced_url": request.href("/costs/unpriced", days=min(max(days, 1), _MOST_DAYS)),
        "traces": _traces(request, asked),
        "failed": _traces(request, asked, status="error"),
        "figures_problem": None,
    }


async def _chart(ctx: Context, asked: Asked) -> dict[str, Any]:
    lines = await budgets.all_budgets(ctx)
    found = await spending.by_time(
        ctx, asked.by[0], asked.narrowed, every=asked.stretch.every, most=cost_chart.MOST_SERIES
    )
    return {
        "chart": cost_chart.drawn(asked, found, lines, ctx.now()),
        "ahead": cost_chart.expected(asked, lines, ctx.now()),
        "lines": lines,
        "several": asked.by[0] in _SEVERAL,
        "chart_problem": None,
    }


async def _table(ctx: Context, request: PageRequest, asked: Asked) -> dict[str, Any]:
    classes = request.query.get("show") == "classes"
    found = await spending.table(ctx, asked.by, asked.narrowed, order=asked.sort, limit=_ROWS, parts=classes)
    told = [_by_class(row) for row in found.rows] if classes else []
    return {
        "table": found,
        "shares": [
            float(row.spent) / found.cost if row.spent is not None and found.cost else None for row in found.rows
        ],
        "heads": [cost_range.label(one) for one in asked.by],
        "classes": [name for name in _COLUMNS if any(name in one for one in told)] if classes else None,
        "told": told,
        "cells": [_cells(request, asked, row) for row in found.rows],
        "links": [_of_row(request, asked, row) for row in found.rows],
        "several": any(one in _SEVERAL for one in asked.by),
        "table_problem": None,
    }


def _by_class(row: Figures) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in row.parts:
        word = (
            next((one for held, one in _CLASSES if held in name), _TOOLS) if name in Usage.__struct_fields__ else _TOOLS
        )
        found[word] = found.get(word, 0) + part
    return found


def _cells(request: PageRequest, asked: Asked, row: Figures) -> list[tuple[str, str]]:
    """Return what a row has in each dimension, with the page of that value alone; empty where there is none."""
    return [
        (value, request.url(sort=None, **_drilled(asked, name, value)) if value and _can_drill(name) else "")
        for name, value in zip(asked.by, row.group, strict=True)
    ]


def _drilled(asked: Asked, name: str, value: str) -> dict[str, Any]:
    where = [*asked.where, *([] if (name, value) in asked.where else [(name, value)])]
    held = {one for one, _ in where}
    rest = [one for one in asked.by if one != name] or [one for one in _NEXT if one not in held] or ["model"]
    return {
        "where": [f"{one}={other}" for one, other in where],
        "by": rest[0],
        "by_key": None,
        "then": None,
        "then_key": None,
    }


def _can_drill(name: str) -> bool:
    return name in DIMENSIONS or ":" in name


def _of_row(request: PageRequest, asked: Asked, row: Figures) -> str:
    """Return the list of the traces with the calls of a row; empty where no filter of it says so."""
    pairs = list(zip(asked.by, row.group, strict=True))
    if not all(value and _can_drill(name) for name, value in pairs):
        return ""
    return _traces(request, asked, pairs)


def _traces(request: PageRequest, asked: Asked, more: list[tuple[str, str]] | None = None, **also: str) -> str:
    """Return the list of the traces whose calls are counted here."""
    query: dict[str, Any] = {"since": _moment(asked.stretch.since), "until": _moment(asked.stretch.until), **also}
    for name, value in [*asked.where, *(more or [])]:
        for field, held in in_traces(name, value).items():
            if field in {"tag", "attribute"}:
                query.setdefault(field, [])
                query[field] += [held] if held not in query[field] else []
            else:
                query[field] = held
    return with_query(request.href("/traces"), query)


def _export(request: PageRequest, asked: Asked) -> str:
    """Return the address of the same as CSV."""
    query: dict[str, Any] = {
        "group": list(asked.by),
        "since": iso(asked.stretch.since),
        "until": iso(asked.stretch.until),
        "where": [f"{name}={value}" for name, value in asked.where],
    }
    return with_query(f"/api/v1/projects/{request.project}/ledger/totals.csv", query)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")


def _chips(request: PageRequest, asked: Asked) -> list[tuple[str, str, str]]:
    """Return the filters that are set: what they are called, what they hold, and the page without them."""
    texts = [f"{name}={value}" for name, value in asked.where]
    return [
        (cost_range.label(name), value, request.url(where=texts[:place] + texts[place + 1 :], part=None))
        for place, (name, value) in enumerate(asked.where)
    ]
