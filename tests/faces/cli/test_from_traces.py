"""`gimbal suites from-traces` against a real server, and jobs followed from a terminal."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.faces.cli.conftest import Cli

import gimbal
from gimbal.engines.compute.model import Job, JobError, JobStatus
from gimbal.faces.cli.following import followed
from gimbal.kernel.errors import Conflict, DeadlineExceeded
from gimbal.kernel.ids import new_id

QUESTIONS = ("How do I move an alias?", "Who may delete a project?", "Write to ann@example.org, please.")


@pytest.fixture
def feature(client: gimbal.Client) -> str:
    """Record three questions under a feature of their own."""
    found = f"f{new_id()[-12:]}"
    for question in QUESTIONS:
        with gimbal.trace("asked", feature=found, client=client) as span:
            span.set(input=question, output="Yes.")
    gimbal.flush()
    return found


def test_a_suite_of_traces_is_followed_to_its_end(cli: Cli, client: gimbal.Client, feature: str) -> None:
    words = ("suites", "from-traces", "--name", f"cli/{feature}", "--feature", feature)

    dry = cli(*words, "--dry-run", "--json")
    made = cli(*words, "--scorer", "exact_match", "--scorer", '{"scorer": "rouge"}', "--by", "kind", "--answers")
    more = cli(*words, "--add")

    assert dry.code == 0, dry.err
    told = json.loads(dry.out)
    assert (told["ref"], told["examples"], told["replaced"], dry.err) == (None, 3, {"email": 1}, "")
    assert made.code == 0, made.err
    assert made.out.startswith(f"suite:cli/{feature}@v1: 3 examples, 3 with an expected answer")
    assert "/p/default/jobs/" in made.err
    assert "3 of 3 examples of 3 traces" in made.err
    assert "replaced: 1 email" in made.err
    version = client.assets.show(f"suite:cli/{feature}")
    assert [one if isinstance(one, str) else one["scorer"] for one in version.manifest["scorers"]] == [
        "exact_match",
        "rouge",
    ]
    assert more.code == 1
    assert "No example came of 3 traces: 3 present." in more.err


def test_what_cannot_be_meant_is_told_and_begins_nothing(cli: Cli, client: gimbal.Client) -> None:
    before = client.jobs.list(name="evals.from_traces").items

    bad = cli("suites", "from-traces", "--name", "cli/none", "--by", "colour")
    half = cli("suites", "from-traces", "--name", "cli/none", "--scorer", '{"scorer": ')

    assert (bad.code, half.code) == (1, 1)
    assert "Traces are not told apart by 'colour'" in bad.err
    assert "is no scorer" in half.err
    assert client.jobs.list(name="evals.from_traces").items == before


class Told:
    """A client whose job is as a test says, time after time."""

    def __init__(self, *jobs: Job | BaseException) -> None:
        self._left = list(jobs)
        self.project = "default"
        self.transport = SimpleNamespace(url="http://there")
        self.jobs = self

    def show(self, id_: str) -> Job:
        now = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        if isinstance(now, BaseException):
            raise now
        return now


def job(status: JobStatus, **more: Any) -> Job:
    now = datetime.now(UTC)
    return Job(
        id="j1", name="evals.thing", project="default", status=status, created_at=now, created_by="me", run_after=now, **more
    )  # fmt: skip


def test_ctrl_c_says_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    there = Told(job("queued"), job("running", done=3, total=4, message="versions"), KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        followed(cast("gimbal.Client", there), "j1", dict, quiet=False)

    told = capsys.readouterr().err.splitlines()
    assert told == [
        "http://there/p/default/jobs/j1",
        "3 of 4 versions",
        "The job goes on. `gimbal jobs show j1` shows it, `gimbal jobs cancel j1` ends it.",
    ]


def test_waiting_ends_with_the_result_or_says_why_there_is_none() -> None:
    why = JobError(code="bad_input", message="No example came.", todo="Ask for others.")
    done = Told(job("queued"), job("succeeded", result={"a": 1}))
    failed = Told(job("failed", error=why))
    stopped = Told(job("cancelled"))

    def waited(there: Told, **more: Any) -> dict[str, int]:
        return gimbal.wait("j1", dict[str, int], client=cast("gimbal.Client", there), **more)

    assert waited(done) == {"a": 1}
    with pytest.raises(Conflict, match=r"failed: No example came\.") as problem:
        waited(failed)
    assert problem.value.todo == "Ask for others."
    with pytest.raises(Conflict, match="was cancelled") as problem:
        waited(stopped)
    assert "gimbal jobs retry j1" in problem.value.todo
    with pytest.raises(DeadlineExceeded, match="running after 0 s"):
        waited(Told(job("running")), timeout=0)
