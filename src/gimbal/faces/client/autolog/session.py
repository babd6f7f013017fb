"""Where autolog logs: the run that is open, or one that is made for a fit and ends with it. It never breaks a fit."""

import contextlib
import contextvars
import logging
import math
import numbers
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gimbal.faces.client.run_start import run as start_run
from gimbal.faces.client.runs import ActiveRun, current_run
from gimbal.kernel.errors import GimbalError

_log = logging.getLogger("gimbal")
# How many fits deep the program is.
_depth: contextvars.ContextVar[int] = contextvars.ContextVar("gimbal_autolog", default=0)
_MOST_TEXT = 500
_lock = threading.Lock()
_counts: "weakref.WeakKeyDictionary[ActiveRun, dict[str, int]]" = weakref.WeakKeyDictionary()


class Options:
    """What `gimbal.autolog` was told; of the process."""

    on = False
    scores = True
    models = False
    alone = 0
    """Fits under way that have no run around them."""


def others_log(library: str) -> bool:
    """Tell whether MLflow logs this library by itself: two of them would log everything twice."""
    tracking: Any = sys.modules.get("mlflow.utils.autologging_utils")
    if tracking is None:
        return False
    with contextlib.suppress(Exception):
        config: Mapping[str, Any] = tracking.AUTOLOGGING_INTEGRATIONS.get(library, {})
        return bool(config) and not config.get("disable", False)
    return False


def outermost(library: str) -> bool:
    """Tell whether a fit that begins here is to be logged: it is not part of another one."""
    if not Options.on or _depth.get() or others_log(library):
        return False
    # Threads that a fit starts know neither run nor fit of their maker.
    return current_run() is not None or Options.alone == 0


def rounds_wanted(library: str) -> bool:
    """Tell whether the rounds of a training that begins here are to be logged: by itself, or as all of one fit."""
    return Options.on and not others_log(library) and (outermost(library) or _depth.get() == 1)


def loose_run(library: str) -> ActiveRun | None:
    """Return the run of here for what is not part of any fit; None where nothing is to be logged."""
    run = current_run()
    return None if run is None or not Options.on or _depth.get() or others_log(library) else run


@contextlib.contextmanager
def deeper() -> Iterator[None]:
    """Count a fit that is part of another one."""
    token = _depth.set(_depth.get() + 1)
    try:
        yield
    finally:
        _depth.reset(token)


@contextlib.contextmanager
def fitting(name: str) -> Iterator[ActiveRun | None]:
    """Yield the run to log into: the one of here, or one of its own; None when there can be none.

    What the block raises ends a run of its own as failed and goes on as it was.
    """
    token = _depth.set(1)
    run = current_run()
    own = None
    if run is None:
        with _lock:
            Options.alone += 1
        with guarded("start a run"):
            run = own = start_run(name)
    try:
        if own is None:
            yield run
        else:
            with own:
                yield own
    finally:
        _depth.reset(token)
        if run is own:
            with _lock:
                Options.alone -= 1


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """Let nothing that goes wrong in here reach the program; tell it."""
    try:
        yield
    except Exception as problem:  # noqa: BLE001 - whoever trains must not notice
        why = problem.message if isinstance(problem, GimbalError) else f"{type(problem).__name__}: {problem}"
        _log.warning("autolog could not %s: %s", what, why)


def numbered(run: ActiveRun, name: str) -> str:
    """Return a name for one of several fits in a run: `SVC`, then `SVC-2`."""
    with _lock:
        counts = _counts.setdefault(run, {})
        counts[name] = nth = counts.get(name, 0) + 1
    return name if nth == 1 else f"{name}-{nth}"


def params_of(prefix: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters under a prefix: numbers, texts and what is made of them as they are, the rest as text."""
    return {f"{prefix}.{name}"[:250]: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value if not isinstance(value, str) else value[:_MOST_TEXT]
    if callable(listed := getattr(value, "item", None)) and getattr(value, "size", 0) == 1:
        return listed()
    return (value.__name__ if isinstance(value, type) else str(value))[:_MOST_TEXT]


def numbers_of(prefix: str, given: Mapping[str, Any]) -> dict[str, float]:
    """Return what of a mapping is a number, under a prefix."""
    found: dict[str, float] = {}
    for name, value in given.items():
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            if isinstance(value, numbers.Real) or callable(getattr(value, "item", None)):
                found[f"{prefix}{name}"[:250]] = float(value)
    return found


def score_of(call: Callable[[], Any]) -> float:
    """Return a score, or NaN where it has no meaning for what was fitted."""
    try:
        return float(call())
    except Exception:  # noqa: BLE001 - one class only, no probabilities: there is none
        return math.nan
