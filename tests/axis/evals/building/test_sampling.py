"""Drawing: the same seed the same traces, parts as they are asked for, and a random share of more than fit in mind."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.axis.evals.building.conftest import Build, asked, judge, keep, trace_id

from gimbal.axis.evals.building import sampling
from gimbal.axis.evals.building.sampling import allotted, look, lot
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context
from gimbal.kernel.pages import Page

COUNTS = st.dictionaries(st.text("abcdef", max_size=2), st.integers(0, 50), max_size=6)


@given(st.integers(1, 80), COUNTS, st.booleans())
def test_as_many_are_allotted_as_there_can_be(most: int, there: dict[str, int], equal: bool) -> None:
    found = allotted(most, there, equal=equal)

    assert sum(found.values()) == min(most, sum(there.values()))
    assert all(0 <= found[name] <= count for name, count in there.items())


def test_shares_are_as_large_as_the_parts_or_the_same() -> None:
    there = {"a": 70, "b": 25, "c": 5}

    assert allotted(10, there, equal=False) == {"a": 7, "b": 3, "c": 0}
    assert allotted(12, there, equal=True) == {"a": 4, "b": 4, "c": 4}
    assert allotted(40, there, equal=True) == {"a": 18, "b": 17, "c": 5}


async def test_the_same_seed_draws_the_same_traces(build: Build, here: Context) -> None:
    """Also when more come later, each keeps its lot."""
    await keep(here, *(asked(n) for n in range(1, 41)))

    async def drawn(seed: int) -> list[str]:
        return [one.id for one in (await build(dry_run=True, most=8, seed=seed)).samples]

    first = await drawn(1)
    assert (await drawn(1), len(first)) == (first, 8)
    assert await drawn(2) != first
    assert first == sorted(map(trace_id, range(1, 41)), key=lambda one: lot(1, one))[:8]


async def test_parts_get_their_shares(build: Build, here: Context) -> None:
    features = ["help"] * 24 + ["sales"] * 12 + [""] * 4
    await keep(here, *(asked(n, feature=feature) for n, feature in enumerate(features, 1)))

    fair = await build(dry_run=True, most=10, by="feature", slice="feature")
    equal = await build(dry_run=True, most=9, by="slice", allot="equal", slice="feature")

    assert {one.name: (one.traces, one.examples) for one in fair.parts} == {
        "": (4, 1), "help": (24, 6), "sales": (12, 3)
    }  # fmt: skip
    assert {one.name: one.examples for one in equal.parts} == {"": 3, "help": 3, "sales": 3}
    assert Counter(one.slice for one in equal.samples) == {"": 3, "help": 3, "sales": 3}


async def test_a_part_whose_traces_are_no_examples_leaves_its_place_to_others(build: Build, here: Context) -> None:
    await keep(here, *(asked(n, feature="help") for n in range(1, 11)))
    await keep(here, *(asked(n, "", feature="empty") for n in range(11, 21)))

    built = await build(dry_run=True, most=10, by="feature", allot="equal")

    assert {one.name: one.examples for one in built.parts} == {"empty": 0, "help": 10}
    assert built.dropped == {"no_input": 10}


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("hour", {"00:00", "02:00"}),
        ("model", {"m1", ""}),
        ("status", {"ok", "error"}),
        ("attribute:tenant", {"acme", "[EMAIL_1]"}),
        ("tag:team", {"search", ""}),
        ("score:thumbs", {"1", "down"}),
    ],
)
async def test_traces_are_told_apart_by_what_is_known_of_them(
    build: Build, here: Context, by: str, names: set[str]
) -> None:
    """What is personal in a name is not told."""
    await keep(
        here,
        asked(1, model="m1", attributes={"tenant": "acme"}, tags=["x", "team:search"]),
        asked(2, status="error", attributes={"tenant": "ann@example.org"}, hour=2),
    )
    await judge(here, 1, "thumbs", value=1)
    await judge(here, 2, "thumbs", label="down")

    built = await build(dry_run=True, by=by, slice=by)

    assert {one.name for one in built.parts} == names
    assert {one.slice for one in built.samples} == names


async def test_of_more_than_fit_in_mind_a_random_share_is_looked_at(traces: Traces, here: Context) -> None:
    """The columns and we halve at the same lots, so that the lowest ones are all there."""
    await keep(here, *(asked(n) for n in range(1, 301)))

    async def nothing(_: Sequence[TraceSummary]) -> Mapping[str, str]:
        return {}

    found = await look(here, TraceFilter(), 5, nothing, most=40)

    lots = sorted(lot(5, trace_id(n)) for n in range(1, 301))
    assert [one.lot for one in found.parts[""]] == [one for one in lots if one < 2**64 * found.share]
    assert (found.count <= 40, found.share) == (True, 0.125)


async def test_a_trace_that_changed_between_two_pages_is_drawn_once(
    traces: Traces, here: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(here, asked(1))
    page = await sampling.listed(here, TraceFilter())
    pages = iter([msgspec.structs.replace(page, next="more"), page])
    parts = iter(["before", "after"])

    async def two(*_: object, **__: object) -> Page[TraceSummary]:
        return next(pages)

    async def parts_of(_: Sequence[TraceSummary]) -> Mapping[str, str]:
        return {trace_id(1): next(parts)}

    monkeypatch.setattr(sampling, "listed", two)
    found = await look(here, TraceFilter(), 5, parts_of)

    assert (found.count, list(found.parts)) == (1, ["after"])
