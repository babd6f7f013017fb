"""What trials tell: the best, the front, and importance that knows what chance alone gives."""

import numpy as np
import pytest
from scipy import stats

from gimbal.axis.runs.studies.model import Report, Trial
from gimbal.axis.runs.studies.telling import best, importances


def ended(number: int, *values: float, state: str = "complete") -> Trial:
    return Trial(
        id=number,
        study=1,
        number=number,
        run_id="",
        state=state,
        values=list(values),
        reports=[Report(step=0, value=1.0)],
    )  # type: ignore[arg-type]


def test_the_best_trial_is_the_first_of_the_best_value() -> None:
    """Pruned ones do not count, and infinity is a value."""
    trials = [ended(0, 2.0), ended(1, 1.0), ended(2, 1.0), ended(3, -9.0, state="pruned"), ended(4, float("inf"))]
    assert [trial.number for trial in best(trials, ["minimize"])] == [1]
    assert [trial.number for trial in best(trials, ["maximize"])] == [4]
    assert best(trials[3:4], ["minimize"]) == []


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_front_is_those_that_no_other_beats(objectives: int) -> None:
    """As comparing each with each says."""
    draw = np.random.default_rng(5)
    values = draw.integers(0, 6, (60, objectives)).astype(float)
    directions = ["minimize", "maximize", "minimize"][:objectives]
    signs = np.array([1 if direction == "minimize" else -1 for direction in directions])
    cost = values * signs
    beaten = [any((other <= one).all() and (other < one).any() for other in cost) for one in cost]
    wanted = {tuple(row) for row, lost in zip(values, beaten, strict=True) if not lost}

    found = best([ended(n, *row) for n, row in enumerate(values)], directions)  # type: ignore[arg-type]
    assert {tuple(trial.values or []) for trial in found} == wanted
    assert len(found) == len(wanted)


def test_a_parameter_that_explains_a_known_share_is_said_to() -> None:
    """Over many simulations: of three levels with a known share of the variance the mean is that share."""
    draw = np.random.default_rng(11)
    level = np.array([-1.0, 0.0, 1.0]) * np.sqrt(1.5)  # variance 1
    shares: list[float] = []
    for _ in range(150):
        codes = draw.integers(0, 3, 90)
        # Noise of variance 1.5: the level explains 1 / 2.5 of it all.
        values = level[codes] + draw.normal(0, np.sqrt(1.5), 90)
        shares.append(importances([{"kind": "abc"[code]} for code in codes], values.tolist())[0].share)
    error = float(np.std(shares) / np.sqrt(len(shares)))
    assert abs(float(np.mean(shares)) - 0.4) < 4 * error + 0.01


def test_a_parameter_that_says_nothing_passes_for_one_in_one_of_twenty() -> None:
    """Both for names and for numbers, as the number of simulations lets one expect."""
    draw = np.random.default_rng(23)
    rounds, above = 400, 0
    for place in range(rounds):
        params = [{"x": float(x)} if place % 2 else {"x": "abcd"[int(4 * x)]} for x in draw.random(40)]
        (bar,) = importances(params, draw.normal(size=40).tolist())
        above += bar.share > bar.chance
    low, high = stats.binom.interval(0.9999, rounds, 0.05)
    assert low <= above <= high


def test_too_little_tells_nothing() -> None:
    """Fewer than ten trials, one value only, or an objective that does not move."""
    assert importances([{"x": 1.0 * n} for n in range(9)], [1.0 * n for n in range(9)]) == []
    assert importances([{"x": 1.0}] * 20, [1.0 * n for n in range(20)]) == []
    assert importances([{"x": n % 2} for n in range(20)], [1.0] * 20) == []
