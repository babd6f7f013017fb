"""The decision of one rule against known truth: how often it lets pass what it should not, and refuses what it should."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from gimbal.axis.gates.deciding import judge
from gimbal.axis.gates.evidence import LabelledScores, UnitScores
from gimbal.axis.gates.model import Rule, RuleOutcome
from gimbal.engines.stats import estimates, paired, ranking
from gimbal.kernel.errors import BadInput

BETTER = Rule(evidence="evaluation", source="suite:s", metric="exact_match", against="incumbent")
NO_WORSE = Rule(evidence="evaluation", source="suite:s", metric="exact_match", against="incumbent", margin=0.1)
AUC = Rule(evidence="dataset", source="dataset:d", metric="auc", threshold=0.7)
BRIER = Rule(evidence="dataset", source="dataset:d", metric="brier", threshold=0.25, higher_is_better=False)
# One side of a 95 % interval.
WRONG = 0.025


def most(runs: int, rate: float = WRONG) -> int:
    """Return how many of `runs` may pass when each does with `rate`: more are seen once in a thousand tests."""
    return int(stats.binom.ppf(0.999, runs, rate))


def units(
    values: NDArray[np.float64], clusters: int | None = None, missing: dict[str, int] | None = None
) -> UnitScores:
    names = [f"q{i}" for i in range(values.size)]
    groups = [f"c{i % clusters}" for i in range(values.size)] if clusters else names
    return UnitScores(units=names, values=values, clusters=groups, missing=missing or {})


def decided(rule: Rule, before: NDArray[np.float64] | None, after: NDArray[np.float64], clusters: int | None = None) -> RuleOutcome:  # fmt: skip
    return judge(rule, "the suite", units(after, clusters), None if before is None else units(before, clusters))


def answered(rng: np.random.Generator, n: int, before: float, after: float) -> tuple[NDArray[np.float64], ...]:
    """Return two versions' right (1) and wrong (0) answers to n questions that are easy or hard for both alike."""
    ease = rng.random(n)
    own = rng.random((2, n)) < 0.5
    draws = np.where(own, rng.random((2, n)), ease)
    return (draws[0] < before).astype(float), (draws[1] < after).astype(float)


# ---- with no true difference ----


def test_a_candidate_that_is_no_better_is_let_in_as_rarely_as_stated() -> None:
    """1,000 candidates as good as the incumbent, on 60 questions each."""
    rng = np.random.default_rng(11)
    passed = sum(decided(BETTER, *answered(rng, 60, 0.7, 0.7)).passed for _ in range(1_000))

    assert passed <= most(1_000)
    assert passed > 0, "a rule that never lets anything pass shows nothing here"


def test_with_questions_of_few_pages_too() -> None:
    """60 questions of 12 pages, and the candidate is better on some pages, worse on others, the same in the mean."""
    rng = np.random.default_rng(12)
    passed = 0
    for _ in range(1_000):
        lucky = np.tile(rng.normal(0, 0.25, 12), 5)
        before = (rng.random(60) < 0.6).astype(float)
        after = (rng.random(60) < np.clip(0.6 + lucky, 0, 1)).astype(float)
        passed += decided(BETTER, before, after, clusters=12).passed

    assert 0 < passed <= most(1_000)


def test_a_margin_is_not_given_away() -> None:
    """600 candidates that are worse by just the margin, on 200 questions each."""
    rng = np.random.default_rng(13)
    passed = sum(decided(NO_WORSE, *answered(rng, 200, 0.7, 0.6)).passed for _ in range(600))

    assert 0 < passed <= most(600)


def test_losses_on_rows_keep_the_level() -> None:
    """200 pairs of models whose probabilities are off by as much, compared by log loss on 50 rows."""
    rng = np.random.default_rng(14)
    rule = Rule(evidence="dataset", source="dataset:d", metric="log_loss", against="incumbent", higher_is_better=False)
    passed = 0
    for _ in range(200):
        logit = rng.normal(0, 1, 50)
        labels = rng.random(50) < 1 / (1 + np.exp(-logit))
        models = [1 / (1 + np.exp(-(logit + rng.normal(0, 0.7, 50)))) for _ in range(2)]
        evidence = [LabelledScores(labels=labels, probabilities=p) for p in models]
        passed += judge(rule, "d", evidence[1], evidence[0]).passed

    assert 0 < passed <= most(200)


@pytest.mark.parametrize("against", ["threshold", "incumbent"])
def test_auc_keeps_the_level(against: str) -> None:
    """500 models whose true AUC is the threshold; and as many pairs of models with the same true AUC."""
    rng = np.random.default_rng(15)
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    rule = Rule(evidence="dataset", source="dataset:d", metric="auc", against=against, threshold=truth)  # type: ignore[arg-type]
    labels = np.arange(300) % 3 == 0
    passed = 0
    for _ in range(500):
        scores = [rng.normal(0, 1, 300) + labels for _ in range(2)]
        models = [LabelledScores(labels=labels, probabilities=stats.norm.cdf(s)) for s in scores]
        passed += judge(rule, "d", models[0], models[1]).passed

    assert 0 < passed <= most(500)


def test_a_threshold_on_losses_keeps_the_level() -> None:
    """500 perfectly calibrated models: the mean Brier score of uniform probabilities is 1/6."""
    rng = np.random.default_rng(16)
    rule = Rule(evidence="dataset", source="dataset:d", metric="brier", threshold=1 / 6, higher_is_better=False)
    passed = 0
    for _ in range(500):
        p = rng.random(400)
        evidence = LabelledScores(labels=rng.random(400) < p, probabilities=p)
        passed += judge(rule, "d", evidence, None).passed

    assert 0 < passed <= most(500)


# ---- with a true difference ----


def test_a_candidate_that_is_better_is_let_in() -> None:
    """As often as its design says: at the difference that is detectable with 80 % power, about that often."""
    rng = np.random.default_rng(17)
    found = [decided(BETTER, *answered(rng, 120, 0.6, 0.8)) for _ in range(300)]
    detectable = float(np.median([o.detectable for o in found if o.detectable]))

    assert sum(o.passed for o in found) >= 300 * 0.8
    assert 0.1 < detectable < 0.2
    assert {o.verdict for o in found if o.passed} == {"better"}


def test_a_candidate_that_is_worse_is_not() -> None:
    rng = np.random.default_rng(18)
    found = [decided(rule, *answered(rng, 120, 0.8, 0.6)) for rule in (BETTER, NO_WORSE) for _ in range(150)]

    assert [o for o in found if o.passed] == []
    assert sum(o.verdict == "worse" for o in found) > 200


def test_a_candidate_within_the_margin_is_let_in_by_a_margin_only() -> None:
    """The same answers to all of 150 questions: not better, and not worse by more than a tenth."""
    same = (np.arange(150) % 4 != 0).astype(float)

    better, no_worse = decided(BETTER, same, same), decided(NO_WORSE, same, same)

    assert (better.passed, better.verdict) == (False, "underpowered")
    assert (no_worse.passed, no_worse.verdict) == (True, "equivalent")


def test_worse_within_the_margin_is_told_as_what_it_is() -> None:
    """Shown to be worse, and shown to be so by less than the margin: let in, in those words."""
    before = np.ones(2_000)
    after = np.where(np.arange(2_000) % 40 == 0, 0.0, 1.0)

    found = decided(NO_WORSE, before, after)

    assert (found.passed, found.verdict) == (True, "worse")
    assert "not worse by more than 0.1" in found.text


# ---- what cannot tell ----


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_questions_never_promote(n: int) -> None:
    """Not even when the candidate is right on all and the incumbent on none; the reason names what is lacking."""
    found = decided(BETTER, np.zeros(n), np.ones(n))

    assert (found.passed, found.verdict) == (False, "underpowered")
    assert "underpowered" in found.text
    assert f"on {n} pairs" in found.text


def test_how_many_would_be_needed_is_told() -> None:
    """At 80 % power: with that many questions of the same kind it is found about so often."""
    before, after = np.zeros(40), np.zeros(40)
    before[:20], after[:20], after[20:24] = 1, 1, 1
    before[24:26] = 1

    found = decided(BETTER, before, after)

    assert (found.passed, found.verdict) == (False, "underpowered")
    assert found.needed is not None
    assert f"about {found.needed} units would be needed" in found.text
    assert found.difference is not None
    assert found.difference.se is not None
    assert found.needed == paired.units_needed(2 / 40, found.difference.se * np.sqrt(40))
    assert decided(BETTER, after, before).needed is None


def test_a_threshold_that_the_interval_crosses_refuses() -> None:
    """The value is above; the interval is not; and it says how many would do."""
    rule = Rule(evidence="evaluation", source="suite:s", metric="exact_match", threshold=0.7)
    values = (np.arange(20) % 5 != 0).astype(float)

    found = decided(rule, None, values)

    assert (found.passed, found.verdict, found.candidate.value) == (False, "undecided", 0.8)
    assert "about" in found.text
    assert decided(rule, None, np.tile(values, 10)).verdict == "meets"
    assert decided(rule, None, 1 - np.tile(values, 10)).verdict == "misses"


def test_one_unit_or_none_refuses() -> None:
    """No interval, no evidence; also for the very first version, which has nothing to beat."""
    rule = Rule(evidence="evaluation", source="suite:s", metric="exact_match", threshold=0.1)
    for values in (np.array([]), np.array([1.0])):
        for asked, before in ((rule, None), (BETTER, None), (BETTER, values), (NO_WORSE, values)):
            found = decided(asked, before, values)
            assert found.passed is False
            assert found.verdict in {"undecided", "underpowered"}


def test_the_first_version_falls_back_to_the_threshold() -> None:
    """Without an incumbent the threshold counts; without a threshold there is nothing to beat, and that is said."""
    floored = Rule(evidence="evaluation", source="s", metric="m", against="incumbent", threshold=0.9)
    half = (np.arange(50) % 2).astype(float)

    assert decided(floored, None, half).verdict == "misses"
    alone = decided(BETTER, None, half)
    assert alone.passed
    assert "no incumbent" in alone.text


# ---- what is missing ----


def test_missing_values_refuse_unless_the_rule_allows_them() -> None:
    """A candidate whose calls failed on the hard questions looks better on the rest."""
    good, bad = np.ones(40), np.zeros(40)
    evidence = units(good, missing={"error": 2, "no_output": 1})
    allowing = Rule(evidence="evaluation", source="suite:s", metric="m", against="incumbent", allowed_missing=0.07)

    refused = judge(BETTER, "the suite", evidence, units(bad))
    allowed = judge(allowing, "the suite", evidence, units(bad))

    assert (refused.passed, refused.verdict) == (False, "incomplete")
    assert "missing for 3 of 43 units (2 error, 1 no_output); the rule allows 0 %" in refused.text
    assert (allowed.passed, allowed.verdict) == (True, "better")
    assert refused.missing == allowed.missing == {"error": 2, "no_output": 1}


def test_only_common_units_are_compared_and_the_others_counted() -> None:
    """The incumbent lacks ten, which the candidate got right."""
    after = units(np.ones(40))
    before = UnitScores(units=after.units[10:], values=np.ones(30), clusters=after.clusters[10:])

    found = judge(BETTER, "the suite", after, before)

    assert found.difference is not None
    assert (found.difference.value, found.difference.n, found.unpaired) == (0.0, 30, 10)
    assert (found.passed, "on 30 pairs, 10 more without a partner" in found.text) == (False, True)


def test_units_are_paired_by_name_not_by_place() -> None:
    rng = np.random.default_rng(3)
    values = rng.random(50) / 2
    before = units(values)
    order = rng.permutation(50)
    after = UnitScores(
        units=[before.units[i] for i in order],
        values=values[order] + 0.3,
        clusters=[before.clusters[i] for i in order],
    )

    found = judge(BETTER, "s", after, before)

    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.3)
    assert found.passed


# ---- every number is kept ----


def test_the_numbers_are_those_of_the_statistics() -> None:
    rng = np.random.default_rng(5)
    labels = rng.random(200) < 0.4
    a, b = (np.clip(labels * 0.2 + rng.random(200) * 0.8, 0, 1) for _ in range(2))
    rule = Rule(evidence="dataset", source="dataset:d", metric="auc", against="incumbent", level=0.9)

    found = judge(
        rule, "d", LabelledScores(labels=labels, probabilities=b), LabelledScores(labels=labels, probabilities=a)
    )

    difference = ranking.auc_difference(labels, a, b, level=0.9)
    assert (found.candidate, found.incumbent) == (ranking.auc(labels, b, level=0.9), ranking.auc(labels, a, level=0.9))
    assert (found.difference, found.p_value) == (difference, ranking.two_sided_p(difference))
    brier = judge(BRIER, "d", LabelledScores(labels=labels, probabilities=a), None)
    assert brier.candidate == estimates.mean((a - labels) ** 2)


def test_evidence_that_does_not_fit_together_is_refused() -> None:
    """Other labels, other sorts of evidence, a metric that does not fit."""
    labels = np.arange(50) % 2 == 0
    rows = LabelledScores(labels=labels, probabilities=np.full(50, 0.5))
    other = LabelledScores(labels=~labels, probabilities=np.full(50, 0.5))
    rule = Rule(evidence="dataset", source="dataset:d", metric="auc", against="incumbent")

    with pytest.raises(BadInput, match="not the same"):
        judge(rule, "d", rows, other)
    with pytest.raises(BadInput, match="different kinds"):
        judge(rule, "d", rows, units(np.ones(50)))
    with pytest.raises(BadInput, match="'f1' is not a metric"):
        judge(Rule(evidence="dataset", source="dataset:d", metric="f1", threshold=0.5), "d", rows, None)
    one_class = LabelledScores(labels=np.ones(50, dtype=bool), probabilities=np.full(50, 0.5))
    alone = judge(AUC, "d", one_class, None)
    assert (alone.passed, alone.verdict) == (False, "undecided")
    assert "only one class" in alone.text
