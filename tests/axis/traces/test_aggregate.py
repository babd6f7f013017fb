"""Sums over spans: against sums by hand and against plain Python, never another project's, clear when asked badly."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.axis.traces import wire

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import measures
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Aggregate, Group, Span
from gimbal.axis.traces.rows import to_rows
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.errors import BadInput, DeadlineExceeded
from gimbal.kernel.operations import find, invoke

HOUR = 3_600_000_000
# 2025-12-03: a day begins, and it is before what the tests' clock shows.
NOON = 1_764_720_000_000_000


async def ask(here: Context, *group: str, **asked: Any) -> Aggregate:
    return await invoke(find("traces.aggregate"), here, {"project": here.project, "group": list(group), **asked})


async def keep(here: Context, *spans: Span) -> None:
    """Store spans as they are, whatever a price book or the sampling would make of them."""
    await here.get(Writer).write("spans", to_rows(str(here.project), spans))


def call(number: int, *, trace: int = 1, ms: float = 100, at_us: int = NOON, **said: Any) -> Span:
    """Return a call whose cost is known: ten tokens in, two out, a cent."""
    given: dict[str, Any] = {
        "kind": "llm", "name": "chat", "model": "m1", "provider": "p1", "status": "ok", "cost": Decimal("0.01"),
        "usage": Usage.of(input_tokens=10, output_tokens=2),
    }  # fmt: skip
    return Span(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        start_us=at_us,
        end_us=at_us + round(ms * 1000),
        **(given | said),
    )


def step(number: int, **said: Any) -> Span:
    """Return a span that is no call."""
    return call(
        number, **({"kind": "chain", "name": "step", "model": "", "provider": "", "cost": None, "usage": None} | said)
    )


def by(found: Sequence[Group]) -> dict[Any, Group]:
    return {one.group[0] if len(one.group) == 1 else tuple(one.group): one for one in found}


@pytest.fixture
async def shop(traces: Traces, here: Context) -> Traces:
    """Two traces: a wrapper over a call and an unpriced one; a failed call that stands for four, after a resent one."""
    await keep(
        here,
        step(1, ms=1000, user_id="ann", session_id="s1", feature="help"),
        call(2, parent_id=f"{1:016x}", ms=200, first_token_us=50_000, refs=["prompt:help/answer@v1", "index:docs@v3"]),
        call(
            3, parent_id=f"{1:016x}", ms=400, model="m2", cost=None, unpriced="no_price", refs=["prompt:help/answer@v2"]
        ),
        call(
            4,
            parent_id=f"{1:016x}",
            billable=False,
            cost=None,
            ms=500,
            attributes={"tenant": "acme", "n": 3, "tags": ["a", "b"]},
        ),
    )
    await keep(here, call(5, trace=2, cost=Decimal("0.5"), ms=1, at_us=NOON + HOUR, user_id="bob"))
    await keep(
        here,
        call(5, trace=2, cost=Decimal("0.02"), ms=300, at_us=NOON + HOUR, user_id="bob", status="error", weight=4.0),
    )
    return traces  # fmt: skip


async def test_everything_at_once(shop: Traces, here: Context) -> None:
    """Five spans stand for eight; the newest version counts, the span that only repeats a call has no cost."""
    (one,) = (await ask(here)).groups

    assert one == Group(
        group=[], spans=8, traces=5, calls=6, errors=4, error_rate=0.5, cost=Decimal("0.09"), priced=5, unpriced=1,
        wasted=Decimal("0.08"), wasted_calls=4, saved=None, cached_calls=0, parts=None,
        input_tokens=60, output_tokens=12, p50_ms=300, p95_ms=1000, p99_ms=1000,
        first_token_p50_ms=50, first_token_p95_ms=50, first_token_p99_ms=50,
    )  # fmt: skip


async def test_by_model(shop: Traces, here: Context) -> None:
    """What nothing is known of is null: no cost where nothing is priced, no tokens where none were reported."""
    found = await ask(here, "model")
    groups = by(found.groups)

    assert ([*groups], found.more, found.other) == (["m1", None, "m2"], False, [])
    assert (groups["m1"].spans, groups["m1"].calls, groups["m1"].cost) == (6, 5, Decimal("0.09"))
    assert (groups["m2"].cost, groups["m2"].priced, groups["m2"].unpriced, groups["m2"].input_tokens) == (
        None,
        0,
        1,
        10,
    )
    assert (groups[None].input_tokens, groups[None].cost, groups[None].calls) == (None, None, 0)
    assert (groups["m1"].first_token_p95_ms, groups["m2"].first_token_p95_ms) == (50, None)


@pytest.mark.parametrize(
    ("group", "spans"),
    [
        (["provider"], {"p1": 7, None: 1}),
        (["kind"], {"llm": 7, "chain": 1}),
        (["status"], {"ok": 4, "error": 4}),
        (["name"], {"chat": 7, "step": 1}),
        (["dialect"], {None: 8}),
        (["user"], {"ann": 4, "bob": 4}),
        (["session"], {"s1": 4, None: 4}),
        (["feature"], {"help": 4, None: 4}),
        # What says no version itself has those of its trace.
        (["prompt"], {"prompt:help/answer@v1": 3, "prompt:help/answer@v2": 3, None: 4}),
        (["ref"], {"prompt:help/answer@v1": 3, "prompt:help/answer@v2": 3, "index:docs@v3": 3, None: 4}),
        (["attribute:tenant"], {"acme": 1, None: 7}),
        (["attribute:n"], {"3": 1, None: 7}),
        (["attribute:' OR 1=1 --"], {None: 8}),
        (["user", "model"], {("ann", "m1"): 2, ("ann", "m2"): 1, ("ann", None): 1, ("bob", "m1"): 4}),
    ],
)
async def test_every_dimension(shop: Traces, here: Context, group: list[str], spans: dict[Any, int]) -> None:
    """Who asked and for what holds for the whole trace."""
    assert {key: one.spans for key, one in by((await ask(here, *group)).groups).items()} == spans


@pytest.mark.parametrize(
    ("asked", "spans"),
    [
        ({"status": "error"}, 4),
        ({"kind": "chain"}, 1),
        ({"model": "m2"}, 1),
        ({"provider": "p1"}, 7),
        ({"feature": "help"}, 4),
        ({"user": "bob"}, 4),
        ({"session": "s1", "kind": "llm"}, 3),
        ({"text": "CHA"}, 7),
        ({"ref": "prompt:help/answer"}, 4),
        ({"ref": "prompt:help/answer@v2", "model": "m2"}, 1),
        ({"attribute": ["tenant:acme"]}, 1),
        ({"attribute": ["tags:b", "n:3"]}, 1),
        ({"attribute": ["tags:c"]}, 0),
        ({"search": "ACME tags"}, 0),
        ({"min_ms": 300, "max_ms": 400}, 5),
        ({"min_usd": Decimal("0.01"), "max_usd": Decimal("0.015")}, 1),
        ({"min_tokens": 12, "max_tokens": 12, "user": "ann"}, 2),
        ({"roots": True}, 5),
        ({"since": from_us(NOON + 1)}, 4),
        ({"until": from_us(NOON + HOUR)}, 4),
        ({"user": "x' OR 1=1 --"}, 0),
    ],
)
async def test_every_filter(shop: Traces, here: Context, asked: dict[str, Any], spans: int) -> None:
    """They are of the spans that are counted."""
    assert sum(one.spans for one in (await ask(here, **asked)).groups) == spans


async def test_time_is_parted_in_utc(shop: Traces, here: Context) -> None:
    """Every part begins where the hour or day does; one without spans is left out."""
    for every, starts in (("hour", [NOON, NOON + HOUR]), ("minute", [NOON, NOON + HOUR]), ("day", [NOON])):
        found = await ask(here, every=every)
        assert [one.start for one in found.groups] == [from_us(us) for us in starts]
    found = await ask(here, "model", every="hour")
    assert [(one.group, one.start, one.spans) for one in found.groups] == [
        (["m1"], from_us(NOON), 2), ([None], from_us(NOON), 1), (["m2"], from_us(NOON), 1), (["m1"], from_us(NOON + HOUR), 4),
    ]  # fmt: skip


async def test_the_groups_beyond_the_limit_are_one(shop: Traces, here: Context) -> None:
    """By the measure that was asked for; the rest is told, in every stretch of time."""
    found = await ask(here, "model", limit=1, order="latency")
    assert (by(found.groups)[None].p95_ms, found.more) == (1000, True)
    assert [(one.spans, one.cost, one.group) for one in found.other] == [(7, Decimal("0.09"), [])]
    found = await ask(here, "model", limit=1, order="cost", every="hour")
    assert [(one.group, one.spans) for one in found.groups] == [(["m1"], 2), (["m1"], 4)]
    assert [(one.spans, one.start) for one in found.other] == [(2, from_us(NOON))]


@pytest.mark.parametrize("order", ["spans", "traces", "calls", "errors", "error_rate", "cost", "tokens", "latency"])
async def test_every_order(shop: Traces, here: Context, order: str) -> None:
    """Unknown comes last."""
    groups = [one.group[0] for one in (await ask(here, "model", order=order)).groups]
    assert groups[0] == (None if order == "latency" else "m1")
    assert order not in {"cost", "tokens"} or groups[-1] is None or order == "cost"


async def test_a_call_that_two_requests_report_counts_once(traces: Traces, here: Context) -> None:
    """The wrapper came first, or last."""
    for trace, order in ((1, (1, 2)), (2, (2, 1))):
        spans = {1: call(1, trace=trace), 2: call(2, trace=trace, parent_id=f"{1:016x}", model="inner")}
        for number in order:
            await keep(here, spans[number])
    groups = by((await ask(here, "model")).groups)
    assert (groups["inner"].calls, groups["inner"].cost) == (2, Decimal("0.02"))
    assert (groups["m1"].calls, groups["m1"].cost, groups["m1"].spans) == (0, None, 2)


async def test_another_project_is_never_seen(shop: Traces, here: Context, services: Services, owner: Principal) -> None:
    """Its spans count nowhere, whatever the dimension and filter."""
    there = Context(services, owner, f"{here.project}x")
    assert (await ask(there)).groups == []
    for group in ("user", "prompt", "attribute:tenant"):
        assert (await ask(there, group, every="day")).groups == []
    await keep(there, call(2, user_id="eve"))
    assert {one.group[0] for one in (await ask(there, "user")).groups} == {"eve"}
    assert {one.group[0] for one in (await ask(here, "user")).groups} == {"ann", "bob"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"group": ["modl"]}, "'modl' is no dimension.*model"),
        ({"group": ["attribute:"]}, "is no dimension"),
        ({"group": ["model; DROP TABLE spans"]}, "is no dimension"),
        ({"group": ["model", "kind", "user"]}, "up to two"),
        ({"group": ["model", "model"]}, "up to two"),
        ({"every": "week"}, "cannot be 'week'"),
        ({"order": "model"}, "cannot be 'model'"),
        ({"limit": 0}, "cannot be 0 groups"),
        ({"limit": 1001}, "cannot be 1001 groups"),
        ({"since": from_us(NOON), "until": from_us(NOON)}, "ends before it begins"),
        ({"attribute": ["tenant"]}, "is not an attribute"),
        ({"min_ms": -1}, "cannot be a bound"),
        ({"min_ms": math.nan}, "cannot be a bound"),
        ({"min_ms": 2, "max_ms": 1}, "Swap"),
        ({"min_usd": Decimal("NaN")}, "no amount"),
        ({"max_usd": Decimal(-1)}, "no amount"),
        ({"search": " ".join(map(str, range(21)))}, "too many"),
    ],
)
async def test_bad_questions(shop: Traces, here: Context, asked: dict[str, Any], told: str) -> None:
    """They say what is wrong and what there is."""
    with pytest.raises(BadInput, match=told) as caught:
        await invoke(find("traces.aggregate"), here, {"project": here.project, **asked})
    assert caught.value.where
    assert caught.value.todo


async def test_an_answer_too_long_is_bad_input(traces: Traces, here: Context) -> None:
    """It says how to have a shorter one."""
    await keep(here, *(step(i, at_us=NOON + i * 60_000_000) for i in range(1, 10_002)))
    with pytest.raises(BadInput, match="more than 10,000 rows"):
        await ask(here, every="minute")
    assert len((await ask(here, every="day")).groups) == 7


async def test_a_question_that_takes_too_long_is_ended(
    shop: Traces, here: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine stops by itself and the answer says what to do."""
    monkeypatch.setattr(measures, "LIMITED", " SETTINGS max_execution_time = 0.000001, max_block_size = 1")
    with pytest.raises(DeadlineExceeded, match="takes longer than"):
        await ask(here, "model")


def expected(spans: Sequence[Span], project_of: Any) -> dict[Any, tuple[Any, ...]]:
    """Return the sums of current spans by what `project_of` says of each, in plain Python."""
    groups: dict[Any, list[Span]] = {}
    for span in spans:
        groups.setdefault(project_of(span), []).append(span)
    found: dict[Any, tuple[Any, ...]] = {}
    for key, members in groups.items():
        billed = [s for s in members if s.billable]
        priced = [s for s in billed if s.cost is not None]
        used = [s for s in billed if s.usage is not None]
        least: dict[str, float] = {}
        for s in members:
            least[s.trace_id] = min(s.weight, least.get(s.trace_id, math.inf))
        found[key] = (
            round(sum(s.weight for s in members)),
            round(sum(least.values())),
            round(sum(s.weight for s in members if s.status == "error")),
            sum((s.cost * Decimal(s.weight) for s in priced if s.cost is not None), Decimal(0)) if priced else None,
            round(sum(s.usage.input_tokens * s.weight for s in used if s.usage)) if used else None,
            *(at(members, level) for level in (0.5, 0.95, 0.99)),
        )
    return found


def at(spans: Sequence[Span], level: float) -> float:
    """Return the first duration up to which so many of the spans are."""
    ordered = sorted(spans, key=lambda s: s.duration_us)
    reached, wanted = 0.0, level * sum(s.weight for s in spans)
    for span in ordered:
        reached += span.weight
        if reached >= wanted - 1e-6:
            return span.duration_us / 1000
    return ordered[-1].duration_us / 1000


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 10.0)])
@pytest.mark.parametrize("seed", range(4))
async def test_sums_are_those_of_plain_python(
    traces: Traces, here: Context, seed: int, weights: tuple[float, ...]
) -> None:
    """Over random spans, some sent again with other content, keys with any characters in them."""
    random = np.random.default_rng(seed)
    current: dict[str, Span] = {}
    models = ["a", "b'", 'c"\\', "d\ttab\nline", "größe", ""]
    for _ in range(3):
        batch: dict[str, Span] = {}
        for _ in range(120):
            number = int(random.integers(1, 200))
            said: dict[str, Any] = {
                "model": models[random.integers(0, len(models))],
                "status": ("ok", "error")[int(random.random() < 0.2)],
                "weight": weights[random.integers(0, len(weights))],
                "ms": float(random.integers(1, 1000)),
                "cost": None if random.random() < 0.3 else Decimal(int(random.integers(0, 10**6))) / 10**6,
                "billable": bool(random.random() < 0.8),
                # The moment may change, too: then it is another row of the table.
                "at_us": NOON + int(random.integers(0, 3)) * HOUR,
                "trace": number % 17 + 1,
            }
            batch[f"{number}"] = call(number, **said)
        await keep(here, *batch.values())
        current |= batch
    spans = list(current.values())
    for every, key_of in (
        (None, lambda s: (s.model or None, None)),
        ("hour", lambda s: (s.model or None, from_us(s.start_us - s.start_us % HOUR))),
    ):
        asked: dict[str, Any] = {} if every is None else {"every": every}
        told = (await ask(here, "model", **asked)).groups
        truth = expected(spans, key_of)
        assert {(g.group[0], g.start) for g in told} == set(truth)
        for g in told:
            spans_, traces_, errors, cost, tokens, *levels = truth[g.group[0], g.start]
            assert (g.spans, g.traces, g.errors, g.input_tokens) == (spans_, traces_, errors, tokens)
            assert [g.p50_ms, g.p95_ms, g.p99_ms] == levels
            assert (g.cost is None) == (cost is None)
            assert cost is None or abs((g.cost or 0) - cost) < Decimal("1e-9")
    # Two groups and the rest are the whole.
    part = await ask(here, "model", limit=2)
    assert sum(g.spans for g in [*part.groups, *part.other]) == expected(spans, lambda _: 0)[0][0]


async def test_spans_that_came_by_wire_are_aggregated(traces: Traces, here: Context) -> None:
    """From the exporter to the sum: priced by the book."""
    trace = wire.trace_id()
    request = wire.request(wire.span(trace, 1), wire.chat(trace, 2, 1))
    assert await ingest(here, request) == []
    groups = by((await ask(here, "model")).groups)
    assert groups["gpt-4o"].cost == Decimal("0.0035")
