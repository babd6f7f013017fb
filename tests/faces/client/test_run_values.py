"""What can be logged into a run, as what it is kept, and that the rest is refused where it is logged."""

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import gimbal
from gimbal.axis.runs.model import MAX_PARAM_BYTES, MAX_TAG_BYTES
from gimbal.kernel.errors import BadInput, Conflict, TooLarge


def test_numbers_of_every_kind_are_metrics(client: gimbal.Client) -> None:
    """What blew up is a finding: NaN and infinity are kept as such."""
    values = {
        "int": 3,
        "bool": True,
        "decimal": Decimal("0.25"),
        "np32": np.float32(0.5),
        "np64": np.float64(0.75),
        "npint": np.int64(7),
        "zero-d": np.array(1.5),
        "nan": math.nan,
        "inf": math.inf,
        "-inf": -math.inf,
    }
    with gimbal.run("kinds", client=client) as run:
        run.log(values, step=np.int64(4))  # type: ignore[arg-type]

    assert client.runs.show(run.id).metrics == {
        "int": 3.0,
        "bool": 1.0,
        "decimal": 0.25,
        "np32": 0.5,
        "np64": 0.75,
        "npint": 7.0,
        "zero-d": 1.5,
        "nan": "NaN",
        "inf": "Infinity",
        "-inf": "-Infinity",
    }
    assert client.runs.metric(run.id, "np64").items[0].step == 4


def test_parameters_of_every_kind_are_kept_as_what_they_are(client: gimbal.Client) -> None:
    """NumPy's numbers are numbers, NaN is not null, keys are texts, what has no JSON form is its text."""
    params = {
        "np": np.float64(0.1),
        "array": np.array([1, 2]),
        "nan": math.nan,
        "nested": {1: {"deep": (np.int64(1), None, {2})}},
        "path": Path("a/b"),
        "large": 2**70,
        "text": "ä\ud800",
        7: "seven",
    }
    with gimbal.run("params", params={"lr": np.float32(0.5)}, client=client) as run:
        run.log(params=params)  # type: ignore[arg-type]

    assert client.runs.show(run.id).params == {
        "lr": 0.5,
        "np": 0.1,
        "array": [1, 2],
        "nan": "NaN",
        "nested": {"1": {"deep": [1, None, [2]]}},
        "path": "a/b",
        "large": str(2**70),
        "text": "ä\\ud800",
        "7": "seven",
    }


def holds_itself() -> dict[str, object]:
    made: dict[str, object] = {}
    made["self"] = made
    return made


@pytest.mark.parametrize(
    ("given", "error", "where"),
    [
        ({"metrics": {"auc": None}}, BadInput, "metrics.auc"),
        ({"metrics": {"auc": "0.8"}}, BadInput, "metrics.auc"),
        ({"metrics": {"auc": 1j}}, BadInput, "metrics.auc"),
        ({"metrics": {"auc": [1.0, 2.0]}}, BadInput, "metrics.auc"),
        ({"metrics": {1: 0.8}}, BadInput, "metrics.1"),
        ({"metrics": {"": 0.8}}, BadInput, "metrics."),
        ({"metrics": {"x" * 251: 0.8}}, BadInput, "metrics.xxx"),
        ({"metrics": {"auc": 0.8}, "step": 1.5}, BadInput, "step"),
        ({"metrics": {"auc": 0.8}, "step": 2**62 + 1}, BadInput, "step"),
        ({"params": {"big": "x" * (MAX_PARAM_BYTES + 1)}}, TooLarge, "params.big"),
        ({"params": {"loop": holds_itself()}}, BadInput, "params.loop"),
        ({"params": {"p": 2}}, Conflict, "params.p"),
        ({"tags": {"note": "x" * (MAX_TAG_BYTES + 1)}}, TooLarge, "tags.note"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_is_logged(
    client: gimbal.Client, given: dict[str, object], error: type[gimbal.GimbalError], where: str
) -> None:
    """The error comes from the call itself, names the place, and takes nothing else with it."""
    with gimbal.run("refused", params={"p": 1}, environment=False, client=client) as run:
        with pytest.raises(error) as caught:
            run.log(**{"metrics": {"fine": 1}, "tags": {"fine": "yes"}, **given})  # type: ignore[arg-type]
        run.log({"after": 2.0})

    assert caught.value.where.startswith(where)
    assert caught.value.kept.startswith("nothing")
    kept = client.runs.show(run.id)
    assert (kept.status, kept.params, kept.tags, kept.metrics) == ("finished", {"p": 1}, {}, {"after": 2.0})


def test_what_the_server_refuses_is_raised_and_takes_nothing_else_with_it(client: gimbal.Client) -> None:
    """Another writer of the run set the parameter: the points of the same request are stored all the same."""
    run = gimbal.run("two writers", client=client)
    client.runs.log(run.id, params={"p": 1})
    run.log({"loss": 0.5}, params={"p": 2, "q": 3})

    with pytest.raises(Conflict) as caught:
        run.finish()

    assert caught.value.where == "params.p"
    assert caught.value.kept == "everything that was logged but p"
    kept = client.runs.show(run.id)
    assert (kept.status, kept.params, kept.metrics) == ("finished", {"p": 1, "q": 3}, {"loss": 0.5})
