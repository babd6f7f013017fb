"""scikit-learn: each outermost `fit` logs parameters, how long it took, and scores on what it was fitted with."""

import functools
import inspect
import math
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from gimbal.faces.client.autolog.session import (
    Options,
    deeper,
    fitting,
    guarded,
    numbered,
    outermost,
    params_of,
    score_of,
)
from gimbal.faces.client.models import log_model
from gimbal.faces.client.runs import ActiveRun

LIBRARY = "sklearn"
_MARK = "__gimbal_fit__"


def patch(module: ModuleType) -> None:
    """Let every estimator that there is, or will be defined, tell of its `fit`; `module` is `sklearn.base`."""
    base: Any = module.BaseEstimator
    if _MARK in base.__dict__:
        return
    before = base.__dict__.get("__init_subclass__")

    def defined(cls: type, **words: Any) -> None:
        if before is None:
            super(base, cls).__init_subclass__(**words)  # type: ignore[misc] - base is a class
        else:
            before.__get__(None, cls)(**words)
        _wrap(cls)

    base.__init_subclass__ = classmethod(defined)
    setattr(base, _MARK, True)
    waiting: list[type] = [base]
    seen: set[type] = set()
    while waiting:
        cls = waiting.pop()
        if cls not in seen:
            seen.add(cls)
            _wrap(cls)
            waiting += cls.__subclasses__()


def _wrap(cls: type) -> None:
    fit = cls.__dict__.get("fit")
    # Some are descriptors that come and go with what is wrapped in them.
    if not inspect.isfunction(fit) or hasattr(fit, _MARK):
        return

    @functools.wraps(fit)
    def logged(self: Any, *args: Any, **words: Any) -> Any:
        # What a class's own fit asks of its base's is the same fit.
        if type(self).fit is not logged:
            return fit(self, *args, **words)
        if not outermost(LIBRARY):
            with deeper():
                return fit(self, *args, **words)
        return _logged(fit, self, args, words)

    setattr(logged, _MARK, True)
    setattr(cls, "fit", logged)  # noqa: B010 - a class that the type checker does not know


def _logged(fit: Callable[..., Any], model: Any, args: tuple[Any, ...], words: dict[str, Any]) -> Any:
    with fitting(type(model).__name__) as run:
        prefix = ""
        if run is not None:
            with guarded("note parameters"):
                prefix = numbered(run, type(model).__name__)
                run.log(params=params_of(prefix, model.get_params(deep=True)), tags={"autolog": LIBRARY})
        begun = time.perf_counter()
        fitted = fit(model, *args, **words)
        took = time.perf_counter() - begun
        if run is not None:
            with guarded("note what came of a fit"):
                _note(run, prefix, fitted, took, *_data(fit, model, args, words))
        return fitted


def _data(fit: Callable[..., Any], model: Any, args: tuple[Any, ...], words: dict[str, Any]) -> tuple[Any, Any]:
    """Return what was handed in as X and y, by position or name."""
    given = inspect.signature(fit).bind_partial(model, *args, **words).arguments
    return given.get("X"), given.get("y", given.get("Y"))


def _note(run: ActiveRun, prefix: str, model: Any, took: float, x: Any, y: Any) -> None:
    metrics = {f"{prefix}/fit_s": took}
    chosen: Mapping[str, Any] | None = getattr(model, "best_params_", None)
    if chosen is not None:
        metrics[f"{prefix}/best_score"] = score_of(lambda: model.best_score_)
        run.log(params=params_of(f"{prefix}.best", chosen))
    if Options.scores and x is not None:
        scores = _scores(model, x, y) if y is not None else {}
        metrics |= {f"{prefix}/training_{name}": value for name, value in scores.items() if not math.isnan(value)}
    run.log(metrics)
    if Options.models and hasattr(model, "predict") and hasattr(x, "columns"):
        with guarded("register the model"):
            log_model(type(model).__name__.lower(), model, example=x, client=run.client)


def _scores(model: Any, x: Any, y: Any) -> dict[str, float]:
    import sklearn.base as kinds
    from sklearn import metrics as by

    by_any: Any = by
    if not hasattr(model, "predict"):
        return {}
    said = model.predict(x)
    if kinds.is_regressor(model):
        return {
            "r2": score_of(lambda: by_any.r2_score(y, said)),
            "mae": score_of(lambda: by_any.mean_absolute_error(y, said)),
            "rmse": score_of(lambda: math.sqrt(by_any.mean_squared_error(y, said))),
        }
    if not kinds.is_classifier(model):
        return {}
    weighted = {"average": "weighted", "zero_division": 0}
    found = {
        "accuracy": score_of(lambda: by_any.accuracy_score(y, said)),
        "f1": score_of(lambda: by_any.f1_score(y, said, **weighted)),
        "precision": score_of(lambda: by_any.precision_score(y, said, **weighted)),
        "recall": score_of(lambda: by_any.recall_score(y, said, **weighted)),
    }
    if hasattr(model, "predict_proba"):
        chances = model.predict_proba(x)
        found["log_loss"] = score_of(lambda: by_any.log_loss(y, chances))
        binary = getattr(chances, "shape", (0, 0))[-1] == 2
        found["roc_auc"] = score_of(
            lambda: by_any.roc_auc_score(y, chances[:, 1] if binary else chances, multi_class="ovr")
        )
    return found
