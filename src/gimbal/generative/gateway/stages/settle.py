"""Settle: what was used and what it costs, however the call ended.

Where the provider said nothing (a stream that was cut before its last chunk, a server that never counts), usage is
estimated from the texts and marked as an estimate. A call that no provider accepted used nothing. A cost that is not
known stays unknown.
"""

from collections.abc import Iterator

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.service import PriceSource
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import AnyPart, Refused, Text, Thinking, ToolResult, ToolUse
from gimbal.generative.gateway.flight import Flight
from gimbal.generative.knowledge.analysis import count_tokens
from gimbal.kernel.errors import BadInput

_CHARACTERS_PER_TOKEN = 4


async def settle(flight: Flight) -> None:
    """Fill in usage and cost."""
    if flight.provider is None or flight.answer is None:
        return
    if flight.usage is None or not flight.complete:
        flight.usage = _at_least(flight)
    prices = await flight.ctx.get(PriceSource).of(flight.ctx.project or "default")
    cost = prices.price(flight.provider.pricing, flight.model, flight.started, flight.usage)
    flight.cost, flight.unpriced, flight.price_book = cost.amount, cost.unpriced_reason, cost.book_version
    flight.parts = cost.parts


def _at_least(flight: Flight) -> Usage:
    """Return what was said or seen, whichever is more: a cut stream has often said its input but not its output."""
    said = flight.usage
    tools = [tool.name + tool.arguments for tool in flight.tools.values()]
    seen = "".join((*flight.text, *flight.reasoning, flight.refusal, *tools))
    output = count_tokens(seen) + flight.side_text // _CHARACTERS_PER_TOKEN
    if said is not None and said.input_tokens and said.output_tokens >= output:
        return said
    flight.estimated = True
    if said is None:
        return Usage(input=tokens_asked(flight.call), output=output)
    return msgspec.structs.replace(
        said,
        input=said.input if said.input_tokens else tokens_asked(flight.call),
        output=said.output + max(0, output - said.output_tokens),
    )


def tokens_asked(call: Call) -> int:
    """Return about how many tokens a request has: by its texts, else by its bytes."""
    try:
        turns = call.conversation.turns
    except BadInput:
        return len(call.asked.said) // _CHARACTERS_PER_TOKEN
    return sum(count_tokens(text) for turn in turns for text in _texts(turn.parts))


def _texts(parts: tuple[AnyPart, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Text | Refused | Thinking):
            yield part.text
        elif isinstance(part, ToolUse):
            yield part.name + part.arguments
        elif isinstance(part, ToolResult):
            yield from _texts(part.parts)
