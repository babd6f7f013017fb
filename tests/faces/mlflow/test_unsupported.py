"""Every call that MLflow's own definitions know is served, or refused by the name of its feature; nothing is forgotten."""

import importlib
from collections.abc import Iterator

import httpx
import pytest
from bench.bar import Running

from gimbal.faces.mlflow import table, unsupported
from gimbal.faces.server import capabilities
from gimbal.faces.server.router import Router
from gimbal.kernel.http import DialectRoute, dialect_routes

pytest.importorskip("mlflow", reason="mlflow-skinny, which brings the definitions, is not installed")
capabilities.load_dialects()

_PROTOS = ("service_pb2", "model_registry_pb2", "mlflow_artifacts_pb2", "datasets_pb2", "webhooks_pb2")
_UNKNOWN = {f"{prefix}/{{rest*}}" for prefixes in table.PREFIXES.values() for prefix in prefixes}


def calls() -> Iterator[tuple[str, str]]:
    """Yield method and path of every call that MLflow's definitions have, as its clients put them together."""
    rpc = importlib.import_module("mlflow.protos.databricks_pb2").rpc
    for name in _PROTOS:
        module = importlib.import_module(f"mlflow.protos.{name}")
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for endpoint in method.GetOptions().Extensions[rpc].endpoints:
                    path = endpoint.path.replace("<path:", "{").replace(">", "}")
                    yield endpoint.method, f"/api/{endpoint.since.major}.0{path}"


CALLS = sorted(set(calls()))


@pytest.fixture(scope="module")
def router() -> Router[DialectRoute]:
    found: Router[DialectRoute] = Router()
    for row in dialect_routes():
        if row.dialect == table.DIALECT:
            found.add(row.method, row.path, row)
    return found


def test_there_are_as_many_calls_as_mlflow_has() -> None:
    """The walk below is not over an empty list."""
    assert len(CALLS) > 150


@pytest.mark.parametrize(("method", "path"), CALLS, ids=lambda part: part)
def test_a_call_is_served_or_refused_by_name(router: Router[DialectRoute], method: str, path: str) -> None:
    """No call of MLflow ends where unknown paths do, under neither prefix."""
    for asked in (path, path.replace("/api/", "/ajax-api/", 1)):
        assert router.match(method, asked.replace("{", "").replace("}", "").encode())[0].path not in _UNKNOWN, asked


@pytest.mark.parametrize("row", unsupported.UNSERVED, ids=lambda row: f"{row.version} {row.path}")
def test_a_refusal_names_the_feature_in_mlflows_form(up: Running, row: unsupported.Unserved) -> None:
    """Clients get a code that they know, the name of the feature, and what there is instead; they do not come again."""
    for method in unsupported.METHODS:
        for under in ("", "/a/b"):
            reply = httpx.request(method, f"{up.url}{table.PREFIXES[row.version][0]}{row.path}{under}", json={})
            told = reply.json()
            assert (reply.status_code, told["error_code"]) == (501, "NOT_IMPLEMENTED"), reply.text
            assert f"(feature: {row.feature})" in told["message"]
            assert row.instead in told["message"]


def test_a_path_of_no_mlflow_is_not_found(up: Running) -> None:
    """Clients fall back to other calls by this code, under every prefix and with every method."""
    for prefix in (one for prefixes in table.PREFIXES.values() for one in prefixes):
        for method in unsupported.METHODS:
            reply = httpx.request(method, f"{up.url}{prefix}/mlflow/no/such", json={})
            assert (reply.status_code, reply.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND"), reply.text
    reply = httpx.put(f"{up.url}/api/2.0/mlflow/runs/create", json={})
    assert (reply.status_code, reply.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
