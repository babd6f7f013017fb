"""From evidence to a verdict: one rule, one candidate, perhaps an incumbent; every number that was used is kept."""

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from gimbal.axis.gates.evidence import Evidence, LabelledScores, UnitScores
from gimbal.axis.gates.model import DATASET_METRICS, Rule, RuleOutcome
from gimbal.engines.stats import estimates, paired, ranking
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

_MOST_UNITS = 10**9


def judge(rule: Rule, source: str, candidate: Evidence, incumbent: Evidence | None) -> RuleOutcome:
    """Decide one rule. Without an incumbent a rule against it falls back to its threshold, or lets pass and says so.

    What is missing never lets pass: neither an interval that cannot be had nor values that the rule does not allow
    to be missing.
    """
    own = estimate(rule, candidate)
    missing = candidate.missing if isinstance(candidate, UnitScores) else {}
    lacking = sum(missing.values())
    if lacking > rule.allowed_missing * (own.n + lacking):
        outcome = _incomplete(rule, source, own, missing)
    elif rule.against == "incumbent" and incumbent is not None:
        outcome = _against_incumbent(rule, source, candidate, incumbent, own)
    elif rule.threshold is not None:
        outcome = _against_threshold(rule, source, own, rule.threshold)
    else:
        outcome = _alone(rule, source, own)
    return msgspec.structs.replace(outcome, missing=missing)


def _incomplete(rule: Rule, source: str, own: Estimate, missing: Mapping[str, int]) -> RuleOutcome:
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(missing.items()))
    text = (
        f"{rule.metric} is missing for {sum(missing.values())} of {own.n + sum(missing.values())} units ({why}); "
        f"the rule allows {rule.allowed_missing * 100:g} %. Evaluate anew once the calls succeed."
    )
    return RuleOutcome(rule=rule, source=source, passed=False, verdict="incomplete", candidate=own, text=text)


def _alone(rule: Rule, source: str, own: Estimate) -> RuleOutcome:
    passed = own.low is not None
    text = f"{rule.metric} is {show(own)}; there is no incumbent to compare with."
    verdict = "meets" if passed else "undecided"
    return RuleOutcome(rule=rule, source=source, passed=passed, verdict=verdict, candidate=own, text=text)


def _against_threshold(rule: Rule, source: str, own: Estimate, threshold: float) -> RuleOutcome:
    verdict = paired.against(own, threshold, higher_is_better=rule.higher_is_better)
    side = "at least" if rule.higher_is_better else "at most"
    told = {
        "meets": f"lies wholly on the good side of {threshold:g} ({side})",
        "misses": f"lies wholly on the bad side of {threshold:g} ({side})",
        "undecided": f"does not lie wholly on the good side of {threshold:g} ({side})",
    }[verdict]
    needed = None
    if verdict == "undecided" and own.value is not None:
        needed = _needed(own, _good(rule, own.value - threshold))
    text = f"{rule.metric} {show(own)} on {own.n} units {told}{_asks(needed)}."
    passed = verdict == "meets"
    return RuleOutcome(
        rule=rule, source=source, passed=passed, verdict=verdict, candidate=own, needed=needed, text=text
    )


def _good(rule: Rule, difference: float) -> float:
    """Return a difference so that more is better."""
    return difference if rule.higher_is_better else -difference


def _needed(estimate: Estimate, distance: float) -> int | None:
    """Return about how many units show `distance` from a bound with 80 % power, if more than there are."""
    if estimate.se is None or estimate.low is None or distance <= 0:
        return None
    units = estimate.n * (paired.detectable(estimate.se, level=estimate.level) / distance) ** 2
    return math.ceil(units) if estimate.n < units < _MOST_UNITS else None


def _asks(needed: int | None) -> str:
    return f"; about {needed} units would be needed to show it" if needed else ""


def estimate(rule: Rule, evidence: Evidence) -> Estimate:
    """Return the metric of one version with its interval."""
    if isinstance(evidence, UnitScores):
        return estimates.mean(evidence.values, evidence.clusters, level=rule.level)
    if rule.metric == "auc":
        return ranking.auc(evidence.labels, evidence.probabilities, level=rule.level)
    return estimates.mean(_row_losses(rule.metric, evidence), level=rule.level)


def _row_losses(metric: str, evidence: LabelledScores) -> NDArray[np.float64]:
    if metric == "log_loss":
        return ranking.log_losses(evidence.labels, evidence.probabilities)
    if metric == "brier":
        return ranking.brier_scores(evidence.labels, evidence.probabilities)
    raise BadInput(f"{metric!r} is not a metric.", where="metric", todo=f"There are: {', '.join(DATASET_METRICS)}.")


def _against_incumbent(rule: Rule, source: str, candidate: Evidence, incumbent: Evidence, own: Estimate) -> RuleOutcome:
    other = estimate(rule, incumbent)
    outcome, unpaired = _compare(rule, candidate, incumbent)
    difference = outcome.difference
    within = _not_worse(rule, difference)
    passed = within or outcome.verdict == "better" or (rule.margin > 0 and outcome.verdict == "equivalent")
    told = {
        "better": "better",
        "worse": "worse",
        "equivalent": f"equivalent within ±{rule.margin:g}",
        "underpowered": "underpowered: not shown to differ, this evidence cannot tell",
    }[outcome.verdict]
    if within and outcome.verdict in {"underpowered", "worse"}:
        told = f"not worse by more than {rule.margin:g}"
    needed = None
    if not passed and outcome.verdict == "underpowered" and difference.value is not None:
        needed = _needed(difference, _good(rule, difference.value) + rule.margin)
    pairs = f"on {difference.n} pairs" + (f", {unpaired} more without a partner" if unpaired else "")
    text = (
        f"{rule.metric} {show(own)} against {show(other)} of the incumbent: difference {show(difference)} {pairs}, "
        f"{told}{_asks(needed)}."
    )
    return RuleOutcome(
        rule=rule,
        source=source,
        passed=passed,
        verdict=outcome.verdict,
        candidate=own,
        incumbent=other,
        difference=difference,
        p_value=outcome.p_value,
        detectable=outcome.detectable,
        needed=needed,
        unpaired=unpaired,
        text=text,
    )


def _not_worse(rule: Rule, difference: Estimate) -> bool:
    """Tell whether non-inferiority is shown: the whole interval is above −margin (in the good direction)."""
    if rule.margin == 0 or difference.low is None or difference.high is None:
        return False
    return difference.low > -rule.margin if rule.higher_is_better else difference.high < rule.margin


def _compare(rule: Rule, candidate: Evidence, incumbent: Evidence) -> tuple[paired.PairedOutcome, int]:
    """Return the paired comparison over the units that both have, and how many only one of them has."""
    if isinstance(candidate, UnitScores) and isinstance(incumbent, UnitScores):
        place = {unit: i for i, unit in enumerate(incumbent.units)}
        shared = [(place[unit], i) for i, unit in enumerate(candidate.units) if unit in place]
        before = incumbent.values[[i for i, _ in shared]]
        after = candidate.values[[i for _, i in shared]]
        clusters = [candidate.clusters[i] for _, i in shared]
        outcome = paired.compare(
            before, after, clusters, margin=rule.margin, level=rule.level, higher_is_better=rule.higher_is_better
        )
        return outcome, len(candidate.units) + len(incumbent.units) - 2 * len(shared)
    if isinstance(candidate, LabelledScores) and isinstance(incumbent, LabelledScores):
        return _compare_labelled(rule, candidate, incumbent), 0
    raise BadInput("The two versions have evidence of different kinds.", where="rules", todo="Use one source for both.")


def _compare_labelled(rule: Rule, candidate: LabelledScores, incumbent: LabelledScores) -> paired.PairedOutcome:
    if not np.array_equal(candidate.labels, incumbent.labels):
        raise BadInput(
            f"The labels of {rule.source} are not the same for candidate and incumbent.",
            where="rules",
            todo="Use a data set with exactly one numeric column that neither version takes as an input.",
        )
    if rule.metric != "auc":
        before, after = _row_losses(rule.metric, incumbent), _row_losses(rule.metric, candidate)
        return paired.compare(
            before, after, margin=rule.margin, level=rule.level, higher_is_better=rule.higher_is_better
        )
    difference = ranking.auc_difference(
        candidate.labels, incumbent.probabilities, candidate.probabilities, level=rule.level
    )
    return paired.from_difference(
        difference, ranking.two_sided_p(difference), margin=rule.margin, higher_is_better=rule.higher_is_better
    )


def show(number: Estimate) -> str:
    """Return an estimate as text: value and interval, or why there is none."""
    if number.value is None:
        return f"undefined ({number.undefined})"
    if number.low is None or number.high is None:
        return f"{number.value:.4f} (no interval: {number.undefined})"
    return f"{number.value:.4f} [{number.low:.4f}, {number.high:.4f}]"
