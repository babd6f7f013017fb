"""Many questions: the published adjustments, and the false alarms that they promise."""

import numpy as np
import pytest
from scipy import stats
from tests.engines.stats.simulation import at_least, at_most

from gimbal.engines.stats import multiplicity
from gimbal.kernel.errors import BadInput


def test_holm_by_hand() -> None:
    """Steps 4, 3, 2, 1 times the sorted values, never falling, back in the order given."""
    assert multiplicity.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("any_dependence", "method"), [(False, "bh"), (True, "by")])
def test_false_discovery_agrees_with_scipy(any_dependence: bool, method: str) -> None:
    p = np.random.default_rng(1).random(40) ** 2
    found = multiplicity.benjamini_hochberg(p, any_dependence=any_dependence)

    assert found == pytest.approx(stats.false_discovery_control(p, method=method))


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    """50 features without change: uncorrected one in 92 % of batches, with Holm one in 5 %."""
    rng = np.random.default_rng(2)
    runs = 1000
    p = rng.random((runs, 50))

    assert at_least((p <= 0.05).any(1).sum(), runs, 0.9)
    assert at_most(sum((multiplicity.holm(row) <= 0.05).any() for row in p), runs, 0.05)


def test_benjamini_hochberg_keeps_the_share_of_false_alarms() -> None:
    """40 true and 10 false nulls: at most 4 % (5 % of the true ones' share) of what is found is nothing."""
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(600):
        z = rng.normal(size=50)
        z[:10] += 3.5
        found = multiplicity.benjamini_hochberg(2 * stats.norm.sf(np.abs(z))) <= 0.05
        shares.append(found[10:].sum() / max(found.sum(), 1))

    assert np.mean(shares) <= 0.05 * 0.8 + 4 * np.std(shares) / np.sqrt(600)


def test_e_bh_keeps_the_share_whatever_the_dependence() -> None:
    """All e-values alike, all nulls true: an alarm is wholly false, and at most 5 % of batches have one."""
    rng = np.random.default_rng(4)
    runs = 2000
    e = np.exp(2 * rng.normal(size=runs) - 2)

    assert at_most(sum(multiplicity.e_bh([x] * 20).any() for x in e), runs, 0.05)


def test_e_bh_by_hand() -> None:
    """Of four at 5 % the largest must reach 80, two 40, three 26.7."""
    assert multiplicity.e_bh([50, 45, 1, 1]).tolist() == [True, True, False, False]
    assert multiplicity.e_bh([79, 1, 1, 1]).tolist() == [False] * 4


def test_no_questions_have_no_answers_and_no_p_value_is_refused() -> None:
    assert multiplicity.holm([]).size == multiplicity.benjamini_hochberg([]).size == multiplicity.e_bh([]).size == 0
    with pytest.raises(BadInput):
        multiplicity.holm([0.1, float("nan")])
