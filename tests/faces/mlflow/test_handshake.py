"""What clients ask before they begin, keys in the headers that they use, and workspaces, which are projects."""

import itertools
import re
from collections.abc import Iterator

import httpx
import pytest
from bench.bar import Running, gimbal_up
from tests.faces.mlflow.conftest import SCRIPTS
from tests.mlflow_clients import MlflowClient

NUMBERS = itertools.count()
MLFLOW = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def locked() -> Iterator[tuple[Running, str, str]]:
    """Start a Gimbal that has a member, so that everybody needs a key; give one for all and one of a single project."""
    with (
        gimbal_up(GIMBAL_MLFLOW_TRUNCATE_LONG_VALUES="false") as running,
        httpx.Client(base_url=f"{running.url}/api/v1", timeout=30) as owner,
    ):
        owner.post("/projects", json={"slug": "flights"}).raise_for_status()
        keys = [
            owner.post(f"/projects/{project}/keys", json={"name": f"of {project}", "role": "developer"})
            for project in ("default", "flights")
        ]
        # Without an admin key nobody could get in any more, once there is a member.
        owner.post(
            "/projects/default/keys", json={"name": "admin", "role": "admin", "everywhere": True}
        ).raise_for_status()
        owner.post("/projects/default/members", json={"email": "ann@example.org"}).raise_for_status()
        yield running, *[one.raise_for_status().json()["secret"] for one in keys]


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error_code"]


def test_what_clients_ask_before_they_sign_in_is_open(locked: tuple[Running, str, str]) -> None:
    """Health, version and what the server can do; all else needs a key, and says so in MLflow's form."""
    url = locked[0].url
    assert httpx.get(f"{url}/health").text == "OK"
    version = httpx.get(f"{url}/version")
    assert re.fullmatch(r"3\.\d+\.\d+", version.text)
    assert version.headers["content-type"].startswith("text/plain")
    for prefix in ("/api/3.0", "/ajax-api/3.0"):
        info = httpx.get(f"{url}{prefix}/mlflow/server-info").json()
        assert info["store_type"] == "SqlStore"
        assert info["workspaces_enabled"] is True
        assert info["artifact_serving_enabled"] is True
        assert info["features_enabled"] == {"gateway": False}
    # A key that is worth nothing any more does not keep anybody from asking.
    stale = {"authorization": "Bearer gk_nothing"}
    assert httpx.get(f"{url}/version", headers=stale).status_code == 200

    for path in (
        f"{MLFLOW}/experiments/search",
        f"{MLFLOW}/runs/get?run_id=x",
        "/api/3.0/mlflow/workspaces",
        f"{MLFLOW}/no",
    ):
        refused = httpx.get(f"{url}{path}")
        assert code(refused) == (401, "UNAUTHENTICATED"), path
        assert refused.headers["www-authenticate"].startswith("Basic")
        assert code(httpx.get(f"{url}{path}", headers=stale)) == (401, "UNAUTHENTICATED")


def test_keys_come_as_token_or_as_password(mlflow_client: MlflowClient, locked: tuple[Running, str, str]) -> None:
    """MLFLOW_TRACKING_TOKEN, and MLFLOW_TRACKING_USERNAME with MLFLOW_TRACKING_PASSWORD; a key's project is home."""
    running, key, of_flights = locked
    script = SCRIPTS / "signed.py"
    assert mlflow_client.run(script, running.url, "token", "default", MLFLOW_TRACKING_TOKEN=key).endswith("ok\n")
    given = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": of_flights}
    assert mlflow_client.run(script, running.url, "password", "flights", **given).endswith("ok\n")


def test_a_key_of_one_project_sees_no_other(locked: tuple[Running, str, str]) -> None:
    """Another workspace is as if there were none, and reading alone changes nothing."""
    running, key, of_flights = locked
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {of_flights}"}) as own:
        assert [one["name"] for one in own.get("/api/3.0/mlflow/workspaces").json()["workspaces"]] == ["flights"]
        assert own.get("/api/3.0/mlflow/workspaces/flights").json()["workspace"]["name"] == "flights"
        assert code(own.get("/api/3.0/mlflow/workspaces/default-not")) == (404, "RESOURCE_DOES_NOT_EXIST")
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {key}"}) as other:
        for asked in ("flights", "nowhere", "../flights", "a b"):
            reply = other.get(f"{MLFLOW}/experiments/get?experiment_id=0", headers={"X-MLFLOW-WORKSPACE": asked})
            assert code(reply) == (404, "RESOURCE_DOES_NOT_EXIST"), asked


def test_a_workspace_is_a_project(mlflow_client: MlflowClient, up: Running) -> None:
    """`mlflow.set_workspace` goes to the project of that name, and what is there is nowhere else."""
    slug = f"workspace-{next(NUMBERS)}"
    httpx.post(f"{up.url}/api/v1/projects", json={"slug": slug}).raise_for_status()
    printed = mlflow_client.run(SCRIPTS / "workspace.py", up.url, slug)
    assert printed.endswith("ok\n")
    run_id = printed.split()[-2]
    native = httpx.get(f"{up.url}/api/v1/projects/{slug}/runs").json()["items"]
    assert [one["id"].replace("-", "") for one in native] == [run_id]
    for method, path in (("POST", ""), ("PATCH", f"/{slug}"), ("DELETE", f"/{slug}")):
        reply = httpx.request(method, f"{up.url}/api/3.0/mlflow/workspaces{path}", json={})
        assert code(reply) == (501, "NOT_IMPLEMENTED")
        assert "projects" in reply.json()["message"]


def test_a_browser_comes_by_the_same_door(up: Running) -> None:
    """Calls are served under the prefix of MLflow's pages as well; pages of other sites may not act."""
    made = httpx.post(f"{up.url}/ajax-api/2.0/mlflow/experiments/create", json={"name": f"ajax {next(NUMBERS)}"})
    assert made.status_code == 200
    foreign = {"origin": "https://elsewhere.example"}
    refused = httpx.post(f"{up.url}{MLFLOW}/experiments/create", json={"name": "x"}, headers=foreign)
    assert code(refused) == (403, "PERMISSION_DENIED")


def test_long_values_are_refused_where_they_shall_not_be_cut(locked: tuple[Running, str, str]) -> None:
    """With `mlflow.truncate_long_values` off, as with MLFLOW_TRUNCATE_LONG_VALUES of its own server."""
    running, key, _ = locked
    with httpx.Client(base_url=f"{running.url}{MLFLOW}", headers={"authorization": f"Bearer {key}"}) as own:
        run_id = own.post("/runs/create", json={}).json()["run"]["info"]["run_id"]
        for call, most in (("log-parameter", 6000), ("set-tag", 8000)):
            kept = own.post(f"/runs/{call}", json={"run_id": run_id, "key": "k", "value": "x" * most})
            assert kept.status_code == 200
            refused = own.post(f"/runs/{call}", json={"run_id": run_id, "key": "l", "value": "x" * (most + 1)})
            assert code(refused) == (400, "INVALID_PARAMETER_VALUE")
