"""The skeleton of a trace: its tree however broken it came, its sums, what the end waited for, and who worked in it."""

import random
from decimal import Decimal

import httpx
import pytest
from tests.axis.traces import wire

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import skeleton
from gimbal.axis.traces.agent_graph import agent_graph
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.shapes import Skeleton
from gimbal.axis.traces.skeleton import critical_path, in_order, read
from gimbal.axis.traces.within import find_spans, neighbours
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound

START = wire.START


def span(trace: str, number: int, parent: int | None = None, at_ms: int = 0, ms: int = 10, **fields: object) -> Span:
    start = START + at_ms * 1000
    given = {"name": f"s{number}", "start_us": start, "end_us": start + ms * 1000} | fields
    return Span(trace_id=trace, span_id=f"{number:016x}", parent_id="" if parent is None else f"{parent:016x}", **given)  # type: ignore[arg-type]


def names(bones: Skeleton) -> list[str]:
    return [bones.names[at] for at in bones.name]


async def test_the_tree_its_times_and_its_sums(traces: Traces, here: Context) -> None:
    """A parent before its children; each call once, in every sum above it."""
    trace = wire.trace_id()
    usage = Usage(input=1000, output=100)
    call = {"kind": "llm", "provider": "openai", "model": "gpt-4o", "usage": usage}
    await traces.record(
        here,
        [
            span(trace, 1, ms=100, kind="agent", session_id="s", feature="help"),
            span(trace, 2, 1, 10, 30, **call),
            span(trace, 3, 1, 50, 40, kind="chain", usage=usage),
            span(trace, 4, 3, 55, 20, **call),
            span(trace, 5, 3, 80, 5, kind="tool", status="error"),
            span(trace, 6, 1, 90, 5, kind="llm", model="own", usage=usage),
        ],
    )
    whole = await traces.get(here, trace)

    found = await read(here, trace)

    bones = found.skeleton
    assert names(bones) == ["s1", "s2", "s3", "s4", "s5", "s6"]
    assert bones.parent == [-1, 0, 0, 2, 2, 0]
    assert bones.start == [0, 10_000, 50_000, 55_000, 80_000, 90_000]
    assert bones.duration == [100_000, 30_000, 40_000, 20_000, 5_000, 5_000]
    assert bones.all_errors == [1, 0, 1, 0, 1, 0]
    cost = Decimal("0.0035")
    assert bones.cost == [None, cost, None, cost, None, None]
    assert bones.all_cost == [cost * 2, cost, cost, cost, None, None]
    assert bones.all_tokens == [3300, 1100, 1100, 1100, None, 1100]
    assert bones.unpriced == [5]
    assert (bones.spans, bones.length_us, bones.orphans) == (6, 100_000, [])
    assert found.summary == whole.summary


async def test_broken_trees_are_whole(traces: Traces, here: Context) -> None:
    """Orphans stand at the top, circles are cut, and no span is lost or comes twice."""
    trace = wire.trace_id()
    await traces.record(
        here,
        [
            span(trace, 1),
            span(trace, 2, 99),
            span(trace, 3, 4),
            span(trace, 4, 5),
            span(trace, 5, 3),
            span(trace, 6, 6),
        ],
    )
    bones = (await read(here, trace)).skeleton
    assert sorted(names(bones)) == ["s1", "s2", "s3", "s4", "s5", "s6"]
    assert all(up < place for place, up in enumerate(bones.parent))
    assert names(bones)[bones.orphans[0]] == "s2"


async def test_what_came_late_from_elsewhere_is_counted_once(traces: Traces, here: Context) -> None:
    """A wrapper in one request, the call that it wraps in another; also for the span alone."""
    trace, usage = wire.trace_id(), Usage(input=1000, output=100)
    call = {"kind": "llm", "provider": "openai", "model": "gpt-4o", "usage": usage}
    await traces.record(here, [span(trace, 1), span(trace, 2, 1, **call)])
    await traces.record(here, [span(trace, 3, 2, **call)])

    found = await read(here, trace)

    assert found.skeleton.all_cost == [Decimal("0.0035")] * 3
    assert found.skeleton.cost == [None, None, Decimal("0.0035")]
    assert found.summary == (await traces.get(here, trace)).summary
    alone = [await traces.span(here, trace, f"{number:016x}") for number in (2, 3)]
    assert [(one.billable, one.cost) for one in alone] == [(False, None), (True, Decimal("0.0035"))]


async def test_a_trace_longer_than_can_be_shown_says_how_long_it_is(
    traces: Traces, here: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first spans by start, and the number and sums of all."""
    trace = wire.trace_id()
    await traces.record(here, [span(trace, number, None if number == 1 else 1, number) for number in range(1, 31)])
    monkeypatch.setattr(skeleton, "MOST_BONES", 10)
    found = await read(here, trace)
    assert (len(found.skeleton.ids), found.skeleton.spans, found.summary.spans) == (10, 30, 30)


async def test_the_operations_answer_and_know_no_other_project(site: httpx.AsyncClient, here: Context) -> None:
    """Over HTTP: the skeleton, one span, a text, the graph and what is alike; 404 for what is not there, or elsewhere."""
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.span(trace, 1, name="ask"), wire.chat(trace, 2, 1)))
    base = f"/api/v1/projects/{here.project}/traces"

    bones = (await site.get(f"{base}/{trace}/skeleton")).json()
    one = (await site.get(f"{base}/{trace}/spans/{2:016x}")).json()

    assert (bones["names"], bones["parent"], bones["cost"]) == (["ask", "chat gpt-4o"], [-1, 0], [None, "0.0035"])
    assert (one["name"], one["cost"]) == ("chat gpt-4o", "0.0035")
    assert (await site.get(f"{base}/{trace}/find", params={"text": "GPT-4O"})).json()["ids"] == [f"{2:016x}"]
    assert [actor["name"] for actor in (await site.get(f"{base}/{trace}/graph")).json()["actors"]] == ["ask", "gpt-4o"]
    elsewhere = here.within("other")
    for question in (read(elsewhere, trace), find_spans(elsewhere, trace, "ask")):
        with pytest.raises(NotFound):
            await question
    for path in (f"{'f' * 32}/skeleton", "x/skeleton", f"{trace}/spans/x", f"{'f' * 32}/graph", f"{'f' * 32}/similar"):
        assert (await site.get(f"{base}/{path}")).status_code == 404, path
    assert (await site.get(f"{base}/{trace}/find", params={"text": " "})).status_code == 400


async def test_text_is_found_as_text(traces: Traces, here: Context) -> None:
    """Signs of patterns and of SQL mean themselves."""
    trace = wire.trace_id()
    await traces.record(
        here, [span(trace, 1, input='"100 % of it\'s \\\\d+"'), span(trace, 2, 1, input='"1000 of it"')]
    )
    assert (await find_spans(here, trace, "% OF it's")).ids == [f"{1:016x}"]
    assert (await find_spans(here, trace, "_")).ids == []
    with pytest.raises(BadInput):
        await find_spans(here, trace, "x" * 1001)


async def test_neighbours_are_those_of_the_session(traces: Traces, here: Context) -> None:
    """By start; of another session, or of none, there are none."""
    found = [wire.trace_id() for _ in range(4)]
    for place, trace in enumerate(found):
        await traces.record(here, [span(trace, 1, at_ms=place, session_id="other" if place == 3 else "one")])
    beside = [await neighbours(here, (await read(here, trace)).summary) for trace in found]
    assert [(one.before, one.after) for one in beside] == [
        ("", found[1]),
        (found[0], found[2]),
        (found[1], ""),
        ("", ""),
    ]


@pytest.mark.parametrize(
    ("parent", "starts", "ends", "critical"),
    [
        ([-1], [0], [10], [0]),
        # One after the other: all of them. Side by side: the one that ended last.
        ([-1, 0, 0], [0, 1, 5], [10, 4, 9], [0, 1, 2]),
        ([-1, 0, 0], [0, 1, 1], [10, 4, 9], [0, 2]),
        # What runs on after its parent is not waited for; its own children are not either.
        ([-1, 0, 1, 0], [0, 1, 2, 3], [10, 20, 19, 8], [0, 3]),
        ([-1, 0, 1, 1], [0, 1, 2, 5], [10, 9, 4, 8], [0, 1, 2, 3]),
        # Of two roots the one that ends last.
        ([-1, -1], [0, 5], [3, 9], [1]),
    ],
)
def test_the_critical_path(parent: list[int], starts: list[int], ends: list[int], critical: list[int]) -> None:
    """From the end backwards always the child that ended last before."""
    assert critical_path(parent, starts, ends) == critical


def test_any_tangle_of_parents_becomes_a_tree() -> None:
    """A thousand spans with parents drawn at random, themselves among them; and a chain of 20,000."""
    draw = random.Random(4)
    ids = [f"{number:x}" for number in range(1000)]
    order, parent = in_order(ids, [draw.choice([*ids, "", "gone"]) for _ in ids])
    assert sorted(order) == list(range(1000))
    assert all(up < place for place, up in enumerate(parent))
    chain = [f"{number:x}" for number in range(20_000)]
    order, parent = in_order(chain, ["", *chain[:-1]])
    assert (order, parent) == (list(range(20_000)), list(range(-1, 19_999)))


async def test_the_graph_merges_by_kind_and_name(traces: Traces, here: Context) -> None:
    """Counts, errors, calls through what is no actor, an agent that calls itself, and a handoff."""
    trace = wire.trace_id()
    agent, tool = {"kind": "agent"}, {"kind": "tool", "name": "search"}
    paid = {"kind": "llm", "name": "chat", "model": "gpt-4o", "cost": Decimal("0.5")}
    await traces.record(
        here,
        [
            span(trace, 1, ms=500, name="flow", kind="chain"),
            span(trace, 2, 1, 0, 100, name="plan", **agent),
            span(trace, 3, 2, 1, 5, name="step", kind="chain"),
            span(trace, 4, 3, 1, 5, **tool),
            span(trace, 5, 3, 8, 5, status="error", **tool),
            span(trace, 6, 2, 20, 50, name="plan", **agent),
            span(trace, 7, 6, 21, 5, **paid),
            span(trace, 8, 1, 150, 50, name="write", **agent),
        ],
    )
    graph = agent_graph((await read(here, trace)).skeleton)
    actors = {actor.name: (actor.kind, actor.spans, actor.errors, actor.cost) for actor in graph.actors}
    assert actors == {
        "flow": ("chain", 1, 0, Decimal("0.5")),
        "plan": ("agent", 2, 0, Decimal("0.5")),
        "search": ("tool", 2, 1, None),
        "gpt-4o": ("llm", 1, 0, Decimal("0.5")),
        "write": ("agent", 1, 0, None),
    }
    links = {(one.source, one.target, one.handoff): one.count for one in graph.links}
    assert links == {
        ("chain flow", "agent plan", False): 1,
        ("agent plan", "tool search", False): 2,
        ("agent plan", "agent plan", False): 1,
        ("agent plan", "llm gpt-4o", False): 1,
        ("chain flow", "agent write", False): 1,
        ("agent plan", "agent write", True): 1,
    }


async def test_a_newer_version_of_a_span_counts(traces: Traces, here: Context, columns: Columns) -> None:
    """Sent again it is one span, as it is now."""
    trace = wire.trace_id()
    await traces.record(here, [span(trace, 1, name="old")])
    await traces.record(here, [span(trace, 1, name="new")])
    assert names((await read(here, trace)).skeleton) == ["new"]
    assert (await traces.span(here, trace, f"{1:016x}")).name == "new"
