"""Runs for those who keep a storage of their own: `study.optimize(objective, callbacks=[gimbal.OptunaCallback()])`."""

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gimbal.axis.runs.model import EndStatus, LogMetric, to_wire
from gimbal.axis.runs.studies.model import REPORTED, objective_names
from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.studies.records import moment_of, param_of
from gimbal.kernel.ids import derived_id

_ENDS: dict[TrialState, EndStatus] = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "finished"}


class OptunaCallback:
    """Makes each trial that has ended a run in the group of its study; a trial that is told twice is one run.

    Args:
        metrics: Names of the objectives; those of the study, or `objective`, otherwise.
        experiment: Where the runs are.
        client: Another server or project than the environment names.
    """

    def __init__(
        self, metrics: str | list[str] | None = None, *, experiment: str = "default", client: Client | None = None
    ) -> None:
        self._names = [metrics] if isinstance(metrics, str) else metrics
        self._experiment = experiment
        self._client = client

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Keep a trial as a run."""
        client = self._client or default_client()
        params = {
            name: param_of(trial.distributions[name].to_internal_repr(value), trial.distributions[name]).value
            for name, value in trial.params.items()
        }
        run_id = derived_id("optuna", client.project, self._experiment, study.study_name, str(trial.number))
        group = study.study_name[:250]
        made = client.runs.create(
            id=run_id,
            name=f"{study.study_name[:230]} {trial.number}",
            experiment=self._experiment,
            group=group,
            params=params,
            tags={"study": group, "trial": str(trial.number), "trial.state": trial.state.name.lower()},
            started_at=moment_of(trial.datetime_start),
        )
        points = [
            LogMetric(name=REPORTED, value=to_wire(float(value)), step=step)
            for step, value in trial.intermediate_values.items()
        ]
        values = trial.values or []
        points += [
            LogMetric(name=name, value=to_wire(float(value)))
            for name, value in zip(self._metrics(study, values), values, strict=False)
        ]
        attrs = {name: str(value) for name, value in trial.user_attrs.items()}
        client.runs.log(made.id, metrics=points, tags=attrs)
        status = _ENDS.get(trial.state, "failed")
        client.runs.finish(made.id, status=status, ended_at=moment_of(trial.datetime_complete))

    def _metrics(self, study: Study, values: list[float]) -> list[str]:
        names = self._names or study.metric_names
        return list(names) if names else objective_names(len(values))
