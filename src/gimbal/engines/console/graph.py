"""A lineage graph as SVG: boxes in layers from left to right, what was used before what it made.

The method is Sugiyama's: layers by longest path, a way point in every layer that a long arrow crosses, and the order
within a layer by the middle of the neighbours (a few sweeps), so that arrows stay short and pass between the boxes.
"""

import itertools
from collections.abc import Mapping, Sequence

import msgspec
from markupsafe import Markup

_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 196, 48, 48, 16, 2
_SWEEPS = 6
_LANE = 20


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
    failed: bool = False
    """Whether something went wrong there."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An arrow from what was used to what used it."""

    source: str
    target: str
    note: str = ""
    """A word at the arrow: how often."""
    loose: bool = False
    """Drawn with a broken line: one followed the other, which is not the same as using it."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything goes."""

    layers: list[list[str]]
    """Ids by layer from left to right, each from top to bottom; way points of long arrows among them."""
    paths: list[list[str]]
    """For each arrow its source, its way points and its target."""


def layout(nodes: Sequence[Node], edges: Sequence[Edge]) -> Layout:
    """Arrange the graph; an arrow that would close a circle, or that misses an end, is left out."""
    after: dict[str, list[str]] = {node.id: [] for node in nodes}
    before: dict[str, list[str]] = {node.id: [] for node in nodes}
    kept: list[Edge] = []
    for edge in dict.fromkeys((edge.source, edge.target) for edge in edges):
        source, target = edge
        if source in after and target in after and not _reaches(after, target, source):
            after[source].append(target)
            before[target].append(source)
            kept.append(Edge(source=source, target=target))
    depth = _depths(after, before)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, layer in depth.items():
        layers[layer].append(name)
    paths: list[list[str]] = []
    left: dict[str, list[str]] = {name: [] for name in depth}
    right: dict[str, list[str]] = {name: [] for name in depth}
    for number, edge in enumerate(kept):
        between = range(depth[edge.source] + 1, depth[edge.target])
        path = [edge.source, *(f"\0{number}.{layer}" for layer in between), edge.target]
        for layer, point in zip(between, path[1:-1], strict=True):
            layers[layer].append(point)
        for one, other in itertools.pairwise(path):
            right.setdefault(one, []).append(other)
            left.setdefault(other, []).append(one)
        paths.append(path)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for index in range(1, len(layers)) if forward else range(len(layers) - 2, -1, -1):
            _order(layers, index, left if forward else right)
    return Layout(layers=layers, paths=paths)


def _depths(after: Mapping[str, list[str]], before: Mapping[str, list[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    waiting = list(after)
    while waiting:
        for name in [name for name in waiting if all(source in depth for source in before[name])]:
            depth[name] = max((depth[source] + 1 for source in before[name]), default=0)
        waiting = [name for name in waiting if name not in depth]
    # What has no input of its own stands right before what uses it, not at the far left.
    for name in after:
        if not before[name] and after[name]:
            depth[name] = min(depth[target] for target in after[name]) - 1
    return depth


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


def _order(layers: list[list[str]], index: int, near: Mapping[str, list[str]]) -> None:
    # Places are shares of the layer, so that a layer of one stands in the middle of its neighbour.
    place = {name: (i + 0.5) / len(row) for row in layers for i, name in enumerate(row)}

    def middle(name: str) -> float:
        names = near.get(name, [])
        return sum(place[other] for other in names) / len(names) if names else place[name]

    layers[index].sort(key=lambda name: (middle(name), place[name]))


def _height(name: str) -> int:
    return 0 if name.startswith("\0") else _BOX_HEIGHT


def render(nodes: Sequence[Node], edges: Sequence[Edge], label: str = "Lineage", *, circles: bool = False) -> Markup:
    """Return the graph as SVG of its natural size; the component around it scrolls when that is wider than the page.

    With `circles`, arrows that close one are drawn too, beneath the boxes.
    """
    plan = layout(nodes, edges)
    heights = [sum(_height(name) for name in row) + _GAP_Y * (len(row) - 1) for row in plan.layers]
    tallest = max(heights, default=0)
    width = _MARGIN * 2 + len(plan.layers) * (_BOX_WIDTH + _GAP_X) - (_GAP_X if plan.layers else 0)
    place: dict[str, tuple[float, float]] = {}
    for column, (row, used) in enumerate(zip(plan.layers, heights, strict=True)):
        top = _MARGIN + (tallest - used) / 2
        for name in row:
            place[name] = (_MARGIN + column * (_BOX_WIDTH + _GAP_X), top + _height(name) / 2)
            top += _height(name) + _GAP_Y
    told = {(edge.source, edge.target): edge for edge in edges}
    arrows = Markup("").join(_arrow([place[name] for name in path], told[path[0], path[-1]]) for path in plan.paths)
    drawn = {(path[0], path[-1]) for path in plan.paths}
    back = [edge for key, edge in told.items() if circles and key not in drawn and {*key} <= place.keys()]
    lowest = tallest + 2 * _MARGIN
    for number, edge in enumerate(back, 1):
        arrows += _back(place[edge.source], place[edge.target], lowest + number * _LANE - _LANE / 2, edge)
    lowest += len(back) * _LANE
    boxes = Markup("").join(_box(node, *place[node.id]) for node in nodes)
    return Markup(
        '<svg class="graph" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" aria-label="{label}">'
        '<g aria-hidden="true">{arrows}</g>{boxes}</svg>'
    ).format(w=width, h=round(lowest), label=label, arrows=arrows, boxes=boxes)


def _arrow(points: Sequence[tuple[float, float]], edge: Edge) -> Markup:
    x, y = points[0][0] + _BOX_WIDTH, points[0][1]
    path = f"M{x:.0f},{y:.0f}"
    for number, (left, middle) in enumerate(points[1:], 1):
        last = number == len(points) - 1
        bend = (left - x) / 2
        stop = left - 6 if last else left
        path += f" C{x + bend:.0f},{y:.0f} {left - bend:.0f},{middle:.0f} {stop:.0f},{middle:.0f}"
        x, y = left, middle
        if not last:  # straight through the layer, between its boxes
            x += _BOX_WIDTH
            path += f" H{x:.0f}"
    head = f"M{x:.0f},{y:.0f} l-7,-4 v8 z"
    middle = (points[0][0] + _BOX_WIDTH + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2
    return _drawn(path, head, edge, middle)


def _back(source: tuple[float, float], target: tuple[float, float], lane: float, edge: Edge) -> Markup:
    """Return an arrow that goes back: out of the bottom of a box, along a lane of its own, into the bottom of another."""
    start, end = source[0] + _BOX_WIDTH * 0.6, target[0] + _BOX_WIDTH * 0.4
    top, stop = source[1] + _BOX_HEIGHT / 2, target[1] + _BOX_HEIGHT / 2 + 6
    path = f"M{start:.0f},{top:.0f} V{lane - 8:.0f} Q{start:.0f},{lane:.0f} {start - 8:.0f},{lane:.0f} "
    path += f"H{end + 8:.0f} Q{end:.0f},{lane:.0f} {end:.0f},{lane - 8:.0f} V{stop:.0f}"
    return _drawn(path, f"M{end:.0f},{stop:.0f} l-4,7 h8 z", edge, ((start + end) / 2, lane))


def _drawn(path: str, head: str, edge: Edge, middle: tuple[float, float]) -> Markup:
    loose = " graph-loose" if edge.loose else ""
    drawn = Markup('<path class="graph-edge{}" d="{}"/><path class="graph-head" d="{}"/>').format(loose, path, head)
    if not edge.note:
        return drawn
    x, y = middle
    words = Markup('<text class="graph-note graph-count" x="{:.0f}" y="{:.0f}">{}</text>')
    return drawn + words.format(x, y + 4, edge.note)


def _box(node: Node, x: float, middle: float) -> Markup:
    y = middle - _BOX_HEIGHT / 2
    inner = Markup(
        '<rect class="graph-node{current}{failed}" x="{x:.0f}" y="{y:.1f}" width="{w}" height="{h}" rx="6"/>'
        '<rect class="graph-mark kind-{kind}" x="{mx:.0f}" y="{my:.1f}" width="4" height="{mh}" rx="2"/>'
        '<text class="graph-title" x="{tx:.0f}" y="{ty:.1f}">{title}</text>'
        '<text class="graph-note" x="{tx:.0f}" y="{ny:.1f}">{note}</text><title>{full}</title>'
    ).format(
        current=" graph-current" if node.current else "",
        failed=" graph-failed" if node.failed else "",
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
        title=_cut(node.title, 24),
        note=_cut(node.note, 27),
        full=f"{node.title} {node.note}".strip(),
    )
    if not node.href:
        return Markup("<g>{}</g>").format(inner)
    here = Markup(' aria-current="true"') if node.current else ""
    return Markup('<a href="{}"{}>{}</a>').format(node.href, here, inner)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
