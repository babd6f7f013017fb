"""Turns Optuna's trials and studies into what the server keeps, and back."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from optuna.trial import Trial as OptunaTrial

from gimbal.axis.runs.model import MetricValue, to_wire
from gimbal.axis.runs.studies.model import Direction, Report, Study, Trial, TrialParam
from gimbal.axis.runs.studies.model import TrialState as State
from gimbal.kernel.errors import BadInput

STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "fail",
    TrialState.WAITING: "waiting",
}
_BACK = {word: state for state, word in STATES.items()}
_DIRECTIONS: dict[StudyDirection, Direction] = {
    StudyDirection.MINIMIZE: "minimize",
    StudyDirection.MAXIMIZE: "maximize",
}
_DIRECTIONS_BACK = {word: direction for direction, word in _DIRECTIONS.items()}


def directions_of(directions: Sequence[StudyDirection]) -> list[Direction]:
    """Return directions as words; raise BadInput for one that is neither up nor down."""
    if any(direction not in _DIRECTIONS for direction in directions):
        raise BadInput("A direction is missing.", where="directions", todo="Use minimize or maximize.")
    return [_DIRECTIONS[direction] for direction in directions]


def study_directions(study: Study) -> list[StudyDirection]:
    """Return the directions of a study as Optuna knows them."""
    return [_DIRECTIONS_BACK[word] for word in study.directions]


def attr_text(value: Any) -> str:
    """Return an attribute as JSON, as Python writes it: NaN and Infinity are in it; raise TypeError for what is none."""
    return json.dumps(value)


def attrs_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return attributes by name."""
    return {name: json.loads(text) for name, text in texts.items()}


def param_of(internal: float, distribution: BaseDistribution) -> TrialParam:
    """Return one parameter: what the objective is given, and what is needed to load it again."""
    value: Any = distribution.to_external_repr(internal)
    if isinstance(value, float) and not math.isfinite(value):
        value = to_wire(value)
    elif value is not None and not isinstance(value, bool | int | float | str):
        value = str(value)
    return TrialParam(value=value, internal=to_wire(float(internal)), distribution=distribution_to_json(distribution))


def values_of(values: Sequence[float] | None) -> list[MetricValue] | None:
    """Return values as JSON can carry them."""
    return None if values is None else [to_wire(float(value)) for value in values]


def reports_of(reports: Mapping[int, float]) -> list[Report]:
    """Return intermediate values as JSON can carry them."""
    return [Report(step=step, value=to_wire(float(value))) for step, value in reports.items()]


def moment_of(at: datetime | None) -> datetime | None:
    """Return a moment of Optuna's, which has no time zone and means the local one, in UTC."""
    return None if at is None else at.astimezone(UTC)


def local(at: datetime | None) -> datetime | None:
    """Return a moment as Optuna has them: local time without a time zone."""
    return None if at is None else at.astimezone().replace(tzinfo=None)


def frozen(trial: Trial, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """Return a trial as Optuna knows it; `distributions` remembers, by its text, each one that was read before."""
    drawn: dict[str, BaseDistribution] = {}
    params: dict[str, Any] = {}
    for name, one in trial.params.items():
        if one.distribution not in distributions:
            distributions[one.distribution] = json_to_distribution(one.distribution)
        drawn[name] = distributions[one.distribution]
        params[name] = drawn[name].to_external_repr(float(one.internal))
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.id,
        state=_BACK[trial.state],
        value=None,
        values=None if trial.values is None else [float(value) for value in trial.values],
        datetime_start=local(trial.started_at),
        datetime_complete=local(trial.ended_at),
        params=params,
        distributions=drawn,
        user_attrs=attrs_of(trial.user_attrs),
        system_attrs=attrs_of(trial.system_attrs),
        intermediate_values={one.step: float(one.value) for one in trial.reports},
    )


def id_of(trial: FrozenTrial | OptunaTrial) -> int:
    """Return the id by which storages know a trial."""
    return trial._trial_id  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - its storages do so, too
