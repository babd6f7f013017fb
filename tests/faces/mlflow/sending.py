"""A trace as MLflow's clients send it, without a client: its spans, and what they say of all of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from tests.axis.traces import wire


def send(
    http: httpx.Client,
    trace: str,
    *,
    numbers: Sequence[int] = (1, 2),
    experiment: str = "0",
    attributes: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send spans of a trace; the first number is its root, the others are right beneath it."""
    said = attributes or {"mlflow.spanType": "CHAIN", "mlflow.spanInputs": {"a": 1}}
    spans = [wire.span(trace, number, None if number == 1 else 1, attributes=said) for number in numbers]
    told = {"content-type": wire.PROTOBUF, **(headers or {})}
    if experiment:
        told["x-mlflow-experiment-id"] = experiment
    http.post("/v1/traces", content=wire.request(*spans).SerializeToString(), headers=told).raise_for_status()


def begin(
    http: httpx.Client,
    trace: str,
    *,
    experiment: str = "0",
    tags: Mapping[str, str] | None = None,
    user: str = "",
    assessments: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Say what a client says of all of a trace; return the info that is answered."""
    info = {
        "trace_id": f"tr-{trace}",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
        "request_time": "2026-02-02T02:40:00.001Z",
        "execution_duration": "0.01s",
        "state": "OK",
        "tags": dict(tags or {}),
        "trace_metadata": {"mlflow.trace.user": user} if user else {},
        "assessments": list(assessments),
    }
    reply = http.post("/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}}, headers=dict(headers or {}))
    return reply.raise_for_status().json()["trace"]["trace_info"]
