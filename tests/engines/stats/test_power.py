"""What can be found with how many units: the reference's table, and that the answers agree with each other."""

import pytest

from gimbal.engines.stats import power
from gimbal.kernel.errors import BadInput


@pytest.mark.parametrize(
    ("correlation", "points"),
    [(0.0, (15.8, 11.2, 7.1, 5.0)), (0.5, (11.2, 7.9, 5.0, 3.5)), (0.7, (8.7, 6.1, 3.9, 2.7))],
    ids=["unpaired", "r=.5", "r=.7"],
)
def test_the_table_of_detectable_differences(correlation: float, points: tuple[float, ...]) -> None:
    """Shares of .8 at 100, 200, 500 and 1000 units, in percentage points."""
    sd = power.sd_of_difference(0.4, 0.4, correlation=correlation)

    found = [100 * power.smallest_difference(n, sd) for n in (100, 200, 500, 1000)]
    assert found == pytest.approx(points, abs=0.06)


def test_units_and_differences_are_inverse() -> None:
    sd = power.sd_of_difference(0.4, 0.3, correlation=0.4)
    n = power.units(0.05, sd, effect=2.8)

    assert power.smallest_difference(n, sd, effect=2.8) <= 0.05 < power.smallest_difference(n - 1, sd, effect=2.8)


def test_repeats_take_off_noise_but_not_the_spread_between_units() -> None:
    once = power.sd_of_difference(0.3, 0.3, correlation=0.5, noise_before=0.2, noise_after=0.2)
    often = power.sd_of_difference(0.3, 0.3, correlation=0.5, noise_before=0.2, noise_after=0.2, repeats=10**6)

    assert once == pytest.approx((0.09 + 0.08) ** 0.5)
    assert often == pytest.approx(0.3, abs=1e-4)


def test_the_design_effect() -> None:
    """Ten units of a source that agree by .2 are worth 1/2.8 each."""
    assert power.design_effect(10, 0.2) == pytest.approx(2.8)
    assert power.design_effect(1, 0.9) == 1


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (
        lambda: power.sd_of_difference(-1, 1),
        lambda: power.sd_of_difference(1, 1, correlation=2),
        lambda: power.smallest_difference(0, 1),
        lambda: power.units(0, 1),
    ):
        with pytest.raises(BadInput):
            wrong()
