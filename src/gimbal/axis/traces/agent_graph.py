"""The agents, models and tools of a trace as a graph: who called what, how often, and who handed over to whom."""

from collections.abc import Iterable
from decimal import Decimal

from gimbal.axis.traces.shapes import Actor, AgentGraph, Link, Skeleton

# What only groups others is no place of its own; a trace without agents begins at its root.
ACTORS = frozenset({"agent", "llm", "tool", "retriever", "reranker", "embedding", "guard", "evaluator", "prediction"})
MOST_NODES = 60


def agent_graph(bones: Skeleton) -> AgentGraph:
    """Return the graph of a trace's skeleton."""
    key_at = _keys(bones)
    above = _nearest(bones.parent, key_at)
    calls: dict[tuple[str, str, bool], int] = {}
    spans: dict[str, list[int]] = {}
    for place, key in enumerate(key_at):
        if not key:
            continue
        spans.setdefault(key, []).append(place)
        up = above[place]
        if up >= 0:
            link = (key_at[up], key, False)
            calls[link] = calls.get(link, 0) + 1
    for link in _handoffs(bones, key_at, above):
        calls[link] = calls.get(link, 0) + 1
    kept = set(sorted(spans, key=lambda key: -len(spans[key]))[:MOST_NODES])
    actors = [_actor(bones, key, places, key_at, above) for key, places in spans.items() if key in kept]
    links = [
        Link(source=source, target=target, count=count, handoff=handoff)
        for (source, target, handoff), count in calls.items()
        if source in kept and target in kept
    ]
    return AgentGraph(actors=actors, links=links, left_out=len(spans) - len(kept))


def _keys(bones: Skeleton) -> list[str]:
    """Return of each span to which actor it belongs; an empty text for what is none."""
    found: list[str] = []
    for place, (kind_at, name_at) in enumerate(zip(bones.kind, bones.name, strict=True)):
        kind, name = bones.kinds[kind_at], bones.names[name_at]
        if kind == "llm":
            name = bones.models[bones.model[place]] or name
        found.append(f"{kind} {name}" if kind in ACTORS else "")
    for place, up in enumerate(bones.parent):
        if up < 0 and not found[place]:
            found[place] = f"{bones.kinds[bones.kind[place]]} {bones.names[bones.name[place]]}"
    return found


def _nearest(parent: list[int], key_at: list[str]) -> list[int]:
    """Return of each span the place of the nearest actor above it; -1 where there is none."""
    found: list[int] = []
    for up in parent:
        found.append(-1 if up < 0 else up if key_at[up] else found[up])
    return found


def _handoffs(bones: Skeleton, key_at: list[str], above: list[int]) -> Iterable[tuple[str, str, bool]]:
    """Yield the agents that followed one another under the same actor, the second after the first had ended."""
    agent = bones.kinds.index("agent") if "agent" in bones.kinds else -1
    last: dict[int, int] = {}
    for place, kind in sorted(enumerate(bones.kind), key=lambda one: bones.start[one[0]]):
        if kind != agent:
            continue
        before = last.get(above[place])
        if before is not None and key_at[before] != key_at[place]:
            ended = bones.start[before] + bones.duration[before]
            if ended <= bones.start[place]:
                yield key_at[before], key_at[place], True
        last[above[place]] = place


def _actor(bones: Skeleton, key: str, places: list[int], key_at: list[str], above: list[int]) -> Actor:
    kind, _, name = key.partition(" ")
    costs: list[Decimal] = []
    for place in places:
        up, cost = above[place], bones.all_cost[place]
        # An agent that calls itself spends what is beneath it once.
        while up >= 0 and key_at[up] != key:
            up = above[up]
        if up < 0 and cost is not None:
            costs.append(cost)
    return Actor(
        id=key,
        kind=kind,
        name=name,
        spans=len(places),
        errors=sum(bones.statuses[bones.status[place]] == "error" for place in places),
        duration_us=sum(bones.duration[place] for place in places),
        cost=sum(costs, Decimal(0)) if costs else None,
    )
