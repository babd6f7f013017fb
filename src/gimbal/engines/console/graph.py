"""A lineage graph as SVG: boxes in layers from left to right, what was used before what it made.

Layers by longest path, order within a layer by the middle of the neighbours (a few sweeps of the Sugiyama method).
"""

from collections.abc import Mapping, Sequence

import msgspec
from markupsafe import Markup

_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 208, 48, 56, 16, 8
_SWEEPS = 4


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One box."""

    id: str
    title: str
    """First line: the name, cut when too long."""
    note: str = ""
    """Second line, quieter: the version or the kind."""
    kind: str = "other"
    """Asset kind or `run`; gives the colour of the mark."""
    href: str = ""
    current: bool = False
    """Whether the page is about this one."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An arrow from what was used to what used it."""

    source: str
    target: str


def layers(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[list[str]]:
    """Return node ids by layer, each ordered to keep arrows short; arrows that would close a circle are left out."""
    ids = [node.id for node in nodes]
    known = set(ids)
    after: dict[str, list[str]] = {name: [] for name in ids}
    before: dict[str, list[str]] = {name: [] for name in ids}
    for edge in edges:
        if edge.source in known and edge.target in known and not _reaches(after, edge.target, edge.source):
            after[edge.source].append(edge.target)
            before[edge.target].append(edge.source)
    depth: dict[str, int] = {}
    waiting = list(ids)
    while waiting:
        ready = [name for name in waiting if all(source in depth for source in before[name])]
        for name in ready:
            depth[name] = max((depth[source] + 1 for source in before[name]), default=0)
        waiting = [name for name in waiting if name not in depth]
    # A source with no input of its own stands right before what uses it, not at the far left.
    for name in ids:
        if not before[name] and after[name]:
            depth[name] = min(depth[target] for target in after[name]) - 1
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in ids:
        rows[depth[name]].append(name)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        near = before if forward else after
        for index in range(1, len(rows)) if forward else range(len(rows) - 2, -1, -1):
            place = {name: i for row in rows for i, name in enumerate(row)}
            rows[index].sort(key=lambda name: (_middle(place, near[name], place[name]), place[name]))
    return rows


def _reaches(after: Mapping[str, list[str]], start: str, goal: str) -> bool:
    seen, stack = {start}, [start]
    while stack:
        name = stack.pop()
        if name == goal:
            return True
        fresh = [target for target in after[name] if target not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return False


def _middle(place: Mapping[str, int], names: Sequence[str], own: int) -> float:
    return sum(place[name] for name in names) / len(names) if names else float(own)


def render(nodes: Sequence[Node], edges: Sequence[Edge], label: str = "Lineage") -> Markup:
    """Return the graph as SVG of its natural size; the component around it scrolls when that is wider than the page."""
    rows = layers(nodes, edges)
    tallest = max((len(row) for row in rows), default=0)
    width = _MARGIN * 2 + len(rows) * _BOX_WIDTH + max(0, len(rows) - 1) * _GAP_X
    height = _MARGIN * 2 + tallest * _BOX_HEIGHT + max(0, tallest - 1) * _GAP_Y
    place: dict[str, tuple[float, float]] = {}
    for column, row in enumerate(rows):
        used = len(row) * _BOX_HEIGHT + (len(row) - 1) * _GAP_Y
        top = (height - used) / 2
        for index, name in enumerate(row):
            x = _MARGIN + column * (_BOX_WIDTH + _GAP_X)
            place[name] = (float(x), top + index * (_BOX_HEIGHT + _GAP_Y))
    arrows = Markup("").join(
        _arrow(place[edge.source], place[edge.target])
        for edge in edges
        if edge.source in place and edge.target in place
    )
    boxes = Markup("").join(_box(node, *place[node.id]) for node in nodes)
    return Markup(
        '<svg class="graph" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" aria-label="{label}">'
        '<g class="graph-edges" aria-hidden="true">{arrows}</g>{boxes}</svg>'
    ).format(w=width, h=round(height), label=label, arrows=arrows, boxes=boxes)


def _arrow(source: tuple[float, float], target: tuple[float, float]) -> Markup:
    x1, y1 = source[0] + _BOX_WIDTH, source[1] + _BOX_HEIGHT / 2
    x2, y2 = target[0] - 6, target[1] + _BOX_HEIGHT / 2
    bend = max(_GAP_X / 2, abs(x2 - x1) / 2 if x2 > x1 else _BOX_WIDTH)
    path = f"M{x1:.0f},{y1:.0f} C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
    head = f"M{x2 + 6:.0f},{y2:.0f} l-7,-4 v8 z"
    return Markup('<path class="graph-edge" d="{}"/><path class="graph-head" d="{}"/>').format(path, head)


def _box(node: Node, x: float, y: float) -> Markup:
    inner = Markup(
        '<rect class="graph-node{current}" x="{x:.0f}" y="{y:.1f}" width="{w}" height="{h}" rx="6"/>'
        '<rect class="graph-mark kind-{kind}" x="{mx:.0f}" y="{my:.1f}" width="4" height="{mh}" rx="2"/>'
        '<text class="graph-title" x="{tx:.0f}" y="{ty:.1f}">{title}</text>'
        '<text class="graph-note" x="{tx:.0f}" y="{ny:.1f}">{note}</text><title>{full}</title>'
    ).format(
        current=" graph-current" if node.current else "",
        kind=node.kind,
        x=x,
        y=y,
        w=_BOX_WIDTH,
        h=_BOX_HEIGHT,
        mx=x + 8,
        my=y + 10,
        mh=_BOX_HEIGHT - 20,
        tx=x + 20,
        ty=y + (21 if node.note else 29),
        ny=y + 37,
        title=_cut(node.title, 25),
        note=_cut(node.note, 29),
        full=f"{node.title} {node.note}".strip(),
    )
    if not node.href:
        return Markup("<g>{}</g>").format(inner)
    return Markup('<a href="{}"{}>{}</a>').format(
        node.href, Markup(' aria-current="true"') if node.current else "", inner
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
