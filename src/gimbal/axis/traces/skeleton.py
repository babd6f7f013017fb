"""The skeleton of a trace: the shape, times and sums of its spans without what they carry, however many there are.

Columns are arrays, and texts that come again are numbers into a list of them, so that a page can hold a trace of tens of
thousands of spans. Spans stand in the order of the tree: a parent before its children, those by their start.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.pricing.model import TOTALS
from gimbal.axis.traces import span_events, tree
from gimbal.axis.traces.counting import CALL
from gimbal.axis.traces.model import WASTED, TraceSummary
from gimbal.axis.traces.service import Traces, arrived, check_trace_id
from gimbal.axis.traces.shapes import Skeleton
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context

MOST_BONES = 100_000
_AT_ONCE = 1000
_READ: tuple[str, ...] = tuple(
    dict.fromkeys(
        ("span_id", "parent_id", "is_root", "name", "kind", "start_us", "end_us", "status", "model", "feature", "user_id",
         "session_id", "weight", "saved", *CALL)
    )
)  # fmt: skip
# What may be told later, by events of the span.
_TOLD = ("name", "kind", "status", "model", "billable", "cost", "saved", "cached", "unpriced", "response_id", "estimated",
         "session_id", "user_id", "feature")  # fmt: skip
_COUNTED: tuple[str, ...] = (*CALL, "kind")
Bones = dict[str, list[Any]]
"""Columns of the table by their names."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A trace as its page needs it."""

    summary: TraceSummary
    skeleton: Skeleton


async def read(ctx: Context, trace_id: str) -> Reading:
    """Return the skeleton of a trace with its summary. Raise NotFound."""
    check_trace_id(trace_id)
    project = ctx.project or "default"
    await arrived(ctx)
    found = await _bones(ctx, project, trace_id)
    size = len(found["span_id"])
    if not size:
        raise ctx.get(Traces).missing(trace_id)
    order, parent = in_order(found["span_id"], found["parent_id"])
    bones = {name: [column[place] for place in order] for name, column in found.items()}
    if size == MOST_BONES:
        summary = (await ctx.get(Traces).summaries(ctx, [trace_id]))[trace_id]
    else:
        summary = summary_of(trace_id, bones)
    return Reading(summary=summary, skeleton=skeleton_of(trace_id, bones, parent, summary.spans))


async def _bones(ctx: Context, project: str, trace_id: str) -> Bones:
    """Return the light columns of the newest version of each span, by start, each call counted once."""
    names = ", ".join(_READ)
    table = await ctx.get(Columns).arrow(
        f"SELECT {names} FROM (SELECT {names} FROM spans WHERE project = {{project:String}} "
        "AND trace_id = {id:String} ORDER BY written_us DESC LIMIT 1 BY span_id) WHERE weight > 0 "
        "ORDER BY start_us, span_id LIMIT {most:UInt32}",
        {"project": project, "id": trace_id, "most": MOST_BONES},
    )
    bones: Bones = {name: table.column(name).to_pylist() for name in _READ}
    await _tell_events(ctx, project, trace_id, bones)
    if _doubtful(bones):
        rows = [dict(zip(_COUNTED, row, strict=True)) for row in zip(*(bones[name] for name in _COUNTED), strict=True)]
        repeated = tree.repeated_rows(rows)
        for place, span_id in enumerate(bones["span_id"]):
            if (trace_id, span_id) in repeated:
                bones["billable"][place], bones["cost"][place], bones["unpriced"][place] = False, None, ""
    return bones


async def _tell_events(ctx: Context, project: str, trace_id: str, bones: Bones) -> None:
    """Put what events that came apart from their spans say into the columns."""
    events = await span_events.of_traces(ctx.get(Columns), project, [trace_id])
    told = {span_id for _, span_id in events}
    places = {span_id: place for place, span_id in enumerate(bones["span_id"]) if span_id in told}
    ids = list(places)
    for first in range(0, len(ids), _AT_ONCE):
        for span in await ctx.get(Traces).some(ctx, trace_id, ids[first : first + _AT_ONCE], events):
            for name in _TOLD:
                bones[name][places[span.span_id]] = getattr(span, name)
            for name in TOTALS:
                # Totals of a usage that nobody reported are unknown.
                bones[name][places[span.span_id]] = getattr(span.usage, name, None)


def _doubtful(bones: Bones) -> bool:
    """Tell whether two spans may count one call, because they came in requests of their own."""
    if sum(map(bool, bones["is_root"])) > 1:
        return True
    counted = zip(
        bones["span_id"], bones["billable"], bones["input_tokens"], bones["unpriced"], bones["response_id"], strict=True
    )
    calls = [
        (span_id, answer) for span_id, billed, tokens, why, answer in counted if billed and (tokens is not None or why)
    ]
    answers = [answer for _, answer in calls if answer]
    above = set(bones["parent_id"])
    return len(set(answers)) < len(answers) or any(span_id in above for span_id, _ in calls)


def in_order(ids: Sequence[str], parent_ids: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the places of the spans in the order of the tree, and of each its parent's place in that order."""
    above = tree.parents(("", span_id, parent_id) for span_id, parent_id in zip(ids, parent_ids, strict=True))
    children: dict[str, list[int]] = {}
    roots: list[int] = []
    for place, span_id in enumerate(ids):
        up = above["", span_id]
        (roots if up is None else children.setdefault(up[1], [])).append(place)
    order: list[int] = []
    parent: list[int] = []
    todo = [(place, -1) for place in reversed(roots)]
    while todo:
        place, up = todo.pop()
        here = len(order)
        order.append(place)
        parent.append(up)
        if ids[place] in children:
            todo += [(child, here) for child in reversed(children[ids[place]])]
    return order, parent


def skeleton_of(trace_id: str, bones: Bones, parent: list[int], spans: int) -> Skeleton:
    """Return the skeleton of spans that stand in the order of the tree."""
    begun = min(bones["start_us"])
    starts = [at_us - begun for at_us in bones["start_us"]]
    ends = [max(at_us - begun, start) for at_us, start in zip(bones["end_us"], starts, strict=True)]
    names, kinds, models, statuses = (_coded(bones[of]) for of in ("name", "kind", "model", "status"))
    billed = bones["billable"]
    tokens = [
        went_in + (came_out or 0) if counted and went_in is not None else None
        for counted, went_in, came_out in zip(billed, bones["input_tokens"], bones["output_tokens"], strict=True)
    ]
    costs = [_plain(cost) if counted else None for counted, cost in zip(billed, bones["cost"], strict=True)]
    all_tokens, all_costs = list(tokens), list(costs)
    errors = [int(status == "error") for status in bones["status"]]
    for place in range(len(parent) - 1, 0, -1):
        up = parent[place]
        if up < 0:
            continue
        errors[up] += errors[place]
        more, paid = all_tokens[place], all_costs[place]
        if more is not None:
            all_tokens[up] = (all_tokens[up] or 0) + more
        if paid is not None:
            all_costs[up] = (all_costs[up] or 0) + paid
    return Skeleton(
        trace_id=trace_id,
        spans=spans,
        start_us=begun,
        length_us=max(ends),
        names=names[0],
        kinds=kinds[0],
        models=models[0],
        statuses=statuses[0],
        ids=bones["span_id"],
        parent=parent,
        name=names[1],
        kind=kinds[1],
        model=models[1],
        status=statuses[1],
        start=starts,
        duration=[end - start for start, end in zip(starts, ends, strict=True)],
        tokens=tokens,
        cost=costs,
        all_tokens=all_tokens,
        all_cost=[_plain(cost) for cost in all_costs],
        all_errors=errors,
        unpriced=[place for place, why in enumerate(bones["unpriced"]) if why and billed[place]],
        cached=[place for place, hit in enumerate(bones["cached"]) if hit and billed[place]],
        orphans=[place for place, up in enumerate(parent) if up < 0 and bones["parent_id"][place]],
        critical=critical_path(parent, starts, ends),
    )


def critical_path(parent: Sequence[int], starts: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Return what the end of the trace waited for: from its end backwards always the child that ended last before.

    Of several roots that counts which ends last. What runs on after its parent has ended is not waited for.
    """
    children: dict[int, list[int]] = {}
    for place, up in enumerate(parent):
        children.setdefault(up, []).append(place)
    root = max(children[-1], key=lambda place: (ends[place], -place))
    found, todo = [root], [(root, ends[root])]
    while todo:
        place, until = todo.pop()
        for child in sorted(children.get(place, []), key=lambda one: (ends[one], starts[one]), reverse=True):
            if ends[child] <= until:
                found.append(child)
                todo.append((child, ends[child]))
                until = starts[child]
    return sorted(found)


def _coded(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    places: dict[str, int] = {}
    coded = [places.setdefault(text, len(places)) for text in texts]
    return list(places), coded


def _plain(cost: Decimal | None) -> Decimal | None:
    return None if cost is None else cost.normalize() + 0


def summary_of(trace_id: str, bones: Bones) -> TraceSummary:
    """Return the sums of a whole trace, by the same rules as `SpanStore.totals`."""
    ids, parents, starts = bones["span_id"], bones["parent_id"], bones["start_us"]
    known = set(ids)
    heads = [place for place, is_root in enumerate(bones["is_root"]) if is_root or parents[place] not in known] or [0]
    head = min(heads, key=lambda place: (parents[place] != "", starts[place], ids[place]))
    counted = [place for place, billed in enumerate(bones["billable"]) if billed]
    used = [place for place in counted if bones["input_tokens"][place] is not None]
    paid = [place for place in counted if bones["cost"][place] is not None]
    wasted = [bones["cost"][place] for place in paid if bones["status"][place] in WASTED]
    saved = [bones["saved"][place] for place in counted if bones["saved"][place] is not None]
    errors = bones["status"].count("error")

    def said(name: str) -> str:
        column = bones[name]
        return (
            column[head]
            or column[min((p for p, word in enumerate(column) if word), key=lambda p: starts[p], default=head)]
        )

    return TraceSummary(
        trace_id=trace_id,
        name=bones["name"][head],
        kind=bones["kind"][head],
        start=from_us(starts[head]),
        duration_us=bones["end_us"][head] - starts[head],
        status="error" if errors else bones["status"][head],
        spans=len(ids),
        errors=errors,
        model=said("model"),
        feature=said("feature"),
        user_id=said("user_id"),
        session_id=said("session_id"),
        input_tokens=sum(bones["input_tokens"][place] for place in used) if used else None,
        output_tokens=sum(bones["output_tokens"][place] or 0 for place in used) if used else None,
        cost=_plain(sum((bones["cost"][place] for place in paid), Decimal(0))) if paid else None,
        unpriced=sum(bool(bones["unpriced"][place]) for place in counted),
        saved=_plain(sum(saved, Decimal(0))) if saved else None,
        wasted=_plain(sum(wasted, Decimal(0))) if wasted else None,
        weight=min(bones["weight"]),
    )
