"""What clients may get wrong of traces: each is refused with the status and the code of MLflow, and nothing is kept."""

import concurrent.futures
import itertools
from typing import Any

import httpx
import pytest
from bench.bar import Running
from tests.axis.traces import wire
from tests.faces.mlflow.both import GONE, INVALID
from tests.faces.mlflow.sending import begin, send

V2, V3 = "/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces"
NUMBERS = itertools.count()
NONE = f"tr-{'0' * 31}1"
PLACE = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
INFO = {"trace_id": NONE, "trace_location": PLACE, "request_time": "2026-02-02T02:40:00Z", "state": "OK"}
SOURCE = {"source_type": "HUMAN", "source_id": "ann"}


@pytest.fixture
def http(up: Running) -> Any:
    with httpx.Client(base_url=up.url, timeout=60) as made:
        yield made


@pytest.fixture
def trace(http: httpx.Client) -> str:
    """Give a trace that is there."""
    made = f"{0xBAD000 + next(NUMBERS):032x}"
    send(http, made)
    begin(http, made, tags={"a": "b"})
    return f"tr-{made}"


def told(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error_code"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"trace_id": "none"}, INVALID),
        ({"trace_id": ""}, INVALID),
        ({"trace_id": "tr-" + "0" * 32}, INVALID),
        ({"trace_location": {}}, INVALID),
        ({"trace_location": {"type": "INFERENCE_TABLE"}}, INVALID),
        ({"trace_location": {"mlflow_experiment": {"experiment_id": "x"}}}, INVALID),
        ({"trace_location": {"mlflow_experiment": {"experiment_id": "999999"}}}, GONE),
        ({"request_time": None}, INVALID),
        ({"request_time": "yesterday"}, INVALID),
        ({"execution_duration": "long"}, INVALID),
        ({"execution_duration": "nans"}, INVALID),
        ({"state": "MAYBE"}, INVALID),
        ({"tags": {"k" * 251: "v"}}, INVALID),
        ({"tags": {"": "v"}}, INVALID),
        ({"tags": {f"k{at}": "v" for at in range(1001)}}, INVALID),
        ({"tags": {"a": 1, "b": []}}, INVALID),
        ({"trace_metadata": {"k": "v" * 100_001}}, INVALID),
        ({"trace_metadata": {"mlflow.trace.user": "u" * 251}}, INVALID),
        ({"assessments": [{"assessment_name": "a", "create_time": "then"}]}, INVALID),
    ],
)
def test_a_trace_that_cannot_be_is_not_kept(http: httpx.Client, changes: dict[str, Any], code: tuple[int, str]) -> None:
    """Ids, experiments, times, tags and metadata are looked at before anything is stored."""
    info = {name: value for name, value in {**INFO, **changes}.items() if value is not None}
    assert told(http.post(V3, json={"trace": {"trace_info": info}})) == code
    assert told(http.get(f"{V3}/{NONE}")) == GONE


@pytest.mark.parametrize("name", ["a@b", "team#1", "a,b", "a//b", "x/", "..", "\u00fc", "k" * 250])
def test_tags_and_metadata_have_any_names(http: httpx.Client, trace: str, name: str) -> None:
    """As in MLflow's own store; one odd name keeps no trace away."""
    said = {**INFO, "trace_id": trace, "tags": {name: "v"}, "trace_metadata": {name: "m"}}
    info = http.post(V3, json={"trace": {"trace_info": said}}).raise_for_status().json()["trace"]["trace_info"]
    assert (info["tags"][name], info["trace_metadata"][name]) == ("v", "m")
    http.patch(f"{V3}/{trace}/tags", json={"key": name, "value": "w"}).raise_for_status()
    assert http.get(f"{V3}/{trace}").json()["trace"]["trace_info"]["tags"][name] == "w"


def feedback(name: str, **more: Any) -> dict[str, Any]:
    return {
        "assessment_name": name,
        "source": SOURCE,
        "create_time": INFO["request_time"],
        "feedback": {"value": 1},
    } | more


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"assessment_name": "a"}, INVALID),
        ({"assessment_name": "", "feedback": {"value": 1}}, INVALID),
        (feedback("a", rationale="r" * 100_001), INVALID),
        (feedback("a", assessment_id="none"), GONE),
        (feedback("a", overrides="a-" + "1" * 32), GONE),
    ],
)
def test_one_wrong_assessment_keeps_nothing_else_away(
    http: httpx.Client, trace: str, wrong: dict[str, Any], code: tuple[int, str]
) -> None:
    """The trace and its other assessments are kept, and the sender is told; when it comes again they are there once."""
    good = [feedback("n" * 250, rationale="r" * 50_000), feedback("twice"), feedback("twice")]
    said = {**INFO, "trace_id": trace, "tags": {"new": "v"}, "assessments": [wrong, *good]}
    for _ in range(2):
        reply = http.post(V3, json={"trace": {"trace_info": said}})
        assert told(reply) == code
        assert reply.json()["error"]["kept"] == "the trace, and 3 of its 4 assessments"
    info = http.get(f"{V3}/{trace}").json()["trace"]["trace_info"]
    assert info["tags"]["new"] == "v"
    assert sorted(one["assessment_name"] for one in info["assessments"]) == ["n" * 250, "twice", "twice"]


def test_an_assessment_takes_no_other_scores_place(http: httpx.Client, trace: str) -> None:
    """An id that a sender chose is new, or of that same assessment; where we choose it, theirs does not count."""
    new = {"target_kind": "trace", "target_id": "5" * 32, "name": "a", "value": 1.0}
    own = http.post("/api/v1/projects/default/scores", json={"scores": [new]}).raise_for_status().json()[0]["id"]
    given = feedback("a", assessment_id=f"a-{own}")
    assert (
        told(http.post(V3, json={"trace": {"trace_info": {**INFO, "trace_id": trace, "assessments": [given]}}}))
        == INVALID
    )
    made = http.post(f"{V3}/{trace}/assessments", json={"assessment": given}).raise_for_status().json()["assessment"]
    assert made["assessment_id"] != f"a-{own.replace('-', '')}"
    http.delete(f"{V3}/{trace}/assessments/{made['assessment_id']}").raise_for_status()
    (left,) = http.get("/api/v1/projects/default/scores", params={"target_id": "5" * 32}).json()["items"]
    assert left["id"] == own


@pytest.mark.parametrize("body", ["", "[]", "{", '{"trace": 1}', '{"trace": {"trace_info": {"tags": []}}}', "\udcff"])
def test_a_body_that_cannot_be_read(http: httpx.Client, body: str) -> None:
    """No internal error, whatever is sent."""
    assert told(http.post(V3, content=body.encode(errors="surrogateescape"))) == INVALID


def test_what_is_not_there(http: httpx.Client, trace: str) -> None:
    """Every call on a trace or an assessment that nobody has sent."""
    given = {"assessment": {"assessment_name": "a", "source": SOURCE, "feedback": {"value": 1}}}
    for one in (NONE, "tr-none", "none", "0" * 31 + "1"):
        assert told(http.get(f"{V3}/{one}")) == GONE
        assert told(http.get(f"{V3}/get", params={"trace_id": one})) == GONE
        assert told(http.get(f"{V2}/{one}/info")) == GONE
        assert told(http.patch(f"{V2}/{one}", json={"timestamp_ms": 1, "status": "OK"})) == GONE
        for base in (V2, V3):
            assert told(http.patch(f"{base}/{one}/tags", json={"key": "a", "value": "b"})) == GONE
            assert told(http.request("DELETE", f"{base}/{one}/tags", json={"key": "a"})) == GONE
        assert told(http.post(f"{V3}/{one}/assessments", json=given)) == GONE
        assert told(http.get(f"{V3}/{one}/assessments/a-{'0' * 32}")) == GONE
        assert told(http.request("DELETE", f"{V3}/{one}/assessments/a-{'0' * 32}", json={})) == GONE
        prompts = {"trace_id": one, "prompt_versions": [{"name": "a", "version": "1"}]}
        assert told(http.post(f"{V2}/link-prompts", json=prompts)) == GONE
        assert (
            http.get(f"{V3}/batchGet", params={"trace_ids": [one, trace]}).json()["traces"][0]["trace_info"]["trace_id"]
            == trace
        )
    assert told(http.get(f"{V3}/get")) == INVALID
    assert told(http.get(f"{V3}/{trace}/assessments/none")) == GONE
    assert told(http.request("DELETE", f"{V2}/{trace}/tags", json={"key": "none"})) == GONE
    assert told(http.post(f"{V2}/link-to-run", json={"trace_ids": [trace], "run_id": "0" * 32})) == GONE
    assert told(http.post(f"{V2}/link-to-run", json={"trace_ids": [trace]})) == INVALID
    assert told(http.post(f"{V3}/batchGetInfos", json={"trace_ids": [trace] * 101})) == INVALID
    for home, number in (("0", 1), ("999999", 0)):
        asked = {"trace_ids": trace, "experiment_ids": home}
        assert len(http.get(f"{V3}/batchGet", params=asked).raise_for_status().json()["traces"]) == number


def test_many_long_traces_are_asked_for_in_parts(http: httpx.Client) -> None:
    """Together they may be more than one answer takes; a few of them are shown."""
    several = [f"{0xFACE00 + number:032x}" for number in range(66)]
    for one in several:
        send(http, one, attributes={"long": "x" * (2 << 20)})
    ids = [f"tr-{one}" for one in several]
    refused = http.get(f"{V3}/batchGet", params={"trace_ids": ids})
    assert told(refused) == INVALID
    assert "fewer" in refused.json()["message"]
    shown = http.get(f"{V3}/batchGet", params={"trace_ids": ids[:2]}).raise_for_status()
    assert len(shown.json()["traces"]) == 2
    assert len(shown.content) > 4 << 20


@pytest.mark.parametrize("version", ["9" * 10, "9" * 200, "\u0663", "-1", "1.5"])
def test_prompts_of_other_registries_are_linked_by_name(http: httpx.Client, trace: str, version: str) -> None:
    """Whatever they call their versions; and not too many at once."""
    prompts = [{"name": "theirs", "version": version}]
    linked = f"{V2}/link-prompts"
    http.post(linked, json={"trace_id": trace, "prompt_versions": prompts}).raise_for_status()
    assert version in http.get(f"{V3}/{trace}").json()["trace"]["trace_info"]["tags"]["mlflow.linkedPrompts"]
    assert told(http.post(linked, json={"trace_id": trace, "prompt_versions": prompts * 101})) == INVALID


def test_assessments_that_cannot_be(http: httpx.Client, trace: str) -> None:
    """Neither kept nor changed by halves."""
    fine = {"assessment_name": "a", "source": SOURCE, "feedback": {"value": 1}}
    wrong: list[dict[str, Any]] = [
        {"assessment_name": ""},
        {"assessment_name": "a\nb"},
        {"feedback": None},
        {"expectation": {"value": 1}},
        {"span_id": "xyz"},
        {"rationale": "r" * 100_001},
        {"feedback": {"value": "v" * 70_000}},
        {"feedback": None, "expectation": {"serialized_value": {"serialization_format": "XML", "value": "<a/>"}}},
        {"feedback": None, "expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "{"}}},
        {"feedback": None, "issue": {"issue_name": "a"}},
        {"create_time": "then"},
        {"metadata": {"a": {}}},
    ]
    for changes in wrong:
        body = {"assessment": fine | changes}
        assert told(http.post(f"{V3}/{trace}/assessments", json=body)) == INVALID, changes
    made = http.post(f"{V3}/{trace}/assessments", json={"assessment": fine}).json()["assessment"]
    one = f"{V3}/{trace}/assessments/{made['assessment_id']}"
    for mask in ("source", "feedback,nothing", "expectation", "feedback,expectation"):
        asked = {"assessment": {"feedback": {"value": 2}, "expectation": {"value": 2}}, "update_mask": mask}
        assert told(http.patch(one, json=asked)) == INVALID, mask
    assert http.get(one).json()["assessment"]["feedback"] == {"value": 1}
    assert len(http.get(f"{V3}/{trace}").json()["trace"]["trace_info"]["assessments"]) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"locations": []},
        {"locations": [{"type": "UC_SCHEMA"}]},
        {"locations": [{"mlflow_experiment": {"experiment_id": "x"}}]},
        {"max_results": 0},
        {"max_results": 501},
        {"page_token": "none"},
        {"page_token": "e30"},
        {"order_by": ["tag.a ASC"]},
        {"order_by": ["name UP"]},
        {"filter": "name"},
        {"filter": "name = 'a"},
        {"filter": "name = a"},
        {"filter": "timestamp = 'a'"},
        {"filter": "timestamp LIKE 5"},
        {"filter": "metrics.a > 1"},
        {"filter": "status = 'OK' OR name = 'a'"},
        {"filter": "tag.a IN ('b')"},
        {"filter": "span.content = 'a'"},
        {"filter": "span.attributes. = 'a'"},
        {"filter": "feedback.a > 'b'"},
        {"filter": "issue.id = 'a'"},
        {"filter": "name = '\0'"},
        {"filter": " AND ".join(["name = 'a'"] * 101)},
        {"filter": "x" * 100_001},
    ],
)
def test_searches_that_cannot_be(http: httpx.Client, asked: dict[str, Any]) -> None:
    """Places, sizes, tokens, orders and filters; each says what of it is wrong."""
    reply = http.post(f"{V3}/search", json={"locations": [PLACE], **asked})
    assert told(reply) == INVALID
    assert reply.json()["message"]


@pytest.mark.parametrize(
    "text",
    [
        "name LIKE '%\\'",
        "tag.`a'b` = 'c'",
        'name = "a`b"',
        "span.attributes.`a b.c` LIKE '%_%'",
        "metadata.a != '%{x:String}'",
        "timestamp > 1e300",
        "timestamp < -9999999999999999999",
        "feedback.a = 'nan'",
        "name IN ('a', '\\', 'b')",
    ],
)
def test_odd_filters_are_only_odd(http: httpx.Client, text: str) -> None:
    """What is written in a filter never becomes a part of a statement."""
    reply = http.post(f"{V3}/search", json={"locations": [PLACE], "filter": text})
    assert reply.status_code == 200, reply.text


def test_deletions_say_which(http: httpx.Client, trace: str) -> None:
    """By ids or by time, and of an experiment: nothing is deleted by half a question."""
    for asked, code in (
        ({}, INVALID),
        ({"experiment_id": "0"}, INVALID),
        ({"experiment_id": "0", "request_ids": [trace], "max_timestamp_millis": 1}, INVALID),
        ({"experiment_id": "0", "request_ids": [trace], "max_traces": 1}, INVALID),
        ({"experiment_id": "0", "max_timestamp_millis": 1, "max_traces": 0}, INVALID),
        ({"experiment_id": "999999", "request_ids": [trace]}, GONE),
        ({"experiment_id": "0", "request_ids": ["none"]}, GONE),
    ):
        reply = http.post(f"{V2}/delete-traces", json=asked)
        assert told(reply) == code, asked
        assert ("max_traces" in reply.json()["message"]) == ("max_traces" in asked)
    assert http.get(f"{V3}/{trace}").status_code == 200


def test_spans_of_no_experiment_are_not_kept(http: httpx.Client) -> None:
    """A header that names no experiment refuses the request, in the form of OTLP."""
    made = wire.trace_id()
    for named, status in (("999999", 404), ("x", 400)):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            send(http, made, experiment=named)
        assert refused.value.response.status_code == status
    assert told(http.get(f"{V3}/tr-{made}")) == GONE


def test_many_who_change_one_trace(http: httpx.Client, trace: str) -> None:
    """Of tags that are set at once none is lost, neither here nor on the root span."""

    def tag(at: int) -> int:
        with httpx.Client(base_url=http.base_url, timeout=60) as own:
            return own.patch(f"{V3}/{trace}/tags", json={"key": f"k{at}", "value": str(at)}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tag, range(8))) == [200] * 8
    tags = http.get(f"{V3}/{trace}").json()["trace"]["trace_info"]["tags"]
    assert {name: value for name, value in tags.items() if name[0] == "k"} == {f"k{at}": str(at) for at in range(8)}
    root = http.get(f"/api/v1/projects/default/traces/{trace[3:]}").json()["spans"][0]
    assert set(root["tags"]) == {"a:b", *(f"k{at}:{at}" for at in range(8))}
