"""A worker that is killed while it judges answers from outside: its next one judges what is left, and each is there once."""

import time
from pathlib import Path

import psutil
import pytest
from bench.bar import gimbal_up

import gimbal
from gimbal.axis.evals.answers import NOT_ANSWERED, RecordedAnswer
from gimbal.axis.evals.model import Example

EXAMPLES, ANSWERED, PART = 303, 300, 100
"""Of the suite; of them answered; so many are judged and stored together."""


def words(number: int) -> str:
    """Return a text that takes a scorer some milliseconds."""
    return " ".join(f"word{number * place % 97}" for place in range(1, 100))


def worker_of(pid: int) -> psutil.Process:
    """Return the worker of a Gimbal that `gimbal up` started."""
    (found,) = [one for one in psutil.Process(pid).children() if one.cmdline()[-1] == "worker"]
    return found


@pytest.mark.slow
def test_a_killed_judging_goes_on(tmp_path: Path) -> None:
    """What was judged and stored is not judged again, and no answer is lost or there twice."""
    examples = [Example(id=f"q{i}", input={"n": i}, expected={"answer": words(i)}) for i in range(EXAMPLES)]
    answers = [RecordedAnswer(example_id=f"q{i}", text=words(i), latency_ms=1.0) for i in range(ANSWERED)]
    with gimbal_up(tmp_path / "data") as up, gimbal.Client(up.url) as client:
        client.suites.create(name="words", examples=examples, scorers=["rouge", "exact_match"])
        version = client.functions.register(name="words", function="words", source="def words(): ...\n")
        run = client.evaluations.open(suite="suite:words", subject=str(version.ref), client="a test")
        client.evaluations.record(run.id, answers=answers)
        job_id = client.evaluations.finish(run.id).job_id or ""
        deadline = time.monotonic() + 60
        while client.jobs.show(job_id).done < PART:
            assert time.monotonic() < deadline, client.jobs.show(job_id)
            time.sleep(0.05)
        worker_of(up.process.pid).kill()
        cut = client.evaluations.results(run.id, limit=1000).items
        shown = client.evaluations.show(run.id)
        while (run := client.evaluations.show(run.id)).status == "running":
            assert time.monotonic() < deadline, run
            time.sleep(0.1)
        rows = client.evaluations.results(run.id, limit=1000).items
        job = client.jobs.show(job_id)

    before = sum(row.judged for row in cut)
    assert (shown.status, len(cut)) == ("running", ANSWERED)
    assert PART <= before < ANSWERED
    assert before % PART == 0, "a part is stored as a whole or not at all"
    assert (run.status, run.done, run.total) == ("done", EXAMPLES, EXAMPLES)
    assert [row.example_id for row in rows] == [one.id for one in examples]
    assert all(row.judged for row in rows)
    assert [row.text for row in rows[:ANSWERED]] == [one.text for one in answers]
    assert [row.error for row in rows[ANSWERED:]] == [NOT_ANSWERED] * (EXAMPLES - ANSWERED)
    for summary in run.summaries:
        assert (summary.estimate.value, summary.estimate.n) == (1.0, ANSWERED), summary.scorer
        assert summary.missing == {"error": EXAMPLES - ANSWERED}
    # The second attempt had only the rest to judge.
    assert (job.attempt, job.done, job.total) == (2, ANSWERED - before, ANSWERED - before)
