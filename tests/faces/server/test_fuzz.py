"""Whatever is put in any place of any operation is answered with a 4xx that names a code, or works; never with a 5xx."""

import json
import re
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from gimbal.faces.server import capabilities, openapi
from gimbal.kernel.operations import PREFIX, Operation, operations

capabilities.load_operations()
# The one writes wherever it is told to, as its caller may; after the other everything here would be refused.
TABLE = [op for op in operations() if op.name not in {"backups.take", "projects.archive"}]
ODD = (
    "", "\x00", "a" * 5000, "\ud800", "'\"%_\\;--", "..", "Ünïcode ☃", 10**30, -1, 2**63, 1.5e308, [], {}, None, True,
    ["x"] * 3, {"a": 1}, "2026-13-99T99:99Z", "model:a/b@v99999999999", "NaN",
)  # fmt: skip
ROUNDS = 4
FITTING = {"project": "fuzz", "ref": "suite:fuzz/suite", "to": "suite:fuzz/suite@v1", "path": "a.txt"}


def text_of(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


class Asker:
    """Sends one operation with one argument replaced."""

    def __init__(self, client, op: Operation, run: str) -> None:
        self.client, self.op = client, op
        self.fitting = FITTING | {"id": run}
        schema = json.loads(msgspec.json.encode(openapi.tool_schema(op), enc_hook=str)) if not op.streams else {}
        self.defs = schema.get("$defs", {})
        outside = {p.name for p in op.parameters if p.place != "body"}
        self.fields = {k: v for k, v in schema.get("properties", {}).items() if k not in outside}
        self.body = {k: self.sample(v) for k, v in self.fields.items() if k in schema.get("required", [])}

    def sample(self, schema: dict[str, Any], depth: int = 0) -> Any:
        schema = schema.get("anyOf", [schema])[0]
        schema = self.defs[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("type") == "object":
            fields = schema.get("properties", {})
            return {k: self.sample(fields[k], depth + 1) for k in schema.get("required", [])}
        if schema.get("type") == "array":
            items = schema.get("items")
            return [self.sample(items, depth + 1)] if isinstance(items, dict) and depth < 3 else []
        return {"integer": 1, "number": 0.5, "boolean": True}.get(schema.get("type", ""), "x")

    def ask(self, place: str = "", name: str = "", value: Any = None) -> None:
        here = {name: value}
        fill = lambda match: text_of(here.get(match[1], self.fitting.get(match[1], "x")) if place == "path" else
                                     self.fitting.get(match[1], "x"))  # fmt: skip
        target = PREFIX + re.sub(r"{(\w+)}", fill, self.op.path)
        query = {p.name: self.fitting.get(p.name, "x") for p in self.op.parameters if p.place == "query" and p.required}
        query |= here if place == "query" else {}
        target += "?" + "&".join(f"{k}={text_of(v)}" for k, v in query.items()) if query else ""
        request = self.client.build_request(
            self.op.method, "/", content=json.dumps(self.body | (here if place == "body" else {}))
        )
        request.url = request.url.copy_with(raw_path=target.encode())
        reply = self.client.send(request)
        said = (self.op.name, place, name, str(value)[:40], reply.status_code, reply.text[:200])
        assert reply.status_code < 500, said
        if reply.status_code >= 400:
            error = reply.json()["error"]
            assert error["code"], said
            assert error["message"], said


@pytest.fixture(scope="module")
def run(served) -> str:
    """Give a run and a suite, so that what comes after the look-up is reached as well."""
    with httpx.Client(base_url=f"{served.url}{PREFIX}/projects/fuzz", timeout=20) as client:
        client.post(f"{served.url}{PREFIX}/projects", json={"slug": "fuzz"}).raise_for_status()
        example = {"id": "1", "input": {"question": "a"}, "expected": {"answer": "b"}}
        suite = {"name": "fuzz/suite", "examples": [example], "scorers": ["exact_match"]}
        client.post("/suites", json=suite).raise_for_status()
        return client.post("/runs", json={"name": "fuzz"}).raise_for_status().json()["id"]


@pytest.mark.parametrize("number", range(len(TABLE)), ids=[op.name for op in TABLE])
def test_odd_arguments_never_break_an_operation(client, run, number):
    """Each place gets some of the odd values, another share of them in each operation."""
    asker = Asker(client, TABLE[number], run)
    places = [(p.place, p.name) for p in TABLE[number].parameters if p.place != "body" and p.name != "project"]
    places += [("body", field) for field in asker.fields]
    asker.ask()
    for index, (place, name) in enumerate(places):
        for turn in range(ROUNDS):
            asker.ask(place, name, ODD[(number * 7 + index * 3 + turn * 5) % len(ODD)])


@pytest.mark.parametrize("number", range(0, len(TABLE), 3), ids=[op.name for op in TABLE[::3]])
def test_odd_bodies_never_break_an_operation(client, run, number):
    """A body that is no object, or none of the fields."""
    op = TABLE[number]
    path = PREFIX + re.sub(r"{(\w+)}", lambda m: text_of({**FITTING, "id": run}.get(m[1], "x")), op.path)
    for body in (b"", b"null", b"[]", b'"x"', b"{}", b'{"a": 1}', b"\xff\xfe", b"1e999", b'{"name": {"name": {}}}'):
        reply = client.request(op.method, path, content=body)
        assert reply.status_code < 500, (op.name, body, reply.text[:200])
