"""Metrics of rankings, by hand and beside scikit-learn's."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from gimbal.axis.scores.builtin.ranking import (
    average_precision,
    dcg,
    mean_average_precision,
    mrr,
    ndcg,
    precision_at_k,
    recall_at_k,
)
from gimbal.testing.scorers import check_scorer

ALL = [recall_at_k, precision_at_k, mrr, mean_average_precision, ndcg]
GRADES = {"a": 3, "b": 2, "c": 3, "d": 0, "e": 1, "f": 2}
FOUND = {"sources": ["a", "b", "c", "d", "e", "f"]}


def test_ndcg_is_that_of_a_ranking_computed_by_hand() -> None:
    """Grades 3 2 3 0 1 2: gains 7 3 7 0 1 3 over log2 of 2 … 7; the ideal order is 3 3 2 2 1 0."""
    gained = 7 / 1 + 3 / math.log2(3) + 7 / 2 + 0 + 1 / math.log2(6) + 3 / math.log2(7)
    best = 7 / 1 + 7 / math.log2(3) + 3 / 2 + 3 / math.log2(5) + 1 / math.log2(6)

    assert ndcg({"relevance": GRADES}, FOUND).value == pytest.approx(gained / best)
    assert ndcg({"relevance": GRADES}, FOUND, k=3).value == pytest.approx(
        (7 + 3 / math.log2(3) + 3.5) / (7 + 7 / math.log2(3) + 1.5)
    )
    assert dcg([3, 2, 3, 0, 1, 2]) == pytest.approx(gained)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=12).filter(any), st.integers(1, 12))
def test_ndcg_is_that_of_scikit_learn_on_gains(grades: list[int], k: int) -> None:
    """scikit-learn takes gains as they are, so it is given 2^grade − 1."""
    names = [f"s{i}" for i in range(len(grades))]
    gains = [[2**grade - 1 for grade in grades]]
    wanted = ndcg_score(gains, [list(range(len(grades), 0, -1))], k=k)
    value = ndcg({"relevance": dict(zip(names, grades, strict=True))}, {"sources": names}, k=k).value

    assert value == pytest.approx(wanted)


def test_average_precision_is_that_of_a_ranking_computed_by_hand() -> None:
    """Hits at places 1, 3 and 6 of 4 that are relevant: (1/1 + 2/3 + 3/6 + 0) / 4."""
    expected = {"relevance": ["a", "b", "c", "x"]}
    output = {"sources": ["a", "n1", "b", "n2", "n3", "c"]}

    assert mean_average_precision(expected, output).value == pytest.approx((1 + 2 / 3 + 1 / 2) / 4)
    assert mean_average_precision(expected, output, k=3).value == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision([False, True], 1) == 0.5


def test_recall_precision_and_reciprocal_rank_by_hand() -> None:
    expected = {"sources": ["b.md#moving", "c.md"]}
    output = {"sources": ["a.md", "b.md#history", "b.md", "d.md", "c.md"]}

    assert [recall_at_k(expected, output, k=k).value for k in (1, 2, 4)] == [0.0, 0.5, 1.0]
    assert [precision_at_k(expected, output, k=k).value for k in (1, 2, 4, 10)] == [0.0, 0.5, 0.5, 0.2]
    assert mrr(expected, output).value == 0.5
    assert mrr(expected, output, k=1).value == 0.0
    assert mrr({"source": "z"}, output).value == 0.0


def test_what_nobody_judged_is_counted_in_the_explanation() -> None:
    """A grade of 0 is a judgement; a source that is not in the list is none."""
    found = recall_at_k({"relevance": {"a": 1, "d": 0}}, {"sources": ["d", "x", "a", "y"]}, k=3)

    assert (found.value, found.explanation) == (1.0, "1 of the first 3 are not judged")
    assert recall_at_k({"relevance": {"a": 1, "d": 0}}, {"sources": ["d", "a"]}).explanation == ""


@pytest.mark.parametrize("scorer", ALL)
@pytest.mark.parametrize(
    "expected",
    [{}, {"relevance": None}, {"relevance": []}, {"relevance": {"a": 0}}, {"relevance": {"a": "x"}}, {"source": ""}],
)
def test_without_anything_relevant_the_ranking_has_no_value(scorer: Any, expected: dict[str, Any]) -> None:
    assert scorer(expected, FOUND).missing == "no_expectation"
    assert scorer({"source": "a"}, {"sources": None}).missing == "no_output"


@pytest.mark.parametrize("scorer", ALL)
def test_rankings_keep_the_promises_of_scorers(scorer: Any) -> None:
    """An empty list of sources is a ranking that found nothing, and one of anything else is read as text."""
    check_scorer(scorer, {"relevance": GRADES}, FOUND)
    assert scorer({"source": "a"}, {"sources": []}).value == 0.0
    assert scorer({"source": "a"}, {"sources": [None, {"b": 1}, "\x00", "\ud800"]}).value == 0.0
    assert scorer({"relevance": {"a": 1, "b": 10**9, "c": float("nan")}}, {"sources": ["a"] * 100_000}).value > 0


@given(
    st.lists(st.sampled_from("abcdefgh"), max_size=8),
    st.sets(st.sampled_from("abcdefgh"), min_size=1),
    st.integers(1, 9),
)
def test_rankings_are_from_0_to_1_and_full_where_the_relevant_stand_first(
    sources: list[str], relevant: set[str], k: int
) -> None:
    expected = {"relevance": sorted(relevant)}
    best = {"sources": [*sorted(relevant), "other"]}

    for scorer in ALL:
        assert 0 <= (scorer(expected, {"sources": sources}, k=k).value or 0.0) <= 1
    assert mean_average_precision(expected, best).value == pytest.approx(1.0)
    assert ndcg(expected, best).value == pytest.approx(1.0)
    assert recall_at_k(expected, best).value == mrr(expected, best).value == 1.0
