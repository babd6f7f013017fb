"""Drift: false alarms as rare as promised at every size, real shifts found, one wild value hides nothing."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from scipy import stats
from tests.engines.stats.simulation import at_least, at_most

from gimbal.engines.stats import drift

SAMPLERS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "counts": lambda rng, n: rng.poisson(1.0, n).astype(float),
    "many zeros": lambda rng, n: np.maximum(0, rng.normal(size=n)),
    "gaps": lambda rng, n: np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
}


def counted(values: np.ndarray) -> Counter[str]:
    return Counter(str(v) for v in values.tolist())


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize(("n", "m"), [(100, 100), (200, 200), (500, 500), (1000, 1000), (10_000, 200), (100, 30)])
def test_the_p_value_keeps_its_level(kind: str, n: int, m: int) -> None:
    """Same distribution, 5 %: where a fixed PSI of 0.1 alarms in 82 to 88 % (n=100) and never (n=1000)."""
    rng = np.random.default_rng(n + m)
    runs = 250
    p = np.array([drift.numeric(SAMPLERS[kind](rng, n), SAMPLERS[kind](rng, m)).p_value for _ in range(runs)])

    assert at_most((p <= 0.05).sum(), runs, 0.055)
    assert at_most((p <= 0.2).sum(), runs, 0.21)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (500, 500), (10_000, 10_000)])
def test_the_verdict_rarely_alarms_without_change(n: int, m: int) -> None:
    """A distance above δ is claimed in under 2.5 % even when δ is 0."""
    rng = np.random.default_rng(1)
    runs = 300
    seen = [drift.numeric(rng.normal(size=n), rng.normal(size=m), least=0.0).verdict for _ in range(runs)]

    # The band is two-sided at 5 %; for a distance of 0 all of it lies on one side.
    assert at_most(seen.count("drifted"), runs, 0.055)


@pytest.mark.parametrize(("n", "m", "shift"), [(30, 20, 0.5), (300, 100, 0.0), (1000, 1000, 0.1), (2000, 300, 1.0)])
def test_the_distance_is_covered(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng(2)
    truth, runs = float(2 * stats.norm.cdf(shift / 2) - 1), 400
    found = [drift.numeric(rng.normal(size=n), rng.normal(size=m) + shift).distance for _ in range(runs)]

    assert at_least(sum(e.low <= truth <= e.high for e in found), runs, 0.945)


def test_a_real_shift_is_found_and_one_wild_value_does_not_hide_it() -> None:
    """0.5σ in 5,000 rows, one of them at 200σ: bins from the batch would read a PSI of 0.0001."""
    rng = np.random.default_rng(3)
    reference, sample = rng.normal(size=5000), rng.normal(size=5000) + 0.5
    plain = drift.numeric(reference, sample)
    sample[0] = 200
    wild = drift.numeric(reference, sample)

    assert (plain.verdict, wild.verdict) == ("drifted", "drifted")
    assert wild.psi == pytest.approx(plain.psi, rel=0.02)
    assert wild.psi > 0.2
    assert wild.p_value < 1e-10


def test_one_wild_value_is_no_drift() -> None:
    rng = np.random.default_rng(4)
    sample = rng.normal(size=2000)
    sample[0] = 200

    assert drift.numeric(rng.normal(size=5000), sample).verdict == "stable"


def test_a_shift_that_does_not_matter_is_stable_however_many_rows_show_it() -> None:
    """0.05σ in 100,000 rows: p is tiny, the distance is below δ."""
    rng = np.random.default_rng(5)
    found = drift.numeric(rng.normal(size=100_000), rng.normal(size=100_000) + 0.05)

    assert found.p_value < 1e-6
    assert found.verdict == "stable"


def test_few_rows_are_undecided() -> None:
    rng = np.random.default_rng(6)

    assert drift.numeric(rng.normal(size=100), rng.normal(size=40)).verdict == "undecided"


def test_psi_is_zero_on_average_without_change_and_right_with_it() -> None:
    """Its expectation is taken off; a shift of 1σ over deciles of many rows is the integral's value."""
    rng = np.random.default_rng(7)
    nothing = [drift.numeric(rng.normal(size=300), rng.normal(size=300)).psi for _ in range(300)]
    edges = stats.norm.ppf(np.linspace(0, 1, 11))
    p, q = np.full(10, 0.1), np.diff(stats.norm.cdf(edges - 1))
    found = drift.numeric(rng.normal(size=200_000), rng.normal(size=200_000) + 1).psi

    assert abs(np.mean(nothing)) < 4 * np.std(nothing) / np.sqrt(300) + 0.002
    assert found == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=0.03)


@pytest.mark.parametrize(
    ("reference", "sample"),
    [
        (np.repeat([1.0, 0.0], [1900, 100]), np.repeat([1.0, 0.0], [1000, 1000])),
        (np.repeat([1.0, 0.0], [100, 1900]), np.repeat([1.0, 0.0], [1000, 1000])),
        (np.ones(500), np.full(500, 2.0)),
        (np.ones(500), np.zeros(500)),
        (np.repeat([0.0, 1.0, 5.0], [400, 300, 300]), np.repeat([0.0, 1.0, 5.0], [200, 300, 500])),
        (np.random.default_rng(8).normal(size=1000), np.full(1000, np.nan)),
    ],
    ids=["mostly true", "mostly false", "constant rises", "constant falls", "atoms", "all missing"],
)
def test_values_that_fill_a_bin_are_seen_by_all_measures(reference: np.ndarray, sample: np.ndarray) -> None:
    found = drift.numeric(reference, sample)

    assert found.verdict == "drifted"
    assert found.p_value < 1e-6
    assert found.psi > 0.1


def test_more_missing_values_are_drift() -> None:
    """The values that are there stay as they were."""
    rng = np.random.default_rng(9)
    reference, sample = rng.normal(size=3000), rng.normal(size=3000)
    sample[:900] = np.nan
    found = drift.numeric(reference, sample)

    assert found.missing_share == pytest.approx(0.3)
    assert found.distance.value == pytest.approx(0.3, abs=0.05)
    assert found.verdict == "drifted"


@pytest.mark.parametrize(("n", "m"), [(200, 100), (5000, 200), (1000, 1000)])
def test_categories_keep_the_level_though_most_are_rare(n: int, m: int) -> None:
    """Sixty categories, many unseen in one of the samples by chance alone."""
    rng = np.random.default_rng(10)
    shares = 1 / np.arange(1, 61)
    runs, found = 200, []
    for _ in range(runs):
        ref, now = rng.choice(60, n, p=shares / shares.sum()), rng.choice(60, m, p=shares / shares.sum())
        found.append(drift.categorical(counted(ref), counted(now), least=0.0))

    assert at_most(sum(f.p_value <= 0.05 for f in found), runs, 0.055)
    assert at_most(sum(f.verdict == "drifted" for f in found), runs, 0.025)


def test_the_distance_of_categories_is_covered() -> None:
    rng = np.random.default_rng(11)
    p, q = np.full(8, 1 / 8), np.array([0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    truth, runs = float(np.abs(p - q).sum() / 2), 300
    found = [
        drift.categorical(counted(rng.choice(8, 400, p=p)), counted(rng.choice(8, 200, p=q))).distance
        for _ in range(runs)
    ]

    assert at_least(sum(e.low <= truth <= e.high for e in found), runs, 0.95)


def test_a_category_that_was_never_seen_is_noticed() -> None:
    found = drift.categorical({"a": 6000, "b": 4000}, {"a": 590, "b": 380, "c": 30})

    assert found.p_value <= 0.001
    assert found.distance.value == pytest.approx(0.03)
    assert drift.categorical({"a": 6000, "b": 4000}, {"c": 500}).verdict == "drifted"


def test_identifiers_are_no_drift() -> None:
    """Every value new, in the reference too: total variation reads 1, its interval knows better."""
    rng = np.random.default_rng(12)
    ref, now = counted(rng.integers(0, 10**6, 5000)), counted(rng.integers(0, 10**6, 1000))
    found = drift.categorical(ref, now)

    assert found.distance.value > 0.95
    assert found.verdict == "undecided"
    assert found.p_value > 0.01


def test_missing_categories_are_counted() -> None:
    assert drift.categorical({"a": 90, "": 10}, {"a": 60, "": 40}).missing_share == pytest.approx(0.4)


@pytest.mark.parametrize(
    "found",
    [
        drift.numeric([], [1.0]),
        drift.numeric([1.0], []),
        drift.categorical({}, {"a": 1}),
        drift.categorical({"a": 1}, {}),
    ],
)
def test_no_values_are_undecided(found: drift.Drift) -> None:
    assert (found.verdict, found.distance.value, found.p_value) == ("undecided", None, None)
    assert found.distance.undefined


def test_findings_are_json() -> None:
    for found in (
        drift.numeric(np.ones(50), np.full(50, 2.0)),
        drift.numeric([np.nan], [1.0]),
        drift.categorical({"a": 3}, {"b": 1}),
    ):
        assert msgspec.json.decode(msgspec.json.encode(found), type=drift.Drift) == found
