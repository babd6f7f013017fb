"""Paired comparisons: the interval covers, the test keeps its level, and verdicts are wrong as rarely as they say."""

import numpy as np
import pytest
from scipy import optimize, stats
from tests.engines.stats.simulation import at_least, at_most, clustered, covered

from gimbal.engines.stats import paired
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput


def binary_pairs(rng: np.random.Generator, n: int, wins: float, losses: float) -> tuple[np.ndarray, np.ndarray]:
    u = rng.random(n)
    return ((u >= wins) & (u < wins + losses)).astype(float), (u < wins).astype(float)


def tango_by_likelihood(wins: int, losses: int, n: int, difference: float) -> float:
    """Return Tango's score with the restricted likelihood maximised by a general solver."""
    low = max(0.0, -difference) + 1e-12
    high = (1 - difference) / 2 - 1e-12

    def minus(lost: float) -> float:
        same = 1 - 2 * lost - difference
        return -(wins * np.log(lost + difference) + losses * np.log(lost) + (n - wins - losses) * np.log(same))

    lost = optimize.minimize_scalar(minus, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (wins - losses - n * difference) / np.sqrt(n * (2 * lost + difference - difference**2))


@pytest.mark.parametrize(("wins", "losses", "n"), [(8, 3, 20), (15, 6, 50), (1, 4, 30)])
def test_tango_inverts_the_score_test(wins: int, losses: int, n: int) -> None:
    """At either end the score under the restricted likelihood is ±1.96."""
    low, high = paired.tango(wins, losses, n)

    assert tango_by_likelihood(wins, losses, n, low) == pytest.approx(1.96, abs=0.002)
    assert tango_by_likelihood(wins, losses, n, high) == pytest.approx(-1.96, abs=0.002)


def test_tango_without_any_difference_is_known_in_closed_form() -> None:
    """± z² / (n + z²); and it is symmetric in wins and losses."""
    z2 = stats.norm.ppf(0.975) ** 2

    assert paired.tango(0, 0, 100) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)))
    assert paired.tango(7, 2, 30) == pytest.approx(tuple(-x for x in reversed(paired.tango(2, 7, 30))))
    assert paired.tango(20, 0, 20)[1] == pytest.approx(1)


@pytest.mark.parametrize(("n", "wins", "losses"), [(10, 0.2, 0.1), (20, 0.05, 0.1), (50, 0.1, 0.02), (200, 0.1, 0.1)])
def test_binary_differences_are_covered(n: int, wins: float, losses: float) -> None:
    """Small and lopsided pairs too."""
    rng = np.random.default_rng(1)
    runs = 700

    def draw() -> Estimate:
        return paired.compare(*binary_pairs(rng, n, wins, losses)).difference

    assert at_least(covered(draw, wins - losses, runs), runs, 0.94)


def test_clustered_binary_differences_are_covered() -> None:
    rng = np.random.default_rng(2)
    runs = 500

    def draw() -> Estimate:
        before, groups = clustered(rng, [8] * 15, 0.4, 0.5)
        after, _ = clustered(rng, [8] * 15, 0.4, 0.6)
        return paired.compare(before, after, groups).difference

    assert at_least(covered(draw, 0.1, runs), runs, 0.94)


@pytest.mark.parametrize(("icc", "size"), [(0.0, 1), (0.7, 10)], ids=["single", "50 clusters of 10"])
def test_versions_that_are_alike_are_rarely_told_apart(icc: float, size: int) -> None:
    """Under no difference better and worse together stay below 5 %, clustered or not."""
    rng = np.random.default_rng(3)
    runs = 500
    groups = np.repeat(np.arange(50), size)

    def verdict() -> str:
        own = rng.normal(size=50)[groups] * np.sqrt(icc)
        d = 0.1 * (own + rng.normal(size=groups.size) * np.sqrt(1 - icc))
        before = rng.random(groups.size) * 0.2 + 0.4
        return paired.compare(before, before + d, groups).verdict

    assert at_most(sum(verdict() in ("better", "worse") for _ in range(runs)), runs, 0.05)


@pytest.mark.parametrize("n", [5, 10, 20, 50])
def test_few_units_do_not_show_that_nothing_got_worse(n: int) -> None:
    """Truly 5 points worse, margin 5 points: the interval clears the margin in at most 2.5 % of samples."""
    rng = np.random.default_rng(4)
    runs = 1000
    found = [paired.compare(*binary_pairs(rng, n, 0.05, 0.1), margin=0.05) for _ in range(runs)]

    assert at_most(sum(o.difference.low > -0.05 for o in found), runs, 0.025)
    assert at_most(sum(o.verdict in ("equivalent", "better") for o in found), runs, 0.025)


def test_rare_catastrophes_are_not_called_equivalent() -> None:
    """Judge scores that jitter, 3 % of which drop to 0: a mean difference of −2.1 points against a margin of 2."""
    rng = np.random.default_rng(5)
    runs = 300

    def verdict() -> str:
        before = np.clip(0.7 + 0.1 * rng.normal(size=50), 0, 1)
        after = np.clip(before + 0.02 * rng.normal(size=50), 0, 1)
        after[rng.random(50) < 0.03] = 0
        return paired.compare(before, after, margin=0.02).verdict

    assert at_most(sum(verdict() == "equivalent" for _ in range(runs)), runs, 0.025)


def test_power_is_what_detectable_says() -> None:
    """A difference as large as `detectable` is found in about 80 % of samples."""
    rng = np.random.default_rng(6)
    runs, n, sd = 400, 200, 0.2
    truth = paired.detectable(sd / np.sqrt(n))

    def found() -> bool:
        before = rng.normal(size=n) * 3
        return paired.compare(before, before + truth + sd * rng.normal(size=n)).verdict == "better"

    count = sum(found() for _ in range(runs))
    assert at_least(count, runs, 0.78)
    assert at_most(count, runs, 0.82)


def test_a_large_sample_shows_equivalence() -> None:
    """Equal versions, 1,000 units, margin 5 points: shown more often than not."""
    rng = np.random.default_rng(7)
    verdicts = [paired.compare(*binary_pairs(rng, 1000, 0.1, 0.1), margin=0.05).verdict for _ in range(200)]

    assert at_least(verdicts.count("equivalent"), 200, 0.85)


def test_mcnemar_is_exact() -> None:
    """15 wins and 4 losses: twice the tail of fair coins."""
    before, after = [0.0] * 15 + [1.0] * 4 + [1.0] * 11, [1.0] * 15 + [0.0] * 4 + [1.0] * 11

    assert paired.compare(before, after).p_value == pytest.approx(stats.binomtest(15, 19).pvalue)


def test_few_clusters_are_counted_out() -> None:
    """Five differences of one sign: 2 of 32 sign patterns are as extreme, with no sampling error."""
    assert paired.compare([0.1] * 5, [0.2, 0.25, 0.3, 0.35, 0.4]).p_value == pytest.approx(2 / 32)


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_sign_flips_agree_with_scipy(n: int) -> None:
    """Sampled flips, and the normal share of many, give scipy's permutation p-value."""
    d = np.random.default_rng(n).exponential(size=n) - 1 + 1.5 / np.sqrt(n)
    expected = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=4000, rng=1).pvalue
    found = paired.compare(np.zeros(n), d).p_value

    assert found == pytest.approx(expected, abs=5 * np.sqrt(0.25 / 4000))


def test_heavy_tails_are_flipped_one_by_one() -> None:
    """One loss of 10⁶ among 2,000: a z test of the mean is blind, the flips see what the sum rests on."""
    d = np.full(2000, 0.01)
    d[7] = -1e6

    assert paired.compare(np.zeros(2000), d).p_value == pytest.approx(1, abs=0.05)


def test_the_same_scores_are_equivalent_only_with_enough_units() -> None:
    """That no unit differs says little when there are few."""
    few, many = np.ones(20), np.ones(400)

    assert paired.compare(few, few, margin=0.02).verdict == "underpowered"
    assert paired.compare(many, many, margin=0.02).verdict == "equivalent"
    assert paired.compare(many, many).p_value == 1.0


def test_lower_is_better_turns_the_verdict() -> None:
    rng = np.random.default_rng(8)
    before = rng.random(300) + 1
    after = before - 0.3 + 0.1 * rng.normal(size=300)

    assert paired.compare(before, after, higher_is_better=False).verdict == "better"
    assert paired.compare(before, after).verdict == "worse"


def test_no_units_and_one_cluster_are_underpowered() -> None:
    assert paired.compare([], []).verdict == "underpowered"
    assert paired.compare([0.0, 0.0], [1.0, 1.0], ["a", "a"]).verdict == "underpowered"


def test_against_a_threshold() -> None:
    number = Estimate(value=0.8, low=0.75, high=0.85)

    assert [paired.against(number, t) for t in (0.7, 0.8, 0.9)] == ["meets", "undecided", "misses"]
    assert [paired.against(number, t, higher_is_better=False) for t in (0.7, 0.8, 0.9)] == [
        "misses",
        "undecided",
        "meets",
    ]
    assert paired.against(Estimate(value=1.0), 0.5) == "undecided"


def test_unequal_lengths_and_a_difference_of_zero_are_refused() -> None:
    with pytest.raises(BadInput, match="2 scores before and 1 after"):
        paired.compare([1.0, 2.0], [1.0])
    with pytest.raises(BadInput):
        paired.units_needed(0.0, 1.0)


def test_the_p_value_can_be_repeated() -> None:
    rng = np.random.default_rng(9)
    before, after = rng.random(80), rng.random(80)

    assert paired.compare(before, after) == paired.compare(before, after)
