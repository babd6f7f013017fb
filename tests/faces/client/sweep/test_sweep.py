"""`gimbal sweep`: trials are processes whose runs are theirs; what fails, hangs or is stopped ends as it should."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from tests.faces.client.sweep.conftest import Place, alive

from gimbal.axis.runs.studies.model import Trial
from gimbal.faces.client.sweep.process import Job, Process, is_at_work, started_at, started_by_ps
from gimbal.faces.client.sweep.searching import LocalRunner
from gimbal.kernel.errors import Unavailable

_PYTHON = sys.executable


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def trials(place: Place, name: str = "depths") -> list[Trial]:
    found = place.client.studies.trials(str(place.client.studies.list(name=name).items[0].number)).items
    return sorted(found, key=lambda trial: trial.number)


def test_a_search_runs_its_trials_and_names_the_best(place: Place) -> None:
    """The run that a program opens is the trial's: one run for each, with parameters, metric and output."""
    place.write(f"""
        name: depths
        command: {_PYTHON} train.py
        metric: loss
        goal: minimize
        space: {{x: {{low: 0.0, high: 1.0}}}}
        trials: 4
        concurrency: 2
        seed: 1
        experiment: tuned
    """)
    code, out, err = place.run()
    assert (code, err) == (0, "")
    found = trials(place)
    assert [trial.state for trial in found] == ["complete"] * 4
    runs = place.client.runs.list().items
    assert {run.id for run in runs} == {trial.run_id for trial in found}
    assert {(run.experiment, run.group, run.status) for run in runs} == {("tuned", "depths", "finished")}
    for trial in found:
        x = trial.params["x"].value
        assert float((trial.values or [0])[0]) == pytest.approx((x - 0.3) ** 2)
    best = min(found, key=lambda trial: float((trial.values or [0])[0]))
    assert f"best: trial {best.number}, loss {float((best.values or [0])[0]):.6g}" in out
    # Going on adds up to what is wanted, and no more.
    assert place.run("--trials", "5")[0] == 0
    assert len(trials(place)) == 5


def test_a_grid_is_every_point_once(place: Place) -> None:
    """Also when it is begun twice; placeholders put parameters where they belong."""
    place.write(f"""
        name: depths
        command: ["{_PYTHON}", train.py, "--x={{x}}", "--do", "{{do}}"]
        metric: loss
        space:
          x: {{low: 0.0, high: 0.5, step: 0.5}}
          do: [print, ""]
        sampler: grid
    """)
    assert place.run()[0] == 0
    assert place.run()[0] == 0
    found = trials(place)
    assert sorted((trial.params["x"].value, trial.params["do"].value) for trial in found) == [
        (0.0, ""), (0.0, "print"), (0.5, ""), (0.5, "print"),
    ]  # fmt: skip
    assert [trial.values for trial in found if trial.params["do"].value == "print"] == [[0.5], [0.5]]


def test_trials_that_fail_hang_or_die_are_told_apart(place: Place) -> None:
    """The search goes on, exits with 1 when none succeeded, and leaves no process behind."""
    place.write(f"""
        name: depths
        command: {_PYTHON} train.py --x 1 --do {{do}}
        metric: loss
        space: {{do: [exit, signal, quiet, hang]}}
        sampler: grid
        trial_s: 4
        concurrency: 4
    """)
    code, out, _ = place.run()
    assert code == 1
    whys = {trial.params["do"].value: trial.user_attrs["sweep.why"].strip('"') for trial in trials(place)}
    assert whys == {
        "exit": "exit code 3: the disk of the data is not mounted",
        "signal": "killed by signal 9",
        "quiet": "no metric 'loss'",
        "hang": "timeout",
    }
    assert {trial.state for trial in trials(place)} == {"fail"}
    assert {run.status for run in place.client.runs.list().items} == {"failed"}
    assert all(words in out for why in whys.values() for words in why.split(": "))
    (child,) = (int(path.read_text()) for path in place.folder.glob("hanging-*"))
    assert not alive(child)


def test_ctrl_c_stops_and_a_killed_search_goes_on(place: Place) -> None:
    """Trials that ran are stopped with their children, and tried again; what was done is done once."""
    place.write(f"""
        name: depths
        command: {_PYTHON} train.py --x 1 --do {{do}}
        metric: loss
        space: {{do: [print, hang]}}
        sampler: grid
    """)

    def hanging() -> list[int]:
        return [int(text) for path in place.folder.glob("hanging-*") if (text := path.read_text())]

    first = place.start()
    wait_until(lambda: len(hanging()) == 1)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    first.communicate()
    assert not any(map(alive, hanging()))

    second = place.start()
    wait_until(lambda: len(hanging()) == 2)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    assert any(map(alive, hanging()))

    third = place.start("--name", "depths")
    wait_until(lambda: len(hanging()) == 3)
    assert sum(map(alive, hanging())) == 1
    # As a service manager, or a terminal that is closed, ends it.
    third.send_signal(signal.SIGTERM)
    assert third.wait(60) == 130
    assert not any(map(alive, hanging()))
    assert third.communicate()[1] == ""
    by_state = [(trial.params["do"].value, trial.state) for trial in trials(place) if trial.params]
    assert by_state.count(("print", "complete")) == 1
    assert by_state.count(("hang", "fail")) == 3
    # It stands in line for the next time.
    assert [trial.state for trial in trials(place)].count("waiting") == 1


def test_a_bad_trial_is_stopped_early(place: Place) -> None:
    """By what its run logs while it goes on; a sampler of one's own is found by its name."""
    place.write(f"""
        name: depths
        command: {_PYTHON} train.py --x {{x}} --do {{do}}
        metric: loss
        space: {{x: {{low: 0.0, high: 1.0}}, do: ["", worse]}}
        sampler: stopping:Order
        pruner: median
        trials: 6
    """)
    (place.folder / "stopping.py").write_text(
        "import optuna\n"
        "class Order(optuna.samplers.RandomSampler):\n"
        "    def sample_independent(self, study, trial, name, distribution):\n"
        "        return ('worse' if trial.number == 5 else '') if name == 'do' else 0.5\n"
    )
    code, _, err = place.run()
    assert (code, err) == (0, "")
    assert [trial.state for trial in trials(place)] == ["complete"] * 5 + ["pruned"]
    last = trials(place)[5]
    assert place.client.runs.show(last.run_id).status == "finished"
    assert len(last.reports) < 600


def test_a_function_gets_parameters_and_returns_the_value(place: Place) -> None:
    """Of several objectives, too; a Python file may say what to search."""
    (place.folder / "mine.py").write_text(
        "import gimbal\n"
        "def cost(x, kind):\n    gimbal.log({'half': x / 2}, step=1)\n    return x, -x if kind == 'a' else 0.0\n"
    )
    place.write(
        "sweep = {'name': 'both', 'function': 'mine:cost', 'metric': ['low', 'high'], 'goal': ['minimize', 'maximize'],"
        " 'space': {'x': {'low': 1, 'high': 5}, 'kind': ['a', 'b']}, 'sampler': 'random', 'trials': 2, 'seed': 4}",
        "sweep.py",
    )
    code, _, err = place.run(file="sweep.py")
    assert (code, err) == (0, "")
    for trial in trials(place, "both"):
        x, kind = trial.params["x"].value, trial.params["kind"].value
        assert trial.values == [x, -x if kind == "a" else 0]
        assert place.client.runs.show(trial.run_id).metrics["half"] == x / 2
    place.write(
        "sweep = {'name': 'both', 'function': 'mine:cost', 'metric': 'low', 'space': {'x': {'low': 1, 'high': 5}}}",
        "other.py",
    )
    code, _, err = place.run(file="other.py")
    assert code == 1
    assert "is there already, for low, high" in err


def test_what_a_process_left_running_goes_with_it() -> None:
    """A trial that ends well leaves no child, and its output is kept to its end."""
    words = [_PYTHON, "-c", "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print('x' * 3, p.pid)"]
    outcome = Process(Job(words=words, environment={})).wait(lambda: "")
    assert outcome.code == 0
    pid = int(outcome.output.split()[1])
    wait_until(lambda: not alive(pid))


def test_a_process_ends_when_asking_whether_to_stop_fails() -> None:
    """Nobody would wait for it any more."""
    process = Process(Job(words=[_PYTHON, "-c", "import time; time.sleep(600)"], environment={}))
    with pytest.raises(Unavailable):
        process.wait(lambda: (_ for _ in ()).throw(Unavailable("away")))
    assert not alive(process.pid)


def test_an_end_that_is_not_waited_for_ends_processes_at_once() -> None:
    """As the second Ctrl-C does."""
    runner = LocalRunner()
    pids: list[int] = []
    job = Job(words=[_PYTHON, "-c", "import time; time.sleep(600)"], environment={})
    running = threading.Thread(target=runner.run, args=(job, lambda: ""), kwargs={"started": pids.append})
    running.start()
    wait_until(lambda: len(pids) == 1)
    runner.close()
    running.join(60)
    assert not alive(pids[0])


def test_a_process_is_known_by_when_it_started() -> None:
    """Also where there is no /proc; one of which no moment is known is not taken for the same."""
    assert started_by_ps(os.getpid()) == started_by_ps(os.getpid()) != ""
    gone = subprocess.Popen([_PYTHON, "-c", ""])
    gone.wait()
    assert (started_by_ps(gone.pid), started_at(gone.pid)) == ("", "")
    assert is_at_work(os.getpid(), started_at(os.getpid()))
    assert not is_at_work(gone.pid, "")
