"""Metrics of classes over a suite, beside scikit-learn's own."""

import importlib
import random
from typing import Any

import pytest
from sklearn import metrics as oracle

from gimbal.axis.scores.builtin import classification, sklearn_metrics
from gimbal.axis.scores.builtin.classification import (
    accuracy,
    average_precision,
    balanced_accuracy,
    cohen_kappa,
    f1,
    matthews,
    precision,
    recall,
    roc_auc,
)
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.testing.scorers import check_metric

CLASSES = ["cat", "dog", "owl"]


def drawn(n: int = 200, classes: list[str] = CLASSES) -> tuple[list[str], list[str], list[list[float]]]:
    """Return labels, named classes and probabilities that are right more often than not."""
    chance = random.Random(7)
    labels = [chance.choice(classes) for _ in range(n)]
    rows: list[list[float]] = []
    for label in labels:
        weights = [chance.random() + (0.5 if name == label else 0.0) for name in classes]
        rows.append([weight / sum(weights) for weight in weights])
    said = [classes[row.index(max(row))] for row in rows]
    return labels, said, rows


def read(metric: Any, labels: list[Any], values: list[Any]) -> list[Any]:
    return [metric.read({"label": a}, {"value": b}) for a, b in zip(labels, values, strict=True)]


def in_words(metric: Any, labels: list[Any], texts: list[str]) -> list[Any]:
    return [metric.read({"label": a}, {"text": b}) for a, b in zip(labels, texts, strict=True)]


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (accuracy, oracle.accuracy_score),
        (balanced_accuracy, oracle.balanced_accuracy_score),
        (matthews, oracle.matthews_corrcoef),
        (cohen_kappa, oracle.cohen_kappa_score),
    ],
)
def test_metrics_of_classes_are_those_of_scikit_learn(metric: Any, reference: Any) -> None:
    """Whether the output gives the class, probabilities, or a sentence with it."""
    labels, said, rows = drawn()
    wanted = pytest.approx(reference(labels, said))

    assert metric.over(read(metric, labels, said)) == wanted
    assert metric.over(read(metric, labels, [dict(zip(CLASSES, row, strict=True)) for row in rows])) == wanted
    assert metric.over(in_words(metric, labels, [f"It is a {name.upper()}." for name in said])) == wanted


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [(precision, oracle.precision_score), (recall, oracle.recall_score), (f1, oracle.f1_score)],
)
def test_averages_over_classes_are_those_of_scikit_learn(metric: Any, reference: Any, average: str) -> None:
    """Also with a class that is named and never expected, and one that is expected and never named."""
    labels, said, _ = drawn()
    odd_labels, odd_said = [*labels, "emu", "emu"], [*said, "cat", "fox"]

    for a, b in ((labels, said), (odd_labels, odd_said)):
        wanted = reference(a, b, average=average, zero_division=0.0)
        assert metric.over(read(metric, a, b), average=average) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [(precision, oracle.precision_score), (recall, oracle.recall_score), (f1, oracle.f1_score)],
)
def test_the_positive_class_of_two_is_the_later_one_unless_said(metric: Any, reference: Any) -> None:
    labels, said, _ = drawn(classes=["no", "yes"])
    samples = read(metric, labels, said)

    assert metric.over(samples, average="binary") == pytest.approx(reference(labels, said, pos_label="yes"))
    assert metric.over(samples, average="binary", positive="no") == pytest.approx(
        reference(labels, said, pos_label="no")
    )
    with pytest.raises(ValueError, match="3 classes are there"):
        metric.over(read(metric, *drawn()[:2]), average="binary")


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_kappa_follows_the_order_of_the_classes(weights: Any) -> None:
    labels, said, _ = drawn(classes=["low", "middle", "high"])
    order = ("low", "middle", "high")
    wanted = oracle.cohen_kappa_score(labels, said, labels=list(order), weights=weights)
    samples = read(cohen_kappa, labels, said)

    assert cohen_kappa.over(samples, weights=weights, classes=order) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="where in their order 'middle' stands"):
        cohen_kappa.over(samples, weights=weights, classes=("low", "high"))
    with pytest.raises(ValueError, match="names no class"):
        cohen_kappa.over(in_words(cohen_kappa, ["low", "high"], ["low", "?"]), weights=weights, classes=order)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [(roc_auc, oracle.roc_auc_score), (average_precision, oracle.average_precision_score)],
)
def test_rankings_by_probability_are_those_of_scikit_learn(metric: Any, reference: Any) -> None:
    """Of two classes that of the positive one, of more the mean over each against the rest."""
    labels, _, rows = drawn(classes=["no", "yes"])
    yes = [row[1] for row in rows]
    samples = read(metric, labels, [{"no": row[0], "yes": row[1]} for row in rows])
    truth = [label == "yes" for label in labels]

    assert metric.over(samples) == pytest.approx(reference(truth, yes))
    assert metric.over(samples, positive="no") == pytest.approx(reference([not y for y in truth], [1 - p for p in yes]))
    assert metric.over(read(metric, truth, yes)) == pytest.approx(reference(truth, yes))

    labels, _, rows = drawn()
    samples = read(metric, labels, [dict(zip(CLASSES, row, strict=True)) for row in rows])
    wanted = [
        reference([label == name for label in labels], [row[i] for row in rows]) for i, name in enumerate(CLASSES)
    ]
    assert metric.over(samples) == pytest.approx(sum(wanted) / 3)
    if metric is roc_auc:
        assert metric.over(samples) == pytest.approx(oracle.roc_auc_score(labels, rows, multi_class="ovr"))


def test_an_answer_that_names_no_class_is_wrong() -> None:
    """It is neither dropped nor taken for a class: kappa and the others see it as none of them."""
    labels, texts = ["cat", "dog", "cat", "dog"], ["cat", "dog", "I cannot say.", "cat or dog"]

    assert accuracy.over(in_words(accuracy, labels, texts)) == 0.5
    assert recall.over(in_words(recall, labels, texts)) == 0.5
    assert precision.over(in_words(precision, labels, texts)) == 1.0
    assert f1.over(in_words(f1, labels, texts)) == pytest.approx(2 / 3)


def test_known_classes_may_be_named_beside_those_that_are_expected() -> None:
    """Without it a text that names a class which no example expects would name none."""
    samples = in_words(accuracy, ["cat", "cat"], ["a cat", "a cat or an emu"])

    assert accuracy.over(samples) == 1.0
    assert accuracy.over(samples, classes=("emu",)) == 0.5


@pytest.mark.parametrize(
    ("metric", "labels", "values", "params", "reason"),
    [
        (accuracy, [], [], {}, "no values"),
        (balanced_accuracy, ["a", "a"], ["a", "b"], {}, "only one class is expected"),
        (matthews, ["a", "a"], ["a", "b"], {}, "only one class is expected"),
        (matthews, ["a", "b"], ["b", "b"], {}, "only one class is named"),
        (cohen_kappa, ["a", "a"], ["a", "a"], {}, "only one class is there"),
        (precision, ["a", "b"], ["a", "a"], {"average": "binary"}, "'b' is never named"),
        (recall, ["a", "a"], ["a", "b"], {"average": "binary"}, "'b' is never expected"),
        (roc_auc, ["a", "a"], [{"a": 0.5, "b": 0.5}, {"a": 0.7, "b": 0.3}], {}, "only one class is expected"),
        (average_precision, ["a", "b"], [{"a": 0.5, "b": 0.5}] * 2, {"positive": "c"}, "'c' is never expected"),
        (roc_auc, [], [], {}, "no values"),
    ],
)
def test_what_is_undefined_says_why(metric: Any, labels: Any, values: Any, params: Any, reason: str) -> None:
    """scikit-learn gives 0, NaN or a warning there; a 0 would be taken for a finding."""
    with pytest.raises(ValueError, match=reason):
        metric.over(read(metric, labels, values), **params)


@pytest.mark.parametrize(
    "name", ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "matthews", "cohen_kappa"]
)
def test_metrics_of_classes_keep_the_promises_of_scorers(name: str) -> None:
    examples = [({"label": "a"}, {"text": "a"}), ({"label": "b"}, {"text": "It is b"}), ({"label": "b"}, {"text": "a"})]

    check_metric(SCORERS.get(name), examples)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_metrics_of_probabilities_keep_the_promises_of_scorers(name: str) -> None:
    chances = [("a", 0.9), ("b", 0.4), ("a", 0.3)]

    check_metric(SCORERS.get(name), [({"label": one}, {"value": {"a": p, "b": 1 - p}}) for one, p in chances])


def test_without_scikit_learn_the_metrics_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing for another reason keeps that one."""

    def absent(name: str) -> Any:
        raise ImportError(name)

    sklearn_metrics.library.cache_clear()
    monkeypatch.setattr(importlib, "import_module", absent)
    try:
        found = classification.accuracy.read({"label": "a"}, {"text": "a"})
        assert isinstance(found, ScoreValue)
        assert found.missing == "needs_extra"
        assert "gimbal-ops[sklearn]" in found.explanation
        assert classification.accuracy.read({}, {"text": "a"}).missing == "no_expectation"
    finally:
        sklearn_metrics.library.cache_clear()
