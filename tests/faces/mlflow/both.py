"""One run and two ways to it, for tests that ask our own interface and MLflow's the same."""

import itertools
from typing import Any

import httpx
from bench.bar import Running

NUMBERS = itertools.count()
INVALID = (400, "INVALID_PARAMETER_VALUE")
GONE = (404, "RESOURCE_DOES_NOT_EXIST")
NOBODY = "01a200fdda5d700f82c12f015bf6e62d"


class Both:
    """One run, and two ways to it."""

    def __init__(self, up: Running) -> None:
        self.http = httpx.Client(base_url=up.url, timeout=30)
        self.mlflow = "/api/2.0/mlflow"
        self.native = "/api/v1/projects/default"
        self.experiment = self.http.post(
            f"{self.mlflow}/experiments/create", json={"name": f"bad input {next(NUMBERS)}"}
        ).json()["experiment_id"]
        self.run = self.begin()

    def begin(self) -> str:
        return self.ask("runs/create", experiment_id=self.experiment, run_name="one").json()["run"]["info"]["run_id"]

    def ask(self, call: str, **body: Any) -> httpx.Response:
        return self.http.post(f"{self.mlflow}/{call}", json=body)

    def see(self, run: str | None = None) -> dict[str, Any]:
        return self.http.get(f"{self.mlflow}/runs/get", params={"run_id": run or self.run}).json()["run"]

    def told(self, reply: httpx.Response) -> tuple[int, str]:
        return reply.status_code, reply.json().get("error_code", "")

    def log(self, run: str | None = None, **body: Any) -> httpx.Response:
        return self.http.post(f"{self.native}/runs/{run or self.run}/log", json=body)

    def batch(self, **body: Any) -> tuple[int, str]:
        return self.told(self.ask("runs/log-batch", run_id=self.run, **body))


def metric(key: str = "m", value: Any = 1.0, timestamp: Any = 1, step: Any = 0) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": timestamp, "step": step}
