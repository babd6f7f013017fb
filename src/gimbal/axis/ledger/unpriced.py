"""Calls that have no cost: how many, why, and what to do about it. They are counted where they are priced."""

import re
from datetime import timedelta
from typing import get_args

from gimbal.axis.ledger import sums
from gimbal.axis.ledger.books import current_book
from gimbal.axis.ledger.model import UnpricedGroup
from gimbal.axis.pricing.model import RATES, Tier, Usage
from gimbal.axis.pricing.service import Pricer
from gimbal.axis.traces.filters import TraceFilter
from gimbal.kernel.clock import from_us, iso
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

MOST_GROUPS = 1000
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
_KEYS = {
    "provider": "s.provider", "model": "s.model", "trace_id": "s.trace_id", "span_id": "s.span_id",
}  # fmt: skip
_NEWEST = "argMax(tuple(s.its_trace_id, s.its_span_id), s.start_us) AS example"


async def groups(ctx: Context, narrowed: TraceFilter, *, limit: int = 100) -> list[UnpricedGroup]:
    """Return the unpriced calls by provider, model and reason, the most first; raise BadInput."""
    if not 1 <= limit <= MOST_GROUPS:
        raise BadInput(f"There cannot be {limit} groups.", where="limit", todo=f"Ask for 1 to {MOST_GROUPS}.")
    found = await sums.counted(ctx, (), narrowed, more=_KEYS)
    rows = await sums.rows(
        ctx,
        found,
        "s.its_provider AS house, s.its_model AS name, s.unpriced AS reason, sum(s.weight) AS calls, "
        "sum(s.input_tokens * s.weight) AS input_tokens, sum(s.output_tokens * s.weight) AS output_tokens, "
        f"min(s.start_us) AS first, max(s.start_us) AS last, {_NEWEST}",
        "WHERE s.billable = 1 AND s.unpriced != '' GROUP BY house, name, reason "
        "ORDER BY calls DESC, house, name, reason LIMIT {most:UInt32}",
        {"most": limit},
    )
    book = await current_book(ctx)
    groups: list[UnpricedGroup] = []
    for row in rows:
        first, last = from_us(row["first"]), from_us(row["last"])
        told = book.price(row["house"], row["name"], last, Usage(input=1, output=1)).amount is not None
        todo, command = _advice(book, row["house"], row["name"], row["reason"], iso(first)[:10], known=told)
        groups.append(
            UnpricedGroup(
                provider=row["house"],
                model=row["name"],
                reason=row["reason"],
                calls=round(row["calls"]),
                input_tokens=sums.whole(row["input_tokens"]),
                output_tokens=sums.whole(row["output_tokens"]),
                first=first,
                last=last,
                trace_id=row["example"][0],
                span_id=row["example"][1],
                todo=todo,
                command=command,
            )
        )
    return groups


async def count(ctx: Context, narrowed: TraceFilter) -> int:
    """Return how many calls are unpriced."""
    found = await sums.counted(ctx, (), narrowed)
    rows = await sums.rows(ctx, found, "sumIf(s.weight, s.billable = 1 AND s.unpriced != '') AS calls", "")
    return round(rows[0]["calls"] or 0)


def last_days(ctx: Context, days: int) -> TraceFilter:
    """Return the filter of what began in the last days."""
    since = ctx.now() - timedelta(days=days)
    return TraceFilter(since_us=int(since.timestamp()) * 1_000_000)


def _advice(book: Pricer, provider: str, model: str, reason: str, day: str, *, known: bool) -> tuple[str, str]:
    """Return what to do about a reason, and the command or the entry that does it."""
    again = f'gimbal pricing rerate --from {day} --provider {quoted(provider)} --model {quoted(model)} --reason "…"'
    if reason == "no_usage":
        todo = "Let the caller ask for usage (OpenAI streams: stream_options.include_usage), or send it through the gateway."
        return f"Nobody reported tokens, so no price can help. {todo}", ""
    if reason == "implausible_usage":
        return "The usage contradicts itself: look at the example, and mend who reports it.", ""
    if not model or not provider:
        return "The span does not say which model of which provider it was: mend who sends it.", ""
    if known and not reason.startswith("no_price:"):
        return f"The book {book.version} has a price now: price history anew.", again
    if reason == "no_exchange_rate":
        return "Its price is in a currency without a rate for that day: add an exchange rate to the book.", ""
    name = _SNAPSHOT.sub("", model)
    entry = f"gimbal prices set --provider {quoted(provider)} --model {quoted(name)} --valid-from {day} --input … --output …"
    if reason.startswith("no_price:"):
        part = reason.removeprefix("no_price:")
        if part in RATES:
            entry += f" --{part.replace('_', '-')} …"
        elif part in get_args(Tier):
            entry += f" --tier {part}"
        else:
            entry += f' --requests \'{{"{part}": "…"}}\''
        return f"The price names no {part.replace('_', ' ')}: set one that does, then price history anew.", entry
    return "No book has such a model: set a price, then price history anew.", entry


def quoted(text: str) -> str:
    """Return a word of a command line."""
    return text if re.fullmatch(r"[\w.:/@-]+", text) else "'" + text.replace("'", "'\\''") + "'"
