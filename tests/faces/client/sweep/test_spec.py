"""The file of a sweep: mistakes are named with line and field, and nothing is started."""

from pathlib import Path

import pytest

import gimbal
from gimbal.faces.client.sweep import spec
from gimbal.faces.client.sweep.words import job_of
from gimbal.kernel.errors import BadInput

GOOD = """\
name: depths
command: python train.py
metric: loss
space:
  eta: {low: 0.001, high: 0.1, log: true}
  depth:
    low: 1
    high: 9
  kind: [a, null, true, 3]
"""


def refused(tmp_path: Path, text: str) -> BadInput:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        spec.read(path)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("metric: loss", "metrik: loss", 3, "metrik"),
        ("metric: loss", "metric: loss\ntrials: none", 4, "trials"),
        ("metric: loss", "metric: loss\ngoal: [minimize, maximize]", 4, "goal"),
        ("metric: loss", "metric: loss\ngoal: best", 4, "goal"),
        ("metric: loss", "metric: loss\nsampler: tpee", 4, "sampler"),
        ("metric: loss", "metric: loss\nsampler: grid", 4, "sampler"),
        ("metric: loss", "metric: loss\nfunction: a:b", 2, "command"),
        ("metric: loss", "metric: [a, b]\ngoal: [minimize, minimize]\npruner: median", 5, "pruner"),
        ("command: python train.py", "command: python 'train.py", 2, "command"),
        ("    high: 9", "    hihg: 9", 6, "space.depth"),
        ("    high: 9", "    high: 0", 6, "space.depth"),
        ("    high: 9", "    high: nine", 8, "space.depth.high"),
        ("low: 0.001", "low: 0.0", 5, "space.eta"),
        ("[a, null, true, 3]", "[]", 9, "space.kind"),
        ("[a, null, true, 3]", "{choices: [1], low: 2}", 9, "space.kind"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, field: str) -> None:
    """And with what to do."""
    problem = refused(tmp_path, GOOD.replace(old, new))
    assert f"line {line}, {field}" in problem.where
    assert problem.todo
    assert problem.kept == "nothing was started"


@pytest.mark.parametrize("text", ["", "- a", "name: [", "name: x\nspace: 3\nmetric: a\ncommand: b", "\t"])
def test_what_is_no_sweep_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever it is."""
    assert refused(tmp_path, text).where


def test_a_good_file_is_what_it_says(tmp_path: Path) -> None:
    """Ranges of whole numbers are whole; the command line has the last word."""
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD)
    found = spec.read(path, trials=7)
    assert (found.trials, found.metrics, found.goals, found.words) == (
        7,
        ["loss"],
        ["minimize"],
        ["python", "train.py"],
    )
    assert spec.points(found.space["depth"]) == list(range(1, 10))
    assert spec.points(found.space["kind"]) == ["a", None, True, 3]
    assert spec.points(found.space["eta"]) == []


def test_a_grid_is_as_many_trials_as_it_has_points() -> None:
    """Where the file does not say how many."""
    space = {"x": spec.Range(low=1, high=150), "y": spec.Range(choices=["a", "b"])}
    words = {"name": "depths", "command": "train", "metric": "loss", "space": space}
    assert spec.Sweep(**words, sampler="grid").most == 300
    assert spec.Sweep(**words, sampler="grid", trials=7).most == 7
    assert spec.Sweep(**words).most == 100


def test_a_value_that_looks_like_a_placeholder_stays_as_it_is() -> None:
    """Every placeholder is filled once."""
    space = {"a": spec.Range(choices=["{b}"]), "b": spec.Range(choices=[1])}
    sweep = spec.Sweep(name="depths", command="train --a {a} --b={b} {c}", metric="loss", space=space)
    job = job_of(sweep, gimbal.Client("http://127.0.0.1:1"), "r", {"a": "{b}", "b": 1})
    assert job.words == ["train", "--a", "{b}", "--b=1", "{c}"]
