"""What is saved and what is wasted: calls that an own cache answered cost nothing, calls that failed cost what they cost."""

import itertools
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.traces import wire

from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Group, TraceSummary
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context
from gimbal.kernel.operations import find, invoke

EARLY = datetime(2020, 1, 1, tzinfo=UTC)
CALL = Decimal("0.0035")
"""What `wire.chat` costs."""
HIT = {"gimbal.cache.hit": True}


async def everything(here: Context, **asked: Any) -> Group:
    """Return the sums of all spans of the project."""
    found = await invoke(find("traces.aggregate"), here, {"project": here.project, **asked})
    return found.groups[0]


async def agreed(traces: Traces, here: Context) -> TraceSummary:
    """Return the one trace of the project: its detail, its row in the list, the sums and the counters all say the same."""
    (row,) = (await traces.page(here, TraceFilter())).items
    assert (await traces.get(here, row.trace_id)).summary == row
    sums, seen = await everything(here), await traces.activity(here, EARLY)
    assert (sums.cost, sums.saved, sums.wasted) == (row.cost, row.saved, row.wasted)
    assert (seen.cost, seen.unpriced) == (row.cost, row.unpriced)
    (ranked,) = (await invoke(find("traces.list"), here, {"project": here.project, "min_usd": Decimal(0)})).items
    assert ranked == row
    return row


@pytest.mark.parametrize(
    "hit",
    [
        HIT,
        {"gimbal.cache.hit": "true"},
        {"litellm.cache_hit": "True"},
        {"metadata.cache_hit": True},
        {"gen_ai.cache.hit": True},
        {"cache_hit": 1},
        {"helicone.cache.hit": "HIT"},
    ],
)
async def test_a_call_that_an_own_cache_answered_costs_nothing(
    traces: Traces, here: Context, hit: dict[str, Any]
) -> None:
    """And saved what it would have cost; beside it a call that was made."""
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.chat(trace, 1, attributes=hit), wire.chat(trace, 2)))
    row = await agreed(traces, here)
    assert (row.cost, row.saved, row.unpriced, row.wasted) == (CALL, CALL, 0, None)
    sums = await everything(here)
    assert (sums.calls, sums.cached_calls, sums.priced) == (2, 1, 2)
    span = (await traces.get(here, trace)).spans[0]
    assert (span.cached, span.cost, span.saved, span.parts) == (True, 0, CALL, {})


@pytest.mark.parametrize("miss", [False, "false", "MISS", 0, "", None])
async def test_a_miss_is_a_call(traces: Traces, here: Context, miss: Any) -> None:
    """Whatever form it is told in."""
    await ingest(here, wire.request(wire.chat(wire.trace_id(), 1, attributes={"gimbal.cache.hit": miss})))
    row = await agreed(traces, here)
    assert (row.cost, row.saved) == (CALL, None)


async def test_a_hit_of_the_providers_cache_is_paid_for(traces: Traces, here: Context) -> None:
    """Some call that a hit as well; then the provider says how much it read."""
    told = {"gen_ai.cache.hit": True, "gen_ai.usage.cache_read.input_tokens": 400}
    await ingest(here, wire.request(wire.chat(wire.trace_id(), 1, attributes=told)))
    row = await agreed(traces, here)
    # 600 at 2.50, 400 at 1.25, 100 at 10
    assert (row.cost, row.saved) == (Decimal("0.003"), None)


async def test_a_hit_of_a_model_without_a_price_is_free_all_the_same(traces: Traces, here: Context) -> None:
    """What it saved is unknown, and it is no unpriced call."""
    await ingest(here, wire.request(wire.chat(wire.trace_id(), 1, attributes=HIT | {"gen_ai.request.model": "gpt-99"})))
    row = await agreed(traces, here)
    assert (row.cost, row.saved, row.unpriced) == (0, None, 0)
    assert (await everything(here)).cached_calls == 1


async def test_a_hit_without_usage_is_free(traces: Traces, here: Context) -> None:
    """Nothing was reported because nothing was used."""
    silent = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
    await ingest(here, wire.request(wire.span(wire.trace_id(), 1, attributes=silent | HIT)))
    row = await agreed(traces, here)
    assert (row.cost, row.saved, row.unpriced) == (0, None, 0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("together", [True, False])
async def test_a_hit_with_the_answer_of_a_call_does_not_stand_for_the_call(
    traces: Traces, here: Context, order: tuple[int, int], together: bool
) -> None:
    """The cache gives out the same answer, with the same id, in the same trace."""
    trace = wire.trace_id()
    answer = {"gen_ai.response.id": "chatcmpl-1"}
    spans = [wire.chat(trace, 1, attributes=answer), wire.chat(trace, 2, attributes=answer | HIT)]
    spans = [spans[place] for place in order]
    for batch in [spans] if together else [[one] for one in spans]:
        await ingest(here, wire.request(*batch))
    row = await agreed(traces, here)
    assert (row.cost, row.saved) == (CALL, CALL)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_wrapper_around_a_hit_costs_and_saves_nothing_itself(
    traces: Traces, here: Context, order: tuple[int, ...]
) -> None:
    """In any order of arrival: the library above reports the usage that the cache gave out."""
    trace = wire.trace_id()
    spans = [
        wire.chat(trace, 1, name="wrapper"),
        wire.chat(trace, 2, 1, name="library", attributes=HIT),
        wire.chat(trace, 3, 2, name="cache", attributes=HIT),
    ]
    for place in order:
        await ingest(here, wire.request(spans[place]))
    row = await agreed(traces, here)
    assert (row.cost, row.saved) == (0, CALL)


@pytest.mark.parametrize(
    ("status", "wasted"), [({}, None), ({"code": 1}, None), ({"code": 2, "message": "overloaded"}, CALL)]
)
async def test_what_a_failed_call_cost_is_wasted(
    traces: Traces, here: Context, status: dict[str, Any], wasted: Decimal | None
) -> None:
    """It is part of the cost; the call that tried again is not."""
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.chat(trace, 1, status=status), wire.chat(trace, 2)))
    row = await agreed(traces, here)
    assert (row.cost, row.wasted) == (2 * CALL, wasted)
    sums = await everything(here)
    assert sums.wasted_calls == (wasted is not None)
    assert [one.wasted for one in (await traces.get(here, trace)).spans] == [wasted, None]


async def test_what_a_stopped_call_cost_is_wasted_and_a_free_failure_is_not(traces: Traces, here: Context) -> None:
    """Three retries: stopped, refused before it used anything, answered."""
    trace = wire.trace_id()
    stopped = {"error.type": "CancelledError"}
    refused = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
    await ingest(
        here,
        wire.request(
            wire.chat(trace, 1, status={"code": 2}, attributes=stopped),
            wire.span(trace, 2, status={"code": 2}, attributes=refused),
            wire.chat(trace, 3),
        ),
    )
    row = await agreed(traces, here)
    assert (row.cost, row.wasted, row.unpriced) == (2 * CALL, CALL, 1)
    assert (await everything(here)).wasted_calls == 1


async def test_a_failed_wrapper_wastes_nothing_itself(traces: Traces, here: Context) -> None:
    """The call beneath it was answered; what went wrong went wrong behind it."""
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.chat(trace, 2, 1)))
    await ingest(here, wire.request(wire.chat(trace, 1, status={"code": 2})))
    row = await agreed(traces, here)
    assert (row.cost, row.wasted, row.status) == (CALL, None, "error")


async def test_the_cost_by_class_comes_to_the_cost(traces: Traces, here: Context) -> None:
    """Of any mix, the wrappers left out."""
    trace = wire.trace_id()
    claude = {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4"}
    written = {
        "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens": 200,
        "gen_ai.usage.cache_read.input_tokens": 300,
    }
    await ingest(
        here,
        wire.request(
            wire.chat(trace, 1, name="wrapper"),
            wire.chat(trace, 2, 1, attributes=claude | written),
            wire.chat(trace, 3, 1, attributes={"gen_ai.usage.reasoning.output_tokens": 40}),
            wire.chat(trace, 4, 1, attributes=HIT),
        ),
    )
    sums = await everything(here, parts=True)
    # claude: 500·3 + 300·0.3 + 200·6 + 100·15; gpt-4o: 1000·2.5 + 60·10 + 40·10
    assert sums.parts == {
        name: Decimal(millionths) / 1_000_000
        for name, millionths in {
            "input": "4000", "cache_read": "90", "cache_write_1h": "1200", "output": "2100", "reasoning": "400",
        }.items()
    }  # fmt: skip
    assert sum(sums.parts.values(), Decimal(0)) == sums.cost
    assert (await everything(here)).parts is None


@pytest.mark.parametrize("seed", range(12))
async def test_any_tree_in_any_order_comes_to_what_its_calls_cost(traces: Traces, here: Context, seed: int) -> None:
    """Wrappers before and after, late, repeated, in requests of their own: list, trace, sums and counters agree."""
    chance = random.Random(seed)
    trace = wire.trace_id()
    spans, cost, saved, wasted = [wire.span(trace, 1, ms=900)], Decimal(0), Decimal(0), Decimal(0)
    number = 1
    for _ in range(chance.randint(1, 6)):
        parent = 1
        for _ in range(chance.randint(0, 2)):
            number += 1
            spans.append(
                wire.chat(trace, number, parent)
                if chance.random() < 0.6
                else wire.span(trace, number, parent, name="step")
            )
            parent = number
        number += 1
        kind = chance.choice(["paid", "failed", "hit"])
        spans.append(
            wire.chat(
                trace,
                number,
                parent,
                status={"code": 2} if kind == "failed" else {},
                attributes={"gen_ai.response.id": f"a-{number}", **(HIT if kind == "hit" else {})},
            )
        )
        cost += CALL if kind != "hit" else 0
        saved += CALL if kind == "hit" else 0
        wasted += CALL if kind == "failed" else 0
    spans += chance.sample(spans, len(spans) // 2)
    chance.shuffle(spans)
    while spans:
        size = chance.randint(1, 4)
        # The same span twice in one request is one row as well.
        await ingest(here, wire.request(*spans[:size]))
        spans = spans[size:]
    row = await agreed(traces, here)
    assert (row.cost, row.saved or 0, row.wasted or 0) == (cost, saved, wasted)
