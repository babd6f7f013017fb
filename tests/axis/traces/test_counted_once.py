"""Several instrumentations see one call: the provider's id of the answer tells, and its tokens and cost count once."""

import itertools
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_dialect_recorded import FIXTURES, raw_spans

from gimbal.axis.pricing.model import TOTALS, Usage
from gimbal.axis.traces import otlp, tree
from gimbal.axis.traces.dialects import read
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span, TraceSummary
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context

EARLY = datetime(2020, 1, 1, tzinfo=UTC)
CALL = Decimal("0.0035")
"""What `wire.chat` costs."""
ANSWER = {"gen_ai.response.id": "chatcmpl-1"}


async def only(traces: Traces, here: Context) -> TraceSummary:
    """Return the one trace of the project: its detail, its row in the list and the sums of the project agree."""
    page = await traces.page(here, TraceFilter())
    assert len(page.items) == 1
    assert (await traces.get(here, page.items[0].trace_id)).summary == page.items[0]
    seen = await traces.activity(here, EARLY)
    assert (seen.cost, seen.unpriced) == (page.items[0].cost, page.items[0].unpriced)
    return page.items[0]


def siblings(trace: str, *, second: dict[str, Any] | None = None) -> list[wire.Span]:
    """Return a root with two spans of one call; that of `second` says more."""
    fuller = ANSWER | {"gen_ai.usage.cache_read.input_tokens": 400} if second is None else second
    return [
        wire.span(trace, 1, name="root", ms=90),
        wire.chat(trace, 2, 1, name="theirs", attributes=ANSWER),
        wire.chat(trace, 3, 1, name="ours", attributes=fuller),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("together", [True, False], ids=["one request", "a request each"])
async def test_of_two_spans_beside_each_other_with_one_answer_one_counts(
    traces: Traces, here: Context, order: tuple[int, ...], together: bool
) -> None:
    """That which says most, in any order of arrival."""
    spans = siblings(wire.trace_id())
    spans = [spans[place] for place in order]
    for batch in [spans] if together else [[span] for span in spans]:
        assert await ingest(here, wire.request(*batch)) == []

    summary = await only(traces, here)
    assert (summary.input_tokens, summary.output_tokens, summary.unpriced) == (1000, 100, 0)
    shown = (await traces.get(here, summary.trace_id)).spans
    assert [s.name for s in shown if s.usage is not None and s.billable] == ["ours"]
    assert [s.name for s in shown if s.cost is not None] == ["ours"]
    assert (await traces.activity(here, EARLY)).calls == 1


async def test_of_two_that_say_the_same_the_one_that_began_last_counts(traces: Traces, here: Context) -> None:
    """Then that with the smaller id: the choice never depends on the moment of arrival."""
    trace = wire.trace_id()
    for number, at_ms in ((2, 10), (9, 20), (3, 20)):
        await ingest(here, wire.request(wire.chat(trace, number, 1, at_ms=at_ms, attributes=ANSWER)))
    await ingest(here, wire.request(wire.span(trace, 1)))
    assert (await only(traces, here)).cost == CALL
    assert [s.span_id for s in (await traces.get(here, trace)).spans if s.cost is not None] == [f"{3:016x}"]


@pytest.mark.parametrize("other", [{"gen_ai.response.id": "chatcmpl-2"}, {}, {"gen_ai.response.id": ""}])
async def test_a_retry_with_another_answer_is_another_call(
    traces: Traces, here: Context, other: dict[str, Any]
) -> None:
    """And two without an id are two: nothing tells that they are one."""
    await ingest(here, wire.request(*siblings(wire.trace_id(), second=other)))
    assert (await only(traces, here)).cost == 2 * CALL


async def test_the_same_answer_in_two_traces_is_counted_in_each(traces: Traces, here: Context) -> None:
    """A cache may give one out again; a trace is whole by itself."""
    one, two = wire.trace_id(), wire.trace_id()
    await ingest(here, wire.request(wire.chat(one, 1, attributes=ANSWER), wire.chat(two, 1, attributes=ANSWER)))
    assert [row.cost for row in (await traces.page(here, TraceFilter())).items] == [CALL, CALL]


async def test_one_that_knows_no_usage_is_no_unpriced_call_beside_one_that_does(traces: Traces, here: Context) -> None:
    """Streams often have usage in one of the two only."""
    trace = wire.trace_id()
    silent = ANSWER | {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    await ingest(here, wire.request(wire.span(trace, 2, 1, attributes=silent)))
    await ingest(here, wire.request(wire.span(trace, 1), wire.chat(trace, 3, 1, attributes=ANSWER)))
    summary = await only(traces, here)
    assert (summary.cost, summary.unpriced) == (CALL, 0)


@pytest.mark.parametrize("seed", range(6))
async def test_a_gateway_beneath_one_of_two_counts_for_both(traces: Traces, here: Context, seed: int) -> None:
    """It is the same call, though it bears another id there."""
    trace = wire.trace_id()
    spans = [
        *siblings(trace),
        wire.chat(trace, 4, 3, name="gateway", kind=2, flags=0x300, attributes={"gen_ai.response.id": "up-1"}),
    ]
    random.Random(seed).shuffle(spans)
    for span in spans:
        await ingest(here, wire.request(span))
    assert [s.name for s in (await traces.get(here, trace)).spans if s.cost is not None] == ["gateway"]
    page = await traces.page(here, TraceFilter())
    assert page.items[0].cost == CALL


async def test_an_agent_with_the_id_of_its_last_answer_hides_none_of_its_calls(traces: Traces, here: Context) -> None:
    """What it reports are sums; both calls beneath it count, in any portions."""
    trace = wire.trace_id()
    agent = wire.chat(trace, 1, name="agent", tokens=(2000, 200), attributes=ANSWER)
    first = wire.chat(trace, 2, 1, name="first", attributes={"gen_ai.response.id": "chatcmpl-0"})
    last = wire.chat(trace, 3, 1, name="last", attributes=ANSWER)
    beside = wire.chat(trace, 4, name="beside", at_ms=0.5, attributes=ANSWER)
    await ingest(here, wire.request(agent, beside))
    await ingest(here, wire.request(first, last))
    assert (await traces.page(here, TraceFilter())).items[0].cost == 2 * CALL
    assert (await traces.get(here, trace)).summary.cost == 2 * CALL


@pytest.mark.parametrize("name", ["doubled-plain", "traceloop-anthropic-plain", "traceloop-anthropic-tools"])
async def test_two_packages_at_once_report_one_call(traces: Traces, here: Context, name: str) -> None:
    """As recorded, nested or beside each other in one trace, and however they are sent."""
    request = otlp.parse((FIXTURES / f"{name}.json").read_bytes(), otlp.JSON)
    assert len({read(raw).response_id for raw in raw_spans(name)}) == 1
    for group in request.resource_spans:
        for part in group.scope_spans:
            for span in part.spans:
                span.trace_id, span.parent_span_id = b"\1" * 16, (7).to_bytes(8, "big")
                one = wire.request(span)
                one.resource_spans[0].scope_spans[0].scope.CopyFrom(part.scope)
                assert await ingest(here, one) == []
    await ingest(here, wire.request(wire.span("01" * 16, 7, name="root")))
    summary = await only(traces, here)
    assert (summary.spans, summary.input_tokens, summary.output_tokens) == (3, 21, 5)


def test_of_any_trace_each_answer_counts_exactly_once_without_wrappers() -> None:
    """Whatever the order in which the spans are looked at."""
    chance = random.Random(11)
    for _ in range(200):
        spans = [
            Span(
                trace_id="t",
                span_id=f"{i:02}",
                name="",
                start_us=chance.randint(0, 3),
                end_us=9,
                kind="llm",
                response_id=chance.choice(["", "a", "b"]),
                usage=Usage.of(input_tokens=1, cache_read_tokens=chance.randint(0, 1))
                if chance.random() < 0.8
                else None,
            )
            for i in range(chance.randint(1, 8))
        ]
        found = tree.repeated(spans)
        chance.shuffle(spans)
        assert tree.repeated(spans) == found
        counted = [span for span in spans if (span.trace_id, span.span_id) not in found]
        named = [span.response_id for span in counted if span.response_id]
        assert sorted(named) == sorted({span.response_id for span in spans} - {""})
        assert sum(not span.response_id for span in counted) == sum(not span.response_id for span in spans)
        rows = [
            {"billable": 1, **msgspec.structs.asdict(span), "usage_classes": {}, **_counts(span.usage)}
            for span in spans
        ]
        assert tree.repeated_rows(rows) == found


def _counts(usage: Usage | None) -> dict[str, Any]:
    return {name: None if usage is None else getattr(usage, name) for name in TOTALS}


def test_what_was_counted_stands_before_what_was_estimated() -> None:
    """An estimate may have more parts and come first."""
    guess = Span(
        trace_id="1" * 32, span_id="1" * 16, name="guess", start_us=1, end_us=2, kind="llm", response_id="a",
        usage=Usage.of(input_tokens=9, output_tokens=9, reasoning_tokens=9), estimated=True,
    )  # fmt: skip
    known = msgspec.structs.replace(
        guess, span_id="2" * 16, start_us=5, usage=Usage.of(input_tokens=3), estimated=False
    )
    assert tree.repeated([guess, known]) == {(guess.trace_id, guess.span_id)}
