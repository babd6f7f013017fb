"""The mark that is improved: one scorer of the suite or several with weights, as a number from 0 to 1, the more the better."""

from collections.abc import Mapping, Sequence

from gimbal.axis.evals.model import EvaluationResult
from gimbal.axis.scores.card import Level, ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing
from gimbal.axis.scores.scorer import Applied
from gimbal.generative.gateway.optimising.model import WeightedMark
from gimbal.kernel.errors import BadInput


class Objective:
    """Says how good answers are."""

    def __init__(self, scorers: Sequence[Applied], marks: Sequence[WeightedMark]) -> None:
        """Raise BadInput for a scorer that the suite has not, or that gives no mark."""
        known = {one.name: one for one in scorers}
        fitting = [one for one in scorers if not _unfit(one.card)]
        if not marks and not fitting:
            raise BadInput(
                "No scorer of the suite gives an answer a mark within a range.",
                where="suite",
                todo="Add one such as exact_match or contains.",
            )
        self.marks = list(marks) or [WeightedMark(scorer=fitting[0].name)]
        for index, mark in enumerate(self.marks):
            where = f"marks[{index}].scorer"
            if mark.scorer not in known:
                raise BadInput(
                    f"The suite has no scorer {mark.scorer!r}.", where=where, todo=f"It has: {', '.join(known)}."
                )
            if why := _unfit(known[mark.scorer].card):
                todo = f"Choose among: {', '.join(one.name for one in fitting) or 'none'}."
                raise BadInput(f"{mark.scorer} cannot be improved: {why}.", where=where, todo=todo)
        if len({mark.scorer for mark in self.marks}) < len(self.marks):
            raise BadInput("A scorer is there twice.", where="marks", todo="Give it once, with its weight.")
        self.scorers = [known[mark.scorer] for mark in self.marks]

    def of(self, row: EvaluationResult) -> float | None:
        """Return the mark of an answer; None where no scorer expects anything of it.

        What is missing counts as the worst that there is: it is the lower bound of what the answer may be worth.
        """
        weight = value = 0.0
        for mark, scorer in zip(self.marks, self.scorers, strict=True):
            if row.missing.get(scorer.name) == Missing.NO_EXPECTATION:
                continue
            weight += mark.weight
            if scorer.name in row.scores:
                value += mark.weight * _share(scorer.card, row.scores[scorer.name])
        return value / weight if weight else None

    def by_example(self, rows: Sequence[EvaluationResult]) -> dict[str, float]:
        """Return the mark of each example that has one, the mean of its repeats."""
        found: dict[str, list[float]] = {}
        for row in rows:
            if (mark := self.of(row)) is not None:
                found.setdefault(row.example_id, []).append(mark)
        return {name: sum(values) / len(values) for name, values in found.items()}

    def why(self, row: EvaluationResult) -> list[str]:
        """Return what scorers say of an answer, a line each."""
        return [_line(scorer.name, row) for scorer in self.scorers]


def mean(marks: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """Return the weighted mean of marks; None of none."""
    whole = sum(weights[name] for name in marks)
    return sum(weights[name] * mark for name, mark in marks.items()) / whole if whole else None


def _line(name: str, row: EvaluationResult) -> str:
    value, why = row.scores.get(name), row.explanations.get(name, "")
    said = row.missing.get(name, "no value").replace("_", " ") if value is None else f"{value:g}"
    return f"{name}: {said}" + (f" ({why})" if why else "")


def _unfit(card: ScorerCard) -> str:
    if card.level is not Level.EXAMPLE:
        return "it is of the whole suite, and says nothing of one answer"
    if card.type is ScoreType.CATEGORICAL:
        return "it gives words"
    if card.better == "neither":
        return "neither end of it is better"
    if card.low is None or card.high is None or card.low >= card.high:
        return "its values have no range"
    return ""


def _share(card: ScorerCard, value: float) -> float:
    assert card.low is not None, "marks have a range"
    assert card.high is not None, "marks have a range"
    share = (value - card.low) / (card.high - card.low)
    return 1 - share if card.better == "lower" else share
