"""Intervals of means and shares hold their level where textbook ones do not, and say when there is none."""

import msgspec
import numpy as np
import pytest
from scipy import stats
from tests.engines.stats.simulation import at_least, at_most, clustered, covered

from gimbal.engines.stats import estimates
from gimbal.kernel.errors import BadInput


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (19, 20), (97, 100), (1, 1), (500, 1000)])
def test_shares_agree_with_scipy(successes: int, n: int) -> None:
    """Wilson and Clopper–Pearson are the intervals of `binomtest`."""
    for found, name in ((estimates.wilson(successes, n), "wilson"), (estimates.clopper_pearson(successes, n), "exact")):
        expected = stats.binomtest(successes, n).proportion_ci(0.95, name)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("n", "p"), [(20, 0.95), (100, 0.97), (50, 0.8)])
def test_wilson_covers_where_wald_does_not(n: int, p: float) -> None:
    """The exact coverage of Wilson is .93 to .97 where Wald's falls to .64 (n=20, p=.95) and .80 (n=100, p=.97)."""
    inside = [i for i in range(n + 1) if (e := estimates.wilson(i, n)).low <= p <= e.high]
    coverage = stats.binom.pmf(inside, n, p).sum()

    assert 0.92 <= coverage <= 0.98


def test_clopper_pearson_never_falls_below_its_level() -> None:
    """Whatever the truth; none in 95 leaves up to 3.8 %."""
    tables = [estimates.clopper_pearson(i, 30) for i in range(31)]
    for p in np.linspace(0.01, 0.99, 50):
        assert stats.binom.pmf([i for i, e in enumerate(tables) if e.low <= p <= e.high], 30, p).sum() >= 0.95
    assert estimates.clopper_pearson(0, 95).high == pytest.approx(0.0381, abs=1e-4)


def test_the_mean_of_independent_values_is_the_t_interval() -> None:
    """Without clusters nothing is new."""
    x = np.random.default_rng(1).normal(3, 2, 40)
    found = estimates.mean(x)
    expected = stats.t.interval(0.95, 39, x.mean(), stats.sem(x))

    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.n, found.clusters) == (40, 40)


def test_clusters_of_one_size_give_the_form_of_the_reference() -> None:
    """SE = (1/n)·√Σ(Σr)²·√(C/(C−1)), df = C−1."""
    rng = np.random.default_rng(2)
    x, groups = rng.normal(size=60) + np.repeat(rng.normal(size=12), 5), np.repeat(np.arange(12), 5)
    sums = np.bincount(groups, weights=x - x.mean())
    se = np.sqrt((sums**2).sum() * 12 / 11) / 60
    found = estimates.mean(x, [str(g) for g in groups])

    assert found.se == pytest.approx(se)
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 11) * se)


@pytest.mark.parametrize("sizes", [[10] * 5, [10] * 10, [10] * 50, [60] + [3] * 20], ids=["5", "10", "50", "unequal"])
def test_shares_of_clustered_units_are_covered(sizes: list[int]) -> None:
    """Questions that share a source, with as few as five sources and with one that has half of them all."""
    rng = np.random.default_rng(3)
    runs = 700

    assert at_least(covered(lambda: estimates.mean(*clustered(rng, sizes, 0.4, 0.8)), 0.8, runs), runs, 0.94)


@pytest.mark.parametrize("sizes", [[8] * 8, [8] * 30, [40] + [4] * 20], ids=["8", "30", "unequal"])
def test_means_of_clustered_values_are_covered(sizes: list[int]) -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    runs = 700

    def draw() -> estimates.Estimate:
        return estimates.mean(rng.normal(size=groups.size) + rng.normal(size=len(sizes))[groups] + 5, groups)

    assert at_least(covered(draw, 5, runs), runs, 0.94)


def test_ignoring_clusters_would_not_cover() -> None:
    """What the correction is for: the same draws without their clusters cover far less."""
    rng = np.random.default_rng(5)
    runs = 400

    assert at_most(covered(lambda: estimates.mean(clustered(rng, [10] * 50, 0.7, 0.5)[0]), 0.5, runs), runs, 0.7)


@pytest.mark.parametrize("n", [20, 50, 100])
def test_rare_failures_that_were_not_seen_are_allowed_for(n: int) -> None:
    """Scores near 1 of which 3 % are 0: the t interval alone covers 47 % at n=20."""
    rng = np.random.default_rng(6)
    runs = 500

    def draw() -> estimates.Estimate:
        x = 1 - 0.01 * rng.random(n)
        x[rng.random(n) < 0.03] = 0
        return estimates.mean(x)

    assert at_least(covered(draw, 0.97 * 0.995, runs), runs, 0.95)


def test_a_share_where_all_agree_has_an_interval() -> None:
    """20 of 20 is no proof of 100 %, and ten units of each of two sources are no 20."""
    alone = estimates.mean([1.0] * 20)
    together = estimates.mean([1.0] * 20, ["a", "b"] * 10)

    assert alone.low == pytest.approx(stats.binomtest(20, 20).proportion_ci(0.95, "wilson").low)
    assert together.low < 0.35
    assert alone.se > 0


def test_equal_scores_within_bounds_have_an_interval_and_unbounded_ones_say_that_they_have_none() -> None:
    bounded, loose = estimates.mean([0.7] * 10), estimates.mean([7.0] * 10)

    assert bounded.low < 0.5
    assert bounded.high > 0.75
    assert (loose.value, loose.low, loose.undefined) == (7.0, None, "no spread to judge by")


def test_one_cluster_is_undefined_and_not_zero() -> None:
    found = estimates.mean([1.0, 0.0, 1.0], ["a", "a", "a"])

    assert found.value == pytest.approx(2 / 3)
    assert (found.low, found.high, found.se) == (None, None, None)
    assert found.undefined


def test_no_values_are_undefined() -> None:
    for found in (estimates.mean([]), estimates.wilson(0, 0), estimates.clopper_pearson(0, 0)):
        assert (found.value, found.undefined) == (None, "no values")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: estimates.mean([1.0, float("nan")]),
        lambda: estimates.mean([1.0, float("inf")]),
        lambda: estimates.mean([[1.0]]),
        lambda: estimates.mean([1.0, 2.0], ["a"]),
        lambda: estimates.mean([1.0, 2.0], level=1.0),
        lambda: estimates.wilson(3, 2),
        lambda: estimates.clopper_pearson(-1, 2),
        lambda: estimates.binary(["no", "yes"]),
        lambda: estimates.binary([0, 2]),
    ],
)
def test_what_is_no_sample_is_refused(wrong) -> None:
    with pytest.raises(BadInput) as raised:
        wrong()

    assert raised.value.where
    assert raised.value.todo


def test_estimates_are_json() -> None:
    """No NaN, no infinity, no numpy scalar."""
    for found in (
        estimates.mean([0.5, 0.6]),
        estimates.mean([]),
        estimates.mean([3.0, 3.0]),
        estimates.mean([1, 0, 1]),
    ):
        assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
