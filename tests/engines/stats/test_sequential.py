"""Anytime-valid evidence: it may be looked at after every unit and still errs as rarely as it says."""

import numpy as np
import pytest
from scipy import stats
from tests.engines.stats.simulation import at_least, at_most

from gimbal.engines.stats import sequential
from gimbal.kernel.errors import BadInput


@pytest.mark.parametrize(("a", "b"), [(2, 5), (0.2, 0.05)], ids=["smooth", "mostly 0 and 1"])
def test_betting_covers_at_every_look_at_once(a: float, b: float) -> None:
    """The interval holds the tightest of all looks so far: one that ever missed still misses at the end."""
    rng = np.random.default_rng(1)
    runs, truth = 200, a / (a + b)
    found = [sequential.betting(rng.beta(a, b, 400)) for _ in range(runs)]

    assert at_least(sum(e.low <= truth <= e.high for e in found), runs, 0.95)


def test_betting_is_not_much_wider_than_a_fixed_sample() -> None:
    rng = np.random.default_rng(2)
    x = rng.beta(2, 5, 2000)
    found = sequential.betting(x)

    assert found.high - found.low < 2.2 * 2 * 1.96 * x.std() / np.sqrt(2000)


def test_betting_never_grows_and_knows_other_bounds() -> None:
    x = np.random.default_rng(3).random(600)
    widths = [(e := sequential.betting(x[:n])).high - e.low for n in (10, 50, 200, 600)]
    moved = sequential.betting(x * 4 - 2, low=-2, high=2)

    assert widths == sorted(widths, reverse=True)
    assert moved.low == pytest.approx(sequential.betting(x).low * 4 - 2)


def test_looking_daily_with_a_fixed_interval_would_err() -> None:
    """Sixty looks at a growing mean: the 95 % t interval misses zero in about a third, the asymptotic one rarely."""
    rng = np.random.default_rng(4)
    runs, fixed, anytime = 200, 0, 0
    for _ in range(runs):
        x = rng.normal(size=1200)
        looks = [x[:n] for n in range(40, 1201, 20)]
        fixed += any(abs(part.mean()) > 1.96 * part.std(ddof=1) / np.sqrt(part.size) for part in looks)
        seen = [sequential.asymptotic(part, tightest_at=400) for part in looks]
        anytime += any(not e.low <= 0 <= e.high for e in seen)

    assert at_least(fixed, runs, 0.25)
    assert at_most(anytime, runs, 0.05)


def test_wins_of_the_reference() -> None:
    """20 to 5 gives 24.3 and may stop at 5 %; 18 to 6 gives 5.0 and may not."""
    assert sequential.wins_e_value(20, 5) == pytest.approx(24.3, abs=0.05)
    assert sequential.wins_e_value(18, 6) == pytest.approx(5.0, abs=0.05)
    assert sequential.wins_e_value(0, 0) == pytest.approx(1)
    assert np.isfinite(sequential.wins_e_value(10**6, 0))


def test_fair_coins_rarely_reach_the_e_value_at_any_time() -> None:
    """Ville: at most 5 % of fair sequences ever reach 20, looked at after each of 300 flips."""
    rng = np.random.default_rng(5)
    runs, reached = 300, 0
    for _ in range(runs):
        wins = np.cumsum(rng.integers(0, 2, 300)).tolist()
        reached += any(sequential.wins_e_value(w, t - w) >= 20 for t, w in enumerate(wins, 1))

    assert at_most(reached, runs, 0.05)


def test_the_e_value_is_an_expectation_of_one() -> None:
    """Summed over all outcomes of 30 fair flips."""
    wins = np.arange(31)
    e = [sequential.wins_e_value(int(w), int(30 - w)) for w in wins]

    assert stats.binom.pmf(wins, 30, 0.5) @ e == pytest.approx(1)


def test_what_is_no_sample_is_undefined_or_refused() -> None:
    assert sequential.betting([]).undefined
    assert sequential.asymptotic([1.0], tightest_at=10).undefined
    assert sequential.asymptotic([1.0, 1.0], tightest_at=10).undefined
    for wrong in (
        lambda: sequential.betting([1.5]),
        lambda: sequential.betting([0.5], low=1, high=0),
        lambda: sequential.asymptotic([1.0, 2.0], tightest_at=0),
        lambda: sequential.wins_e_value(-1, 0),
    ):
        with pytest.raises(BadInput):
            wrong()
