"""What a span says of usage and money is in its columns: it reads as it was written, and is priced again to the same."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.axis.traces import wire

from gimbal.axis.pricing.model import TOKENS, TOTALS, Usage
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.traces.charging import charged, once, uncharged
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import COLUMNS, from_row, to_rows
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context

BOOK = PriceBook.read()
COUNTS = st.integers(0, 10**7)
USAGES = st.builds(
    lambda counts, requests, tier, contradictory: Usage(
        **dict(zip(TOKENS, counts, strict=True)), requests=requests, tier=tier, contradictory=contradictory
    ),
    st.lists(st.one_of(st.just(0), COUNTS), min_size=len(TOKENS), max_size=len(TOKENS)),
    st.dictionaries(st.sampled_from(["web_search", "file_search"]), st.integers(1, 9), max_size=2),
    st.sampled_from(["standard", "batch", "flex", "priority", "fast", "regional", "other"]),
    st.booleans(),
)


def span(number: int, **said: Any) -> Span:
    return Span(
        trace_id=f"{1:032x}", span_id=f"{number:016x}", name="chat", kind="llm", start_us=wire.START, end_us=wire.START,
        provider="anthropic", model="claude-sonnet-4", **said,
    )  # fmt: skip


async def stored(here: Context, spans: Sequence[Span]) -> list[Span]:
    """Return spans as the column table gives them back."""
    await here.get(Writer).write("spans", to_rows(str(here.project), spans))
    return sorted((await here.get(Traces).get(here, spans[0].trace_id)).spans, key=lambda one: one.span_id)


def as_row(one: Span) -> dict[str, Any]:
    """Return a span as it would come out of the table."""
    rows = to_rows("p", [one]).table().to_pylist()
    row = {
        name: dict(v) if isinstance(v := rows[0][name], list) and name in {"parts", "usage_classes"} else v
        for name in COLUMNS
    }
    return row | {name: row[name] or {} for name in ("parts", "usage_classes")}


@settings(max_examples=300, deadline=None)
@given(USAGES)
def test_any_usage_reads_as_it_was_written(usage: Usage) -> None:
    """Down to the last class; the totals are columns of their own."""
    row = as_row(span(1, usage=usage))
    assert from_row(row).usage == usage
    assert [row[name] for name in TOTALS] == [getattr(usage, name) for name in TOTALS]
    plain = not usage.others()
    assert (row["usage_classes"] == {}) == plain


@settings(max_examples=300, deadline=None)
@given(USAGES, st.sampled_from(["ok", "error"]), st.booleans())
def test_a_span_is_priced_again_from_its_columns_to_the_last_decimal(usage: Usage, status: str, cached: bool) -> None:
    """With every class, tier, and contradiction; its parts come to its cost."""
    first = charged(span(1, usage=usage, status=status, cached=cached), BOOK)
    back = from_row(as_row(first))
    again = charged(uncharged(back), BOOK)
    names = ("cost", "unpriced", "price_book", "saved", "usage")
    assert [getattr(again, name) for name in names] == [getattr(back, name) for name in names]
    assert [getattr(first, name) for name in names] == [getattr(back, name) for name in names]
    if back.cost is not None and not cached:
        assert sum(back.parts.values(), Decimal(0)) == back.cost
        assert {k: v for k, v in back.parts.items() if v} == {k: v for k, v in first.parts.items() if v}
    else:
        assert back.parts == {}


async def test_the_table_gives_back_what_it_was_given(traces: Traces, here: Context) -> None:
    """Plain and rich ones in one batch, through the real engine."""
    usages = [
        None,
        Usage(input=3, output=2),
        Usage(input=-1, cache_read=4, contradictory=True),
        Usage(cache_write_5m=1, cache_write_30m=2, cache_write_1h=3, cache_write_12h=4, cache_write=5),
        Usage(audio_input=1, audio_cache_read=2, image_input=3, audio_output=4, image_output=5, reasoning=6, output=7),
        Usage(input=9, requests={"web_search": 3, "odd tool": 1}, tier="batch"),
    ]
    spans = [
        charged(span(number, usage=usage, endpoint="/v1/x", key_id="k1", tags=["a", "team:search"]), BOOK)
        for number, usage in enumerate(usages)
    ]
    spans.append(charged(span(9, usage=Usage(input=1000, output=10), cached=True), BOOK))
    found = await stored(here, spans)
    assert [one.usage for one in found] == [one.usage for one in spans]
    assert [one.cost for one in found] == [one.cost for one in spans]
    assert [(one.endpoint, one.key_id, one.tags) for one in found[:-1]] == [("/v1/x", "k1", ["a", "team:search"])] * 6
    assert (found[-1].cached, found[-1].cost, found[-1].saved) == (True, 0, Decimal("0.00315"))
    assert found[5].parts == {}, "an odd tool has no price"
    assert found[1].parts == {"input": Decimal("0.000009"), "output": Decimal("0.00003")}


async def test_rows_from_before_the_columns_read_as_they_did(traces: Traces, here: Context, columns: Columns) -> None:
    """With the five totals, standard, and no parts."""
    usage = Usage.of(
        input_tokens=1000, output_tokens=100, cache_read_tokens=400, cache_write_tokens=50, reasoning_tokens=60
    )
    table = to_rows(str(here.project), [span(1, usage=usage, cost=Decimal("0.5"), price_book="b")]).table()
    new = ["usage_classes", "tier", "parts", "saved", "cached", "endpoint", "key_id", "tags"]
    await columns.insert("spans", table.drop_columns(new))
    (one,) = (await traces.get(here, f"{1:032x}")).spans
    assert (one.usage, one.cost, one.parts, one.saved, one.cached) == (usage, Decimal("0.5"), {}, None, False)
    assert (one.endpoint, one.key_id, one.tags) == ("", "", [])


async def test_a_span_that_another_counts_says_nothing_of_money(traces: Traces, here: Context) -> None:
    """Neither cost nor parts nor what it saved."""
    paid = charged(span(1, usage=Usage(input=9), cached=True), BOOK)
    assert paid.saved is not None
    told = once(charged(span(1, usage=Usage(input=9, reasoning=4)), BOOK))
    assert (told.cost, told.parts, told.saved, told.unpriced, told.billable) == (None, {}, None, "", False)


@pytest.mark.parametrize("tokens", [10**15, 2**53])
def test_more_tokens_than_anyone_has_are_still_exact(tokens: int) -> None:
    """Arrow and the table hold what decimals come to."""
    one = charged(span(1, usage=Usage(input=tokens, reasoning=tokens)), BOOK)
    table = to_rows("p", [one]).table()
    assert pa.types.is_decimal(table.schema.field("cost").type)
    assert from_row(as_row(one)).cost == one.cost


async def test_what_is_sent_twice_is_stored_once(traces: Traces, here: Context) -> None:
    """With its parts."""
    trace = wire.trace_id()
    for _ in range(2):
        await ingest(here, wire.request(wire.chat(trace, 1)))
    found = await traces.get(here, trace)
    assert (found.summary.cost, found.spans[0].parts) == (
        Decimal("0.0035"),
        {"input": Decimal("0.0025"), "output": Decimal("0.001")},
    )
