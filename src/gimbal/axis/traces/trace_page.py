"""The console's page of one trace: the tree with its waterfall, the span that was chosen, and what it is like.

The page carries the trace's skeleton, from which a script draws the rows that are in sight. Without a script the server's
own rows stand there, so many to a page. A span, and what is slower to find out, are parts of the page that are fetched alone.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from gimbal.axis.traces import corrections
from gimbal.axis.traces.agent_graph import agent_graph
from gimbal.axis.traces.judgements import Judgement, Judgements
from gimbal.axis.traces.model import KINDS
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.shapes import Actor, AgentGraph, Similar, Skeleton, Standing
from gimbal.axis.traces.similar import similar
from gimbal.axis.traces.skeleton import read
from gimbal.axis.traces.span_view import view_of
from gimbal.axis.traces.within import find_spans, neighbours
from gimbal.engines.console import filters, graph
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.engines.console.svg import SpanRow
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke

_MOST_ROWS = 100
_MOST_JUDGED = 10_000
_json = msgspec.json.Encoder()
# A rank among fewer says little: its standard error is more than 0.1.
_ENOUGH = 20
_WORDS = {"duration": ("faster", "slower"), "cost": ("cheaper", "costlier"), "tokens": ("smaller", "larger")}
_MIDDLE = 0.05


@page("/traces/{id}", title="Trace", icon="traces")
async def trace_page(ctx: Context, request: PageRequest) -> View:
    """Show one trace, or one part of its page."""
    part = request.query.get("part", "")
    if part == "span":
        return await _span_part(ctx, request)
    found = await read(ctx, request.path["id"])
    bones, summary = found.skeleton, found.summary
    if part == "more":
        return View("traces/more_part.html", await _more(ctx, request, bones))
    if part:
        raise BadInput(f"There is no part {part!r}.", where="part", todo="Leave it out for the whole page.")
    fits = await _fitting(ctx, request, bones)
    asked = request.query.get("span", "")
    at = bones.ids.index(asked) if asked in bones.ids else 0
    # Whoever follows a link to a span sees the rows around it, unless they leaf through the others.
    beside = fits.index(at) if at in fits else 0
    last = max(len(fits) - 1, 0)
    first = min(max(request.number("from", beside // _MOST_ROWS * _MOST_ROWS), 0), last)
    judged, span, following = await asyncio.gather(
        _judged(ctx, bones, summary.session_id),
        ctx.get(Traces).span(ctx, summary.trace_id, bones.ids[at]),
        neighbours(ctx, summary),
    )
    scored = Counter(one.target_id for one in judged if one.target_kind == "span")
    data = {
        "summary": summary,
        "bones": bones,
        "encoded": _encoded(bones, scored),
        "rows": _rows(request, bones, fits[first : first + _MOST_ROWS], scored),
        "first": first,
        "most": _MOST_ROWS,
        "fitting": len(fits),
        "kinds": [kind for kind in KINDS if kind in bones.kinds],
        "failed": sum(bones.statuses[code] == "error" for code in bones.status),
        "view": view_of(span, request.project),
        "scores": [one for one in judged if one.target_kind != "span"],
        "corrected": await corrections.of_span(ctx, span),
        "span_scores": [one for one in judged if one.target_kind == "span" and one.target_id == span.span_id],
        "may_score": _may_score(ctx, request),
        "neighbours": following,
        "more": await _more(ctx, request, bones) if request.query.get("more") else None,
    }
    return View("traces/detail.html", data)


async def _span_part(ctx: Context, request: PageRequest) -> View:
    span = await ctx.get(Traces).span(ctx, request.path["id"], request.query.get("span", ""))
    judged: Sequence[Judgement] = []
    if ctx.services.has(Judgements):
        judged = await ctx.get(Judgements).of_trace(ctx, span.trace_id, [span.span_id], "")
    own = [one for one in judged if one.target_kind == "span"]
    data = {
        "view": view_of(span, request.project),
        "corrected": await corrections.of_span(ctx, span),
        "span_scores": own,
        "may_score": _may_score(ctx, request),
    }
    return View("traces/span_part.html", data)


def _may_score(ctx: Context, request: PageRequest) -> bool:
    return ctx.services.has(Judgements) and request.principal.may(Permission.DEVELOP, request.project)


@page_action("/traces/{id}/scores")
async def add_score_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Record what a person says of a span or of the whole trace."""
    trace_id, span_id = request.path["id"], form.need("span")
    back = request.href("/traces/{id}", id=trace_id, span=span_id)
    try:
        await ctx.get(Traces).span(ctx, trace_id, span_id)
        whole = form.get("of") == "trace"
        score = {
            "target_kind": "trace" if whole else "span",
            "target_id": trace_id if whole else span_id,
            "trace_id": "" if whole else trace_id,
            "name": form.need("name"),
            "value": _value(form.get("value", "").strip()),
            "label": form.get("label", "").strip(),
            "explanation": form.get("explanation", "").strip(),
            "source": "human",
        }
        record = find("scores.record")
        body = next(parameter.type for parameter in record.parameters if parameter.place == "body")
        given = msgspec.convert({"scores": [score]}, body)
        await invoke(record, ctx, {"project": request.project, "body": given})
    except GimbalError as error:
        return Redirect(back, flash=" ".join(filter(None, [error.message, error.todo])), tone="bad")
    return Redirect(back, flash=f"The score {score['name']} is recorded.")


def _value(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise BadInput(f"{text!r} is not a number.", where="value", todo="Give a number, or a label.") from None


async def _judged(ctx: Context, bones: Skeleton, session_id: str) -> Sequence[Judgement]:
    """Return what was said of a trace, its spans and its session, where this process has who keeps it."""
    if not ctx.services.has(Judgements):
        return []
    return await ctx.get(Judgements).of_trace(ctx, bones.trace_id, bones.ids[:_MOST_JUDGED], session_id)


async def _fitting(ctx: Context, request: PageRequest, bones: Skeleton) -> list[int]:
    """Return the places of the spans that the page's filters let through, without a script."""
    query = request.query
    places = list(range(len(bones.ids)))
    if kind := query.get("kind"):
        places = [place for place in places if bones.kinds[bones.kind[place]] == kind]
    if status := query.get("status"):
        places = [place for place in places if bones.statuses[bones.status[place]] == status]
    if name := query.get("name"):
        places = [
            place for place in places if name in (bones.names[bones.name[place]], bones.models[bones.model[place]])
        ]
    if text := query.get("q", "").strip():
        having = set((await find_spans(ctx, bones.trace_id, text)).ids)
        places = [place for place in places if bones.ids[place] in having]
    return places


def _rows(request: PageRequest, bones: Skeleton, places: Sequence[int], scored: Counter[str]) -> list[SpanRow]:
    depths: list[int] = []
    for up in bones.parent:
        depths.append(0 if up < 0 else depths[up] + 1)
    return [
        SpanRow(
            id=bones.ids[place],
            name=bones.names[bones.name[place]],
            kind=bones.kinds[bones.kind[place]],
            depth=depths[place],
            start_us=bones.start[place],
            end_us=bones.start[place] + bones.duration[place],
            href=request.url(span=bones.ids[place], **{"from": None}),
            note=_note(bones, place, scored[bones.ids[place]]),
            failed=bones.statuses[bones.status[place]] == "error",
        )
        for place in places
    ]


def _note(bones: Skeleton, place: int, scores: int) -> str:
    tokens = bones.tokens[place]
    judged = f"{scores} {'score' if scores == 1 else 'scores'}" if scores else ""
    spent = "" if tokens is None else f"{tokens} tokens"
    return " · ".join(filter(None, [bones.models[bones.model[place]], spent, judged]))


def _encoded(bones: Skeleton, scored: Counter[str]) -> Markup:
    """Return the skeleton for a script element: nothing in it can end the element."""
    places = {span_id: place for place, span_id in enumerate(bones.ids)} if scored else {}
    scores = {str(places[span_id]): count for span_id, count in scored.items() if span_id in places}
    text = _json.encode({"bones": bones, "scores": scores}).decode()
    for sign, written in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, written)
    return Markup(text)  # noqa: S704 - JSON whose signs of markup are written as escapes


async def _more(ctx: Context, request: PageRequest, bones: Skeleton) -> dict[str, Any]:
    """Return what is like the trace and who worked in it."""
    alike = await similar(ctx, bones.trace_id)
    actors = agent_graph(bones)
    nodes = [
        graph.Node(
            id=actor.id,
            title=actor.name,
            note=_about(actor),
            kind=actor.kind,
            href=with_filter(request, bones.trace_id, actor),
            failed=actor.errors > 0,
        )
        for actor in actors.actors
    ]
    return {
        "similar": alike,
        "standings": _told(alike),
        "actors": actors,
        "graph_nodes": nodes,
        "graph_edges": _edges(actors),
        "percent": _percent,
    }


def with_filter(request: PageRequest, trace_id: str, actor: Actor) -> str:
    """Return the address of the page with the spans of an actor alone."""
    return request.href("/traces/{id}", id=trace_id, kind=actor.kind, name=actor.name)


def _edges(actors: AgentGraph) -> list[graph.Edge]:
    merged: dict[tuple[str, str], graph.Edge] = {}
    for link in actors.links:
        note = f"then {link.count}×" if link.handoff else f"{link.count}×"
        before = merged.get((link.source, link.target))
        merged[link.source, link.target] = graph.Edge(
            source=link.source,
            target=link.target,
            note=f"{before.note}, {note}" if before else note,
            loose=link.handoff and before is None,
        )
    return list(merged.values())


def _about(actor: Actor) -> str:
    failed = f"{actor.errors} failed" if actor.errors else ""
    cost = "" if actor.cost is None else filters.money(actor.cost)
    return " · ".join(filter(None, [f"{actor.spans}×", filters.duration(actor.duration_us / 1e6), cost, failed]))


def _percent(share: float) -> str:
    """Return a share in whole per cent; only what is all or nothing is 100 or 0."""
    return f"{min(max(round(share * 100), 1), 99) if 0 < share < 1 else round(share * 100)} %"


def _told(alike: Similar) -> list[str]:
    """Return in words how a trace stands among those of its root's name, where those are enough to tell."""
    return [_standing(one) for one in alike.standings if one.among >= _ENOUGH]


def _standing(one: Standing) -> str:
    less, more = _WORDS[one.measure]
    if abs(one.below - 0.5) <= _MIDDLE:
        return f"in the middle of {one.among:,} by {one.measure}"
    if one.below >= 0.5:
        return f"{more} than {_percent(one.below)} of {one.among:,}"
    return f"{less} than {_percent(1 - one.below)} of {one.among:,}"
