"""Traces by what was said of them, alone and with other filters, in pages, sorts and sums."""

from decimal import Decimal
from typing import Any

import pytest
from tests.axis.traces.test_aggregate import HOUR, NOON, call, keep, step
from tests.axis.traces.test_filters import listed, names

from gimbal.axis.scores.model import NewScore, ScoreSource, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import find, invoke


def of_trace(trace: int, name: str, **said: Any) -> NewScore:
    return NewScore(target_kind=ScoreTarget.TRACE, target_id=f"{trace:032x}", name=name, **said)


def of_span(span: int, name: str, *, trace: int = 0, **said: Any) -> NewScore:
    known = f"{trace:032x}" if trace else ""
    return NewScore(target_kind=ScoreTarget.SPAN, target_id=f"{span:016x}", trace_id=known, name=name, **said)


@pytest.fixture
async def judged(traces: Traces, here: Context) -> Scores:
    """Five traces: good, poor, one whose span is rude, one that could not be judged, one of which nothing was said."""
    await keep(
        here,
        *(
            step(place, trace=place, name=name, ms=place * 10, at_us=NOON + place * HOUR)
            for place, name in enumerate(("good", "poor", "rude", "failed", "silent"), 1)
        ),
        call(9, trace=3, parent_id=f"{3:016x}", at_us=NOON + 3 * HOUR),
    )
    scores = here.get(Scores)
    await scores.record(
        here,
        [
            of_trace(1, "helpful", value=0.9, source=ScoreSource.HUMAN),
            of_trace(2, "helpful", value=0.2, source=ScoreSource.JUDGE),
            of_span(9, "tone", trace=3, label="rude", source=ScoreSource.HUMAN),
            of_trace(4, "helpful", missing="timeout"),
            of_trace(1, "a:b", label="x"),
            NewScore(target_kind=ScoreTarget.SESSION, target_id=f"{5:032x}", name="helpful", value=0.1),
        ],
    )
    return scores


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"score": ["helpful"]}, ["poor", "good"]),
    ({"score": ["helpful:*"]}, ["poor", "good"]),
    ({"score": ["helpful:<0.5"]}, ["poor"]),
    ({"score": ["helpful:<=0.2"]}, ["poor"]),
    ({"score": ["helpful:>0.2"]}, ["good"]),
    ({"score": ["helpful: >= 0.2"]}, ["poor", "good"]),
    ({"score": ["helpful:0.9"]}, ["good"]),
    ({"score": ["helpful:=0.90"]}, ["good"]),
    ({"score": ["helpful:missing"]}, ["failed"]),
    ({"score": ["helpful:unscored"]}, ["silent", "rude"]),
    ({"score": ["tone:rude"]}, ["rude"]),
    ({"score": ["tone:rud"]}, []),
    ({"score": ["a:b:x"]}, ["good"]),
    ({"score": ["a:b:*"]}, ["good"]),
    ({"score": ["' OR 1=1 --:<1"]}, []),
    ({"score": ["tone:' OR 1=1 --"]}, []),
    ({"scored_by": "human"}, ["rude", "good"]),
    ({"scored_by": "user"}, []),
    ({"score": ["helpful"], "scored_by": "judge"}, ["poor"]),
    ({"score": ["helpful:unscored"], "scored_by": "human"}, ["silent", "failed", "rude", "poor"]),
    ({"score": ["helpful:>0.1", "a:b:x"]}, ["good"]),
    ({"score": ["helpful:>0.1"], "text": "poo"}, ["poor"]),
    ({"score": ["tone:rude"], "model": "m1"}, ["rude"]),
    ({"score": ["helpful:>0.1"], "sort": "duration"}, ["poor", "good"]),
    ({"score": ["helpful:unscored"], "sort": "duration"}, ["silent", "rude"]),
    ({"score": ["tone:rude"], "min_usd": Decimal(0)}, ["rude"]),
]


@pytest.mark.parametrize(("asked", "found"), FILTERS, ids=[str(asked) for asked, _ in FILTERS])
async def test_traces_by_what_was_said_of_them(
    judged: Scores, here: Context, asked: dict[str, Any], found: list[str]
) -> None:
    assert await names(here, **asked) == found


BAD: list[tuple[dict[str, Any], str]] = [
    ({"score": [""]}, "score"),
    ({"score": [":<1"]}, "score"),
    ({"score": ["helpful:"]}, "score"),
    ({"score": ["helpful:<good"]}, "score"),
    ({"score": ["helpful:>nan"]}, "score"),
    ({"score": ["x" * 500]}, "score"),
    ({"score": ["a\0b"]}, "score"),
    ({"score": [f"n{i}" for i in range(6)]}, "score"),
    ({"scored_by": "nobody"}, "scored_by"),
]


@pytest.mark.parametrize(("asked", "where"), BAD, ids=[str(place) for place in range(len(BAD))])
async def test_what_asks_for_no_score_is_refused(
    traces: Traces, here: Context, asked: dict[str, Any], where: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await listed(here, **asked)
    assert refused.value.where == where
    assert refused.value.todo


async def test_a_corrected_score_counts_as_it_is_now(judged: Scores, here: Context) -> None:
    (told,) = await judged.record(here, [of_trace(5, "helpful", value=0.1)])
    assert await names(here, score=["helpful:<0.15"]) == ["silent"]
    await judged.record(here, [of_trace(5, "helpful", value=0.8, id=told.id)])
    assert await names(here, score=["helpful:<0.15"]) == []
    assert await names(here, score=["helpful:0.8"]) == ["silent"]


async def test_a_score_of_a_span_that_came_without_its_trace_finds_it(judged: Scores, here: Context) -> None:
    await judged.record(here, [of_span(9, "late", value=1.0)])
    assert await names(here, score=["late:>0"]) == ["rude"]
    assert await names(here, score=["late:unscored"]) == ["silent", "failed", "poor", "good"]


async def test_another_projects_scores_find_nothing(judged: Scores, here: Context) -> None:
    there = here.within(f"{here.project}x")
    await judged.record(there, [of_trace(5, "helpful", value=0.3)])
    assert await names(here, score=["helpful:<0.5"]) == ["poor"]
    assert await names(there, score=["helpful:<0.5"]) == []


@pytest.mark.parametrize("sort", ["start", "duration"])
async def test_pages_of_judged_traces_are_whole(traces: Traces, here: Context, sort: str) -> None:
    await keep(here, *(step(n, trace=n, name=f"n{n}", ms=n, at_us=NOON + n) for n in range(1, 31)))
    await here.get(Scores).record(here, [of_trace(n, "even", value=n / 100) for n in range(2, 31, 2)])
    found: list[str] = []
    cursor = None
    while True:
        page = await listed(here, score=["even:>0"], sort=sort, limit=4, cursor=cursor)
        found += [item.name for item in page.items]
        # What comes in meanwhile moves no page.
        await keep(here, step(40 + len(found), trace=40 + len(found), name="new", at_us=NOON + 100))
        cursor = page.next
        if cursor is None:
            break
    assert found == [f"n{n}" for n in range(30, 0, -2)]


async def test_sums_are_of_the_spans_of_judged_traces(judged: Scores, here: Context) -> None:
    asked = {"project": here.project, "score": ["tone:rude"], "group": ["kind"]}
    found = await invoke(find("traces.aggregate"), here, asked)
    assert sum(group.spans for group in found.groups) == 2
    assert {group.traces for group in found.groups} == {1}
