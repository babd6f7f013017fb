"""Distributions by `scipy.special` alone, beside those of `scipy.stats`, which takes too long to load for what starts."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gimbal.engines.stats import distributions

SHARES = st.floats(1e-9, 1 - 1e-9)


@given(SHARES, st.sampled_from([1.0, 2.0, 5.5, 30.0, 1e4, 1e9, float("inf")]))
def test_quantiles_of_t(share: float, df: float) -> None:
    assert distributions.t_quantile(share, df) == pytest.approx(stats.t.ppf(share, df), rel=1e-8, abs=1e-12)


@given(SHARES)
def test_quantiles_of_the_normal(share: float) -> None:
    assert distributions.normal_quantile(share) == pytest.approx(stats.norm.ppf(share), rel=1e-9, abs=1e-12)


@given(st.floats(-30, 30))
def test_tails_of_the_normal(z: float) -> None:
    assert distributions.normal_tail(z) == pytest.approx(stats.norm.sf(z), rel=1e-9)


@given(SHARES, st.integers(1, 5000), st.integers(1, 5000))
def test_quantiles_of_beta(share: float, a: int, b: int) -> None:
    assert distributions.beta_quantile(share, a, b) == pytest.approx(stats.beta.ppf(share, a, b), rel=1e-9)


@given(st.floats(0, 400), st.integers(1, 100))
def test_tails_of_chi2(value: float, df: int) -> None:
    assert distributions.chi2_tail(value, df) == pytest.approx(stats.chi2.sf(value, df), rel=1e-9, abs=1e-300)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_sign_test(told: tuple[int, int]) -> None:
    wins, n = told
    assert distributions.sign_test(wins, n) == pytest.approx(stats.binomtest(wins, n).pvalue, rel=1e-9, abs=1e-200)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40))
def test_ranks(values: list[int]) -> None:
    given = np.array(values, np.float64)
    assert distributions.ranks(given).tolist() == stats.rankdata(given).tolist()


@given(st.floats(-800, 800))
def test_logistic(value: float) -> None:
    from scipy import special

    assert distributions.logistic(value) == pytest.approx(float(special.expit(value)), rel=1e-9, abs=1e-15)


def test_no_process_loads_scipy_before_it_is_asked_for() -> None:
    """It would take more than a second of every start, and 80 MB of every process."""
    code = (
        "import sys; from gimbal.faces.server import capabilities as c, process; "
        "c.load_operations(); c.load_dialects(); c.load_pages(); c.load_work(); sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
