"""Judges corrected by human labels: the truth is covered, however bad the judge."""

import numpy as np
import pytest
from tests.engines.stats.simulation import at_least, covered

from gimbal.engines.stats import corrected
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput


def judged(rng: np.random.Generator, n: int, truth: float, right: float) -> tuple[np.ndarray, np.ndarray]:
    good = rng.random(n) < truth
    return good.astype(float), np.where(rng.random(n) < right, good, ~good).astype(float)


@pytest.mark.parametrize(("truth", "reads"), [(0.6, 0.64), (0.9, 0.835)])
def test_rogan_gladen_undoes_what_the_judge_compresses(truth: float, reads: float) -> None:
    """A judge right on 90 % of the good and 75 % of the bad reads .60 and .90 as .64 and .835."""
    n = 100_000
    found = corrected.rogan_gladen(
        round(reads * n), n, good_confirmed=9000, good_checked=10_000, bad_confirmed=7500, bad_checked=10_000
    )

    assert found.value == pytest.approx(truth)
    assert found.low < truth < found.high


@pytest.mark.parametrize(("truth", "checked"), [(0.6, 50), (0.9, 50), (0.5, 200)])
def test_rogan_gladen_covers(truth: float, checked: int) -> None:
    rng = np.random.default_rng(1)
    runs = 1000

    def draw() -> Estimate:
        good = rng.binomial(200, truth)
        return corrected.rogan_gladen(
            int(rng.binomial(good, 0.9) + rng.binomial(200 - good, 0.25)),
            200,
            good_confirmed=int(rng.binomial(checked, 0.9)),
            good_checked=checked,
            bad_confirmed=int(rng.binomial(checked, 0.75)),
            bad_checked=checked,
        )

    assert at_least(covered(draw, truth, runs), runs, 0.94)


def test_a_judge_like_a_coin_leaves_it_undefined() -> None:
    found = corrected.rogan_gladen(50, 100, good_confirmed=5, good_checked=10, bad_confirmed=5, bad_checked=10)

    assert (found.value, found.undefined) == (None, "the judge is no better than chance")
    assert corrected.rogan_gladen(
        1, 2, good_confirmed=0, good_checked=0, bad_confirmed=1, bad_checked=1
    ).undefined.startswith("no units")


@pytest.mark.parametrize("right", [0.95, 0.7, 0.5, 0.2])
def test_ppi_covers_however_bad_the_judge(right: float) -> None:
    rng = np.random.default_rng(2)
    runs = 600

    def draw() -> Estimate:
        y, f = judged(rng, 1100, 0.7, right)
        return corrected.ppi_mean(y[:100], f[:100], f[100:])

    assert at_least(covered(draw, 0.7, runs), runs, 0.94)


def test_a_good_judge_narrows_the_interval_and_a_useless_one_does_not_widen_it() -> None:
    """Variance × (1 − r²) with many judged units."""
    rng = np.random.default_rng(3)
    widths = {}
    for right in (0.95, 0.5):
        ratios = []
        for _ in range(100):
            y, f = judged(rng, 20_100, 0.5, right)
            found = corrected.ppi_mean(y[:100], f[:100], f[100:])
            ratios.append(found.se / (y[:100].std(ddof=1) / 10))
        widths[right] = np.mean(ratios)

    assert widths[0.95] == pytest.approx(np.sqrt(1 - 0.9**2), abs=0.05)
    assert widths[0.5] == pytest.approx(1, abs=0.03)


def test_ppi_without_judged_units_is_the_mean_of_the_labels() -> None:
    found = corrected.ppi_mean([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0], [])

    assert found.value == pytest.approx(0.75)
    assert found.low < 0.75 < found.high


def test_too_few_labels_are_undefined_and_unequal_ones_refused() -> None:
    assert corrected.ppi_mean([1.0], [1.0], [1.0, 0.0]).undefined
    assert corrected.ppi_mean([1.0] * 5, [1.0] * 5, [1.0] * 5).undefined == "no spread to judge by"
    with pytest.raises(BadInput):
        corrected.ppi_mean([1.0, 0.0], [1.0], [1.0])
    with pytest.raises(BadInput):
        corrected.rogan_gladen(3, 2, good_confirmed=1, good_checked=1, bad_confirmed=1, bad_checked=1)
