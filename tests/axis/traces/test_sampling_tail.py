"""Tail sampling: errors, slow and costly traces stay, others by chance, and weighted sums are right at every moment."""

from decimal import Decimal
from typing import Any

import pytest
from tests.axis.traces import sampled, wire
from tests.axis.traces.sampled import (
    COSTLY_USD,
    SLOW_MS,
    Happened,
    activity,
    check_unbiased,
    check_weighted,
    send,
    traffic,
)

from gimbal.axis.traces.deciding import Deciding, Round
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.sampling import SetSampling, randomness, threshold
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import NotFound
from gimbal.testing.clock import FrozenClock

WAIT_S = 60
TENTH = SetSampling(tail_rate=0.1, slow_ms=SLOW_MS, costly_usd=COSTLY_USD, wait_s=WAIT_S)


@pytest.fixture
def deciding(columns: Columns, policies: SamplingPolicies, counters: Counters) -> Deciding:
    return Deciding(columns, policies, counters)


async def now_us(columns: Columns, here: Context) -> int:
    """Return a moment at which everything that came so far has been quiet for just long enough."""
    rows = await columns.query(
        "SELECT max(written_us) AS last FROM spans WHERE project = {p:String}", {"p": here.project}
    )
    return rows[0]["last"] + WAIT_S * 1_000_000


async def decide(deciding: Deciding, columns: Columns, here: Context, *, clear: bool = False) -> list[Round]:
    return await deciding.project(str(here.project), await now_us(columns, here), clear=clear)


async def rows(columns: Columns, here: Context) -> list[dict[str, Any]]:
    """Return every stored row, hidden ones as well."""
    return await columns.query(
        "SELECT * FROM spans WHERE project = {p:String} ORDER BY trace_id, span_id, written_us", {"p": here.project}
    )


async def spans_of(here: Context, trace: str) -> list[Span]:
    """Return the spans of a trace; none when it is gone."""
    try:
        return (await here.get(Traces).get(here, trace)).spans
    except NotFound:
        return []


def by_chance(keep: bool, rate: float = 0.1) -> str:
    """Return a new trace id that a rate keeps, or does not."""
    low = threshold(rate) + 5 if keep else 5
    return f"{wire.trace_id()[-18:]}{low:014x}"


@pytest.mark.parametrize(
    "policy",
    [
        TENTH,
        SetSampling(head_rate=0.2),
        SetSampling(head_rate=0.5, tail_rate=0.1, slow_ms=SLOW_MS, costly_usd=COSTLY_USD),
    ],
    ids=["tail", "head", "both"],
)
async def test_estimates_are_unbiased(
    policy: SetSampling, deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of 6,000 traces the counts, failures and costs are told within four standard errors, before, amid and after.

    A bias shows from 10 % of the traces on where a fifth of them stays, from 15 % on where a tenth does; after the last
    round any wrong weight does, because then the estimates are known to the last digit.
    """
    monkeypatch.setattr("gimbal.axis.traces.deciding._MOST_SPANS", 6_000)
    happened = traffic(6_000, seed=20)
    await policies.set(here, policy)
    await send(here, happened)
    at_first = await activity(here)
    check_unbiased(at_first, happened, SetSampling(head_rate=policy.head_rate))

    if policy.tail_rate is not None:
        turn = await policies.take(str(here.project))
        assert turn is not None
        half = await deciding.round(turn, await now_us(columns, here) - WAIT_S * 1_000_000)
        assert 0 < sum(half.traces.values()) < at_first.stored, "one round decides on everything: nothing is amid it"
        await policies.advance(turn.project, half.upto_us)
        # A part is decided on: each trace has at least the chance of the policy.
        check_unbiased(await activity(here), happened, policy, amid=True)
        await decide(deciding, columns, here)
    found = await activity(here)
    check_unbiased(found, happened, policy)

    expected = [one for one in happened if randomness(one.id) >= threshold(sampled.share(one, policy))]
    assert found.stored == len(expected) < found.traces
    check_weighted(found, expected, policy)
    await decide(deciding, columns, here, clear=True)
    assert await activity(here) == found
    assert {row["trace_id"] for row in await rows(columns, here)} == {one.id for one in expected}


async def test_errors_slow_and_costly_traces_always_stay(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """Each reason keeps a trace that chance would not, at its own weight; one just below all of them goes."""
    await policies.set(here, TENTH)
    ids = {name: by_chance(keep=False) for name in ("error", "slow", "costly", "none")}
    happened = {
        "error": Happened(id=ids["error"], ms=10, error=True, calls=1),
        "slow": Happened(id=ids["slow"], ms=SLOW_MS, error=False, calls=1),
        "costly": Happened(id=ids["costly"], ms=10, error=False, calls=6),
        "none": Happened(id=ids["none"], ms=SLOW_MS - 1, error=False, calls=5),
    }
    await send(here, list(happened.values()), batch=3)
    (done,) = await decide(deciding, columns, here)

    assert done.traces == {"error": 1, "slow": 1, "costly": 1, "dropped": 1}
    assert done.spans == 6
    for name, one in happened.items():
        spans = await spans_of(here, one.id)
        assert [span.weight for span in spans] == ([] if name == "none" else [1.0] * (1 + one.calls)), name
    page = await here.get(Traces).page(here, TraceFilter())
    assert {row.trace_id for row in page.items} == {one.id for name, one in happened.items() if name != "none"}


async def test_what_stays_by_chance_stands_for_others_and_is_otherwise_as_it_was(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """Every column but the weight and the version keeps its value, whatever columns there are."""
    await policies.set(here, TENTH)
    one = Happened(id=by_chance(keep=True), ms=500, error=False, calls=2)
    await send(here, [one])
    before = await rows(columns, here)
    await decide(deciding, columns, here, clear=True)
    await columns.command("OPTIMIZE TABLE spans FINAL")

    after = await rows(columns, here)
    assert [row["weight"] for row in after] == pytest.approx([10, 10, 10])
    changed = {"weight", "written_us"}
    assert [{k: v for k, v in row.items() if k not in changed} for row in after] == [
        {k: v for k, v in row.items() if k not in changed} for row in before
    ]
    found = (await here.get(Traces).get(here, one.id)).summary
    assert (found.spans, found.cost, found.weight) == (3, Decimal("0.007"), pytest.approx(10))


async def test_a_trace_is_left_alone_while_something_comes(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """It is decided on when nothing of it came for the time, not before, however old its first span is."""
    await policies.set(here, TENTH)
    trace = by_chance(keep=False)
    await ingest(here, wire.request(wire.span(trace, 1)))
    early = await now_us(columns, here)
    await ingest(here, wire.request(wire.span(trace, 2, 1)))

    await deciding.project(str(here.project), early)
    assert len(await spans_of(here, trace)) == 2
    await deciding.project(str(here.project), await now_us(columns, here) - 1)
    assert len(await spans_of(here, trace)) == 2
    await decide(deciding, columns, here)
    assert await spans_of(here, trace) == []


async def test_late_spans_get_the_verdict_on_their_trace(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns, counters: Counters
) -> None:
    """Of a dropped trace they go as well, an error too; of one kept by chance they weigh the same; else they stay."""
    await policies.set(here, TENTH)
    gone, chosen, failed = by_chance(keep=False), by_chance(keep=True), by_chance(keep=False)
    await ingest(
        here, wire.request(wire.span(gone, 1), wire.span(chosen, 1), wire.span(failed, 1, status=sampled.ERROR))
    )
    await decide(deciding, columns, here, clear=True)

    late = [wire.span(trace, 2, 1, status=sampled.ERROR) for trace in (gone, chosen)]
    await ingest(here, wire.request(*late, wire.span(failed, 2, 1)))
    # Until the next round they count at the weight with which they came, those of dropped traces too.
    assert len(await spans_of(here, gone)) == 1
    (done,) = await decide(deciding, columns, here)

    assert done.traces == {"chance": 1, "dropped": 1, "error": 1}
    assert await spans_of(here, gone) == []
    assert [span.weight for span in await spans_of(here, chosen)] == pytest.approx([10, 10])
    assert [span.weight for span in await spans_of(here, failed)] == [1, 1]
    found = {s.labels["reason"]: s.value for s in counters.samples() if s.name == "gimbal_ingest_spans_sampled_total"}
    assert found == {"tail": 1, "late": 1}


async def test_resent_spans_change_nothing(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """The same requests once more, after the verdicts: the same traces with the same weights, each span once."""
    await policies.set(here, TENTH)
    happened = traffic(300, seed=4)
    await send(here, happened)
    await decide(deciding, columns, here)
    first = await activity(here)
    await send(here, happened, seed=2)
    await decide(deciding, columns, here, clear=True)
    assert await activity(here) == first
    await decide(deciding, columns, here, clear=True)
    await columns.command("OPTIMIZE TABLE spans FINAL")
    assert await activity(here) == first


@pytest.mark.parametrize("died", ["took", "judged", "carried out", "cleared"])
async def test_a_round_that_was_cut_off_is_done_again_with_the_same_result(
    died: str, deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns, catalog: Catalog,
    clock: FrozenClock, counters: Counters,
) -> None:  # fmt: skip
    """Whoever takes over when the turn of the dead has run out comes to the same verdicts, though an error came late."""
    project = str(here.project)
    await policies.set(here, TENTH)
    happened = traffic(400, seed=5)
    await send(here, happened)
    quiet = await now_us(columns, here) - WAIT_S * 1_000_000
    turn = await policies.take(project)
    assert turn is not None
    if died != "took":
        values = await deciding.stretch(turn, quiet)
        assert values is not None
        await deciding.judge(turn, values)
        if died != "judged":
            await deciding.carry_out(values)
        if died == "cleared":
            await deciding.clear(project, quiet)
    gone = next(one.id for one in happened if randomness(one.id) < threshold(0.1) and not one.stays)
    if died != "took":
        await ingest(here, wire.request(wire.span(gone, 99, 1, status=sampled.ERROR)))

    others = SamplingPolicies(catalog, clock)
    other = Deciding(columns, others, counters)
    assert await other.project(project, await now_us(columns, here)) == []
    clock.advance(seconds=61)
    await other.project(project, await now_us(columns, here), clear=True)

    expected = {one.id for one in happened if randomness(one.id) >= threshold(sampled.share(one, TENTH))}
    assert {row["trace_id"] for row in await rows(columns, here)} == expected
    check_unbiased(await activity(here), happened, TENTH)


async def test_what_gimbal_recorded_itself_is_never_decided_on(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """An evaluation's trace is referred to from its results."""
    await policies.set(here, TENTH)
    trace = by_chance(keep=False)
    own = Span(
        trace_id=trace, span_id="1" * 16, name="answer", start_us=wire.START, end_us=wire.START, dialect="gimbal"
    )
    await here.get(Traces).record(here, [own])
    await decide(deciding, columns, here)
    assert [span.weight for span in await spans_of(here, trace)] == [1]


async def test_what_was_stored_before_the_policy_stays(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """A policy is for what comes after it; taken back, what has not been decided on stays as well."""
    old, new = by_chance(keep=False), by_chance(keep=False)
    await ingest(here, wire.request(wire.span(old, 1)))
    await policies.set(here, TENTH)
    await decide(deciding, columns, here)
    await ingest(here, wire.request(wire.span(new, 1)))
    await policies.set(here, SetSampling())
    assert await decide(deciding, columns, here) == []
    assert len(await spans_of(here, old)) == len(await spans_of(here, new)) == 1


async def test_explicit_randomness_decides_in_the_tail(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """A sender that drew its own bits is decided on by those, not by its ids, and its own share counts."""
    await policies.set(here, TENTH)
    high, low = by_chance(keep=False), by_chance(keep=True)
    await ingest(
        here,
        wire.request(
            wire.span(high, 1, trace_state="ot=th:fc;rv:ff000000000000"),
            wire.span(low, 1, trace_state="ot=rv:01000000000000"),
        ),
    )
    await decide(deciding, columns, here)
    assert [span.weight for span in await spans_of(here, high)] == [64]
    assert await spans_of(here, low) == []


async def test_what_goes_and_what_stands_for_it_change_together(
    deciding: Deciding, policies: SamplingPolicies, here: Context, columns: Columns
) -> None:
    """Both are in one part, which readers see or do not; with large spans too."""
    await policies.set(here, SetSampling(tail_rate=0.5, wait_s=WAIT_S))
    happened = traffic(600, seed=6)
    large = [wire.span(one.id, 1, attributes={"text": "x" * 30_000}) for one in happened]
    await columns.command("SYSTEM STOP MERGES spans")
    try:
        for first in range(0, len(large), 200):
            await ingest(here, wire.request(*large[first : first + 200]))
        await decide(deciding, columns, here)
        parts = await columns.query(
            "SELECT _part AS part, countIf(weight = 0) AS gone, countIf(weight = 2) AS doubled FROM spans "
            "WHERE project = {p:String} AND weight != 1 GROUP BY part",
            {"p": here.project},
        )
    finally:
        await columns.command("SYSTEM START MERGES spans")
    assert len(parts) == 1
    assert parts[0]["gone"] + parts[0]["doubled"] == len(happened)
