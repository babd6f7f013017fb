"""XGBoost and LightGBM: each training logs its parameters and, round by round, what it measured on its data sets."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from gimbal.faces.client.autolog.session import fitting, guarded, numbered, params_of, rounds_wanted
from gimbal.faces.client.runs import ActiveRun

_MARK = "__gimbal_fit__"
Callback = Callable[[ActiveRun, str], Any]


def patch_xgboost(module: ModuleType) -> None:
    """Wrap `xgboost.train` where it is known by name; `module` is `xgboost`."""
    callback_base: Any = module.callback.TrainingCallback

    class Rounds(callback_base):  # type: ignore[misc] - a class that is there only at run time
        """Tells of each round."""

        def __init__(self, run: ActiveRun, prefix: str) -> None:
            super().__init__()
            self._run = run
            self._prefix = prefix

        def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
            """Log the newest of each history."""
            with guarded("note a round"):
                found = {
                    f"{data}/{name}": _last(history) for data, by in evals_log.items() for name, history in by.items()
                }
                self._run.log({f"{self._prefix}/{name}": value for name, value in found.items()}, step=epoch)
            return False

    _wrap("xgboost", module, ("xgboost", "xgboost.training", "xgboost.sklearn"), Rounds)


def patch_lightgbm(module: ModuleType) -> None:
    """Wrap `lightgbm.train` where it is known by name; `module` is `lightgbm`."""

    def rounds(run: ActiveRun, prefix: str) -> Callable[[Any], None]:
        def tell(env: Any) -> None:
            with guarded("note a round"):
                found = {f"{prefix}/{row[0]}/{row[1]}": float(row[2]) for row in env.evaluation_result_list or ()}
                run.log(found, step=env.iteration)

        return tell

    _wrap("lightgbm", module, ("lightgbm", "lightgbm.engine", "lightgbm.sklearn"), rounds)


def _last(history: Any) -> float:
    newest = history[-1]
    return float(newest[0] if isinstance(newest, tuple) else newest)


def _wrap(library: str, module: ModuleType, places: tuple[str, ...], callback: Callback) -> None:
    train: Any = module.train
    if hasattr(train, _MARK):
        return
    signature = inspect.signature(train)

    @functools.wraps(train)
    def logged(*args: Any, **words: Any) -> Any:
        # Inside a `fit` that is logged the rounds belong to its run.
        if not rounds_wanted(library):
            return train(*args, **words)
        given = signature.bind(*args, **words)
        with fitting(library) as run:
            prefix = library
            if run is not None:
                with guarded("note parameters"):
                    prefix = numbered(run, library)
                    rounds = given.arguments.get("num_boost_round", signature.parameters["num_boost_round"].default)
                    told = {**given.arguments["params"], "num_boost_round": rounds}
                    run.log(params=params_of(prefix, told), tags={"autolog": library})
                    given.arguments["callbacks"] = [*(given.arguments.get("callbacks") or ()), callback(run, prefix)]
            made = train(*given.args, **given.kwargs)
            if run is not None and getattr(made, "best_iteration", -1) not in {None, -1}:
                with guarded("note the best round"):
                    run.log({f"{prefix}/best_iteration": float(made.best_iteration)})
            return made

    setattr(logged, _MARK, True)
    for place in places:
        known = sys.modules.get(place)
        if known is not None and getattr(known, "train", None) is train:
            known.train = logged  # type: ignore[attr-defined] - a module's own name
