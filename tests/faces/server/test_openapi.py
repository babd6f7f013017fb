"""The OpenAPI document is one: valid, whole, and true to what the server takes and gives."""

import re

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gimbal.faces.server import capabilities, openapi
from gimbal.kernel.context import Permission
from gimbal.kernel.operations import PREFIX, operations
from gimbal.kernel.refs import Ref

capabilities.load_operations()
DOCUMENT = msgspec.json.decode(msgspec.json.encode(openapi.document("1.2.3"), enc_hook=str))
ROWS = {row["operationId"]: row for path in DOCUMENT["paths"].values() for row in path.values()}


def nodes(node):
    yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(part)


def test_it_is_valid_openapi_31():
    assert DOCUMENT["openapi"] == "3.1.0"
    assert [problem.message for problem in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_it_is_what_the_server_answers(client):
    served = client.get("/openapi.json").json()

    assert served["info"].pop("version")
    assert served == DOCUMENT | {"info": {k: v for k, v in DOCUMENT["info"].items() if k != "version"}}


@pytest.mark.parametrize("op", operations(), ids=lambda op: op.name)
def test_an_operation_is_whole(op):
    """Id, summary, permission, success, errors, and a description of each parameter, field and body."""
    row = DOCUMENT["paths"][PREFIX + op.path][op.method.lower()]

    assert row["operationId"] == op.name
    assert row["summary"].endswith(".")
    assert f"`{op.allow.name.lower()}`" in row["description"]
    assert row["responses"]["default"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ErrorReply"
    }
    assert str(op.status) in row["responses"]
    assert all(p["description"] for p in row["parameters"])
    assert {p["name"] for p in row["parameters"] if p["in"] == "path"} == set(re.findall(r"{(\w+)}", op.path))
    assert ("requestBody" in row) is (op.body is not None)
    assert ("security" in row) is (op.allow is Permission.OPEN)


def test_every_reference_within_it_leads_somewhere():
    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    used = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node, dict) and "$ref" in node}

    assert used <= known
    assert known - used == set(), "components that nothing refers to"


@pytest.mark.parametrize(
    ("component", "field", "words"),
    [
        ("ErrorBody", "todo", "What to do next"),
        ("Page_Run_", "next", "Give this as `cursor`"),
        ("gimbal.generative.knowledge.model.Document", "source", "answers cite it"),
    ],
)
def test_what_stands_under_a_field_describes_it(component, field, words):
    """Also of generic pages, and of records that share their name with one of another room."""
    assert words in DOCUMENT["components"]["schemas"][component]["properties"][field]["description"]


def test_a_reference_to_an_asset_travels_as_text():
    """Never as the record that it is inside."""
    assert {"Ref", "AtVersion", "AtAlias", "AtDigest", "Latest"} & set(DOCUMENT["components"]["schemas"]) == set()
    (schema,) = (p["schema"] for p in ROWS["assets.show"]["parameters"] if p["name"] == "ref")
    assert schema["type"] == "string"
    check = Draft202012Validator(schema)
    for text in schema["examples"]:
        assert check.is_valid(text)
        assert str(Ref.parse(text)) == text
    for text in ("model:a@b3:9f2c1d07", "prompt:a/b@production~2026-05-03T12:00Z"):
        assert check.is_valid(text)
    for text in ("flights/delay", "Model:a", "model:A", "model:a/", "model:a@", {"kind": "model"}):
        assert not check.is_valid(text), text


def test_optional_references_and_lists_of_them_are_text_as_well():
    found, components = openapi.schemas([Ref | None, list[Ref]])

    assert components == {}
    assert sorted(part["type"] for part in found[0]["anyOf"]) == ["null", "string"]
    assert found[1]["items"]["type"] == "string"
    assert "pattern" in found[1]["items"]


def test_an_answer_fits_its_schema(client):
    """A run as it is made, listed and shown, and an error, against the document that clients are generated from."""
    made = client.post("/api/v1/projects/default/runs", json={"name": "fits", "params": {"depth": 3}})
    answers = {
        "runs.create": made.json(),
        "runs.show": client.get(f"/api/v1/projects/default/runs/{made.json()['id']}").json(),
        "runs.list": client.get("/api/v1/projects/default/runs").json(),
        "projects.list": client.get("/api/v1/projects").json(),
        "prices.list": client.get("/api/v1/projects/default/prices").json(),
        "jobs.list": client.get("/api/v1/projects/default/jobs").json(),
    }
    for name, answer in answers.items():
        schema = ROWS[name]["responses"]["200"]["content"]["application/json"]["schema"]
        problems = Draft202012Validator({**schema, "components": DOCUMENT["components"]}).iter_errors(answer)
        assert [problem.message for problem in problems] == [], name
    error = client.get("/api/v1/projects/default/runs/none").json()
    schema = ROWS["runs.show"]["responses"]["default"]["content"]["application/json"]["schema"]
    assert Draft202012Validator({**schema, "components": DOCUMENT["components"]}).is_valid(error)


@pytest.mark.parametrize("op", [op for op in operations() if not op.streams], ids=lambda op: op.name)
def test_the_schema_of_a_tool_stands_alone(op):
    """Every argument in one object, what it refers to within it and nothing besides."""
    schema = msgspec.json.decode(msgspec.json.encode(openapi.tool_schema(op), enc_hook=str))

    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(schema["properties"])
    used = {node["$ref"] for node in nodes(schema) if isinstance(node, dict) and "$ref" in node}
    assert used == {f"#/$defs/{name}" for name in schema.get("$defs", {})}
    assert {p.name for p in op.parameters if p.place != "body"} <= set(schema["properties"])
