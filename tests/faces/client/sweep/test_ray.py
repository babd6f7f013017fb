"""Trials as tasks of a Ray cluster of this machine."""

import sys

import pytest
from tests.faces.client.sweep.conftest import Place


@pytest.mark.slow
def test_trials_run_as_tasks(place: Place) -> None:
    """They find the server, join their runs, and bring their output back."""
    place.write(f"""
        name: spread
        command: {sys.executable} {place.folder}/train.py --x {{x}} --do {{do}}
        metric: loss
        space: {{x: [0.3], do: ["", exit]}}
        sampler: grid
        concurrency: 2
    """)
    code, _, err = place.run("--on", "ray")
    assert code == 0, err
    (study,) = place.client.studies.list(name="spread").items
    by_what = {trial.params["do"].value: trial for trial in place.client.studies.trials(str(study.number)).items}
    assert by_what[""].values == [0.0]
    assert by_what["exit"].state == "fail"


@pytest.mark.slow
def test_a_task_that_hangs_is_cancelled(place: Place) -> None:
    """After its time, with what it started."""
    place.write(f"""
        name: spread
        command: {sys.executable} {place.folder}/train.py --x 1 --do hang
        metric: loss
        space: {{x: [1]}}
        sampler: grid
        trial_s: 3
    """)
    assert place.run("--on", "ray")[0] == 1
    (study,) = place.client.studies.list(name="spread").items
    (trial,) = place.client.studies.trials(str(study.number)).items
    assert trial.user_attrs["sweep.why"] == '"timeout"'
