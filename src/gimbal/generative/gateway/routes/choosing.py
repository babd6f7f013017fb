"""Which models answer a call, in which order: from a route, the call's facts, health, prices and chance to a Plan.

Pure: the same inputs give the same plan, whichever process asks.
"""

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from math import log
from typing import Protocol

from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.service import Pricer
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.model import Plan
from gimbal.generative.gateway.routes.facts import Facts
from gimbal.generative.gateway.routes.prepared import Part, Ready, Route
from gimbal.kernel.errors import Unprocessable

Prices = Callable[[str, str, int, int], Decimal | None]
"""Dollars for a call of (provider, model) with so many tokens of input and answer; None where no price is known."""
Chance = Callable[[], float]
"""Draws from 0 up to, but not, 1."""
_64_BITS = 2**64 - 1


class Seen(Protocol):
    """What is known of how models fare; `resilience.health` has it."""

    def usable(self, provider: str, model: str) -> bool:
        """Tell whether a call would be sent to it now."""
        ...

    def cost(self, provider: str, model: str, *, stream: bool) -> float:
        """Return its latency times the calls that would be under way."""
        ...


def no_prices(provider: str, model: str, input_tokens: int, answer_tokens: int) -> Decimal | None:
    """Know no price at all."""
    return None


def book_prices(pricer: Pricer, at: datetime, name_of: Callable[[str], str] = str) -> Prices:
    """Return prices by a project's price book; `name_of` gives the name by which the book knows a provider."""

    def price(provider: str, model: str, input_tokens: int, answer_tokens: int) -> Decimal | None:
        return pricer.price(name_of(provider), model, at, Usage(input=input_tokens, output=answer_tokens)).amount

    return price


def choose(
    route: Route, facts: Facts, health: Seen, prices: Prices = no_prices, chance: Chance = random.random
) -> Plan:
    """Return what is to be attempted for a call; raise Unprocessable where no target can take it, saying why of each."""
    part = next((rule.part for rule in route.rules if rule.holds(facts)), route.default)
    plan = part.plan
    if plan is None:
        targets, reasons = _able(route, part, facts) if part.asks else (part.targets, part.reasons)
        choices, more = _ordered(route, part, targets, facts, health, prices, chance)
        plan = Plan(choices=choices, resilience=route.resilience, reasons=(*reasons, *more), route=route.ref)
    if route.shadow is not None and chance() < route.share:
        return Plan(
            choices=plan.choices,
            resilience=plan.resilience,
            shadow=route.shadow,
            reasons=plan.reasons,
            route=plan.route,
        )
    return plan


def _able(route: Route, part: Part, facts: Facts) -> tuple[Sequence[Ready], tuple[str, ...]]:
    able: list[Ready] = []
    unfit: list[str] = []
    for ready in part.targets:
        if why := _unfit(ready, facts):
            unfit.append(f"{ready.target.model} left out: {why}")
        else:
            able.append(ready)
    if able:
        return able, (*part.reasons, *unfit)
    reasons = "; ".join((*unfit, *part.left_out)).replace(" left out: ", ": ")
    raise Unprocessable(
        f"No target of route:{route.name} can take this call.",
        where="model",
        todo=f"Change the call or the route: {reasons}.",
    )


def _unfit(ready: Ready, facts: Facts) -> str:
    """Return what a target lacks for a call; only what a target says of itself is looked at."""
    target = ready.target
    if target.tools is False and facts.tools:
        return "it calls no tools"
    if target.json_schema is False and facts.json_schema:
        return "it answers by no JSON schema"
    if target.vision is False and facts.vision:
        return "it reads no images"
    if target.context_length is not None:
        needed = facts.input_tokens + (facts.answer_tokens or 0)
        if needed > target.context_length:
            return f"the call needs about {needed} tokens, it has room for {target.context_length}"
    return ""


def _ordered(
    route: Route,
    part: Part,
    targets: Sequence[Ready],
    facts: Facts,
    health: Seen,
    prices: Prices,
    chance: Chance,
) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    if part.strategy == "weighted":
        order, reasons = _weighted(route, targets, facts, chance)
    elif part.strategy == "least_latency":
        order, reasons = _least_latency(targets, facts, health, chance)
    elif part.strategy == "cheapest":
        order, reasons = _cheapest(route, targets, facts, prices)
    else:
        order, reasons = targets, ()
    return (order[0].first, *(ready.next for ready in order[1:])), reasons


def _weighted(
    route: Route, targets: Sequence[Ready], facts: Facts, chance: Chance
) -> tuple[Sequence[Ready], tuple[str, ...]]:
    """Order targets by a race: each runs for a time that is exponential with its weight as the rate.

    The first to arrive is one of them with the share of its weight; and a target whose weight changes takes calls from
    the others, or gives them, but moves none between them.
    """
    sticky = route.manifest.sticky
    key = "" if sticky == "none" else facts.user if sticky == "user" else facts.session
    if key:
        draws = drawn(f"{route.name}\0{key}", [ready.salt for ready in targets])
    else:
        # 1 - chance is never 0, and 0 has no logarithm.
        draws = [1.0 - chance() for _ in targets]
    race = [
        (-log(draw) / ready.target.weight if ready.target.weight else float("inf"), place)
        for place, (ready, draw) in enumerate(zip(targets, draws, strict=True))
    ]
    race.sort()
    return [targets[place] for _, place in race], (f"kept by {sticky}" if key else "by chance",)


def drawn(key: str, salts: Sequence[int]) -> list[float]:
    """Return a number above 0 and at most 1 for each salt, even over keys and the same in every process and for ever.

    The key is hashed once, and mixed with each salt by the finaliser of SplitMix64.
    """
    found: list[float] = []
    said = int.from_bytes(blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
    for salt in salts:
        mixed = said ^ salt
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _64_BITS
        found.append(((mixed ^ mixed >> 31) + 1) / 2.0**64)
    return found


def _least_latency(
    targets: Sequence[Ready], facts: Facts, health: Seen, chance: Chance
) -> tuple[Sequence[Ready], tuple[str, ...]]:
    """Put the better of two that are drawn by chance first: whoever asked for the best of all would flock to it."""
    well = [place for place, ready in enumerate(targets) if health.usable(ready.provider, ready.model)]
    listed = well or list(range(len(targets)))
    one, two = int(chance() * len(listed)), int(chance() * (len(listed) - 1))
    pair = [listed[one]]
    if len(listed) > 1:
        pair.append(listed[two + (two >= one)])
    costs = [health.cost(targets[place].provider, targets[place].model, stream=facts.stream) for place in pair]
    if len(pair) > 1 and costs[1] < costs[0]:
        pair.reverse()
        costs.reverse()
    rest = [place for place in listed if place not in pair]
    rest += [place for place in range(len(targets)) if place not in listed]
    told = ", ".join([f"{targets[place].target.model} {cost:.3f} s" for place, cost in zip(pair, costs, strict=True)])
    return [targets[place] for place in (*pair, *rest)], (f"latency and load: {told}",)


def _cheapest(
    route: Route, targets: Sequence[Ready], facts: Facts, prices: Prices
) -> tuple[Sequence[Ready], tuple[str, ...]]:
    """Put the lowest price first; what no price is known of comes last, for it may be anything."""
    said, reckoned = facts.answer_tokens, route.manifest.answer_tokens
    answer = reckoned if said is None else min(said, reckoned)
    asked = facts.input_tokens
    amounts = [prices(ready.provider, ready.model, asked, answer) for ready in targets]
    order = sorted(range(len(targets)), key=lambda place: (amounts[place] is None, amounts[place] or Decimal(0), place))
    told = [
        f"{targets[place].target.model} {'has no known price' if (paid := amounts[place]) is None else f'${paid:f}'}"
        for place in order
    ]
    return [targets[place] for place in order], (f"for about {asked} + {answer} tokens: {', '.join(told)}",)
