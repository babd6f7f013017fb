"""Calls for the tests of the ledger, and books that price them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from gimbal.axis.ledger import rerating
from gimbal.axis.ledger.model import Rerate, Rerating
from gimbal.axis.pricing.model import Price, Usage
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.ids import new_span_id, new_trace_id

# Before the frozen clock of the tests, which stands at the beginning of 2026.
BEGIN = datetime(2025, 12, 1, tzinfo=UTC)


def price(model: str, per_input: str, per_output: str, **more: Any) -> Price:
    """Return a price of `acme` per million tokens."""
    more = {"provider": "acme", "valid_from": date(2025, 1, 1)} | more
    return Price(model=model, input=Decimal(per_input), output=Decimal(per_output), **more)


OLD = PriceBook([price("m1", "2", "10"), price("m2", "1", "1")], "old")
# m1 was wrong, m2 is gone, m3 has a price now.
NEW = PriceBook([price("m1", "3", "10"), price("m3", "5", "7")], "new")


def call(model: str, input_tokens: int, output_tokens: int, *, at: datetime = BEGIN, **more: Any) -> Span:
    """Return a span of one call."""
    more = {
        "trace_id": new_trace_id(),
        "span_id": new_span_id(),
        "name": model,
        "kind": "llm",
        "provider": "acme",
    } | more
    usage = Usage.of(input_tokens=input_tokens, output_tokens=output_tokens)
    return Span(**{"start_us": to_us(at), "end_us": to_us(at) + 1_000_000, "model": model, "usage": usage} | more)


async def record(ctx: Context, book: PriceBook, *spans: Span) -> None:
    """Store spans as they come in while a book holds."""
    traces = Traces(ctx.get(Columns), ctx.get(Traces)._writer, book)
    await traces.record(ctx, list(spans))
    ctx.services.register(PriceSource, book)


async def rerated(ctx: Context, book: PriceBook, **asked: Any) -> Rerating:
    """Carry a rerating out with a book, as its job does."""
    ctx.services.register(PriceSource, book)
    body = Rerate(**{"from_": BEGIN, "reason": "the price was wrong"} | asked)
    begun = await rerating.start(ctx, body)
    done = await rerating.carry_out(ctx, begun.id, told)
    await ended(ctx, begun.job_id)
    return done


async def told(done: int, total: int, message: str) -> None:
    """Take what a job says of how far it is."""
    assert done <= total, message


async def ended(ctx: Context, job_id: str) -> None:
    """End the job whose work was done here."""
    from gimbal.engines.compute.jobs import Jobs

    await ctx.get(Jobs).cancel(ctx, job_id)


async def costs(ctx: Context, spans: Sequence[Span]) -> list[Decimal | None]:
    """Return what the spans are said to cost now."""
    found: list[Decimal | None] = []
    for span in spans:
        trace = await ctx.get(Traces).get(ctx, span.trace_id)
        found.append(next(one.cost for one in trace.spans if one.span_id == span.span_id))
    return found


def day(number: int) -> datetime:
    """Return the beginning of a day."""
    return BEGIN + timedelta(days=number)


__all__ = ["BEGIN", "NEW", "OLD", "call", "costs", "day", "ended", "from_us", "price", "record", "rerated", "told"]
