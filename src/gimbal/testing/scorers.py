"""Conformance of scorers: what every one of them promises to evaluations and gates, whichever of the three shapes it has."""

import copy
import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from gimbal.axis.scores.card import Level, ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, Scorer, ScoreValue
from gimbal.axis.scores.scorer import AskingScorer, CodeScorer, SuiteMetric
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.testing.promise import promise, refuses

_HOSTILE = ("", " ", "\x00", "\ud800", "<script>", "ß ﬁ İ", "🜚" * 3, "a " * 5_000, "[" * 5_000, "1e999 %", "```json\n")
_PLAIN = ScorerCard(name="plain", title="Without a card", expects=("",))
Sides = Mapping[str, Any]
_Asking = Generator[tuple[Sides, Sides], Any, Any]


def check_scorer(
    scorer: Scorer | CodeScorer, expected: Sides, output: Sides, *, params: Mapping[str, Any] | None = None
) -> ScoreValue:
    """Check a scorer written in code with one example that it can judge; return its judgement of it.

    A value is finite and within the range of the card (0 to 1 without one), or missing with a reason; never both, never a
    0 that stands for "unknown". The scorer is deterministic, leaves its arguments alone, reads the fields that its card
    names and no others, and takes any text.
    """
    given = _given(scorer, params)
    asking = _questions(_card(scorer), expected, output)
    question = next(asking)
    while True:
        try:
            question = asking.send(scorer(*question, **given))
        except StopIteration as done:
            return done.value


async def check_asking_scorer(
    ctx: Context, scorer: AskingScorer, expected: Sides, output: Sides, *, params: Mapping[str, Any] | None = None
) -> ScoreValue:
    """Check a scorer that asks others for help, as `check_scorer` does; whoever it asks answers the same each time."""
    given = _given(scorer, params)
    asking = _questions(_card(scorer), expected, output)
    question = next(asking)
    while True:
        judged = await scorer(ctx, *question, **given)
        try:
            question = asking.send(judged)
        except StopIteration as done:
            return done.value


def check_metric(
    metric: SuiteMetric, examples: Sequence[tuple[Sides, Sides]], *, params: Mapping[str, Any] | None = None
) -> float:
    """Check a metric with the examples of a suite for which it is defined; return its value of them.

    What it reads of an output is a sample or says why there is none. The value is finite and within the range of the card,
    the same in any order of the samples, which stay as they are; of no samples there is none.
    """
    given = _given(metric, params)
    card = metric.card
    promise(card.level is Level.SUITE, "A metric is of the whole suite, and its card says so.")
    for expected, output in examples:
        asking = _questions(card, expected, output, of_sample=True)
        question = next(asking)
        while True:
            try:
                question = asking.send(metric.read(*question))
            except StopIteration:
                break
    samples = [metric.read(expected, output) for expected, output in examples]
    value = metric.over(samples, **given)
    _check_value(card, ScoreValue(value=value))
    promise(metric.over(samples, **given) == value, "The same samples have the same value each time.")
    turned = metric.over(samples[::-1], **given)
    promise(math.isclose(turned, value, rel_tol=1e-9, abs_tol=1e-12), "The order of the samples does not count.")
    with refuses(ValueError, "Of no samples there is no value: ValueError says so."):
        metric.over([], **given)
    return value


def check_card(card: ScorerCard) -> None:
    """Check that a card tells people what they need to choose the scorer and to read its values."""
    for name in ("title", "description", "limits", "source"):
        promise(bool(getattr(card, name)), f"The card of {card.name} has a {name}.")
    promise(bool(card.reads), f"The card of {card.name} says what it reads of the output.")
    if card.low is not None and card.high is not None:
        promise(card.low < card.high, f"The range of {card.name} is one.")
    if card.type is ScoreType.BINARY:
        promise((card.low, card.high) == (0, 1), f"{card.name} is 0 or 1, and its range says so.")


def _questions(card: ScorerCard, expected: Sides, output: Sides, *, of_sample: bool = False) -> _Asking:
    """Yield what to ask of a scorer and take its judgement; return the judgement of the example."""
    check_card(card) if card is not _PLAIN else None
    before = copy.deepcopy((dict(expected), dict(output)))
    judged = yield expected, output
    said = judged.missing if isinstance(judged, ScoreValue) and judged.value is None and not judged.label else ""
    promise(
        not said and _is_judgement(judged, of_sample), f"This example is one that the scorer can judge, yet: {said!r}."
    )
    _check(card, judged, of_sample)
    promise((dict(expected), dict(output)) == before, "A scorer changes neither what was expected nor the output.")
    _same(judged, (yield expected, output), "The same example scores the same each time.")
    strange = {"unknown_field": [{}]}
    _same(judged, (yield {**expected, **strange}, {**output, **strange}), "Fields it does not know are ignored.")
    if card is not _PLAIN:
        asked = {name: expected[name] for name in card.expects if name in expected} if card.expects else expected
        read = {name: output[name] for name in card.reads if name in output}
        _same(judged, (yield asked, read), "Its card names every field that it reads.")

    if card.expects:
        nothing = yield {}, output
        promise(_reason(nothing) == Missing.NO_EXPECTATION, "Without an expectation the score is missing, not 0.")
        _check(card, nothing, of_sample)
    nothing = yield expected, {}
    promise(_reason(nothing) == Missing.NO_OUTPUT, "Without an output the score is missing, not 0.")
    _check(card, nothing, of_sample)
    _check(card, (yield {}, {}), of_sample)
    for text in _HOSTILE:
        hostile = {name: text if name == "text" else [text] for name in ("text", "sources") if name in output}
        _check(card, (yield expected, {**output, **hostile}), of_sample)
    return judged


def _is_judgement(judged: Any, of_sample: bool) -> bool:
    if isinstance(judged, ScoreValue):
        return not of_sample and (judged.value is not None or bool(judged.label))
    return of_sample


def _same(judged: Any, again: Any, words: str) -> None:
    # A sample is whatever the metric likes, so only that there is one can be compared.
    promise(again == judged if isinstance(judged, ScoreValue) else not isinstance(again, ScoreValue), words)


def _reason(judged: Any) -> str:
    return judged.missing if isinstance(judged, ScoreValue) else ""


def _check(card: ScorerCard, judged: Any, of_sample: bool) -> None:
    if isinstance(judged, ScoreValue):
        _check_value(card, judged)
        promise(judged.value is None or not of_sample, "What is no sample has no value, only a reason.")
    else:
        promise(of_sample, "A scorer returns a ScoreValue.")


def _check_value(card: ScorerCard, judged: ScoreValue) -> None:
    if judged.value is None:
        worded = card.type is ScoreType.CATEGORICAL and bool(judged.label)
        promise(bool(judged.missing) or worded, "A score without a value says why it is missing.")
        return
    promise(not judged.missing, "A score with a value is not missing.")
    low, high = (-math.inf if card.low is None else card.low), (math.inf if card.high is None else card.high)
    inside = math.isfinite(judged.value) and low <= judged.value <= high
    promise(inside, f"{judged.value} is not from {low:g} to {high:g}.")
    if card.type is ScoreType.BINARY:
        promise(judged.value in {0.0, 1.0}, f"{judged.value} is neither 0 nor 1.")


def _card(scorer: Any) -> ScorerCard:
    return getattr(scorer, "card", _PLAIN)


def _given(scorer: Any, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameters in their types; a scorer with a card takes its own defaults and refuses what it does not know."""
    if not isinstance(scorer, CodeScorer | AskingScorer | SuiteMetric):
        promise(not params, "A scorer without a card takes no parameters.")
        return {}
    scorer.checked(scorer.parameters)
    with refuses(BadInput, "A parameter that there is not is refused."):
        scorer.checked({"no_such_parameter": 1})
    return scorer.checked(params or {})
