"""Traces like one: those of its root's name, nearest by shape, how they ended, time and cost; and how it stands among them."""

from decimal import Decimal

import pytest
from tests.axis.traces import wire

from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.shapes import Standing
from gimbal.axis.traces.similar import similar
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound

DAY_MS = 86_400_000


async def keep(
    traces: Traces, here: Context, at_ms: int, *, name: str = "ask", ms: int = 100, cost: str = "", tool: str = "search",
    status: str = "ok",
) -> str:  # fmt: skip
    """Store a trace of a root, a tool and, where it cost something, a call."""
    trace, start = wire.trace_id(), wire.START + at_ms * 1000
    times = {"trace_id": trace, "start_us": start, "end_us": start + ms * 1000}
    spans = [
        Span(span_id=f"{1:016x}", name=name, kind="agent", **times),
        Span(span_id=f"{2:016x}", parent_id=f"{1:016x}", name=tool, kind="tool", status=status, **times),
    ]
    if cost:
        paid = {"kind": "llm", "name": "chat", "model": "m", "provider": "p", "cost": Decimal(cost)}
        spans.append(Span(span_id=f"{3:016x}", parent_id=f"{1:016x}", **paid, **times))
    await traces.record(here, spans)
    return trace


async def test_the_nearest_come_first(traces: Traces, here: Context) -> None:
    """Shape before ending before time; not another root's, not what came later, not what is older than seven days."""
    other_tool = await keep(traces, here, 0, tool="fetch")
    failed = await keep(traces, here, 1, status="error")
    slow = await keep(traces, here, 2, ms=5000)
    twin = await keep(traces, here, 3, ms=101)
    await keep(traces, here, 4, name="other")
    await keep(traces, here, 4 - 8 * DAY_MS)
    mine = await keep(traces, here, 5)
    await keep(traces, here, 6)

    found = await similar(here, mine)

    assert [one.trace.trace_id for one in found.traces] == [twin, slow, failed, other_tool]
    assert [one.same_end for one in found.traces] == [True, True, False, True]
    assert [one.shape for one in found.traces] == [1, 1, 1, pytest.approx(1 / 3, abs=0.001)]
    assert found.read == 4
    assert [one.trace.trace_id for one in (await similar(here, mine, limit=1)).traces] == [twin]


async def test_how_it_stands_is_counted_by_hand(traces: Traces, here: Context) -> None:
    """Equal ones count half; where the cost is unknown there is nothing to say of it."""
    for place, (ms, cost) in enumerate([(50, "1"), (100, "2"), (200, "3"), (400, "")]):
        await keep(traces, here, place, ms=ms, cost=cost)
    mine = await keep(traces, here, 10, ms=100, cost="2.5")
    unpaid = await keep(traces, here, 11, ms=1)

    found = (await similar(here, mine)).standings
    bare = (await similar(here, unpaid)).standings

    assert found == [
        Standing(measure="duration", among=4, below=0.375, median=pytest.approx(100, abs=101)),
        Standing(measure="cost", among=3, below=pytest.approx(2 / 3, abs=0.001), median=2),
    ]
    assert [(one.measure, one.below) for one in bare] == [("duration", 0)]


async def test_alone_there_is_nothing_to_compare_with(traces: Traces, here: Context) -> None:
    """No standing, no trace; another project's are never among them."""
    mine = await keep(traces, here, 0)
    await keep(traces, here.within("elsewhere"), 0)
    found = await similar(here, mine)
    assert (found.traces, found.standings, found.read) == ([], [], 0)


async def test_a_bad_question_says_so(traces: Traces, here: Context) -> None:
    """An unknown trace, another project's, a limit out of range."""
    mine = await keep(traces, here, 0)
    for ctx, trace in ((here, "f" * 32), (here, "x"), (here.within("elsewhere"), mine)):
        with pytest.raises(NotFound):
            await similar(ctx, trace)
    for limit in (0, 51):
        with pytest.raises(BadInput):
            await similar(here, mine, limit=limit)
