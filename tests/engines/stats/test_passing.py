"""pass@k and pass^k: known values, what they are the probability of, and no bias."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.engines.stats.passing import pass_at_k, pass_hat_k
from gimbal.kernel.errors import BadInput


@st.composite
def tries(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 8))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


def test_the_value_of_human_eval_is_given() -> None:
    """1 − C(3,3)/C(5,3) = 0.9, and by hand: C(2,2)/C(5,2) = 0.1."""
    assert pass_at_k(5, 2, 3) == pytest.approx(0.9)
    assert pass_hat_k(5, 2, 2) == pytest.approx(0.1)
    assert pass_hat_k(5, 2, 3) == 0


@given(tries())
def test_both_are_shares_of_all_ways_to_choose_k_tries(given_: tuple[int, int, int]) -> None:
    """Every choice counted: how many hold a pass, and how many hold nothing else."""
    n, c, k = given_
    choices = list(itertools.combinations([True] * c + [False] * (n - c), k))

    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, choices)) / len(choices))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, choices)) / len(choices))


@pytest.mark.parametrize(("p", "n", "k"), [(0.9, 10, 10), (0.7, 4, 4), (0.3, 10, 4), (0.05, 20, 8)])
def test_the_mean_over_many_examples_is_the_truth(p: float, n: int, k: int) -> None:
    """Where tries pass with a known probability; the mean of the plug-in (c/n)^k is far off at k = n."""
    passed = np.random.default_rng(11).binomial(n, p, 200_000)
    at, hat = (np.array([one(n, c, k) for c in range(n + 1)])[passed] for one in (pass_at_k, pass_hat_k))

    for found, truth in ((at, 1 - (1 - p) ** k), (hat, p**k)):
        assert abs(found.mean() - truth) < 4 * found.std() / math.sqrt(passed.size) + 1e-9
    plugged = ((passed / n) ** k).mean()
    assert k < n or plugged > p**k + 0.1


def test_a_thousand_tries_are_no_trouble() -> None:
    """Binomials of a thousand are far beyond a float, their ratio is not."""
    assert pass_at_k(1000, 10, 100) == pytest.approx(
        1 - math.exp(sum(math.log1p(-100 / (1000 - i)) for i in range(10)))
    )
    assert pass_hat_k(1000, 1000, 999) == 1


@pytest.mark.parametrize("given_", [(5, 2, 6), (5, 2, 0), (0, 0, 1), (5, 6, 1), (5, -1, 1)])
def test_what_cannot_be_told_is_refused(given_: tuple[int, int, int]) -> None:
    """More tries than there were, none, or more passes than tries."""
    for one in (pass_at_k, pass_hat_k):
        with pytest.raises(BadInput):
            one(*given_)
