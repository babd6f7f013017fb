"""Settle: what was used and what it costs, however the call ended.

Where the provider said nothing (a stream that was cut before its last chunk, a server that never counts), usage is
estimated from the texts and marked as an estimate. A call that no provider accepted used nothing. A cost that is not
known stays unknown.
"""

from gimbal.axis.pricing.model import Cost, Usage
from gimbal.axis.pricing.service import PriceBook
from gimbal.generative.gateway.flight import Flight
from gimbal.generative.knowledge.analysis import count_tokens
from gimbal.kernel.clock import from_us
from gimbal.kernel.errors import ContradictoryUsage

_CHARACTERS_PER_TOKEN = 4


async def settle(flight: Flight) -> None:
    """Fill in usage and cost."""
    flight.land()
    if flight.provider is None or flight.answer is None:
        return
    if flight.usage is None or not flight.complete:
        flight.usage = _at_least(flight)
    cost = _cost(flight, flight.provider.pricing)
    flight.cost, flight.unpriced, flight.price_book = cost.amount, cost.unpriced_reason, cost.book_version


def _cost(flight: Flight, pricing: str) -> Cost:
    """Return what the call costs, by the classes that the provider told as far as they are not an estimate."""
    book = flight.ctx.get(PriceBook)
    told = None if flight.estimated else flight.billable
    if isinstance(told, ContradictoryUsage):
        return Cost(amount=None, book_version=book.version, unpriced_reason="implausible_usage")
    return book.price(pricing, flight.model, from_us(flight.started_us), told or flight.usage)


def _at_least(flight: Flight) -> Usage:
    """Return what was said or seen, whichever is more: a cut stream has often said its input but not its output."""
    said = flight.usage
    texts = [message.text for message in flight.call.messages]
    tools = [tool.name + tool.arguments for tool in flight.tools.values()]
    seen = "".join((*flight.text, *flight.reasoning, flight.refusal, *tools))
    output = count_tokens(seen) + flight.side_text // _CHARACTERS_PER_TOKEN
    if said is not None and said.input_tokens and said.output_tokens >= output:
        return said
    flight.estimated = True
    if said is None:
        return Usage(input_tokens=sum(count_tokens(text) for text in texts), output_tokens=output)
    return Usage(
        input_tokens=said.input_tokens or sum(count_tokens(text) for text in texts),
        output_tokens=max(said.output_tokens, output),
        cache_read_tokens=said.cache_read_tokens,
        cache_write_tokens=said.cache_write_tokens,
        reasoning_tokens=said.reasoning_tokens,
    )
