"""Runs that go on: by id, by name, by the environment; and the processes of one distributed job, which share one."""

import os
import subprocess
import sys

import pytest
from bench.bar import Running
from tests.faces.client.conftest import until_done
from tests.links import Cable

import gimbal
from gimbal.faces.client.run_ranks import Place, named_run, place, shared_run
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.ids import new_id


def test_a_run_goes_on_where_it_was(client: gimbal.Client) -> None:
    """Its status is running again, its error is gone, parameters stand, points are added."""
    with pytest.raises(ZeroDivisionError), gimbal.run("crashed", params={"lr": 0.1}, client=client) as first:  # noqa: PT012 - the block is what is tested
        first.log({"loss": 1.0}, step=0)
        raise ZeroDivisionError
    with gimbal.run(resume=first.id, client=client) as second:
        assert client.runs.show(first.id).status == "running"
        assert second.id == first.id
        assert second.name == "crashed"
        second.log({"loss": 0.5}, step=1)
        with pytest.raises(Conflict):
            second.log(params={"lr": 0.2})

    kept = client.runs.show(first.id)
    assert (kept.status, kept.error, kept.params) == ("finished", "", {"lr": 0.1})
    assert [point.value for point in client.runs.metric(first.id, "loss").items] == [1.0, 0.5]


def test_allow_starts_or_goes_on_and_must_only_goes_on(client: gimbal.Client) -> None:
    """Name and experiment are what a script knows of its run."""
    with pytest.raises(NotFound):
        gimbal.run("nightly", experiment="resumed", resume="must", client=client)
    with gimbal.run("nightly", experiment="resumed", resume="allow", params={"a": 1}, client=client) as first:
        pass
    with gimbal.run("nightly", experiment="resumed", resume="allow", params={"a": 1, "b": 2}, client=client) as second:
        pass
    with gimbal.run("nightly", experiment="resumed", resume="must", client=client) as third:
        pass
    with gimbal.run("nightly", experiment="other", resume="allow", client=client) as other:
        pass

    assert first.id == second.id == third.id != other.id
    assert client.runs.show(first.id).params == {"a": 1, "b": 2}
    with pytest.raises(BadInput, match="nothing to know the run by"):
        gimbal.run(resume="allow", client=client)
    with pytest.raises(BadInput, match="not an id"):
        gimbal.run(resume="sometimes", client=client)
    with pytest.raises(NotFound):
        gimbal.run(resume=new_id(), client=client)


def test_a_run_is_resumed_while_the_server_is_away(cable: Cable, client: gimbal.Client) -> None:
    """What it logs is added when the server is back."""
    with gimbal.run("away", environment=False, client=client) as first:
        first.log({"loss": 1.0}, step=0)
    far = gimbal.Client(cable.url, patience=0.2)
    cable.pull()
    with gimbal.run(resume=first.id, environment=False, client=far) as again:
        again.log({"loss": 0.5}, step=1)
    cable.plug()
    until_done(again.flush)

    assert [point.value for point in client.runs.metric(first.id, "loss").items] == [1.0, 0.5]
    assert client.runs.show(first.id).status == "finished"
    far.close()


PROGRAM = """
import gimbal, os
with gimbal.run("job", params={"lr": 0.1}, environment=False, system_s=0) as run:
    run.log({"loss": float(os.environ["RANK"])})
    run.log_of_rank({"memory": 1.0 + run.rank})
    print(run.id)
"""


@pytest.mark.parametrize("named", [{"TORCHELASTIC_RUN_ID": "42"}, {"LOCAL_WORLD_SIZE": "4"}, {"GIMBAL_RUN_ID": ""}])
def test_four_processes_of_a_job_are_one_run(up: Running, client: gimbal.Client, named: dict[str, str]) -> None:
    """Rank 0 logs; the others add what is theirs under their rank, and only rank 0 ends the run."""
    named = {name: value or new_id() for name, value in named.items()}
    if "TORCHELASTIC_RUN_ID" in named:
        named["TORCHELASTIC_RUN_ID"] = new_id()
    base = {"GIMBAL_URL": up.url, "PATH": "", "WORLD_SIZE": "4", **named}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env={**base, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(4)
    ]
    ids = {program.communicate(timeout=90)[0].strip() for program in programs}

    assert [program.returncode for program in programs] == [0] * 4
    (run_id,) = ids
    kept = client.runs.show(run_id)
    assert kept.status == "finished"
    assert kept.metrics == {
        "loss": 0.0,
        "memory": 1.0,
        "rank/1/memory": 2.0,
        "rank/2/memory": 3.0,
        "rank/3/memory": 4.0,
    }


def test_places_are_read_as_launchers_tell_them() -> None:
    """What cannot be is no place; a job that nothing names shares nothing; each run of a job is another."""
    assert place({}) == Place(0, 1)
    assert place({"RANK": "3", "WORLD_SIZE": "8"}) == Place(3, 8)
    assert place({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}) == Place(1, 2)
    assert place({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}) == Place(1, 2)
    assert place({"RANK": "x", "WORLD_SIZE": "8"}) == Place(0, 1)
    assert place({"RANK": "8", "WORLD_SIZE": "8"}) == Place(0, 1)
    job = {"RANK": "1", "WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "a"}
    assert shared_run(0, job) == shared_run(0, {**job, "RANK": "0"}) != shared_run(1, job)
    assert shared_run(0, {"RANK": "1", "WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "none"}) == ""
    assert shared_run(0, {}) == ""
    with pytest.raises(BadInput):
        named_run({"GIMBAL_RUN_ID": "../../etc"})
    assert named_run(dict(os.environ)) == ""
