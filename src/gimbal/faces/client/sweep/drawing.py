"""What Optuna is given of a sweep: distributions, sampler and pruner."""

import importlib
import itertools
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gimbal.faces.client.sweep.spec import Range, Sweep, points, whole
from gimbal.kernel.errors import BadInput


def distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    """Return what each parameter is drawn from."""
    return {name: _drawn_from(name, one, grid=sweep.sampler == "grid") for name, one in sweep.space.items()}


def _drawn_from(name: str, one: Range, *, grid: bool) -> BaseDistribution:
    if one.choices is not None:
        return CategoricalDistribution(one.choices)
    low, high, step = one.low or 0, one.high or 0, one.step
    try:
        if whole(one):
            return IntDistribution(int(low), int(high), log=one.log, step=int(step or 1))
        return FloatDistribution(float(low), float(high), log=one.log and not grid, step=step)
    except ValueError as problem:
        raise BadInput(str(problem), where=f"space.{name}", kept="nothing was started", todo="Mend it.") from None


def grid(sweep: Sweep) -> list[dict[str, Any]]:
    """Return every point of the grid."""
    names = list(sweep.space)
    return [dict(zip(names, one, strict=True)) for one in itertools.product(*map(points, sweep.space.values()))]


def sampler(sweep: Sweep) -> optuna.samplers.BaseSampler:
    """Return the sampler; what a grid asks for stands in line, so that nothing is drawn for it."""
    if sweep.sampler in {"random", "grid"}:
        return optuna.samplers.RandomSampler(seed=sweep.seed)
    if sweep.sampler == "tpe":
        # Several at once: those that run count as bad, so that the next is drawn elsewhere.
        return optuna.samplers.TPESampler(seed=sweep.seed, constant_liar=sweep.concurrency > 1)
    module, _, name = sweep.sampler.partition(":")
    try:
        made: Any = getattr(importlib.import_module(module), name)
        found = made(seed=sweep.seed) if sweep.seed is not None else made()
    except (ImportError, AttributeError, TypeError) as problem:
        raise _none(sweep, f"The sampler {sweep.sampler!r} cannot be made: {problem}") from None
    if not isinstance(found, optuna.samplers.BaseSampler):
        raise _none(sweep, f"{sweep.sampler!r} is no sampler of Optuna's kind.")
    return found


def _none(sweep: Sweep, message: str) -> BadInput:
    return BadInput(message, where="sampler", kept="nothing was started", todo="Use tpe, random, grid or module:Class.")


def pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    """Return what stops trials early."""
    if sweep.pruner == "median":
        return optuna.pruners.MedianPruner()
    return optuna.pruners.HyperbandPruner() if sweep.pruner == "hyperband" else optuna.pruners.NopPruner()
