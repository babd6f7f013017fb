"""Agreement: published values, covered intervals, and no number where there is nothing to agree on."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from tests.engines.stats.simulation import at_least, covered

from gimbal.engines.stats import agreement
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

_ = None
# Three coders, 15 units, with gaps: nominal .691, interval .811.
CODERS = [
    [_, _, _, _, _, 3, 4, 1, 2, 1, 1, 3, 3, _, 3],
    [1, _, 2, 1, 3, 3, 4, 3, _, _, _, _, _, _, _],
    [_, _, 2, 1, 3, 4, 4, _, 2, 1, 1, 3, 3, _, 4],
]


def test_krippendorff_of_three_coders() -> None:
    nominal, interval = (agreement.krippendorff_alpha(CODERS, metric=m) for m in ("nominal", "interval"))

    assert nominal.value == pytest.approx(0.691, abs=5e-4)
    assert interval.value == pytest.approx(0.811, abs=5e-4)
    assert nominal.low < nominal.value < nominal.high
    assert nominal.n == 12


def test_krippendorff_by_its_definition() -> None:
    """Every pair of ratings within units over every pair of all ratings."""
    rng = np.random.default_rng(1)
    table = np.clip(np.round(rng.normal(3, 1, 20) + 0.7 * rng.normal(size=(3, 20))), 1, 5)
    pool = table.ravel()
    for metric, distance in (("nominal", lambda a, b: float(a != b)), ("interval", lambda a, b: (a - b) ** 2)):
        within = sum(distance(a, b) for unit in table.T for a in unit for b in unit) / 2 / pool.size
        overall = sum(distance(a, b) for a in pool for b in pool) / (pool.size * (pool.size - 1))
        assert agreement.krippendorff_alpha(table.tolist(), metric=metric).value == pytest.approx(1 - within / overall)


def test_krippendorff_is_covered() -> None:
    """Two raters of 80 units that agree by plan in 70 %, by chance among four categories otherwise."""
    rng = np.random.default_rng(2)
    runs = 200

    def draw() -> Estimate:
        first = rng.integers(0, 4, 80)
        second = np.where(rng.random(80) < 0.7, first, rng.integers(0, 4, 80))
        return agreement.krippendorff_alpha([first.tolist(), second.tolist()])

    assert at_least(covered(draw, 0.7, runs), runs, 0.94)


def test_kappa_by_hand_and_against_scikit_learn() -> None:
    """20 and 15 of 50 agreed, shares .5 and .6: (.7 − .5)/(1 − .5) = .4."""
    first, second = list("y" * 25 + "n" * 25), list("y" * 20 + "n" * 5 + "y" * 10 + "n" * 15)
    found = agreement.cohen_kappa(first, second)

    assert found.value == pytest.approx(0.4)
    assert found.value == pytest.approx(cohen_kappa_score(first, second))
    assert found.low < 0.4 < found.high


@pytest.mark.parametrize(("n", "planned"), [(60, 0.8), (60, 0.3), (300, 0.6)])
def test_kappa_is_covered(n: int, planned: float) -> None:
    rng = np.random.default_rng(3)
    runs = 500

    def draw() -> Estimate:
        first = rng.random(n) < 0.5
        second = np.where(rng.random(n) < planned, first, rng.random(n) < 0.5)
        return agreement.cohen_kappa(first.tolist(), second.tolist())

    assert at_least(covered(draw, planned, runs), runs, 0.94)


def test_full_agreement_has_an_interval() -> None:
    found = agreement.cohen_kappa(["a", "b"] * 10, ["a", "b"] * 10)

    assert found.value == 1
    assert 0 < found.low < 0.8


def test_full_disagreement_has_one_too() -> None:
    """Each is the other's opposite."""
    found = agreement.cohen_kappa(["a", "b"] * 10, ["b", "a"] * 10)

    assert (found.value, found.low) == (-1, -1)
    assert -0.8 < found.high < 0


def test_one_category_is_undefined_and_not_one() -> None:
    assert agreement.cohen_kappa(["a"] * 5, ["a"] * 5).value is None
    assert agreement.krippendorff_alpha([["a"] * 5, ["a"] * 5]).value is None
    assert agreement.cohen_kappa([], []).undefined
    assert agreement.krippendorff_alpha([["a", None], [None, "b"]]).undefined == "no unit has two ratings"
    assert agreement.krippendorff_alpha([["a", "b"], ["a", "b"]]).undefined


def test_ratings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput):
        agreement.cohen_kappa(["a"], ["a", "b"])
    with pytest.raises(BadInput):
        agreement.krippendorff_alpha([["a", "b"], ["a"]])
    with pytest.raises(BadInput):
        agreement.krippendorff_alpha([["a", "b"], ["a", "b"]], metric="interval")
