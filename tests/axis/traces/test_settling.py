"""Wrappers that came in requests of their own are told from their calls at any depth, and then for good."""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_counted_once import CALL, EARLY

from gimbal.axis.traces.aggregate import Question, aggregate
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.settling import Settling
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context, Principal, Services


async def send(here: Context, batches: Sequence[Sequence[wire.Span]]) -> None:
    for batch in batches:
        assert await ingest(here, wire.request(*batch)) == []


async def cost(here: Context, traces: Traces) -> Decimal | None:
    """Return the cost of everything, which sums by model and sums over time agree on."""
    groups = (await aggregate(here, Question(by=("model",)))).groups
    found = sum((group.cost for group in groups if group.cost is not None), Decimal(0))
    assert (await traces.activity(here, EARLY)).cost == found
    return found


Settle = Callable[[], Awaitable[int]]


@pytest.fixture
def settle(columns: Columns) -> Settle:
    """Give a round over what came in since the test began: other tests' traces are none of its business."""
    begun = time.time_ns() // 1000

    async def settled() -> int:
        return await Settling(columns, since_us=begun).round(time.time_ns() // 1000)

    return settled


def chain(trace: str, steps: int) -> list[wire.Span]:
    """Return an agent that reports what all beneath it used, so many steps, and a call."""
    spans = [wire.chat(trace, 1, name="agent")]
    spans += [wire.span(trace, place, place - 1, name="step") for place in range(2, steps + 2)]
    return [*spans, wire.chat(trace, steps + 2, steps + 1, name="call")]


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("order", ["call first", "agent first", "each alone"])
async def test_a_wrapper_far_above_its_call_is_not_counted(
    traces: Traces, settle: Settle, here: Context, steps: int, order: str
) -> None:
    """Whatever came first; a second round finds nothing left to do."""
    trace = wire.trace_id()
    spans = chain(trace, steps)
    batches = {"call first": [spans[-1:], spans[:-1]], "agent first": [spans[:1], spans[1:]]}
    await send(here, batches.get(order, [[span] for span in spans]))
    await settle()
    assert await cost(here, traces) == CALL
    assert await settle() == 0
    shown = (await traces.get(here, trace)).spans
    assert [span.name for span in shown if span.billable and span.usage is not None] == ["call"]
    assert shown[0].usage is not None, "what the agent says is kept"


@pytest.mark.parametrize("seed", range(8))
async def test_any_forest_comes_to_what_lists_say(traces: Traces, settle: Settle, here: Context, seed: int) -> None:
    """Trees of any shape, their spans in requests of any make-up."""
    chance = random.Random(seed)
    spans: list[wire.Span] = []
    for _ in range(6):
        trace = wire.trace_id()
        for place in range(1, 14):
            parent = chance.randrange(max(1, place - 3), place) if place > 1 else 0
            make = wire.chat if chance.random() < 0.5 else wire.span
            spans.append(make(trace, place, parent or None))
    chance.shuffle(spans)
    cuts = sorted(chance.sample(range(1, len(spans)), 12))
    await send(here, [spans[low:high] for low, high in zip([0, *cuts], [*cuts, len(spans)], strict=True)])
    await settle()
    ids = {span.trace_id.hex() for span in spans}
    whole = await traces.summaries(here, sorted(ids))
    assert await cost(here, traces) == sum((one.cost or Decimal(0) for one in whole.values()), Decimal(0))
    assert await settle() == 0


async def test_what_nothing_wraps_stays(traces: Traces, settle: Settle, here: Context) -> None:
    """Calls beside each other, each in a request of its own, and one whose parent never came."""
    trace = wire.trace_id()
    await send(
        here, [[wire.span(trace, 1)], [wire.chat(trace, 2, 1)], [wire.chat(trace, 3, 1)], [wire.chat(trace, 4, 9)]]
    )
    await settle()
    assert await cost(here, traces) == 3 * CALL


async def test_a_wrapper_that_comes_again_is_marked_again(traces: Traces, settle: Settle, here: Context) -> None:
    """Its newest version says that it is billed, since it came alone."""
    trace = wire.trace_id()
    spans = chain(trace, 5)
    await send(here, [spans[-1:], spans[:-1]])
    assert await settle() == 1
    await send(here, [spans[:1]])
    assert await settle() == 1
    assert await cost(here, traces) == CALL


async def test_traces_of_several_projects_are_settled_at_once(
    traces: Traces, settle: Settle, here: Context, services: Services, owner: Principal
) -> None:
    """Also where two projects have a trace of the same id: what repeats in one is no repetition in the other."""
    there = Context(services, owner, f"{here.project}-b")
    trace = wire.trace_id()
    spans = chain(trace, 3)
    await send(here, [spans[-1:], spans[:-1]])
    await send(there, [spans[-1:]])
    assert await settle() == 1
    assert await cost(here, traces) == CALL
    assert await cost(there, traces) == CALL
    await send(there, [spans[:-1]])
    assert await settle() == 1
    assert await cost(there, traces) == CALL
