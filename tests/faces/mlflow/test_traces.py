"""MLflow's tracing against our server: its clients as they are, and what Gimbal makes of what they send."""

import asyncio
import itertools
import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.bar import Running, gimbal_up
from tests.axis.traces import wire
from tests.faces.mlflow.conftest import SCRIPTS
from tests.faces.mlflow.sending import begin, send
from tests.mlflow_clients import MlflowClient
from tests.upstreams import Upstream, serve

import gimbal

NUMBERS = itertools.count()
V2, V3 = "/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces"
FILES = "/api/2.0/mlflow-artifacts/artifacts/0/traces"


@pytest.fixture
def http(up: Running) -> Any:
    """Ask both interfaces."""
    with httpx.Client(base_url=up.url, timeout=60) as made:
        yield made


def native(http: httpx.Client, path: str, **asked: Any) -> Any:
    return http.get(f"/api/v1/projects/default/{path}", params=asked).raise_for_status().json()


@pytest.mark.parametrize("story", ["traces", "assessments", "trace_search"])
def test_a_story_goes_as_with_mlflows_own_server(each_client: MlflowClient, up: Running, story: str) -> None:
    """The script asserts what it sees; it ends well with each client."""
    assert each_client.run(SCRIPTS / f"{story}.py", up.url, f"{story} {next(NUMBERS)}").endswith("ok\n")


def test_what_was_traced_is_a_trace_like_all_others(
    mlflow_client: MlflowClient, up: Running, http: httpx.Client
) -> None:
    """Sent span by span: its session, user, tags, tokens, cost and the prompt that it used are ours, and found by."""
    name = f"ours {next(NUMBERS)}"
    printed = mlflow_client.run(SCRIPTS / "traces.py", up.url, name, MLFLOW_ENABLE_ASYNC_TRACE_LOGGING="false")
    trace_id, run_id, prompt = printed.split("\n")[-3].split()
    trace = native(http, f"traces/{trace_id.removeprefix('tr-')}")
    assert trace["summary"]["session_id"] == "s-1"
    assert trace["summary"]["user_id"] == "ann"
    assert (trace["summary"]["input_tokens"], trace["summary"]["output_tokens"]) == (12, 3)
    assert Decimal(trace["summary"]["cost"]) > 0
    root = next(span for span in trace["spans"] if not span.get("parent_id"))
    assert set(root["tags"]) == {"team:support", "reviewed:yes"}
    assert root["refs"] == [f"prompt:{prompt}@v1"]
    assert root["attributes"]["mlflow.sourceRun"] == run_id
    for asked in (
        {"tag": "team:support"},
        {"user": "ann"},
        {"ref": root["refs"][0]},
        {"attribute": f"mlflow.sourceRun:{run_id}"},
    ):
        found = [one["trace_id"] for one in native(http, "traces", **asked)["items"]]
        assert trace["summary"]["trace_id"] in found, asked
    page = http.get(f"/p/default/traces/{trace['summary']['trace_id']}").text
    for shown in ("ann", "s-1", "team:support", "gpt-4o-mini", root["refs"][0]):
        assert shown in page, shown


def test_assessments_are_scores_and_scores_are_assessments(
    mlflow_client: MlflowClient, up: Running, http: httpx.Client, client: gimbal.Client
) -> None:
    """What MLflow's clients said of a trace is on its page; what was said by our own is read by theirs."""
    printed = mlflow_client.run(SCRIPTS / "assessments.py", up.url, f"judged {next(NUMBERS)}")
    trace_id, span_id = printed.split("\n")[-3].split()
    own = trace_id.removeprefix("tr-")
    scores = {one["name"]: one for one in native(http, "scores", target_id=own)["items"]}
    assert (scores["yes"]["value"], scores["yes"]["label"]) == (1.0, "true")
    assert (scores["score"]["value"], scores["score"]["source"], scores["score"]["author"]) == (
        0.25, "human", "ann@example.org",
    )  # fmt: skip
    assert (scores["word"]["value"], scores["word"]["label"], scores["word"]["explanation"]) == (
        None,
        "rude",
        "why word",
    )
    assert (scores["broken"]["value"], scores["broken"]["missing"], scores["broken"]["source"]) == (
        None, "RATE_LIMIT", "judge",
    )  # fmt: skip
    assert (scores["text"]["value"], scores["text"]["label"]) == (None, "On Tuesday.")
    assert native(http, "scores", target_kind="span", target_id=span_id)["items"][0]["label"] == "no"
    page = http.get(f"/p/default/traces/{own}").text
    assert "why word" in page
    assert "RATE_LIMIT" in page
    new = {
        "target_kind": "trace",
        "target_id": own,
        "name": "ours",
        "value": 0.75,
        "explanation": "by us",
        "source": "judge",
    }
    made = http.post("/api/v1/projects/default/scores", json={"scores": [new]}).raise_for_status().json()[0]
    shown = http.get(f"{V3}/{trace_id}").json()["trace"]["trace_info"]["assessments"]
    ours = next(one for one in shown if one["assessment_name"] == "ours")
    assert ours["assessment_id"] == f"a-{made['id'].replace('-', '')}"
    assert ours["feedback"] == {"value": 0.75}
    assert ours["source"]["source_type"] == "LLM_JUDGE"
    assert ours["rationale"] == "by us"


async def test_autologged_calls_are_in_their_session(mlflow_client: MlflowClient, up: Running) -> None:
    """The OpenAI client under `mlflow.openai.autolog`: plain, streamed and at once."""
    async with serve(Upstream()) as upstream:
        args = (SCRIPTS / "trace_openai.py", up.url, f"openai {next(NUMBERS)}", upstream)
        printed = await asyncio.to_thread(mlflow_client.run, *args)
    trace_id = printed.split("\n")[-3].removeprefix("tr-")
    async with httpx.AsyncClient(base_url=up.url, timeout=60) as http:
        asked = {"session": "talk-1", "tag": "team:search"}
        found = (await http.get("/api/v1/projects/default/traces", params=asked)).json()["items"]
    assert [(one["trace_id"], one["user_id"], one["input_tokens"]) for one in found] == [(trace_id, "ann", 21)]


def test_whichever_comes_first_of_a_trace_and_its_spans(http: httpx.Client) -> None:
    """What is said of a trace is on its root, and its spans are in its experiment, in both orders."""
    for spans_first in (True, False):
        trace = f"{0xABC0 + spans_first + 10 * next(NUMBERS):032x}"
        steps = [lambda t=trace: send(http, t), lambda t=trace: begin(http, t, tags={"team": "search"}, user="bob")]
        for step in steps if spans_first else reversed(steps):
            step()
        info = http.get(f"{V3}/tr-{trace}").json()["trace"]["trace_info"]
        assert info["state"] == "OK"
        assert info["trace_metadata"]["mlflow.trace.user"] == "bob"
        summary = native(http, f"traces/{trace}")["summary"]
        assert summary["user_id"] == "bob", spans_first
        assert trace in [one["trace_id"] for one in native(http, "traces", tag="team:search", user="bob")["items"]]


def test_a_trace_is_in_progress_until_its_root_has_come(http: httpx.Client) -> None:
    """Spans that were sent alone tell of a trace that goes on; nobody has to say that it began."""
    trace = f"{0xDEF0 + next(NUMBERS):032x}"
    send(http, trace, numbers=(2,))
    assert http.get(f"{V3}/tr-{trace}").json()["trace"]["trace_info"]["state"] == "IN_PROGRESS"
    send(http, trace, numbers=(1,))
    info = http.get(f"{V3}/tr-{trace}").json()["trace"]["trace_info"]
    assert (info["state"], info["execution_duration"]) == ("OK", "0.010s")


def test_traces_of_others_are_in_the_default_experiment(http: httpx.Client) -> None:
    """What came by OTLP without a word of MLflow is read by its clients, with inputs, outputs and types."""
    trace = f"{0xFED0 + next(NUMBERS):032x}"
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.provider.name": "openai",
            "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 2,
            "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hello"}]}]'}  # fmt: skip
    send(http, trace, numbers=(1,), experiment="", attributes=chat)
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    asked = {"locations": [place], "filter": f"request_id = 'tr-{trace}'"}
    (info,) = http.post(f"{V3}/search", json=asked).raise_for_status().json()["traces"]
    assert info["trace_location"] == place
    assert '"total_tokens":9' in info["trace_metadata"]["mlflow.trace.tokenUsage"]
    (span,) = http.get(f"{V3}/get", params={"trace_id": f"tr-{trace}"}).json()["trace"]["spans"]
    said = {one["key"]: one["value"] for one in span["attributes"]}
    assert said["mlflow.spanType"] == {"string_value": "LLM"}
    assert "Hello" in str(said["mlflow.spanInputs"])


def test_long_values_come_back_whole(http: httpx.Client) -> None:
    """What was too long for a span and went to the blobs is in what MLflow's clients read."""
    trace = f"{0xAFA0 + next(NUMBERS):032x}"
    long = "tomato " * 40_000
    send(http, trace, numbers=(1,), attributes={"mlflow.spanType": "CHAIN", "mlflow.spanOutputs": long})
    (span,) = http.get(f"{V3}/get", params={"trace_id": f"tr-{trace}"}).json()["trace"]["spans"]
    said = {one["key"]: one["value"] for one in span["attributes"]}
    assert said["mlflow.spanOutputs"] == {"string_value": long}


def test_sampling_and_redaction_hold_for_what_is_said_of_traces(http: httpx.Client) -> None:
    """What is left out is not kept by what is said of it; addresses in tags are masked before they are stored."""
    slug = f"policies-{next(NUMBERS)}"
    http.post("/api/v1/projects", json={"slug": slug}).raise_for_status()
    there = {"X-MLFLOW-WORKSPACE": slug}
    http.put(f"/api/v1/projects/{slug}/redaction", json={"detectors": ["contact"]}).raise_for_status()
    trace = "f" * 31 + "1"
    send(http, trace, headers=there)
    begin(http, trace, tags={"by": "ann@example.org"}, headers=there)
    tags = http.get(f"{V3}/tr-{trace}", headers=there).json()["trace"]["trace_info"]["tags"]
    assert "ann@example.org" not in str(tags)
    assert tags["by"]
    http.put(f"/api/v1/projects/{slug}/traces/sampling", json={"head_rate": 0.000001}).raise_for_status()
    place = f"{FILES}/tr-{trace}/artifacts/traces.json"
    span = {
        "name": "f", "context": {"span_id": "0x1"}, "parent_id": None, "status_code": "OK", "start_time": 1, "end_time": 2,
        "attributes": {"mlflow.spanInputs": '"from ann@example.org"'},
    }  # fmt: skip
    http.put(place, json={"spans": [span]}, headers=there).raise_for_status()
    seen = http.get(place, headers=there)
    assert "ann@example.org" not in seen.text
    assert seen.json()["spans"][0]["name"] == "f"
    source = {"source_type": "HUMAN", "source_id": "ann@example.org"}
    given = {"assessment_name": "good", "source": source, "feedback": {"value": True}}
    http.post(f"{V3}/tr-{trace}/assessments", json={"assessment": given}, headers=there).raise_for_status()
    assert "ann@example.org" not in http.get(f"/api/v1/projects/{slug}/scores").raise_for_status().text
    left_out = "0" * 31 + "2"
    assert begin(http, left_out, headers=there)["tags"]["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert http.get(f"{V3}/tr-{left_out}", headers=there).status_code == 404
    # The spans went to the project that the workspace names.
    assert http.get(f"{V3}/tr-{trace}").status_code == 404
    # A client of version 2 is told what it goes on by; nothing of it is kept either.
    new = {"experiment_id": "0", "timestamp_ms": 5, "tags": [{"key": "a", "value": "b"}]}
    begun = http.post(V2, json=new, headers=there).raise_for_status().json()["trace_info"]
    own = begun["request_id"]
    assert {"a": "b", "mlflow.artifactLocation": f"mlflow-artifacts:/0/traces/{own}/artifacts"}.items() <= {
        one["key"]: one["value"] for one in begun["tags"]
    }.items()
    place = f"{FILES}/{own}/artifacts/traces.json"
    http.put(place, json={"spans": [span]}, headers=there).raise_for_status()
    ended = http.patch(f"{V2}/{own}", json={"timestamp_ms": 7, "status": "ERROR"}, headers=there)
    assert ended.raise_for_status().json()["trace_info"]["status"] == "ERROR"
    assert http.get(place, headers=there).status_code == http.get(f"{V3}/{own}", headers=there).status_code == 404


def test_deleted_traces_are_proved_and_a_hold_keeps_them(http: httpx.Client) -> None:
    """Spans, scores and what was said go together; nothing goes under a legal hold."""
    slug = f"deleting-{next(NUMBERS)}"
    http.post("/api/v1/projects", json={"slug": slug}).raise_for_status()
    there = {"X-MLFLOW-WORKSPACE": slug}
    traces = ["a" * 31 + "1", "a" * 31 + "2"]
    for trace in traces:
        send(http, trace, headers=there)
        begin(http, trace, tags={"a": "b"}, headers=there)
        new = {"target_kind": "trace", "target_id": trace, "name": "good", "value": 1.0}
        http.post(f"/api/v1/projects/{slug}/scores", json={"scores": [new]}).raise_for_status()
        http.put(f"{FILES}/tr-{trace}/artifacts/a.png", content=b"png", headers=there).raise_for_status()
    hold = {"hold": True, "hold_reason": "a case"}
    http.put(f"/api/v1/projects/{slug}/retention", json=hold).raise_for_status()
    body = {"experiment_id": "0", "request_ids": [f"tr-{traces[0]}"]}
    refused = http.post(f"{V3}/delete-traces", json=body, headers=there)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    (judged,) = http.get(f"{V3}/tr-{traces[1]}", headers=there).json()["trace"]["trace_info"]["assessments"]
    one = f"{V3}/tr-{traces[1]}/assessments/{judged['assessment_id']}"
    assert http.delete(one, headers=there).status_code == 400
    changed = {"assessment": {"rationale": "not good at all"}, "update_mask": "rationale"}
    assert http.patch(one, json=changed, headers=there).status_code == 400
    assert http.get(one, headers=there).raise_for_status().json()["assessment"].get("rationale", "") == ""
    http.put(f"/api/v1/projects/{slug}/retention", json={"hold": False}).raise_for_status()
    done = http.post(f"{V3}/delete-traces", json=body, headers=there)
    assert done.json() == {"traces_deleted": 1}
    left = http.get(f"/api/v1/projects/{slug}/scores").json()["items"]
    assert [one["target_id"] for one in left] == [traces[1]]
    assert http.get(f"/api/v1/projects/{slug}/traces/{traces[0]}").status_code == 404
    assert http.get(f"/api/v1/projects/{slug}/traces/{traces[1]}").status_code == 200
    http.delete(one, headers=there).raise_for_status()
    assert http.get(one, headers=there).status_code == 404
    (noted,) = http.get(f"/api/v1/projects/{slug}/audit", params={"action": "scores.delete"}).json()["items"]
    assert (noted["details"]["trace_id"], noted["details"]["name"]) == (traces[1], "good")
    files = [http.get(f"{FILES}/tr-{trace}/artifacts/a.png", headers=there).status_code for trace in traces]
    assert files == [404, 200]
    (proof,) = http.get(f"/api/v1/projects/{slug}/retention/proofs").json()["items"]
    assert (proof["kind"], proof["subject"]) == ("traces", "1 traces")
    assert {one["table"]: one["rows_after"] for one in proof["tables"]} == {"spans": 0, "scores": 0, "trace_facts": 0}


def test_senders_do_not_say_where_things_are(http: httpx.Client) -> None:
    """Tags that come with spans are such as may be set, and none of ours."""
    trace = f"{0xBABA0 + next(NUMBERS):032x}"
    tags = {
        "mlflow.artifactLocation": "s3://theirs",
        "mlflow.trace.spansLocation": "ELSEWHERE",
        "k" * 251: "v",
        "a": "b",
    }
    send(http, trace, attributes={f"mlflow.traceTag.{name}": value for name, value in tags.items()})
    found = http.get(f"{V3}/tr-{trace}").json()["trace"]["trace_info"]["tags"]
    assert found == {
        "mlflow.traceName": "step",
        "mlflow.artifactLocation": f"mlflow-artifacts:/0/traces/tr-{trace}/artifacts",
        "mlflow.trace.spansLocation": "TRACKING_STORE",
        "a": "b",
    }


def test_what_one_assessment_says_is_not_changed_by_others_or_by_the_way(http: httpx.Client) -> None:
    """Nulls in a value, a word beside a number, a rationale that is none: an update changes what it names."""
    trace = f"{0xDADA0 + next(NUMBERS):032x}"
    send(http, trace)
    ones = f"{V3}/tr-{trace}/assessments"
    source = {"source_type": "HUMAN", "source_id": "ann"}

    def changed(name: str, mask: str, **said: Any) -> dict[str, Any]:
        asked = {"assessment": said, "update_mask": mask}
        return http.patch(f"{ones}/{name}", json=asked).raise_for_status().json()["assessment"]

    value = {"a": None, "b": [None, {"c": None}]}
    given = {"assessment_name": "map", "source": source, "feedback": {"value": value, "error": None}}
    made = http.post(ones, json={"assessment": given}).raise_for_status().json()["assessment"]
    assert made["feedback"] == {"value": value}
    assert changed(made["assessment_id"], "rationale", rationale="why")["feedback"] == {"value": value}

    error = {"error_code": "LIMIT", "error_message": "too many calls"}
    given = {"assessment_name": "broken", "source": source, "feedback": {"error": error}}
    made = http.post(ones, json={"assessment": given}).raise_for_status().json()["assessment"]
    assert "rationale" not in changed(made["assessment_id"], "feedback", feedback={"value": 1})

    new = {
        "target_kind": "trace",
        "target_id": trace,
        "name": "ours",
        "value": 0.75,
        "label": "good",
        "metadata": {"a": [1]},
    }
    own = http.post("/api/v1/projects/default/scores", json={"scores": [new]}).raise_for_status().json()[0]["id"]
    assert changed(f"a-{own}", "rationale", rationale="why")["rationale"] == "why"
    seen = next(one for one in native(http, "scores", target_id=trace)["items"] if one["id"] == own)
    assert (seen["value"], seen["label"], seen["metadata"]["a"]) == (0.75, "good", [1])
    changed(f"a-{own}", "feedback", feedback={"value": 0.5})
    seen = next(one for one in native(http, "scores", target_id=trace)["items"] if one["id"] == own)
    assert (seen["value"], seen["label"]) == (0.5, "")


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    """A trace, a tag, and feedback are there after SIGKILL right behind the answer."""
    trace = wire.trace_id()
    with gimbal_up(tmp_path / "data") as running, httpx.Client(base_url=running.url, timeout=60) as http:
        send(http, trace)
        begin(http, trace, tags={"a": "b"})
        http.patch(f"/api/2.0/mlflow/traces/tr-{trace}/tags", json={"key": "a", "value": "c"}).raise_for_status()
        source = {"source_type": "HUMAN", "source_id": "ann"}
        given = {"assessment_name": "good", "source": source, "feedback": {"value": True}}
        http.post(f"{V3}/tr-{trace}/assessments", json={"assessment": given}).raise_for_status()
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(30)
    with gimbal_up(tmp_path / "data") as running, httpx.Client(base_url=running.url, timeout=60) as http:
        info = http.get(f"{V3}/tr-{trace}").raise_for_status().json()["trace"]["trace_info"]
        assert info["tags"]["a"] == "c"
        assert [one["feedback"] for one in info["assessments"]] == [{"value": True}]
        assert native(http, f"traces/{trace}")["spans"][0]["tags"] == ["a:c"]
