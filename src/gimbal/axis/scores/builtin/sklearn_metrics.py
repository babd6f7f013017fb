"""scikit-learn's metrics, imported when the first is needed: the extra `sklearn` is optional."""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import needs_extra
from gimbal.axis.scores.model import ScoreValue

EXTRA = "sklearn"
Read = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]


@functools.cache
def library() -> Any:
    """Return scikit-learn's metrics, or None where they are not installed."""
    try:
        return importlib.import_module("sklearn.metrics")
    except ImportError:
        return None


def with_sklearn(read: Read) -> Read:
    """Return a reader of samples that says which extra is missing, where it is."""

    @functools.wraps(read)
    def reading(expected: Mapping[str, Any], output: Mapping[str, Any]) -> Any:
        found = read(expected, output)
        return needs_extra("scikit-learn", EXTRA) if library() is None and not isinstance(found, ScoreValue) else found

    return reading
