"""The Open Inference Protocol over HTTP: what it answers, and how it refuses what does not fit."""

import json
from typing import Any

import httpx
import pandas as pd
import pytest
from tests.predictive.serving.conftest import MOST_ROWS, House, body_of, flights

from gimbal.axis.endpoints.model import SetEndpoint, Target
from gimbal.axis.endpoints.predictions import Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.traces.service import Traces
from gimbal.kernel.errors import NotFound

pytestmark = pytest.mark.asyncio(loop_scope="session")
INFER = "/v2/models/delay/infer"


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """Check that an answer is an error in the protocol's form; return what it says."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "code"}
    assert body["code"] == code
    assert isinstance(body["error"], str)
    return body["error"]


async def test_who_it_is(house: House) -> None:
    """Server metadata and health; no extension is claimed that is not there."""
    told = (await house.http.get("/v2")).json()
    assert (told["name"], told["extensions"]) == ("gimbal", [])
    assert told["version"][0].isdecimal()
    assert (await house.http.get("/v2/health/live")).json() == {"live": True}
    assert (await house.http.get("/v2/health/ready")).json() == {"ready": True}


@pytest.mark.parametrize("path", ["/v2/models/delay", "/v2/models/delay/versions/1", "/v2/models/delay/versions/v1"])
async def test_what_a_model_takes_and_gives(house: House, path: str) -> None:
    """Names, datatypes and shapes, with -1 for any number of rows."""
    told = (await house.http.get(path)).json()
    assert (told["name"], told["versions"], told["platform"]) == ("delay", ["1"], "gimbal_sklearn")
    assert [(t["name"], t["datatype"], t["shape"]) for t in told["inputs"]] == [
        ("distance", "FP64", [-1]),
        ("hour", "INT64", [-1]),
        ("night", "BOOL", [-1]),
        ("carrier", "BYTES", [-1]),
    ]
    assert [(t["name"], t["datatype"], t["shape"]) for t in told["outputs"]] == [
        ("predict", "BYTES", [-1]),
        ("probability", "FP64", [-1, 2]),
    ]


async def test_ready_once_its_process_answers(house: House) -> None:
    """Asking makes it start; after an answer it is ready."""
    assert (await house.infer("delay", flights(1))).status_code == 200
    told = await house.http.get("/v2/models/delay/ready")
    assert (told.status_code, told.json()) == (200, {"name": "delay", "ready": True})
    assert (await house.http.get("/v2/models/delay/versions/1/ready")).json()["ready"] is True


async def test_predictions_of_classes(house: House) -> None:
    """The classes, the probabilities row by row, the id back, and how each prediction is called."""
    rows = flights(5, seed=3)
    answer = (await house.infer("delay", rows, id="mine")).json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "delay", "1")
    predict, probability = answer["outputs"]
    assert (predict["datatype"], predict["shape"]) == ("BYTES", [5])
    assert predict["data"] == ["true" if hour > 11 else "false" for hour in rows["hour"]]
    assert (probability["datatype"], probability["shape"]) == ("FP64", [5, 2])
    assert probability["parameters"]["classes"] == ["false", "true"]
    pairs = [probability["data"][i : i + 2] for i in range(0, 10, 2)]
    assert all(abs(sum(pair) - 1) < 1e-9 for pair in pairs)
    assert [pair[1] > 0.5 for pair in pairs] == (rows["hour"] > 11).tolist()
    told = answer["parameters"]
    assert told["version"] == "model:flights/delay@v1"
    assert len(set(told["prediction_ids"])) == 5


async def test_predictions_of_numbers(house: House) -> None:
    """A regression has one output, no classes, and no id unless one was sent."""
    answer = (await house.infer("minutes", pd.DataFrame({"hour": [3, 4]}))).json()
    assert [(t["name"], t["datatype"], t["shape"]) for t in answer["outputs"]] == [("predict", "FP64", [2])]
    assert answer["outputs"][0]["data"] == pytest.approx([6, 8], rel=1e-3)
    assert "id" not in answer


async def test_columns_may_be_of_shape_n_1_nested_or_flat(house: House) -> None:
    """Row-major data of a column are the same either way, and so are smaller numeric types."""
    plain = (await house.infer("minutes", pd.DataFrame({"hour": [3, 4]}))).json()["outputs"]
    for data in ([3, 4], [[3], [4]]):
        for datatype in ("INT64", "INT32", "UINT8"):
            tensor = {"name": "hour", "shape": [2, 1], "datatype": datatype, "data": data}
            answer = await house.http.post("/v2/models/minutes/infer", json={"inputs": [tensor]})
            assert answer.json()["outputs"] == plain


async def test_only_the_outputs_that_are_asked_for(house: House) -> None:
    """By name; a name that there is not is refused before anything is predicted."""
    answer = await house.infer("delay", flights(2), outputs=[{"name": "probability"}])
    assert [t["name"] for t in answer.json()["outputs"]] == ["probability"]
    said = refused(await house.infer("delay", flights(2), outputs=[{"name": "logit"}]), 400, "bad_input")
    assert "no output 'logit'" in said
    assert "outputs[0].name" in said


def _edited(**change: Any) -> dict[str, Any]:
    """Return a request of three rows whose tensors by these names are changed (None: left out)."""
    body = body_of(flights(3))
    found = [t | change.get(t["name"], {}) for t in body["inputs"]]
    extra = [{"name": name, **value} for name, value in change.items() if name not in {t["name"] for t in found}]
    return {"inputs": [t for t in found if "gone" not in t] + extra}


TENSOR = {"shape": [3], "datatype": "FP64", "data": [1.0, 2.0, 3.0]}
WRONG = {
    "an input too many": (_edited(altitude=TENSOR), ["unknown: altitude", "(at inputs)"]),
    "an input missing": (_edited(hour={"gone": 1}), ["missing: hour", "distance, hour, night, carrier"]),
    "another datatype": (_edited(hour={"datatype": "FP64"}), ["'hour' is FP64", "INT64", "inputs[hour]"]),
    "an unknown datatype": (_edited(hour={"datatype": "COMPLEX"}), ["'hour' is COMPLEX"]),
    "numbers for text": (_edited(carrier={"data": [1, 2, 3]}), ["inputs[carrier]", "Send BYTES"]),
    "text for numbers": (_edited(distance={"data": ["a", "b", "c"]}), ["inputs[distance]", "Send FP64"]),
    "text for truth": (_edited(night={"data": ["yes", "no", "no"]}), ["inputs[night]", "Send BOOL"]),
    "fractions for whole": (_edited(hour={"data": [1.5, 2, 3]}), ["inputs[hour]", "Send INT64"]),
    "numbers past 64 bits": (_edited(hour={"data": [2**70, 1, 1]}), ["inputs[hour]"]),
    "an object as a value": (_edited(distance={"data": [{}, 1.0, 2.0]}), ["inputs[distance]"]),
    "a shape of another length": (_edited(hour={"shape": [4]}), ["shape [4]", "3 rows", "inputs[hour]"]),
    "a shape of two columns": (_edited(hour={"shape": [3, 2]}), ["shape [3, 2]", "inputs[hour]"]),
    "no shape": (_edited(hour={"shape": []}), ["shape []", "inputs[hour]"]),
    "mixed batch sizes": (_edited(hour={"shape": [2], "data": [1, 2]}), ["inputs[hour]", "3 rows were sent"]),
    "rows within rows": (_edited(hour={"data": [[1, 2], [3, 4], [5, 6]]}), ["inputs[hour]"]),
    "a missing value where there may be none": (_edited(hour={"data": [1, None, 3]}), ["no value in row 1"]),
    "a nested missing value": (_edited(hour={"shape": [3, 1], "data": [[1], [None], [3]]}), ["no value in row 1"]),
    "no inputs": ({"inputs": []}, ["missing: distance, hour, night, carrier"]),
    "an input twice": ({"inputs": _edited()["inputs"] * 2}, ["there twice"]),
    "no rows": (body_of(flights(0)), ["no rows"]),
    "a body of another kind": ([1, 2], ["Expected `object`", "body"]),
    "inputs of another kind": ({"inputs": "all"}, ["$.inputs"]),
    "a tensor without a name": ({"inputs": [TENSOR]}, ["name", "$.inputs[0]"]),
    "a name of another kind": ({"inputs": [TENSOR | {"name": 7}]}, ["$.inputs[0].name"]),
    "data of another kind": (_edited(hour={"data": "1,2,3"}), ["$.inputs[1].data"]),
    "event times of another number": (body_of(flights(2), parameters={"event_time": ["2026-01-01T00:00:00Z"]}),
        ["parameters.event_time", "list of 2"]),
    "event times that are none": (body_of(flights(1), parameters={"event_time": ["yesterday"]}), ["yesterday"]),
    "entities of another number": (body_of(flights(2), parameters={"entity": ["a"]}), ["parameters.entity"]),
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), WRONG.values(), ids=WRONG)
async def test_what_does_not_fit_is_refused(house: House, body: Any, said: list[str]) -> None:
    """Bad request, in the protocol's form, with what is wrong and where."""
    message = refused(await house.http.post(INFER, json=body), 400, "bad_input")
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"inputs": [}', b"\xff\xfe{}", b'{"inputs": [{"data": [NaN]}]}', b"[" * 5_000, b"null"],
    ids=["empty", "cut", "broken", "not UTF-8", "NaN", "deep", "null"],
)
async def test_what_is_not_json_is_refused(house: House, content: bytes) -> None:
    """Malformed bodies are bad requests and never an error of ours."""
    refused(await house.http.post(INFER, content=content), 400, "bad_input")


async def test_binary_tensors_are_refused_in_words(house: House) -> None:
    """The extension is not claimed; a client that uses it all the same is told how to do without."""
    head = json.dumps(body_of(flights(1))).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    said = refused(await house.http.post(INFER, content=head + b"\0" * 8, headers=headers), 400, "bad_input")
    assert "binary_data=False" in said


async def test_gaps_are_taken_where_the_model_takes_them(house: House) -> None:
    """A float column may have gaps; a model that cannot use them answers so, and keeps answering others."""
    body = _edited(distance={"data": [None, 1.0, 2.0]})
    said = refused(await house.http.post(INFER, json=body), 502, "upstream")
    assert "NaN" in said
    assert (await house.infer("delay", flights(3))).status_code == 200


async def test_a_model_that_fails_on_its_input_says_why(house: House) -> None:
    """The model's own words, as an upstream failure; nothing is recorded; the next one is answered."""
    traffic = house.services.get(Predictions)
    before = sum(day.predictions for day in await traffic.traffic(house.context(), "delay"))
    said = refused(await house.infer("delay", flights(2).assign(carrier="ZZ")), 502, "upstream")
    assert "ValueError" in said
    assert "ZZ" in said
    assert sum(day.predictions for day in await traffic.traffic(house.context(), "delay")) == before
    assert (await house.infer("delay", flights(2))).status_code == 200


async def test_a_batch_over_the_limit_is_refused(house: House) -> None:
    """At the limit it is answered, one more is too large."""
    assert (await house.infer("delay", flights(MOST_ROWS))).status_code == 200
    said = refused(await house.infer("delay", flights(MOST_ROWS + 1)), 413, "too_large")
    assert f"{MOST_ROWS} is the most" in said


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nothing",
        "/v2/models/delay/versions/9",
        "/v2/models/delay/versions/0",
        "/v2/models/delay/versions/latest",
        f"/v2/models/delay/versions/{10**30}",
        "/v2/models/nothing/ready",
        "/v2/models/DELAY",
        "/v2/models/%2e%2e",
        "/v2/models/a%00b",
    ],
)
async def test_unknown_names_and_versions(house: House, path: str) -> None:
    """Not found, in the protocol's form."""
    refused(await house.http.get(path), 404, "not_found")
    if not path.endswith("/ready"):
        refused(await house.http.post(f"{path}/infer", json=body_of(flights(1))), 404, "not_found")


async def test_another_project_has_other_endpoints(house: House) -> None:
    """An endpoint is found in its own project only."""
    headers = {"x-gimbal-project": "elsewhere"}
    refused(await house.http.get("/v2/models/delay", headers=headers), 404, "not_found")
    answer = await house.http.post(INFER, json=body_of(flights(1)), headers=headers)
    refused(answer, 404, "not_found")


async def test_predictions_are_stored_with_their_inputs_before_the_answer(house: House) -> None:
    """As they came: numbers, truth values and text, gaps kept, with event time, entity, version and score."""
    await house.endpoint("captured", "model:flights/delay@v1")
    rows = flights(2, seed=8).assign(carrier=["AA", "B6"])
    times = ["2026-03-01T10:00:00Z", "2026-03-02T23:59:59.999999+01:00"]
    answer = await house.infer("captured", rows, parameters={"event_time": times, "entity": ["N1", "<b>N2</b>"]})
    told = answer.json()
    found = {row.id: row for row in (await house.services.get(Predictions).page(house.context(), "captured")).items}
    assert list(found) == told["parameters"]["prediction_ids"][::-1]
    probability = told["outputs"][1]["data"]
    for at, id_ in enumerate(told["parameters"]["prediction_ids"]):
        row = found[id_]
        assert row.inputs == {
            "carrier": rows["carrier"][at],
            "distance": rows["distance"][at],
            "hour": float(rows["hour"][at]),
            "night": float(rows["night"][at]),
        }
        assert row.version == "model:flights/delay@v1"
        assert row.predicted == told["outputs"][0]["data"][at]
        assert row.score == probability[2 * at + 1]
        assert row.trace_id == told["parameters"]["trace_id"]
    assert [found[i].entity for i in told["parameters"]["prediction_ids"]] == ["N1", "<b>N2</b>"]
    assert [found[i].at.isoformat() for i in told["parameters"]["prediction_ids"]] == [
        "2026-03-01T10:00:00+00:00",
        "2026-03-02T22:59:59.999999+00:00",
    ]


async def test_without_capture_nothing_is_stored(house: House) -> None:
    """The answer is the same; the log stays empty."""
    body = SetEndpoint(slug="silent", targets=[Target(ref="model:flights/minutes@v1")], capture=False)
    await house.services.get(Endpoints).set(house.context(), body)
    assert (await house.infer("silent", pd.DataFrame({"hour": [3]}))).status_code == 200
    assert (await house.services.get(Predictions).page(house.context(), "silent")).items == []


async def test_a_prediction_is_a_span_of_the_callers_trace(house: House) -> None:
    """The traceparent is continued, and the version is noted as what was used."""
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace_id}-{parent}-01"}
    answer = await house.http.post(INFER, json=body_of(flights(2)), headers=headers)
    assert answer.json()["parameters"]["trace_id"] == trace_id
    trace = await house.services.get(Traces).get(house.context(), trace_id)
    (span,) = trace.spans
    assert (span.name, span.kind, span.parent_id) == ("predict delay", "prediction", parent)
    assert span.refs == ["model:flights/delay@v1"]
    with pytest.raises(NotFound):
        await house.services.get(Traces).get(house.context("elsewhere"), trace_id)
