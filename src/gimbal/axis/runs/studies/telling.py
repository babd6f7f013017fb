"""What a study's trials tell: the best of them, the front of several objectives, and which parameters matter.

Importance is ε² (Kelley 1935; see `engines/console/importance`): the share of the objective's variance between groups of
equal values of one parameter, less what chance gives on average, so that it lies around zero for a parameter that says
nothing. Beside it stands what chance alone shows in nineteen of twenty cases: the 95th percentile of the same number
over shuffles of the objective. Its limits: it sees each parameter by itself, so that two that matter only together show
nothing; and a sampler that came to prefer good values tried others less, so that it tells about the trials that there
are, not about the whole space. It is not fANOVA, and needs no model.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from gimbal.axis.runs.studies.model import Direction, Study, Trial
from gimbal.axis.runs.studies.model import objective_names as unnamed
from gimbal.engines.console.importance import LEAST, groups_of
from gimbal.engines.console.study_charts import Bar

SHUFFLES = 400
_MOST_BARS = 20
_SEED = 20_06


def objective_names(study: Study) -> list[str]:
    """Return what the objectives are called: as Optuna or a sweep named them, or as the runs' metrics are."""
    for attrs, name in ((study.system_attrs, "study:metric_names"), (study.user_attrs, "sweep.metrics")):
        names = _listed(attrs.get(name, ""))
        if len(names) == len(study.directions):
            return names
    return unnamed(len(study.directions))


def _listed(text: str) -> list[str]:
    try:
        found: Any = msgspec.json.decode(text) if text else []
    except msgspec.DecodeError:
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def complete(trials: Sequence[Trial]) -> list[tuple[Trial, list[float]]]:
    """Return the trials that are complete, with their values; those with an infinite value are left out."""
    found = [(trial, [float(value) for value in trial.values or ()]) for trial in trials if trial.state == "complete"]
    return [(trial, values) for trial, values in found if values and all(map(math.isfinite, values))]


def best(trials: Sequence[Trial], directions: Sequence[Direction]) -> list[Trial]:
    """Return the best trial or, of several objectives, those that no other is at least as good as in all of them.

    Of trials with the same values the first is named.
    """
    found: dict[tuple[float, ...], Trial] = {}
    signs = [1.0 if direction == "minimize" else -1.0 for direction in directions]
    for trial in trials:
        if trial.state == "complete" and trial.values is not None:
            values = tuple(sign * float(value) for sign, value in zip(signs, trial.values, strict=False))
            found.setdefault(values, trial)
    ordered = sorted(found)
    front: list[tuple[float, ...]] = []
    # In this order nobody is beaten by one that comes after it.
    for values in ordered:
        if not any(all(a <= b for a, b in zip(other, values, strict=True)) for other in front):
            front.append(values)
    return [found[values] for values in front]


def params_of(trial: Trial) -> dict[str, Any]:
    """Return what a trial was given."""
    return {name: one.value for name, one in trial.params.items()}


def importances(params: Sequence[Mapping[str, Any]], values: Sequence[float]) -> list[Bar]:
    """Return what each parameter of more than one value explains, the largest first; none for fewer than ten trials."""
    names = dict.fromkeys(name for row in params for name in row)
    draw = np.random.default_rng(_SEED)
    found: list[Bar] = []
    for name in names:
        pairs = [(row[name], value) for row, value in zip(params, values, strict=True) if name in row]
        if len(pairs) < LEAST:
            continue
        groups = groups_of([one for one, _ in pairs])
        kinds, codes = np.unique(np.array(groups), return_inverse=True)
        if not 1 < len(kinds) < len(pairs):
            continue
        known = np.array([value for _, value in pairs])
        if not np.ptp(known):
            continue
        member = np.eye(len(kinds))[codes]
        share = float(_shares(known[None, :], member)[0])
        shuffled = draw.permuted(np.tile(known, (SHUFFLES, 1)), axis=1)
        chance = float(np.quantile(_shares(shuffled, member), 0.95))
        found.append(Bar(name=name, share=max(0.0, share), chance=max(0.0, chance), runs=len(pairs)))
    return sorted(found, key=lambda one: -one.share)[:_MOST_BARS]


def _shares(values: "np.ndarray[Any, Any]", member: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return ε² of each row of values (rows × trials) over groups (trials × groups, one 1 per trial)."""
    count, kinds = member.shape
    centred = values - values.mean(axis=1, keepdims=True)
    whole = (centred**2).sum(axis=1)
    between = ((centred @ member) ** 2 / member.sum(axis=0)).sum(axis=1)
    inside = whole - between
    return (between - (kinds - 1) * inside / (count - kinds)) / whole
