"""Traces as they really come: out of order, in pieces, broken, deep, wrapped; nothing is lost or counted twice."""

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.axis.traces import wire

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import tree
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span, TraceSummary
from gimbal.axis.traces.service import MOST_SPANS, Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import NotFound
from gimbal.kernel.settings import LimitSettings, Settings

EARLY, LATE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
CALL = Decimal("0.0035")
"""What `wire.chat` costs: 1000 tokens in at 2.50 and 100 out at 10 dollars per million."""


async def take(here: Context, *spans: wire.Span) -> None:
    assert await ingest(here, wire.request(*spans)) == []


async def only(traces: Traces, here: Context) -> TraceSummary:
    """Return the one trace of the project as lists show it, which is as its detail shows it."""
    page = await traces.page(here, TraceFilter())
    assert len(page.items) == 1
    detail = (await traces.get(here, page.items[0].trace_id)).summary
    assert detail == page.items[0]
    return detail


async def test_children_may_come_before_their_parents_in_requests_of_their_own(traces: Traces, here: Context) -> None:
    """Exporters send a span when it ends: the root comes last."""
    trace = wire.trace_id()
    order = [(4, 3), (3, 2), (2, 1), (5, 1)]
    for number, parent in order:
        await take(here, wire.span(trace, number, parent, name=f"s{number}"))
        # What is there already is listed, too: the trace is running.
        assert (await only(traces, here)).name == f"s{min(n for n, _ in order[: order.index((number, parent)) + 1])}"
    await take(here, wire.span(trace, 1, name="root", ms=90))

    summary = await only(traces, here)
    assert (summary.name, summary.spans, summary.duration_us) == ("root", 5, 90_000)
    rows = tree.in_order((await traces.get(here, trace)).spans)
    assert [(s.name, depth) for s, depth in rows] == [("root", 0), ("s2", 1), ("s3", 2), ("s4", 3), ("s5", 1)]


async def test_a_trace_whose_root_never_came_is_listed_and_shown(traces: Traces, here: Context) -> None:
    """By its earliest span; orphans stand at the top."""
    trace = wire.trace_id()
    await take(here, wire.span(trace, 5, 4, name="late"), wire.span(trace, 3, 99, name="early"), wire.span(trace, 6, 5))

    summary = await only(traces, here)
    assert (summary.name, summary.spans) == ("early", 3)
    rows = tree.in_order((await traces.get(here, trace)).spans)
    assert [(s.name, d) for s, d in rows] == [("early", 0), ("late", 0), ("step", 1)]


@pytest.mark.parametrize("flags", [0x300, 0])
async def test_a_server_span_with_a_caller_elsewhere_heads_its_trace(traces: Traces, here: Context, flags: int) -> None:
    """Whether its sender knows the flag for remote parents or not."""
    trace = wire.trace_id()
    await take(here, wire.span(trace, 2, 1, name="GET /", kind=2, flags=flags), wire.span(trace, 3, 2))

    assert (await only(traces, here)).name == "GET /"
    spans = (await traces.get(here, trace)).spans
    assert [(s.remote_parent, s.parent_id) for s in spans] == [(True, f"{1:016x}"), (False, f"{2:016x}")]


async def test_an_orphan_is_not_said_to_have_a_parent_in_another_process(traces: Traces, here: Context) -> None:
    """It heads its part of the trace for lists only."""
    trace = wire.trace_id()
    await take(here, wire.span(trace, 2, 1))
    assert (await traces.get(here, trace)).spans[0].remote_parent is False


async def test_zeros_for_a_parent_mean_a_root(traces: Traces, here: Context) -> None:
    """Some senders write them."""
    trace = wire.trace_id()
    await take(here, wire.span(trace, 1, name="root", parent_span_id=bytes(8), kind=2), wire.span(trace, 2, 1))
    assert (await only(traces, here)).name == "root"
    root = (await traces.get(here, trace)).spans[0]
    assert (root.parent_id, root.remote_parent) == ("", False)


async def test_cycles_and_spans_that_are_their_own_parents_are_shown_and_counted(traces: Traces, here: Context) -> None:
    """Nonsense costs nobody the rest of the trace."""
    trace = wire.trace_id()
    await take(here, wire.chat(trace, 1, 1), wire.span(trace, 2, 3), wire.span(trace, 3, 2), wire.chat(trace, 4, 2))

    summary = await only(traces, here)
    assert (summary.spans, summary.cost, summary.input_tokens) == (4, 2 * CALL, 2000)
    assert len(tree.in_order((await traces.get(here, trace)).spans)) == 4


async def test_a_span_that_ends_before_it_starts_is_a_moment(traces: Traces, here: Context) -> None:
    """Clocks of two machines differ; a duration is never negative."""
    trace = wire.trace_id()
    await take(here, wire.span(trace, 1, ms=-500), wire.span(trace, 2, 1, at_ms=-3000, end_time_unix_nano=0))

    summary = await only(traces, here)
    assert (summary.duration_us, summary.spans) == (0, 2)
    assert [s.duration_us for s in (await traces.get(here, trace)).spans] == [0, 0]


async def test_a_span_that_comes_again_with_more_is_replaced(traces: Traces, here: Context, columns: Columns) -> None:
    """The later one counts: its status, its usage, even its other start; in lists, filters and sums."""
    trace = wire.trace_id()
    await take(here, wire.span(trace, 1, name="root"), wire.span(trace, 2, 1, name="call"))
    await take(here, wire.chat(trace, 2, 1, at_ms=-40, status={"code": 2}))
    await take(here, wire.span(trace, 1, name="root again", at_ms=60, status={"code": 1}))

    async def check() -> None:
        summary = await only(traces, here)
        assert (summary.name, summary.spans, summary.errors, summary.cost) == ("root again", 2, 1, CALL)
        seen = await traces.activity(here, EARLY)
        assert (seen.traces, seen.errors, seen.calls, seen.cost) == (1, 1, 1, CALL)
        assert [s.name for s in (await traces.get(here, trace)).spans] == ["chat gpt-4o", "root again"]
        for narrowed in (TraceFilter(status="unset"), TraceFilter(status="ok")):
            assert (await traces.page(here, narrowed)).items == []
        assert len((await traces.page(here, TraceFilter(status="error"))).items) == 1

    await check()
    await columns.command("OPTIMIZE TABLE spans FINAL")
    await check()


async def test_of_two_versions_in_one_request_the_later_counts(traces: Traces, here: Context) -> None:
    """Their order on the wire is their order in time."""
    trace = wire.trace_id()
    await take(here, wire.span(trace, 1, name="first"), wire.span(trace, 1, name="second", at_ms=0))
    summary = await only(traces, here)
    assert (summary.name, summary.spans) == ("second", 1)


@pytest.mark.parametrize("together", [True, False], ids=["one request", "a request each"])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nested_wrappers_do_not_count_tokens_and_cost_twice(
    traces: Traces, here: Context, together: bool, seed: int
) -> None:
    """Framework, client library and gateway report one call three times: the deepest counts, in any order of arrival."""
    trace = wire.trace_id()
    spans = [
        wire.chat(trace, 1, tokens=(3000, 300), name="agent"),
        wire.span(trace, 2, 1, name="plan"),
        wire.chat(trace, 3, 2, name="wrapper"),
        wire.chat(trace, 4, 3, name="client"),
        wire.span(trace, 5, 4, name="HTTP POST"),
        wire.chat(trace, 6, 5, name="gateway", kind=2, flags=0x300),
        wire.chat(trace, 7, 2, name="second call"),
        wire.span(trace, 8, 7, name="HTTP POST"),
    ]
    random.Random(seed).shuffle(spans)
    for batch in [spans] if together else [[span] for span in spans]:
        await take(here, *batch)

    summary = await only(traces, here)
    assert (summary.input_tokens, summary.output_tokens, summary.cost) == (2000, 200, 2 * CALL)
    assert summary.unpriced == 0
    shown = {s.name: s for s in (await traces.get(here, trace)).spans}
    counted = {name for name, s in shown.items() if s.usage is not None and s.billable}
    assert counted == {"gateway", "second call"}
    assert {name for name, s in shown.items() if s.cost is not None} == counted
    assert shown["agent"].usage == Usage.of(input_tokens=3000, output_tokens=300)
    seen = await traces.activity(here, EARLY)
    assert (seen.traces, seen.calls, seen.priced, seen.cost, seen.unpriced) == (1, 2, 2, 2 * CALL, 0)


async def test_a_wrapper_without_usage_is_not_a_second_unpriced_call(traces: Traces, here: Context) -> None:
    """The call beneath it is known; a call whose usage nobody reported stays unknown."""
    trace = wire.trace_id()
    silent = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
    await take(here, wire.chat(trace, 3, 2))
    await take(here, wire.span(trace, 2, 1, attributes=silent), wire.span(trace, 4, 1, attributes=silent))
    await take(here, wire.span(trace, 1, name="root"))

    summary = await only(traces, here)
    assert (summary.cost, summary.unpriced, summary.input_tokens) == (CALL, 1, 1000)
    lone = (await traces.get(here, trace)).spans[-1]
    assert (lone.usage, lone.cost, lone.unpriced) == (None, None, "no_usage")
    seen = await traces.activity(here, EARLY)
    assert (seen.calls, seen.cost, seen.unpriced) == (2, CALL, 1)


async def test_the_same_span_ids_in_two_traces_do_not_make_wrappers_of_each_other(
    traces: Traces, here: Context
) -> None:
    """Span ids are unique within their trace only."""
    one, two = wire.trace_id(), wire.trace_id()
    await take(here, wire.chat(one, 1), wire.chat(two, 2, 1))
    for trace in (one, two):
        assert (await traces.get(here, trace)).summary.cost == CALL


async def test_what_nobody_reported_stays_missing(traces: Traces, here: Context) -> None:
    """Not zero tokens, not zero dollars."""
    await take(here, wire.span(wire.trace_id(), 1))
    summary = await only(traces, here)
    assert (summary.input_tokens, summary.output_tokens, summary.cost, summary.unpriced) == (None, None, None, 0)
    seen = await traces.activity(here, EARLY)
    assert (seen.traces, seen.calls, seen.cost) == (1, 0, None)
    assert (await traces.activity(here, LATE)).traces == 0


async def test_an_unknown_model_is_unpriced_beside_what_is_priced(traces: Traces, here: Context) -> None:
    """The sum is of what is known, and says how many calls are not in it."""
    trace = wire.trace_id()
    mystery = {"gen_ai.request.model": "house-blend-7b"}
    await take(
        here, wire.span(trace, 1, name="root"), wire.chat(trace, 2, 1), wire.chat(trace, 3, 1, attributes=mystery)
    )

    summary = await only(traces, here)
    assert (summary.cost, summary.unpriced, summary.input_tokens) == (CALL, 1, 2000)
    unknown = (await traces.get(here, trace)).spans[2]
    assert (unknown.cost, unknown.unpriced) == (None, "unknown_model")


async def test_a_trace_of_five_thousand_spans_is_shown_whole(traces: Traces, here: Context) -> None:
    """However deep it is."""
    trace = wire.trace_id()
    chain = [wire.span(trace, i, i - 1 if i > 1 else None, name=f"s{i}", at_ms=i / 10) for i in range(1, 4001)]
    leaves = [wire.chat(trace, i, 1, at_ms=i / 10) for i in range(4001, 5001)]
    await take(here, *chain[:2500], *leaves)
    await take(here, *chain[2500:])

    summary = await only(traces, here)
    assert (summary.spans, summary.input_tokens, summary.cost) == (5000, 1_000_000, 1000 * CALL)
    rows = tree.in_order((await traces.get(here, trace)).spans)
    assert (len(rows), max(depth for _, depth in rows)) == (5000, 3999)


async def test_beyond_ten_thousand_spans_the_summary_still_counts_all(traces: Traces, here: Context) -> None:
    """The detail has the first by start; sums are not of those only."""
    trace = wire.trace_id()
    wrapper = wire.chat(trace, 1, tokens=(9, 9))
    await take(here, wrapper, *(wire.span(trace, i, 1, at_ms=i / 10) for i in range(2, MOST_SPANS + 100)))
    await take(here, *(wire.chat(trace, i, 1, at_ms=i / 10) for i in range(MOST_SPANS + 100, MOST_SPANS + 103)))

    shown = await traces.get(here, trace)
    assert len(shown.spans) == MOST_SPANS
    assert (shown.summary.spans, shown.summary.cost) == (MOST_SPANS + 102, 3 * CALL)
    assert (await traces.page(here, TraceFilter())).items == [shown.summary]


async def test_what_is_too_long_goes_to_the_blobs_whole(
    traces: Traces, here: Context, services: Services, blobs: Blobs
) -> None:
    """Text, nested values, events and the resource; the start stays, and the span is marked."""
    services.register(Settings, Settings(limits=LimitSettings(span_attribute_bytes=2000)))
    trace, long = wire.trace_id(), "ä" * 1500
    given = wire.span(trace, 1, attributes={"text": long, "fits": "a" * 2000, "nested": {"deep": ["x" * 3000]}})
    given.events.add(name="e", attributes=wire.pairs({"content": long}))
    await ingest(here, wire.request(given, wire.span(trace, 2, 1), resource={"env": "y" * 5000, "service.name": "s"}))

    first, second = (await traces.get(here, trace)).spans
    assert first.truncated
    assert first.attributes["fits"] == "a" * 2000
    places = [first.attributes["text"], first.events[0]["attributes"]["content"]]
    for place in places:
        assert (place["size"], place["start"]) == (3000, "ä" * 500)
        assert await blobs.get(place["blob"]) == long.encode()
    assert b"x" * 3000 in await blobs.get(first.attributes["nested"]["blob"])
    assert second.resource["env"]["size"] == 5000
    assert second.resource["service.name"] == "s"


async def test_names_and_messages_are_cut_and_marked(traces: Traces, here: Context) -> None:
    """They are for people: nobody reads ten thousand characters."""
    trace = wire.trace_id()
    await take(
        here, wire.span(trace, 1, name="n" * 1001), wire.span(trace, 2, 1, status={"message": "m" * 10_001, "code": 2})
    )
    first, second = (await traces.get(here, trace)).spans
    assert (len(first.name), first.truncated) == (1000, True)
    assert (len(second.status_message), second.truncated) == (10_000, True)


@pytest.mark.parametrize("asked", ["", "x" * 32, "0" * 32, "1" * 31, "a" * 32])
async def test_a_trace_that_is_not_there_is_not_found(traces: Traces, here: Context, asked: str) -> None:
    """Nor is what is no trace id."""
    with pytest.raises(NotFound, match="trace"):
        await traces.get(here, asked)


def test_parents_always_end_somewhere() -> None:
    """Whatever links are given, walking up ends and every span has its place in the tree exactly once."""
    random_ = random.Random(7)
    for _ in range(300):
        count = random_.randint(1, 30)
        spans = [
            Span(
                trace_id="t",
                span_id=str(i),
                parent_id=random_.choice(["", *map(str, range(count + 2))]),
                name="",
                start_us=i,
                end_us=i,
                usage=Usage.of(input_tokens=1) if random_.random() < 0.5 else None,
            )
            for i in range(count)
        ]
        rows = tree.in_order(spans)
        assert sorted(int(s.span_id) for s, _ in rows) == list(range(count))
        depth = {s.span_id: d for s, d in rows}
        above = tree.links_of(spans)
        assert all(depth[s] == (0 if up is None else depth[up[1]] + 1) for (_, s), up in above.items())
        used = {(s.trace_id, s.span_id) for s in spans if s.usage}
        counted = used - tree.repeated(spans)
        # Of every path from a used span down, exactly the last used one counts.
        assert all(not _below(above, key, used) for key in counted)
        assert all(_below(above, key, used) for key in used - counted)


def _below(above: dict[tree.Key, tree.Key | None], key: tree.Key, used: set[tree.Key]) -> bool:
    for other in used - {key}:
        at = above[other]
        while at is not None:
            if at == key:
                return True
            at = above[at]
    return False
