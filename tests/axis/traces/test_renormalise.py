"""Stored spans are read anew from what was kept of them: completely, once, and without touching what did not come by OTLP."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_dialect_recorded import FIXTURES, SOURCES, raw_spans

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import dialects, otlp
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.renormalise import renormalise
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

SINCE = from_us(wire.START)
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}


def stored(trace: str, number: int, parent: int | None = None, **fields: Any) -> Span:
    """Return a span as a Gimbal stored it that did not understand its attributes."""
    given: dict[str, Any] = {
        "trace_id": trace,
        "span_id": f"{number:016x}",
        "parent_id": "" if parent is None else f"{parent:016x}",
        "name": "step",
        "start_us": wire.START + number * 1000,
        "end_us": wire.START + number * 1000 + 500,
        "dialect": "generic",
        "scope": "test 1.0",
    }
    return Span(**(given | fields))


def not_understood(name: str) -> list[Span]:
    """Return the spans of a recording as they would have been stored without their dialect."""
    return [
        Span(
            trace_id=raw.trace_id,
            span_id=raw.span_id,
            parent_id=raw.parent_id,
            name=raw.name,
            start_us=raw.start_us,
            end_us=raw.end_us,
            status=raw.status,
            status_message=raw.status_message,
            attributes=raw.attributes,
            events=raw.events,
            resource=raw.resource,
            scope=f"{raw.scope} {raw.scope_version}".strip(),
            dialect="generic",
        )
        for raw in raw_spans(name)
    ]


@pytest.mark.parametrize("source", sorted(set(SOURCES)))
async def test_old_rows_become_what_new_ones_are(source: str, traces: Traces, here: Context) -> None:
    """A recording that was not understood reads afterwards as if it came now; a second time nothing changes."""
    name = f"{source}-plain"
    spans = not_understood(name)
    await traces.record(here, spans)
    done = await renormalise(here, SINCE, None)
    assert (done.traces, done.spans, done.changed, done.next) == (1, len(spans), len(spans), None)
    then = await traces.get(here, spans[0].trace_id)
    other = here.within(f"{here.project}x")
    await ingest(other, otlp.parse((FIXTURES / f"{name}.json").read_bytes(), otlp.JSON))
    assert then == await traces.get(other, spans[0].trace_id)
    assert (then.summary.input_tokens, then.summary.output_tokens) == (21, 5)
    page = await traces.page(here, TraceFilter())
    assert [(row.spans, row.input_tokens) for row in page.items] == [(len(spans), 21)]
    again = await renormalise(here, SINCE, None)
    assert (again.spans, again.changed) == (len(spans), 0)
    assert await traces.get(here, spans[0].trace_id) == then


async def test_what_was_understood_stays_as_it_was(traces: Traces, here: Context) -> None:
    """Costs of its day too: only what hangs on something that changed is priced anew."""
    trace = wire.trace_id()
    usage = Usage.of(input_tokens=1000, output_tokens=100)
    known = {"kind": "llm", "provider": "openai", "model": "gpt-4o", "usage": usage, "dialect": "otel-genai"}
    priced = {"cost": Decimal("0.5"), "price_book": "of its day", "attributes": CALL}
    await traces.record(here, [stored(trace, 1), stored(trace, 2, 1, **known, **priced)])
    await traces.record(here, [stored(trace, 3, 1, attributes=CALL)])
    before = await traces.get(here, trace)
    assert (await renormalise(here, SINCE, None)).changed == 1
    root, kept, learned = (await traces.get(here, trace)).spans
    assert [root, kept] == before.spans[:2]
    assert (kept.cost, kept.price_book) == (Decimal("0.5"), "of its day")
    assert (learned.dialect, learned.usage, learned.cost) == ("otel-genai", usage, Decimal("0.0035"))
    assert learned.attributes == CALL


async def test_spans_that_did_not_come_by_otlp_are_left_alone(traces: Traces, here: Context) -> None:
    """The gateway knows better than attributes what it did."""
    for dialect in ("gimbal", ""):
        trace = wire.trace_id()
        span = stored(trace, 1, kind="llm", provider="local", model="echo", dialect=dialect, attributes=CALL)
        await traces.record(here, [span])
        assert (await renormalise(here, SINCE, None)).changed == 0
        assert (await traces.get(here, trace)).spans[0].provider == "local"


async def test_a_wrapper_that_is_learned_with_its_call_counts_once(traces: Traces, here: Context) -> None:
    """And so does one that came in another request."""
    trace = wire.trace_id()
    await traces.record(here, [stored(trace, 2, 1, attributes=CALL)])
    await traces.record(here, [stored(trace, 1, attributes=CALL | {"gen_ai.operation.name": "invoke_agent"})])
    assert (await renormalise(here, SINCE, None)).changed == 2
    found = await traces.get(here, trace)
    assert [(span.kind, span.billable, span.cost) for span in found.spans] == [
        ("agent", False, None),
        ("llm", True, Decimal("0.0035")),
    ]
    assert (found.summary.input_tokens, found.summary.cost) == (1000, Decimal("0.0035"))


async def test_only_the_stretch_of_time_and_the_project_are_touched(traces: Traces, here: Context) -> None:
    """The end is not part of it."""
    other = here.within(f"{here.project}x")
    first, second = wire.trace_id(), wire.trace_id()
    for context in (here, other):
        await traces.record(context, [stored(first, 1, attributes=CALL), stored(second, 9, attributes=CALL)])
    done = await renormalise(here, SINCE, SINCE + timedelta(milliseconds=9))
    assert (done.traces, done.changed) == (1, 1)
    kinds = [(await traces.get(context, trace)).spans[0].kind for context in (here, other) for trace in (first, second)]
    assert kinds == ["llm", "other", "other", "other"]


async def test_it_goes_on_where_it_stopped(traces: Traces, here: Context) -> None:
    """Each trace is looked at once."""
    ids = [wire.trace_id() for _ in range(5)]
    await traces.record(here, [stored(trace, 1, attributes=CALL) for trace in ids])
    looked, cursor = [], None
    while True:
        done = await renormalise(here, SINCE, None, cursor=cursor, limit=2)
        looked.append((done.traces, done.changed))
        cursor = done.next
        if cursor is None:
            break
    assert looked == [(2, 2), (2, 2), (1, 1)]


async def test_a_span_that_comes_again_is_newer_than_what_was_read_anew(traces: Traces, here: Context) -> None:
    """A completion is not lost behind it."""
    trace = wire.trace_id()
    await traces.record(here, [stored(trace, 1, attributes=CALL)])
    await renormalise(here, SINCE, None)
    await ingest(here, wire.request(wire.chat(trace, 1, tokens=(7, 3))))
    assert (await traces.get(here, trace)).summary.input_tokens == 7


async def test_it_is_an_operation(site: httpx.AsyncClient, traces: Traces, here: Context) -> None:
    """With its bounds checked."""
    await traces.record(here, [stored(wire.trace_id(), 1, attributes=CALL)])
    path = f"/api/v1/projects/{here.project}/traces/renormalise"
    answer = await site.post(path, json={"since": SINCE.isoformat()})
    assert (answer.status_code, answer.json()) == (200, {"traces": 1, "spans": 1, "changed": 1, "next": None})
    refused = await site.post(path, json={"since": SINCE.isoformat(), "limit": 0})
    assert (refused.status_code, refused.json()["error"]["where"]) == (400, "limit")
    with pytest.raises(BadInput, match="ends before it begins"):
        await renormalise(here, SINCE, SINCE - timedelta(days=1))


def test_every_dialect_is_one_that_is_read_anew() -> None:
    """Else its rows would stay behind."""
    read = {dialects.read(raw).dialect for path in FIXTURES.glob("*.json") for raw in raw_spans(path.stem)}
    assert read < dialects.NAMES
    bare = msgspec.structs.replace(raw_spans("openai-v2-plain")[0], attributes={})
    assert dialects.read(bare).dialect in dialects.NAMES
    assert len(dialects.NAMES) == len(dialects.DIALECTS)


async def test_how_a_span_ended_is_read_anew(traces: Traces, here: Context) -> None:
    """What was stored as an error is a cancellation where the exception says so; half of a usage is a floor."""
    trace = wire.trace_id()
    stopped = {"name": "exception", "at_us": wire.START, "attributes": {"exception.type": "asyncio.CancelledError"}}
    half = {name: value for name, value in CALL.items() if not name.endswith("output_tokens")}
    await traces.record(
        here, [stored(trace, 1, status="error", events=[stopped]), stored(trace, 2, 1, status="error", attributes=half)]
    )
    assert (await renormalise(here, SINCE, None)).changed == 2

    outer, call = (await traces.get(here, trace)).spans
    assert (outer.status, call.status) == ("cancelled", "error")
    assert (call.usage, call.estimated) == (Usage.of(input_tokens=1000), True)
    assert (await renormalise(here, SINCE, None)).changed == 0
