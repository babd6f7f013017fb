"""The process of a trial that is a function: `python -m gimbal.faces.client.sweep.child module:function`.

The function runs inside the trial's run, so that `gimbal.log` goes there; what it returns is logged as the metric.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gimbal.faces.client.run_start import run
from gimbal.kernel.errors import BadInput


class Given(msgspec.Struct, frozen=True):
    """What the variable GIMBAL_TRIAL holds."""

    params: dict[str, Any]
    metrics: list[str]


def given() -> Given:
    """Return what the sweep gave this process."""
    return msgspec.json.decode(os.environ["GIMBAL_TRIAL"], type=Given)


def named(values: Any, metrics: list[str]) -> dict[str, float]:
    """Return what a function returned as metrics by name; raise BadInput when it does not fit."""
    if isinstance(values, Mapping):
        return {str(name): float(value) for name, value in values.items()}
    several = list(values) if isinstance(values, tuple | list) else [values]
    if len(several) != len(metrics) or any(value is None for value in several):
        raise BadInput(
            f"The function returned {values!r}, and {len(metrics)} numbers are wanted.",
            where="function",
            todo="Return a number for each metric, or a mapping from metric to number.",
        )
    return dict(zip(metrics, map(float, several), strict=True))


def main(target: str) -> None:
    """Call the function with the parameters and log what it returns."""
    told = given()
    module, _, name = target.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    call: Any = getattr(importlib.import_module(module), name)
    with run() as active:
        active.log(named(call(**told.params), told.metrics))
        active.flush()


if __name__ == "__main__":
    main(sys.argv[1])
