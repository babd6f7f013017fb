"""Traces of MLflow's older clients: begun and ended by calls of version 2, their spans put beside them as a file."""

import json
from typing import Any

import httpx
import pytest
from bench.bar import Running
from tests.faces.mlflow.both import GONE, INVALID

V2, V3 = "/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces"
FILES = "/api/2.0/mlflow-artifacts/artifacts/0/traces"
BEGAN = 1_795_324_951_882


def attributes(trace: str) -> dict[str, str]:
    return {"mlflow.traceRequestId": json.dumps(trace), "mlflow.spanType": '"CHAIN"', "mlflow.spanInputs": '{"x": 1}'}


def old_file(trace: str) -> dict[str, Any]:
    """Return a file as mlflow 2.22 writes it."""
    common = {"status_code": "OK", "status_message": "", "attributes": attributes(trace), "events": []}
    times = {"start_time": BEGAN * 1_000_000, "end_time": (BEGAN + 20) * 1_000_000}
    names = {"span_id": "1f4500ab457c75bf", "trace_id": "a475711062961ff606810122ac25a9f8"}
    child = {"span_id": "0xd04e956012b2eea0", "trace_id": names["trace_id"]}
    event = {"name": "exception", "timestamp": BEGAN * 1_000_000, "attributes": {"exception.message": "no"}}
    return {
        "spans": [
            {"name": "f", "context": names, "parent_id": None, **common, **times},
            {"name": "g", "context": child, "parent_id": names["span_id"], **common, **times, "events": [event]},
        ],
        "request": '{"x": 1}',
        "response": "2",
    }


def new_file(trace: str) -> dict[str, Any]:
    """Return a file as mlflow 3.2 writes it."""
    root = {
        "trace_id": "pHVxEGKWH/YGgQEirCWp+A==", "span_id": "H0UAq0V8db8=", "parent_span_id": "", "name": "f",
        "start_time_unix_nano": BEGAN * 1_000_000, "end_time_unix_nano": (BEGAN + 20) * 1_000_000, "events": [],
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"}, "attributes": attributes(trace),
    }  # fmt: skip
    return {"spans": [root, {**root, "name": "g", "span_id": "0E6VYBKy7qA=", "parent_span_id": root["span_id"]}]}


@pytest.fixture
def http(up: Running) -> Any:
    with httpx.Client(base_url=up.url, timeout=60) as made:
        yield made


def begun(http: httpx.Client) -> str:
    body = {
        "experiment_id": "0",
        "timestamp_ms": BEGAN,
        "request_metadata": [{"key": "mlflow.traceInputs", "value": '{"x": 1}'}],
        "tags": [{"key": "mlflow.traceName", "value": "f"}],
    }
    info = http.post(V2, json=body).raise_for_status().json()["trace_info"]
    assert (info["status"], info["experiment_id"], info["timestamp_ms"]) == ("IN_PROGRESS", "0", BEGAN)
    assert "execution_time_ms" not in info
    return info["request_id"]


@pytest.mark.parametrize("written", [old_file, new_file])
def test_a_trace_of_an_older_client(http: httpx.Client, written: Any) -> None:
    """It begins, ends and is found as they ask for it; its file comes back as it was, and its spans are ours."""
    trace = begun(http)
    ended = {"timestamp_ms": BEGAN + 25, "status": "OK", "tags": [{"key": "team", "value": "search"}],
             "request_metadata": [{"key": "mlflow.traceOutputs", "value": "2"}]}  # fmt: skip
    info = http.patch(f"{V2}/{trace}", json=ended).raise_for_status().json()["trace_info"]
    assert (info["status"], info["execution_time_ms"]) == ("OK", 25)
    assert {"key": "team", "value": "search"} in info["tags"]
    assert {one["key"] for one in info["request_metadata"]} >= {"mlflow.traceInputs", "mlflow.traceOutputs"}
    content = json.dumps(written(trace)).encode()
    http.put(f"{FILES}/{trace}/artifacts/traces.json", content=content).raise_for_status()
    assert http.get(f"{FILES}/{trace}/artifacts/traces.json").content == content
    # In parts nobody would read it when it comes; MLflow's clients then send it in one piece.
    parts = http.post(
        f"{FILES.replace('/artifacts/', '/mpu/create/', 1)}/{trace}/artifacts",
        json={"path": "traces.json", "num_parts": 2},
    )
    assert (parts.status_code, "Multipart upload is not supported" in parts.text) == (400, True), parts.text
    assert http.get(f"{V2}/{trace}/info").json()["trace_info"]["execution_time_ms"] == 25
    asked = {"experiment_ids": "0", "filter": f"request_id = '{trace}'"}
    assert [one["request_id"] for one in http.get(V2, params=asked).json()["traces"]] == [trace]

    ours = http.get(f"/api/v1/projects/default/traces/{trace.removeprefix('tr-')}").raise_for_status().json()
    assert [(one["name"], one["kind"]) for one in ours["spans"]] == [("f", "chain"), ("g", "chain")]
    assert ours["spans"][1]["parent_id"] == ours["spans"][0]["span_id"] == "1f4500ab457c75bf"
    assert ours["spans"][0]["tags"] == ["team:search"]
    assert json.loads(ours["spans"][0]["input"]) == {"x": 1}
    whole = http.get(f"{V3}/get", params={"trace_id": trace}).json()["trace"]
    assert len(whole["spans"]) == 2
    assert whole["trace_info"]["execution_duration"] == "0.025s"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"spans": 1}', b'{"spans": [{}]}', b'{"spans": [{"context": {"span_id": "zz"}}]}']
)
def test_a_file_without_spans_is_told_of(http: httpx.Client, content: bytes) -> None:
    """The file is kept, and the client is told that there are no spans in it."""
    trace = begun(http)
    reply = http.put(f"{FILES}/{trace}/artifacts/traces.json", content=content)
    assert (reply.status_code, reply.json()["error_code"]) == INVALID
    assert http.get(f"{FILES}/{trace}/artifacts/traces.json").content == content
    assert http.get(f"/api/v1/projects/default/traces/{trace.removeprefix('tr-')}").status_code == 404


def test_what_cannot_begin_or_end(http: httpx.Client) -> None:
    """Without a time, in no experiment, with no such end."""
    trace = begun(http)
    for body, code in (
        ({"experiment_id": "0"}, INVALID),
        ({"experiment_id": "999999", "timestamp_ms": 1}, GONE),
        ({"timestamp_ms": 1}, INVALID),
    ):
        reply = http.post(V2, json=body)
        assert (reply.status_code, reply.json()["error_code"]) == code, body
    for body in ({"timestamp_ms": BEGAN, "status": "MAYBE"}, {"status": "OK"}):
        reply = http.patch(f"{V2}/{trace}", json=body)
        assert (reply.status_code, reply.json()["error_code"]) == INVALID, body
