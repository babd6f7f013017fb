"""From answers to numbers: repeats are averaged first, then examples, by cluster; what is missing stays visible."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import msgspec

from gimbal.axis.evals.model import EvaluationResult, PassRate, ScorerSummary
from gimbal.axis.evals.samples import MOST_SLICES, Samples
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing
from gimbal.axis.scores.scorer import Applied
from gimbal.engines.stats import estimates, passing
from gimbal.engines.stats.model import Estimate

_NOT_ASKED = Missing.NO_EXPECTATION
"""Without an expectation there is nothing to judge: that is the suite's, and no gap in the evidence."""
MOST_OTHERS = 100
"""Names of others that are summed up; answers keep all of theirs."""


class ExampleScores(msgspec.Struct, frozen=True, kw_only=True):
    """What one scorer found of one example, its repeats together."""

    id: str
    cluster: str
    slice: str
    weight: float
    values: list[float]
    """A value for each repeat that has one; at least one."""

    @property
    def mean(self) -> float:
        """The mean over the repeats."""
        return sum(self.values) / len(self.values)


def by_example(scorer: str, results: Sequence[EvaluationResult]) -> list[ExampleScores]:
    """Return the examples that have a value, in the order of the suite."""
    values: dict[str, list[float]] = defaultdict(list)
    first: dict[str, EvaluationResult] = {}
    for row in results:
        if scorer in row.scores:
            values[row.example_id].append(row.scores[scorer])
            first.setdefault(row.example_id, row)
    return [
        ExampleScores(id=id_, cluster=row.cluster, slice=row.slice, weight=row.weight, values=values[id_])
        for id_, row in first.items()
    ]


def summarise(applied: Applied, results: Sequence[EvaluationResult]) -> ScorerSummary:
    """Return what one scorer found over all answers."""
    name, card = applied.name, applied.card
    missing = Counter(row.missing[name] for row in results if name in row.missing)
    labels = Counter(row.labels[name] for row in results if name in row.labels)
    if applied.metric is not None:
        places, samples = Samples.of(applied, results)
        return ScorerSummary(
            scorer=name,
            estimate=places.estimate(applied, samples),
            missing=dict(missing),
            better=card.better,
            unit=card.unit,
            slices=places.by_slice(applied, samples),
            labels=dict(labels),
        )
    rows = by_example(name, results)
    worst, best = _bounds(name, card, results)
    return ScorerSummary(
        scorer=name,
        estimate=_mean(rows, card),
        missing=dict(missing),
        worst=worst,
        best=best,
        better=card.better,
        unit=card.unit,
        slices=_slices(rows, card),
        passes=_passes(rows) if card.type is ScoreType.BINARY else [],
        labels=dict(labels),
    )


def summarised(scorers: Sequence[Applied], results: Sequence[EvaluationResult]) -> list[ScorerSummary]:
    """Return what each scorer found over all answers, and after them what others said of those that they brought.

    Of others the names that most answers have: nobody reads a summary for each of ten thousand.
    """
    ours = {one.name for one in scorers}
    results = [row if row.judged else _waiting(row, ours) for row in results]
    said = (name for row in results for name in {**row.scores, **row.missing, **row.labels})
    others = Counter(name for name in said if name not in ours)
    told = [name for name, _ in others.most_common(MOST_OTHERS)]
    return [*(summarise(one, results) for one in scorers), *(_told(name, results) for name in told)]


def _waiting(row: EvaluationResult, scorers: Collection[str]) -> EvaluationResult:
    """Return an answer that no scorer has seen yet as missing with each of them."""
    return msgspec.structs.replace(row, missing=row.missing | dict.fromkeys(scorers, str(Missing.NOT_JUDGED)))


def _told(name: str, results: Sequence[EvaluationResult]) -> ScorerSummary:
    """Return what others said by a name: nobody knows which end of it is better."""
    return ScorerSummary(
        scorer=name,
        estimate=_mean(by_example(name, results)),
        missing=dict(Counter(row.missing[name] for row in results if name in row.missing)),
        better="neither",
        labels=dict(Counter(row.labels[name] for row in results if name in row.labels)),
    )


def _mean(rows: Sequence[ExampleScores], card: ScorerCard | None = None) -> Estimate:
    """Return the mean of examples; milliseconds and dollars are not bounded, also where all lie within 0 and 1."""
    found = estimates.weighted_mean(
        [r.mean for r in rows],
        [r.weight for r in rows],
        [r.cluster for r in rows],
        bounded=card is None or not card.unit,
    )
    if card is None or found.low is None or found.high is None:
        return found
    # A mean is within the range of the values; an interval that reaches beyond says no more there.
    low = found.low if card.low is None else max(found.low, card.low)
    high = found.high if card.high is None else min(found.high, card.high)
    return msgspec.structs.replace(found, low=low, high=high)


def _slices(rows: Sequence[ExampleScores], card: ScorerCard) -> dict[str, Estimate]:
    parts: dict[str, list[ExampleScores]] = defaultdict(list)
    for row in rows:
        if row.slice:
            parts[row.slice].append(row)
    return {name: _mean(parts[name], card) for name in sorted(parts)[:MOST_SLICES]}


def _bounds(name: str, card: ScorerCard, results: Sequence[EvaluationResult]) -> tuple[float | None, float | None]:
    """Return the mean if every gap had the worst, and the best, value of the scorer's range; None without gaps or bounds."""
    gaps = any(row.missing.get(name, _NOT_ASKED) != _NOT_ASKED for row in results)
    if not gaps or card.low is None or card.high is None:
        return None, None
    worst, best = (card.high, card.low) if card.better == "lower" else (card.low, card.high)
    found = [_filled(name, results, fill) for fill in (worst, best)]
    return found[0], found[1]


def _filled(name: str, results: Sequence[EvaluationResult], fill: float) -> float | None:
    values: dict[str, list[float]] = defaultdict(list)
    weights: dict[str, float] = {}
    for row in results:
        if name in row.scores or row.missing.get(name, _NOT_ASKED) != _NOT_ASKED:
            values[row.example_id].append(row.scores.get(name, fill))
            weights[row.example_id] = row.weight
    whole = sum(weights.values())
    return sum(weights[id_] * sum(found) / len(found) for id_, found in values.items()) / whole if whole else None


def _passes(rows: Sequence[ExampleScores]) -> list[PassRate]:
    """Return pass@k and pass^k for k from 2 to the fewest repeats that every example has."""
    most = min((len(row.values) for row in rows), default=0)
    found: list[PassRate] = []
    for k in sorted({k for k in (2, 3, 4, 5, 8, 10, 16, 32, 64, most) if 2 <= k <= most}):
        clusters = [row.cluster for row in rows]
        counts = [(len(row.values), round(sum(row.values))) for row in rows]
        found.append(
            PassRate(
                k=k,
                any=estimates.mean([passing.pass_at_k(n, c, k) for n, c in counts], clusters),
                all=estimates.mean([passing.pass_hat_k(n, c, k) for n, c in counts], clusters),
            )
        )
    return found


def gaps(scorer: str, results: Sequence[EvaluationResult]) -> Mapping[str, int]:
    """Return how many answers have no value, by reason, but for examples that ask for none."""
    return Counter(row.missing[scorer] for row in results if row.missing.get(scorer, _NOT_ASKED) != _NOT_ASKED)
