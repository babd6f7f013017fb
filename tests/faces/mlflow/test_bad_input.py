"""Bad input for runs, each by our own interface and by MLflow's: what is refused, how, and what stays as it was."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from tests.faces.mlflow.both import GONE, INVALID, NOBODY, NUMBERS, Both, metric


def test_a_parameter_never_changes(both: Both) -> None:
    """Another value is refused and nothing of its request is kept; the same value again is well."""
    assert both.ask("runs/log-parameter", run_id=both.run, key="p", value="1").status_code == 200
    assert both.ask("runs/log-parameter", run_id=both.run, key="p", value="1").status_code == 200
    assert both.told(both.ask("runs/log-parameter", run_id=both.run, key="p", value="2")) == INVALID
    changed = {"params": [{"key": "q", "value": "1"}, {"key": "p", "value": "2"}], "tags": [{"key": "t", "value": "x"}]}
    assert both.batch(**changed, metrics=[metric()]) == INVALID
    assert both.log(params={"p": "1"}).status_code == 200
    assert both.log(params={"p": "2", "q": "1"}, tags={"t": "x"}).status_code == 409

    data = both.see()["data"]
    assert data["params"] == [{"key": "p", "value": "1"}]
    assert data["metrics"] == []
    assert [one["key"] for one in data["tags"]] == ["mlflow.runName"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_kept_as_it_is(both: Both, text: str) -> None:
    """NaN and infinities are findings; on the wire they are texts both ways."""
    assert both.ask("runs/log-metric", run_id=both.run, **metric(value=text)).status_code == 200
    assert both.log(metrics=[{"name": "n", "value": text}]).status_code == 200

    seen = {one["key"]: one["value"] for one in both.see()["data"]["metrics"]}
    assert seen == {"m": text, "n": text}
    assert both.http.get(f"{both.native}/runs/{both.run}").json()["metrics"] == {"m": text, "n": text}


KEYS = [
    "k" * 251,
    "",
    "a\0b",
    "it's",
    'a"b',
    "a;b",
    "../up",
    "..",
    ".",
    "/root",
    "a//b",
    "a/../b",
    "a/",
    "a\nb",
    "a\\b",
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
@pytest.mark.parametrize("kind", ["metrics", "params", "tags"])
def test_keys_that_mlflow_does_not_take(both: Both, kind: str, key: str) -> None:
    """They are refused, one and in a batch, and what stands beside them in the batch is not kept."""
    good, bad = (
        (metric("good"), metric(key))
        if kind == "metrics"
        else ({"key": "good", "value": ""}, {"key": key, "value": ""})
    )
    one = {"metrics": "log-metric", "params": "log-parameter", "tags": "set-tag"}[kind]

    assert both.batch(**{kind: [good, bad]}) == INVALID
    assert both.told(both.ask(f"runs/{one}", run_id=both.run, **bad)) == INVALID
    data = both.see()["data"]
    assert (data["metrics"], data["params"], len(data["tags"])) == ([], [], 1)


@pytest.mark.parametrize("key", ["k" * 250, "α/β ж:δ-ε.ζ_1", "a.b", "日本語", "x y", "a..b", "metric/with/many/parts"])
def test_keys_that_mlflow_takes(both: Both, key: str) -> None:
    """They come back as they were, by both interfaces."""
    assert (
        both.batch(metrics=[metric(key)], params=[{"key": key, "value": "v"}], tags=[{"key": key, "value": "w"}])[0]
        == 200
    )
    data = both.see()["data"]
    assert (data["metrics"][0]["key"], data["params"][0]["key"]) == (key, key)
    assert {"key": key, "value": "w"} in data["tags"]
    native = both.http.get(f"{both.native}/runs/{both.run}").json()
    assert (native["metrics"], native["params"]) == ({key: 1.0}, {key: "v"})


def test_our_own_interface_has_names_of_its_own(both: Both) -> None:
    """Quotes and dots are only text; too long, empty and NUL are not."""
    assert both.log(metrics=[{"name": 'it\'s "quoted"', "value": 1}], params={"../up": 1}).status_code == 200
    for bad in ("k" * 251, ""):
        assert both.log(metrics=[{"name": bad, "value": 1}]).status_code == 400
        assert both.log(params={bad: 1}).status_code == 400
        assert both.log(tags={bad: "x"}).status_code == 400


def test_values_that_are_too_long(both: Both) -> None:
    """MLflow cuts parameters and tags of runs, and refuses tags of experiments; we refuse what is far too long."""
    assert both.batch(params=[{"key": "p", "value": "é" * 6001}], tags=[{"key": "t", "value": "𝄞" * 8001}])[0] == 200
    data = both.see()["data"]
    assert data["params"] == [{"key": "p", "value": "é" * 6000}]
    assert {"key": "t", "value": "𝄞" * 8000} in data["tags"]
    tag = {"experiment_id": both.experiment, "key": "t"}
    assert both.told(both.ask("experiments/set-experiment-tag", **tag, value="x" * 20_000))[0] == 200
    assert both.told(both.ask("experiments/set-experiment-tag", **tag, value="x" * 20_001)) == INVALID
    assert both.told(both.ask("runs/set-tag", run_id=both.run, key="t", value="a\0b")) == INVALID
    assert both.log(params={"long": "x" * 100_000}).status_code == 413
    assert both.log(tags={"long": "x" * 100_000}).status_code == 413


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("runs/log-metric", metric()),
    ("runs/log-parameter", {"key": "p", "value": "1"}),
    ("runs/set-tag", {"key": "t", "value": "1"}),
    ("runs/delete-tag", {"key": "t"}),
    ("runs/log-batch", {"metrics": [metric()]}),
    ("runs/log-inputs", {"datasets": []}),
    ("runs/update", {"status": "FINISHED"}),
    ("runs/delete", {}),
    ("runs/restore", {}),
]


@pytest.mark.parametrize(("call", "body"), CALLS, ids=[call for call, _ in CALLS])
def test_an_unknown_run_is_not_found(both: Both, call: str, body: dict[str, Any]) -> None:
    """Whatever is asked of it, by either of its names; a run of another project is as unknown."""
    for run in (NOBODY, "0" * 32, "no-such-run", "f" * 200):
        assert both.told(both.ask(call, run_id=run, **body)) == GONE, run
        assert both.told(both.ask(call, run_uuid=run, **body)) == GONE, run
    for none in ("", "../etc", "a b", "'; DROP TABLE runs; --", "x" * 257, "{" + NOBODY + "}"):
        assert both.told(both.ask(call, run_id=none, **body)) == INVALID, none
    assert both.told(both.ask(call, **body)) == INVALID
    elsewhere = {"X-MLFLOW-WORKSPACE": "nowhere"}
    asked = both.http.post(f"{both.mlflow}/{call}", json={"run_id": both.run, **body}, headers=elsewhere)
    assert both.told(asked) == GONE
    assert both.log(NOBODY, tags={"a": "b"}).status_code == 404


def test_a_run_of_another_project_is_not_found(both: Both) -> None:
    """A workspace is a project, and ids of one mean nothing in another."""
    slug = f"bad-input-{next(NUMBERS)}-{both.experiment}"
    assert both.http.post("/api/v1/projects", json={"slug": slug}).status_code == 200
    there = {"X-MLFLOW-WORKSPACE": slug}
    for path in (f"runs/get?run_id={both.run}", f"metrics/get-history?run_id={both.run}&metric_key=m"):
        assert both.told(both.http.get(f"{both.mlflow}/{path}", headers=there)) == GONE
    asked = {"run_id": both.run, **metric()}
    assert both.told(both.http.post(f"{both.mlflow}/runs/log-metric", json=asked, headers=there)) == GONE
    found = both.http.get(f"{both.mlflow}/experiments/get?experiment_id={both.experiment}", headers=there)
    assert both.told(found) == GONE
    made = both.http.post(f"{both.mlflow}/runs/create", json={"experiment_id": "0"}, headers=there).json()["run"][
        "info"
    ]
    assert both.told(both.http.get(f"{both.mlflow}/runs/get?run_id={made['run_id']}")) == GONE


@pytest.mark.parametrize(("call", "body"), CALLS[:7], ids=[call for call, _ in CALLS[:7]])
def test_a_deleted_run_takes_nothing(both: Both, call: str, body: dict[str, Any]) -> None:
    """It can be seen and restored, and goes on after that."""
    both.ask("runs/set-tag", run_id=both.run, key="t", value="1")
    assert both.ask("runs/delete", run_id=both.run).status_code == 200
    assert both.ask("runs/delete", run_id=both.run).status_code == 200
    refused = both.ask(call, run_id=both.run, **body)
    assert both.told(refused) == INVALID
    assert "must be in the 'active' state" in refused.json()["message"]
    assert both.log(tags={"a": "b"}).status_code == 409
    assert both.see()["info"]["lifecycle_stage"] == "deleted"

    assert both.ask("runs/restore", run_id=both.run).status_code == 200
    assert both.ask(call, run_id=both.run, **body).status_code == 200


def test_experiments_that_cannot_be(both: Both) -> None:
    """A missing one is not found; a deleted one and what is no number are refused."""
    for call in ("runs/create", "experiments/delete", "experiments/restore", "experiments/update"):
        assert both.told(both.ask(call, experiment_id="999999999", new_name="x")) == GONE
        for none in ("abc", "-1", "1.5", "٣", "9" * 30, "1 OR 1=1", "1\0"):
            assert both.told(both.ask(call, experiment_id=none, new_name="x")) == INVALID, (call, none)
    found = both.http.get(f"{both.mlflow}/experiments/get", params={"experiment_id": both.experiment})
    deleted = found.json()["experiment"]["name"]
    both.ask("experiments/delete", experiment_id=both.experiment)
    refused = both.ask("runs/create", experiment_id=both.experiment)
    assert both.told(refused) == INVALID
    assert "must be in the 'active' state" in refused.json()["message"]
    for name in ("", "   ", "x" * 501, "a\0b"):
        assert both.told(both.ask("experiments/create", name=name)) == INVALID
    assert both.told(both.ask("experiments/create", name="ok", artifact_location="runs:/x/y")) == INVALID
    native = f"{both.native}/experiments/{deleted}"
    assert both.http.post(f"{both.native}/runs", json={"experiment": deleted}).status_code == 409
    assert both.http.patch(native, json={"name": "other"}).status_code == 409
    assert both.http.get(f"{both.native}/experiments/no such").status_code == 404


NUMBERS_REFUSED: list[dict[str, Any]] = [
    {"timestamp": -1}, {"timestamp": None}, {"timestamp": "soon"}, {"timestamp": 1.5}, {"timestamp": 2**63},
    {"timestamp": 1_700_000_000_000_000_000}, {"step": "far"}, {"step": 2**63}, {"step": 1.5}, {"step": True},
    {"value": True}, {"value": None}, {"value": "high"}, {"value": ""}, {"value": []}, {"value": {}}, {"value": "0x10"},
    {"value": "1_000"}, {"key": 3}, {"key": None},
]  # fmt: skip


@pytest.mark.parametrize("part", NUMBERS_REFUSED, ids=repr)
def test_numbers_that_are_none(both: Both, part: dict[str, Any]) -> None:
    """They are refused, one and in a batch, and nothing of the batch is kept."""
    assert both.told(both.ask("runs/log-metric", **({"run_id": both.run, **metric()} | part))) == INVALID
    assert both.batch(metrics=[metric("good"), metric() | part], tags=[{"key": "t", "value": "1"}]) == INVALID
    assert both.see()["data"]["metrics"] == []
    assert len(both.see()["data"]["tags"]) == 1


def test_numbers_as_texts_and_at_the_edges(both: Both) -> None:
    """Whole numbers may come as texts, as protobuf writes them, and steps may be as far away as 64 bits reach."""
    far = [metric("low", 1, "5", str(-(2**63))), metric("high", "2.5e3", 5, 2**63 - 1), metric("int", 10**30, 5, 3.0)]
    assert both.batch(metrics=far)[0] == 200
    seen = {one["key"]: (one["value"], one["step"]) for one in both.see()["data"]["metrics"]}
    assert seen == {"low": (1.0, -(2**63)), "high": (2500.0, 2**63 - 1), "int": (1e30, 3)}
    assert both.log(metrics=[{"name": "n", "value": 1, "step": 2**62}]).status_code == 200
    assert both.log(metrics=[{"name": "n", "value": 1, "step": 2**62 + 1}]).status_code == 400
    assert both.log(metrics=[{"name": "n", "value": True}]).status_code == 400


def test_too_much_at_once(both: Both) -> None:
    """The limits of MLflow hold for its calls, ours for ours; nothing is kept of what is over them."""
    pairs: Callable[[int], list[dict[str, str]]] = lambda n: [{"key": f"k{i}", "value": "v"} for i in range(n)]
    assert both.batch(metrics=[metric()] * 1001) == INVALID
    assert both.batch(params=pairs(101)) == INVALID
    assert both.batch(tags=pairs(101)) == INVALID
    assert both.batch(metrics=[metric(f"m{i}") for i in range(950)], params=pairs(51)) == INVALID
    assert both.batch(params=[{"key": "p", "value": "1"}, {"key": "p", "value": "1"}]) == INVALID
    assert both.batch(tags=[{"key": f"t{i}", "value": "x" * 11_000} for i in range(99)]) == INVALID
    data = both.see()["data"]
    assert (data["metrics"], data["params"], len(data["tags"])) == ([], [], 1)
    assert both.batch(metrics=[metric(f"m{i}") for i in range(800)], params=pairs(100), tags=pairs(100))[0] == 200
    assert both.log(metrics=[{"name": "m", "value": 1}] * 50_001).status_code == 413


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"run_id": NaN}', b'{"a":' * 5000, b'"{\\"x\\": 1}"', b"null"],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize(
    "call", ["runs/log-batch", "runs/log-metric", "runs/create", "experiments/create", "runs/search"]
)
def test_bodies_that_are_none(both: Both, call: str, body: bytes) -> None:
    """They are the caller's mistake: never a 5xx, which clients would send again for minutes."""
    reply = both.http.post(f"{both.mlflow}/{call}", content=body, headers={"content-type": "application/json"})
    assert reply.status_code in {200, 400}, reply.text
    if reply.status_code == 400:
        assert reply.json()["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_body_that_unpacks_to_too_much(both: Both) -> None:
    """A few kilobytes of gzip that are gigabytes: refused as too large before they are that, by both interfaces."""
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(zeros.compress(b" " * (1 << 20)) for _ in range(256)) + zeros.flush()
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    reply = both.http.post(f"{both.mlflow}/runs/log-batch", content=bomb, headers=packed)
    assert both.told(reply) == (413, "INVALID_PARAMETER_VALUE")
    assert both.http.post(f"{both.native}/runs/{both.run}/log", content=bomb, headers=packed).status_code == 413


def test_nulls_and_unknown_fields_are_as_if_they_were_not_there(both: Both) -> None:
    """As protobuf reads JSON."""
    reply = both.ask(
        "runs/create", experiment_id=both.experiment, run_name=None, tags=None, colour="blue", start_time="5000"
    )
    assert reply.status_code == 200
    assert reply.json()["run"]["info"]["start_time"] == 5000
    assert (
        both.batch(metrics=[metric() | {"model_id": None, "dataset_name": "d", "run_id": both.run}], params=None)[0]
        == 200
    )


def test_statuses_that_are_none(both: Both) -> None:
    """Names and numbers of protobuf are read; others are refused."""
    for word, shown in (
        ("FINISHED", "FINISHED"),
        ("running", "RUNNING"),
        (4, "FAILED"),
        ("5", "KILLED"),
        (2, "SCHEDULED"),
    ):
        assert both.ask("runs/update", run_id=both.run, status=word).json()["run_info"]["status"] == shown
    for wrong in ("DONE", 9, -1, "'; --"):
        assert both.told(both.ask("runs/update", run_id=both.run, status=wrong)) == INVALID
    assert both.told(both.ask("runs/update", run_id=both.run, end_time=-5)) == INVALID
    assert both.told(both.ask("runs/update", run_id=both.run, end_time=2**62)) == INVALID
    assert both.told(both.ask("runs/update", run_id=both.run, run_name="x" * 251)) == INVALID
    assert both.http.post(f"{both.native}/runs/{both.run}/finish", json={"status": "done"}).status_code == 400


def test_nothing_that_was_sent_is_ever_run(both: Both) -> None:
    """SQL in any text is text, or is refused; the tables are unharmed."""
    evil = "'; DROP TABLE runs; --"
    assert both.ask("runs/set-tag", run_id=both.run, key="t", value=evil).status_code == 200
    assert both.ask("runs/log-parameter", run_id=both.run, key="p", value=evil).status_code == 200
    name = f"{evil} {both.experiment}"
    made = both.ask("experiments/create", name=name).json()["experiment_id"]
    found = both.http.get(f"{both.mlflow}/experiments/get-by-name", params={"experiment_name": name})
    assert found.json()["experiment"]["experiment_id"] == made
    history = both.http.get(f"{both.mlflow}/metrics/get-history", params={"run_id": both.run, "metric_key": evil})
    assert history.json() == {"metrics": []}
    assert both.log(metrics=[{"name": evil, "value": 1}]).status_code == 200
    assert {one["key"]: one["value"] for one in both.see()["data"]["tags"]}["t"] == evil
