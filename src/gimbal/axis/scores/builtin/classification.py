"""Metrics of classification over a whole suite: how well the classes that outputs name agree with the labels.

Source: scikit-learn computes them; its user guide (3.4.4) defines them. What is undefined there and set to 0 with a
warning (a correlation of a constant, a precision without a positive) is undefined here, with the reason.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from gimbal.axis.scores.builtin.labels import NO_CLASS, Forecast, Named, read_chances, read_class
from gimbal.axis.scores.builtin.sklearn_metrics import EXTRA, library, with_sklearn
from gimbal.axis.scores.card import Level, ScorerCard
from gimbal.axis.scores.scorer import metric

Average = Literal["macro", "micro", "weighted", "binary"]
_LIMITS = (
    "A text that names none of the known classes, or several, counts as wrong. Known are the classes that the suite "
    "expects and those in `classes`. A class that stands in a text under a negation counts as named."
)
_AVERAGED = (
    " Over classes: `macro` takes each alike, `weighted` as often as it is expected, `micro` counts answers; "
    "`binary` is of the class `positive` alone. A class that nobody named has precision 0."
)
_RANKED = " Of more than two classes the mean over each against the rest, unless `positive` says which."


def _card(name: str, title: str, description: str, *, low: float = 0.0) -> ScorerCard:
    return ScorerCard(
        name=name, title=title, level=Level.SUITE, low=low, expects=("label",), reads=("value", "text"), extra=EXTRA,
        description=description, limits=_LIMITS, source=f"scikit-learn, sklearn.metrics; {title} as defined there",
    )  # fmt: skip


def _ranked(name: str, title: str, description: str) -> ScorerCard:
    return ScorerCard(
        name=name, title=title, level=Level.SUITE, expects=("label",), reads=("value",), extra=EXTRA,
        description=description + _RANKED, source=f"scikit-learn, sklearn.metrics; {title} as defined there",
        limits="It sees the order of probabilities, not whether they are right; it needs probabilities, which texts have not.",
    )  # fmt: skip


_read_class, _read_chances = with_sklearn(read_class), with_sklearn(read_chances)


class _Pairs:
    """How often which class was named where which was expected.

    An interval computes a metric for a thousand draws of the suite; scikit-learn is quick with a few weighted pairs.
    """

    def __init__(self, samples: Sequence[Named], classes: tuple[str, ...]) -> None:
        """Raise ValueError without samples."""
        if not samples:
            raise ValueError("no values")
        known = tuple(sorted({one.label for one in samples} | set(classes)))
        counts = sorted(Counter((one.label, one.said(known)) for one in samples).items())
        self.labels = [label for (label, _), _ in counts]
        self.said = [said for (_, said), _ in counts]
        self._weights = [count for _, count in counts]
        self.names = sorted({*self.labels, *self.said} - {NO_CLASS})

    def score(self, name: str, **settings: Any) -> float:
        """Return a metric of scikit-learn."""
        score = getattr(library(), name)
        return float(score(self.labels, self.said, sample_weight=self._weights, **settings))


def _positive(names: Sequence[str], positive: str) -> str:
    """Return the class that counts as positive: of two the later one in order (1, true, yes), as in scikit-learn."""
    if positive:
        return positive
    if len(names) != 2:
        raise ValueError(f"{len(names)} classes are there: say which is `positive`")
    return max(names)


@metric(_card("accuracy", "Accuracy", "Share of outputs whose class is the expected label."), _read_class)
def accuracy(samples: Sequence[Named], *, classes: tuple[str, ...] = ()) -> float:
    """Return the share that is right."""
    return _Pairs(samples, classes).score("accuracy_score")


@metric(
    _card(
        "balanced_accuracy", "Balanced accuracy", "Mean over the expected classes of the share of each that is right."
    ),
    _read_class,
)
def balanced_accuracy(samples: Sequence[Named], *, classes: tuple[str, ...] = ()) -> float:
    """Return the mean recall of the expected classes; undefined of one class."""
    pairs = _Pairs(samples, classes)
    expected = sorted(set(pairs.labels))
    if len(expected) < 2:
        raise ValueError("only one class is expected")
    return pairs.score("recall_score", labels=expected, average="macro", zero_division=0.0)


def _averaged(name: str, samples: Sequence[Named], average: Average, positive: str, classes: tuple[str, ...]) -> float:
    pairs = _Pairs(samples, classes)
    if average != "binary":
        return pairs.score(name, labels=pairs.names, average=average, zero_division=0.0)
    chosen = _positive(pairs.names, positive)
    value = pairs.score(name, labels=[chosen], average="macro", zero_division=float("nan"))
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        raise ValueError(f"{chosen!r} is never {'named' if name == 'precision_score' else 'expected'}")
    return value


@metric(
    _card("precision", "Precision", "Share of the outputs that name a class for which it is right." + _AVERAGED),
    _read_class,
)
def precision(
    samples: Sequence[Named], *, average: Average = "macro", positive: str = "", classes: tuple[str, ...] = ()
) -> float:
    """Return the precision; undefined of one class that is never named."""
    return _averaged("precision_score", samples, average, positive, classes)


@metric(
    _card("recall", "Recall", "Share of the outputs for which a class is expected that name it." + _AVERAGED),
    _read_class,
)
def recall(
    samples: Sequence[Named], *, average: Average = "macro", positive: str = "", classes: tuple[str, ...] = ()
) -> float:
    """Return the recall; undefined of one class that is never expected."""
    return _averaged("recall_score", samples, average, positive, classes)


@metric(_card("f1", "F1", "Harmonic mean of precision and recall of a class." + _AVERAGED), _read_class)
def f1(
    samples: Sequence[Named], *, average: Average = "macro", positive: str = "", classes: tuple[str, ...] = ()
) -> float:
    """Return the F1; undefined of one class that is neither expected nor named."""
    return _averaged("f1_score", samples, average, positive, classes)


@metric(
    _card("matthews", "Matthews correlation", "Correlation of named and expected classes: 0 is chance.", low=-1.0),
    _read_class,
)
def matthews(samples: Sequence[Named], *, classes: tuple[str, ...] = ()) -> float:
    """Return the correlation; undefined where one side is the same class throughout."""
    pairs = _Pairs(samples, classes)
    if len(set(pairs.labels)) < 2 or len(set(pairs.said)) < 2:
        raise ValueError(f"only one class is {'expected' if len(set(pairs.labels)) < 2 else 'named'}")
    return pairs.score("matthews_corrcoef")


@metric(
    _card(
        "cohen_kappa",
        "Cohen's kappa",
        "Agreement of named and expected classes beyond chance; with weights, classes far apart in `classes` disagree more.",
        low=-1.0,
    ),
    _read_class,
)
def cohen_kappa(
    samples: Sequence[Named],
    *,
    weights: Literal["", "linear", "quadratic"] = "",
    classes: tuple[str, ...] = (),
) -> float:
    """Return the agreement; `weights` need the order of the classes, and an answer that names none has no place in it."""
    pairs = _Pairs(samples, classes)
    if len({*pairs.labels, *pairs.said}) < 2:
        raise ValueError("only one class is there")
    if not weights:
        return pairs.score("cohen_kappa_score")
    placeless = set(pairs.names) - set(classes)
    if placeless:
        raise ValueError(f"`classes` does not say where in their order {min(placeless)!r} stands")
    if NO_CLASS in pairs.said:
        raise ValueError("an answer names no class, which has no place in their order")
    return pairs.score("cohen_kappa_score", labels=list(classes), weights=weights)


def _one_against_rest(samples: Sequence[Forecast], positive: str, score: Any) -> float:
    """Return a score of binary labels, of the positive class or as the mean over the expected classes."""
    if not samples:
        raise ValueError("no values")
    expected = {one.label for one in samples}
    if len(expected) < 2:
        raise ValueError("only one class is expected")
    names = sorted({name for one in samples for name in one.chances} | expected)
    chosen = [_positive(names, positive)] if positive or len(names) == 2 else sorted(expected)
    if not set(chosen) & expected:
        raise ValueError(f"{chosen[0]!r} is never expected")
    values = [
        float(score([one.label == name for one in samples], [one.chances.get(name, 0.0) for one in samples]))
        for name in chosen
    ]
    return sum(values) / len(values)


@metric(
    _ranked(
        "roc_auc", "Area under the ROC curve", "How often an example of a class gets a higher probability than another."
    ),
    _read_chances,
)
def roc_auc(samples: Sequence[Forecast], *, positive: str = "") -> float:
    """Return the area; undefined of one class."""
    return _one_against_rest(samples, positive, library().roc_auc_score)


@metric(
    _ranked("average_precision", "Average precision", "Area under the curve of precision over recall, in steps."),
    _read_chances,
)
def average_precision(samples: Sequence[Forecast], *, positive: str = "") -> float:
    """Return the average precision; undefined of one class."""
    return _one_against_rest(samples, positive, library().average_precision_score)
