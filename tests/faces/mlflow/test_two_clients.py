"""Several clients on one run, by our own interface and by MLflow's: what was acknowledged is there, and nothing else."""

import concurrent.futures
import math
import threading
from typing import Any, Self

import httpx
import pytest
from tests.faces.mlflow.both import INVALID, Both, metric


def test_two_clients_on_one_run(both: Both) -> None:
    """One value of a parameter wins and the others are refused; every point that was acknowledged is there."""

    def write(at: int) -> tuple[int, int]:
        with httpx.Client(base_url=both.http.base_url, timeout=60) as own:
            asked = {"run_id": both.run, "key": "p", "value": str(at)}
            param = own.post(f"{both.mlflow}/runs/log-parameter", json=asked).status_code
            points = [metric("m", at * 1000 + i, 5, i) for i in range(50)]
            body = {"run_id": both.run, "metrics": points, "tags": [{"key": "t", "value": str(at)}]}
            return param, own.post(f"{both.mlflow}/runs/log-batch", json=body).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(8)))

    assert sorted(param for param, _ in answers) == [200] + [400] * 7
    assert {batch for _, batch in answers} == {200}
    asked = {"run_id": both.run, "metric_key": "m"}
    points = both.http.get(f"{both.mlflow}/metrics/get-history", params=asked).json()["metrics"]
    assert {one["value"] for one in points} == {float(at * 1000 + i) for at in range(8) for i in range(50)}
    assert len(points) == 400
    assert math.isclose(both.see()["data"]["metrics"][0]["value"], 7049.0)


class Writer:
    """Logs one point after the other in a thread of its own, by one interface, and notes how each was answered."""

    def __init__(self, both: Both, face: str, key: str) -> None:
        self._both, self._face, self._key = both, face, key
        self.answers: list[tuple[int, str]] = []
        self.told = threading.Event()
        """Set after each answer."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait(5)
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def wait(self, more: int) -> None:
        """Wait for so many more answers."""
        until = len(self.answers) + more
        while len(self.answers) < until:
            self.told.clear()
            assert self.told.wait(30)

    def acknowledged(self) -> list[float]:
        """Return the values that were answered as stored."""
        return [float(at) for at, (status, _) in enumerate(self.answers) if status == 200]

    def _write(self) -> None:
        with httpx.Client(base_url=self._both.http.base_url, timeout=60) as own:
            while not self._stop.is_set():
                self.answers.append(self._one(own, len(self.answers)))
                self.told.set()

    def _one(self, own: httpx.Client, at: int) -> tuple[int, str]:
        both = self._both
        if self._face == "mlflow":
            body: dict[str, Any] = {"run_id": both.run, "metrics": [metric(self._key, at, 5, at)]}
            return both.told(own.post(f"{both.mlflow}/runs/log-batch", json=body))
        point = {"name": self._key, "value": at, "step": at}
        reply = own.post(f"{both.native}/runs/{both.run}/log", json={"metrics": [point]})
        return reply.status_code, reply.json().get("error", {}).get("code", "")


def stored(both: Both, key: str) -> list[float]:
    """Return the values of a metric, in order."""
    asked = {"run_id": both.run, "metric_key": key}
    points = both.http.get(f"{both.mlflow}/metrics/get-history", params=asked).json()["metrics"]
    return sorted(one["value"] for one in points)


@pytest.mark.parametrize("face", ["mlflow", "native"])
def test_one_ends_the_run_while_another_logs(both: Both, face: str) -> None:
    """Points may come after the end, as MLflow has it: all are kept, and the run stays ended."""
    with Writer(both, face, "m") as writer:
        if face == "mlflow":
            assert both.ask("runs/update", run_id=both.run, status="FINISHED", end_time=5000).status_code == 200
        else:
            assert both.http.post(f"{both.native}/runs/{both.run}/finish", json={}).status_code == 200
        writer.wait(10)

    assert {status for status, _ in writer.answers} == {200}
    assert stored(both, "m") == writer.acknowledged()
    info = both.see()["info"]
    assert info["status"] == "FINISHED"
    assert info["end_time"] == 5000 or face == "native"


@pytest.mark.parametrize("face", ["mlflow", "native"])
def test_one_deletes_the_run_while_another_logs(both: Both, face: str) -> None:
    """Until then points are kept, from then on they are refused; the run comes back with those that were kept."""
    with Writer(both, face, "m") as writer:
        if face == "mlflow":
            assert both.ask("runs/delete", run_id=both.run).status_code == 200
        else:
            assert both.http.delete(f"{both.native}/runs/{both.run}").status_code == 200
        # The one that was on its way meanwhile went either way.
        since = len(writer.answers) + 1
        writer.wait(10)

    refused = INVALID if face == "mlflow" else (409, "not_ready")
    assert set(writer.answers[since:]) == {refused}
    assert {status for status, _ in writer.answers[: since - 1]} <= {200, refused[0]}
    assert both.ask("runs/restore", run_id=both.run).status_code == 200
    assert stored(both, "m") == writer.acknowledged()
    assert len(writer.acknowledged()) >= 5


def test_the_experiment_goes_while_another_logs(both: Both) -> None:
    """Its runs go with it, and come back with it with every point that was acknowledged."""
    with Writer(both, "mlflow", "m") as writer:
        assert both.ask("experiments/delete", experiment_id=both.experiment).status_code == 200
        writer.wait(10)
    assert both.ask("experiments/restore", experiment_id=both.experiment).status_code == 200

    assert {answer[0] for answer in writer.answers} <= {200, 400}
    assert stored(both, "m") == writer.acknowledged()


def test_two_that_end_and_resume_the_run(both: Both) -> None:
    """The last word counts, whoever says it; no answer is a failure of the server."""

    def end(at: int) -> int:
        with httpx.Client(base_url=both.http.base_url, timeout=60) as own:
            word = ("FINISHED", "FAILED", "RUNNING", "KILLED")[at % 4]
            body = {"run_id": both.run, "status": word, "end_time": None if word == "RUNNING" else 5000 + at}
            return own.post(f"{both.mlflow}/runs/update", json=body).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(end, range(40))) == {200}
    assert both.ask("runs/update", run_id=both.run, status="FAILED", end_time=9000).status_code == 200
    info = both.see()["info"]
    assert (info["status"], info["end_time"]) == ("FAILED", 9000)
