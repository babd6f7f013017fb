"""From evidence to a verdict: one rule, one candidate, perhaps an incumbent; every number that was used is kept."""

import numpy as np
from numpy.typing import NDArray

from gimbal.axis.gates.evidence import Evidence, LabelledScores, UnitScores
from gimbal.axis.gates.model import Rule, RuleOutcome
from gimbal.engines.stats import estimates, paired, ranking
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

_LABELLED = ("auc", "log_loss", "brier")


def judge(rule: Rule, source: str, candidate: Evidence, incumbent: Evidence | None) -> RuleOutcome:
    """Decide one rule. Without an incumbent a rule against it falls back to its threshold, or lets pass and says so."""
    own = estimate(rule, candidate)
    if rule.against == "incumbent" and incumbent is not None:
        return _against_incumbent(rule, source, candidate, incumbent, own)
    if rule.threshold is None:
        text = f"{rule.metric} is {show(own)}; there is no incumbent to compare with."
        return RuleOutcome(
            rule=rule, source=source, passed=own.value is not None, verdict="meets", candidate=own, text=text
        )
    verdict = paired.against(own, rule.threshold, higher_is_better=rule.higher_is_better)
    side = "at least" if rule.higher_is_better else "at most"
    told = {
        "meets": f"lies wholly on the good side of {rule.threshold:g} ({side})",
        "misses": f"lies wholly on the bad side of {rule.threshold:g} ({side})",
        "undecided": f"does not lie wholly on the good side of {rule.threshold:g} ({side})",
    }[verdict]
    text = f"{rule.metric} {show(own)} on {own.n} units {told}."
    return RuleOutcome(rule=rule, source=source, passed=verdict == "meets", verdict=verdict, candidate=own, text=text)


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
    raise BadInput(f"{metric!r} is not a metric.", where="metric", todo=f"There are: {', '.join(_LABELLED)}.")


def _against_incumbent(rule: Rule, source: str, candidate: Evidence, incumbent: Evidence, own: Estimate) -> RuleOutcome:
    other = estimate(rule, incumbent)
    outcome = _compare(rule, candidate, incumbent)
    good = {"better"} if rule.margin == 0 else {"better", "equivalent"}
    passed = outcome.verdict in good or _not_worse(rule, outcome.difference)
    told = {
        "better": "better",
        "worse": "worse",
        "equivalent": f"equivalent within ±{rule.margin:g}",
        "underpowered": "not shown to differ; this evidence cannot tell",
    }[outcome.verdict]
    if passed and outcome.verdict == "underpowered":
        told = f"not worse by more than {rule.margin:g}"
    text = f"{rule.metric} {show(own)} against {show(other)} of the incumbent: difference {show(outcome.difference)}, {told}."
    return RuleOutcome(
        rule=rule,
        source=source,
        passed=passed,
        verdict=outcome.verdict,
        candidate=own,
        incumbent=other,
        difference=outcome.difference,
        p_value=outcome.p_value,
        detectable=outcome.detectable,
        text=text,
    )


def _not_worse(rule: Rule, difference: Estimate) -> bool:
    """Tell whether non-inferiority is shown: the whole interval is above −margin (in the good direction)."""
    if rule.margin == 0 or difference.low is None or difference.high is None:
        return False
    return difference.low > -rule.margin if rule.higher_is_better else difference.high < rule.margin


def _compare(rule: Rule, candidate: Evidence, incumbent: Evidence) -> paired.PairedOutcome:
    if isinstance(candidate, UnitScores) and isinstance(incumbent, UnitScores):
        place = {unit: i for i, unit in enumerate(incumbent.units)}
        shared = [(place[unit], i) for i, unit in enumerate(candidate.units) if unit in place]
        before = incumbent.values[[i for i, _ in shared]]
        after = candidate.values[[i for _, i in shared]]
        clusters = [candidate.clusters[i] for _, i in shared]
        return paired.compare(
            before, after, clusters, margin=rule.margin, level=rule.level, higher_is_better=rule.higher_is_better
        )
    if isinstance(candidate, LabelledScores) and isinstance(incumbent, LabelledScores):
        if rule.metric != "auc":
            before, after = _row_losses(rule.metric, incumbent), _row_losses(rule.metric, candidate)
            return paired.compare(
                before, after, margin=rule.margin, level=rule.level, higher_is_better=rule.higher_is_better
            )
        difference = ranking.auc_difference(
            candidate.labels, incumbent.probabilities, candidate.probabilities, level=rule.level
        )
        return paired.from_difference(
            difference,
            ranking.two_sided_p(difference),
            margin=rule.margin,
            higher_is_better=rule.higher_is_better,
        )
    raise BadInput("The two versions have evidence of different kinds.", where="rules", todo="Use one source for both.")


def show(number: Estimate) -> str:
    """Return an estimate as text: value and interval, or why there is none."""
    if number.value is None:
        return f"undefined ({number.undefined})"
    if number.low is None or number.high is None:
        return f"{number.value:.4f} (no interval: {number.undefined})"
    return f"{number.value:.4f} [{number.low:.4f}, {number.high:.4f}]"
