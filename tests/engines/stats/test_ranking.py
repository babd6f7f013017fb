"""AUC, log loss and Brier: right against scikit-learn, covered by simulation, undefined when a class is missing, fast."""

import time
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from tests.engines.stats.simulation import at_least, at_most, covered

from gimbal.engines.stats import paired, ranking
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput


def scored(rng: np.random.Generator, positives: int, negatives: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and normal scores; the true AUC is Φ(apart/√2)."""
    y = np.repeat([1, 0], [positives, negatives])
    return y, rng.normal(size=y.size) + apart * y


def fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_values_agree_with_scikit_learn() -> None:
    """With ties as well."""
    rng = np.random.default_rng(1)
    y = rng.random(500) < 0.3
    p = np.clip(np.round(0.3 + 0.2 * y + 0.2 * rng.normal(size=500), 1), 0.05, 0.95)

    assert ranking.auc(y, p).value == pytest.approx(metrics.roc_auc_score(y, p))
    assert ranking.log_losses(y, p).mean() == pytest.approx(metrics.log_loss(y, p))
    assert ranking.brier_scores(y, p).mean() == pytest.approx(metrics.brier_score_loss(y, p))


def test_delong_is_the_variance_of_all_pairs() -> None:
    """The fast form gives what the definition over all pairs of rows gives."""
    y, p = scored(np.random.default_rng(2), 12, 17, 1.0)
    p = np.round(p, 1)
    pairs = np.where(p[y == 1][:, None] > p[y == 0], 1.0, 0.5 * (p[y == 1][:, None] == p[y == 0]))
    se = np.sqrt(pairs.mean(1).var(ddof=1) / 12 + pairs.mean(0).var(ddof=1) / 17)

    assert ranking.auc(y, p).value == pytest.approx(pairs.mean())
    assert ranking.auc(y, p).se == pytest.approx(se)


@pytest.mark.parametrize(("positives", "negatives", "apart"), [(10, 40, 1.5), (50, 200, 0.5), (30, 30, 2.5)])
def test_auc_is_covered(positives: int, negatives: int, apart: float) -> None:
    rng = np.random.default_rng(3)
    truth, runs = float(stats.norm.cdf(apart / np.sqrt(2))), 600

    assert at_least(covered(lambda: ranking.auc(*scored(rng, positives, negatives, apart)), truth, runs), runs, 0.94)


def test_the_paired_difference_is_covered_and_narrower_than_the_unpaired_one() -> None:
    rng = np.random.default_rng(4)
    truth, runs = float(stats.norm.cdf(1.5 / np.sqrt(2.5)) - stats.norm.cdf(1.5 / np.sqrt(2))), 500
    ratios = []

    def draw() -> Estimate:
        y, before = scored(rng, 30, 120, 1.5)
        after = before + rng.normal(size=y.size) * np.sqrt(0.5)
        found = ranking.auc_difference(y, before, after)
        apart = ranking.independent_difference(ranking.auc(y, before), ranking.auc(y, after))
        ratios.append(found.se / apart.se)
        return found

    assert at_least(covered(draw, truth, runs), runs, 0.94)
    assert np.mean(ratios) < 0.8


def test_models_that_rank_alike_are_rarely_told_apart() -> None:
    """Two models of the same quality on the same rows: 5 %."""
    rng = np.random.default_rng(5)
    runs = 500

    def p_value() -> float:
        y, signal = scored(rng, 40, 160, 1.0)
        before, after = signal + rng.normal(size=y.size), signal + rng.normal(size=y.size)
        return ranking.two_sided_p(ranking.auc_difference(y, before, after)) or 0.0

    assert at_most(sum(p_value() <= 0.05 for _ in range(runs)), runs, 0.055)


def test_one_class_is_undefined_and_not_one_half() -> None:
    for labels in ([1, 1, 1], [0, 0, 0], [], [1, 0, 0]):
        found = ranking.auc(labels, np.linspace(0, 1, len(labels)))
        assert (found.value, found.low) == (None, None)
        assert found.undefined
    assert ranking.auc_difference([1, 1], [0.1, 0.2], [0.2, 0.1]).undefined


def test_perfect_separation_has_an_interval() -> None:
    """500 rows of each class leave 0.7 %, three leave 71 %."""
    many = ranking.auc(np.repeat([0, 1], 500), np.arange(1000))
    few = ranking.auc([0, 0, 0, 1, 1, 1], range(6))

    assert (many.value, few.value) == (1.0, 1.0)
    assert many.low == pytest.approx(0.025 ** (1 / 500))
    assert few.low == pytest.approx(0.025 ** (1 / 3))
    assert paired.against(many, 0.9) == "meets"
    assert paired.against(few, 0.9) == "undecided"


def test_a_model_compared_with_itself_is_equivalent_when_rows_suffice() -> None:
    rng = np.random.default_rng(6)
    verdicts = []
    for rows in (20, 2000):
        y, p = scored(rng, rows, rows, 1.0)
        difference = ranking.auc_difference(y, p, p)
        verdicts.append(paired.from_difference(difference, ranking.two_sided_p(difference), margin=0.01).verdict)

    assert verdicts == ["underpowered", "equivalent"]


def test_a_sure_mistake_costs_much_but_not_infinitely() -> None:
    assert ranking.log_losses([1, 0], [0.0, 0.0]) == pytest.approx([34.54, 0], abs=0.01)


def test_calibration_says_in_which_direction() -> None:
    rng = np.random.default_rng(7)
    p = rng.uniform(0.1, 0.9, 4000)
    true, shy = ranking.calibration_gap(rng.random(4000) < p, p), ranking.calibration_gap(rng.random(4000) < p, p - 0.1)

    assert true.low < 0 < true.high
    assert shy.low > 0.05


def test_a_paired_log_loss_difference_finds_the_better_model() -> None:
    rng = np.random.default_rng(8)
    p = rng.uniform(0.05, 0.95, 3000)
    y, noisy = rng.random(3000) < p, np.clip(p + 0.2 * rng.normal(size=3000), 0.01, 0.99)
    outcome = paired.compare(ranking.log_losses(y, noisy), ranking.log_losses(y, p), higher_is_better=False)

    assert outcome.verdict == "better"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ranking.auc(["no", "yes"], [0.1, 0.2]),
        lambda: ranking.auc([1, 2], [0.1, 0.2]),
        lambda: ranking.auc([0, float("nan")], [0.1, 0.2]),
        lambda: ranking.auc([0, 1], [0.1]),
        lambda: ranking.auc([0, 1], [0.1, float("nan")]),
        lambda: ranking.log_losses([0, 1], [0.1, 1.7]),
        lambda: ranking.brier_scores([0, 1], [-0.1, 1]),
    ],
)
def test_labels_and_probabilities_that_are_none_are_refused(wrong) -> None:
    """Text labels and 1/2 would all read as true, and a score of 1.7 as a probability of 1."""
    with pytest.raises(BadInput):
        wrong()


@pytest.mark.parametrize(("n", "limit"), [(30_000, 0.05), (300_000, 1.0)])
def test_it_is_fast(n: int, limit: float) -> None:
    """AUC with its interval in 50 ms of 30,000 rows; of 300,000 also the paired forms in a second each."""
    rng = np.random.default_rng(9)
    y = rng.random(n) < 0.2
    p = np.clip(0.3 + 0.2 * y + 0.1 * rng.normal(size=n), 0.01, 0.99)
    q = np.clip(p + 0.01 * rng.normal(size=n), 0.01, 0.99)

    assert fastest(lambda: ranking.auc(y, p)) < limit
    assert fastest(lambda: ranking.auc_difference(y, p, q)) < max(limit, 0.2)
    assert fastest(lambda: paired.compare(ranking.log_losses(y, p), ranking.log_losses(y, q))) < 1


def test_estimates_are_json() -> None:
    y, p = scored(np.random.default_rng(10), 5, 5, 1.0)
    for found in (ranking.auc(y, p), ranking.auc(y, y), ranking.auc_difference(y, p, p), ranking.auc([1], [1])):
        assert msgspec.json.decode(msgspec.json.encode(found), type=Estimate) == found
