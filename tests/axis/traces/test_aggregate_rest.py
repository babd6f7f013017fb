"""The groups with the most and all others as one, against plain Python: by one dimension or two, by time or not."""

import math
from collections.abc import Callable, Hashable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.axis.traces.test_aggregate import HOUR, NOON, ask, call, keep

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import aggregate
from gimbal.axis.traces.model import Aggregate, Group, Span
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context

MODELS = ["a", "b'", 'c"\\', "d\ttab\nline", "größe", ""]
FEATURES = ["f1", "f2", "f,3"]
WEIGHTS = [pytest.param((1.0,), id="each for itself"), pytest.param((1.0, 2.0, 10.0), id="some for others")]


def drawn(random: np.random.Generator, number: int, weights: tuple[float, ...]) -> Span:
    """Return some span with that id: its content, its moment and what it belongs to are other ones each time."""
    used = random.random() < 0.7
    priced = used and random.random() < 0.8
    tokens = int(random.integers(1, 5000))
    return call(
        number,
        trace=number % 17 + 1,
        model=MODELS[random.integers(0, len(MODELS))],
        feature=FEATURES[random.integers(0, len(FEATURES))],
        status=("ok", "error", "cancelled")[int(random.choice(3, p=[0.7, 0.2, 0.1]))],
        weight=weights[random.integers(0, len(weights))],
        ms=float(random.integers(1, 1000)),
        usage=Usage.of(input_tokens=tokens, output_tokens=tokens // 7) if used else None,
        cost=Decimal(int(random.integers(0, 10**6))) / 10**6 if priced else None,
        unpriced="" if priced or not used else "no_price",
        billable=bool(random.random() < 0.8),
        first_token_us=int(random.integers(1, 10**6)) if random.random() < 0.5 else None,
        at_us=NOON + int(random.integers(0, 3)) * HOUR,
    )


async def stored(here: Context, seed: int, weights: tuple[float, ...]) -> list[Span]:
    """Store spans in three requests, many of them again and late; return those that count."""
    random = np.random.default_rng(seed)
    current: dict[int, Span] = {}
    for _ in range(3):
        numbers = {int(random.integers(1, 300)) for _ in range(150)}
        batch = {number: drawn(random, number, weights) for number in sorted(numbers)}
        await keep(here, *batch.values())
        current |= batch
    return list(current.values())


def level(found: Sequence[tuple[int, float]], share: float) -> float:
    """Return the first value, in milliseconds, up to which so many of the spans are."""
    reached, wanted = 0.0, share * sum(weight for _, weight in found)
    for value, weight in sorted(found):
        reached += weight
        if reached >= wanted - 1e-6:
            return value / 1000
    return max(found)[0] / 1000


def told(spans: Sequence[Span]) -> dict[str, Any]:
    """Return what spans come to, by hand."""
    counted = [s for s in spans if s.billable]
    priced = [s for s in counted if s.cost is not None]
    vain = [s for s in counted if s.status in {"error", "cancelled"} and s.cost is not None and s.cost > 0]
    used = [s for s in counted if s.usage is not None]
    first = [(s.first_token_us, s.weight) for s in spans if s.first_token_us is not None]
    least: dict[str, float] = {}
    for span in spans:
        least[span.trace_id] = min(span.weight, least.get(span.trace_id, math.inf))
    whole, failed = sum(s.weight for s in spans), sum(s.weight for s in spans if s.status == "error")
    return {
        "spans": whole,
        "traces": sum(least.values()),
        "calls": sum(s.weight for s in counted if s.usage is not None or s.unpriced),
        "errors": failed,
        "error_rate": failed / whole,
        "cost": cost(priced),
        "priced": sum(s.weight for s in priced),
        "unpriced": sum(s.weight for s in counted if s.unpriced),
        "wasted": cost(vain),
        "wasted_calls": sum(s.weight for s in vain),
        "input_tokens": sum(s.usage.input_tokens * s.weight for s in used if s.usage) if used else None,
        "output_tokens": sum(s.usage.output_tokens * s.weight for s in used if s.usage) if used else None,
        "saved": None,
        "cached_calls": 0,
        "parts": None,
        **{f"p{p}_ms": level([(s.duration_us, s.weight) for s in spans], p / 100) for p in (50, 95, 99)},
        **{f"first_token_p{p}_ms": level(first, p / 100) if first else None for p in (50, 95, 99)},
    }


def cost(spans: Sequence[Span]) -> Decimal | None:
    return sum(((s.cost or 0) * Decimal(s.weight) for s in spans), Decimal(0)) if spans else None


def figures(group: Group) -> dict[str, Any]:
    return {name: getattr(group, name) for name in group.__struct_fields__ if name not in {"group", "start"}}


def by(spans: Sequence[Span], key: Callable[[Span], Hashable]) -> dict[Any, dict[str, Any]]:
    found: dict[Any, list[Span]] = {}
    for span in spans:
        found.setdefault(key(span), []).append(span)
    return {one: told(members) for one, members in found.items()}


def expected(spans: Sequence[Span], dimensions: Sequence[str], order: str, limit: int) -> list[tuple[str, ...]]:
    """Return the groups with the most; what is unknown comes last, what is equal by its names."""
    names = {"tokens": ("input_tokens", "output_tokens"), "latency": ("p95_ms",)}.get(order, (order,))

    def worth(figures: dict[str, Any]) -> float:
        parts = [figures[name] for name in names]
        if None in parts:
            return 0.0 if order == "wasted" else -math.inf
        return float(sum(parts))

    found = by(spans, lambda s: tuple(getattr(s, name) for name in dimensions))
    return sorted(found, key=lambda one: (-worth(found[one]), one))[:limit]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("dimensions", [["model"], ["feature", "model"]])
@pytest.mark.parametrize("states", [10_000, 0], ids=["read once", "read twice"])
async def test_groups_and_the_rest_are_those_of_plain_python(
    traces: Traces,
    here: Context,
    monkeypatch: pytest.MonkeyPatch,
    states: int,
    dimensions: list[str],
    weights: tuple[float, ...],
) -> None:
    """Every measure of every group and of all others, in every order; spans that came again count as they came last."""
    monkeypatch.setattr(aggregate, "_MOST_STATES", states)
    spans = await stored(here, states, weights)

    orders = ("spans", "traces", "calls", "errors", "error_rate", "cost", "wasted", "tokens", "latency", "spans")
    for order, limit in zip(orders, (1, 4, 2, 3, 1, 4, 2, 3, 1, 100), strict=True):
        found = await ask(here, *dimensions, order=order, limit=limit)
        check(found, spans, dimensions, expected(spans, dimensions, order, limit), every=None)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("dimensions", [["model"], ["feature", "model"]])
async def test_groups_and_the_rest_by_time_are_those_of_plain_python(
    traces: Traces, here: Context, dimensions: list[str], weights: tuple[float, ...]
) -> None:
    spans = await stored(here, 7, weights)

    for order, limit in (("spans", 100), ("cost", 1), ("latency", 4)):
        found = await ask(here, *dimensions, order=order, limit=limit, every="hour")
        check(found, spans, dimensions, expected(spans, dimensions, order, limit), every=HOUR)


def check(
    found: Aggregate, spans: Sequence[Span], dimensions: list[str], top: list[tuple[str, ...]], *, every: int | None
) -> None:
    """Compare an answer with what plain Python makes of the spans."""
    places = {one: place for place, one in enumerate(top)}

    def at(span: Span) -> tuple[int | None, int]:
        start = None if every is None else span.start_us - span.start_us % every
        return start, places.get(tuple(getattr(span, name) for name in dimensions), -1)

    truth = by(spans, at)
    shown = sorted(one for one in truth if one[1] >= 0)
    rest = sorted(one for one in truth if one[1] < 0)
    assert [(one.group, one.start) for one in found.groups] == [
        ([value or None for value in top[place]], None if start is None else from_us(start)) for start, place in shown
    ]
    assert [(one.group, one.start) for one in found.other] == [
        ([], None if start is None else from_us(start)) for start, _ in rest
    ]
    assert found.more == bool(rest)
    for group, place in zip([*found.groups, *found.other], [*shown, *rest], strict=True):
        assert close(figures(group)) == close(truth[place])


def close(found: dict[str, Any]) -> dict[str, Any]:
    """Return figures that can be compared: what stands for others is summed up in floats."""
    return {name: None if value is None else round(float(value), 9) for name, value in found.items()}


async def test_cost_by_class_and_what_a_cache_saved_are_put_together_in_the_rest(traces: Traces, here: Context) -> None:
    """Of three models two are the rest: their classes and savings add up."""
    for number, model in enumerate(("a", "b", "c"), 1):
        cent = Decimal(number) / 100
        await keep(
            here,
            *(call(number * 10 + k, model=model, cost=cent, parts={"input": cent - cent / 4, "output": cent / 4}) for k in range(4 - number)),
            call(number * 10 + 9, model=model, cost=Decimal(0), cached=True, saved=cent),
        )  # fmt: skip

    found = await ask(here, "model", limit=1, parts=True)

    (first,), (rest,) = found.groups, found.other
    assert (first.group, first.cost, first.saved, first.cached_calls) == (["a"], Decimal("0.03"), Decimal("0.01"), 1)
    assert (rest.cost, rest.saved, rest.cached_calls) == (Decimal("0.07"), Decimal("0.05"), 2)
    assert first.parts == {"input": Decimal("0.0225"), "output": Decimal("0.0075")}
    assert rest.parts == {"input": Decimal("0.0525"), "output": Decimal("0.0175")}
