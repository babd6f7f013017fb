"""Logged models, the registry and prompts by MLflow's own clients, and what Gimbal made of what they registered."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bench.bar import Running
from tests.faces.mlflow.registry.conftest import SCRIPTS
from tests.mlflow_clients import MlflowClient

import gimbal
from gimbal.axis.endpoints.model import Target
from gimbal.axis.gates.model import Rule
from gimbal.generative.prompts.model import PromptFile
from gimbal.kernel.errors import GateRefused, GimbalError


@pytest.fixture
def rest(up: Running) -> Iterator[httpx.Client]:
    """Ask without MLflow's client."""
    with httpx.Client(base_url=f"{up.url}/api/2.0/mlflow", timeout=30) as made:
        yield made


def _own() -> str:
    return f"story {uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize("story", ["log_model", "registry", "candidates", "prompts"])
def test_a_story_goes_as_with_mlflows_own_server(each_client: MlflowClient, up: Running, story: str) -> None:
    """The script asserts what it sees; it ends well with each client."""
    assert each_client.run(SCRIPTS / f"{story}.py", up.url, _own(), PYTHONWARNINGS="ignore").endswith("ok\n")


def test_what_was_registered_is_a_version_like_all_others(
    mlflow_client: MlflowClient, up: Running, client: gimbal.Client
) -> None:
    """It has files by digest, lineage from its run, a page; and its code is never run here."""
    own = _own()
    mlflow_client.run(SCRIPTS / "log_model.py", up.url, own, PYTHONWARNINGS="ignore")

    named = client.registry.show(name=f"Delay model {own}")
    assert named.asset == f"delay-model-{own.replace(' ', '-')}"
    version = client.assets.show(ref=f"model:{named.asset}@champion")
    assert version.number == 1
    assert version.manifest["format"] == "mlflow"
    assert "MLmodel" in {entry.path for entry in version.files}
    graph = client.assets.lineage(ref=str(version.ref))
    assert version.run_id
    assert f"run:{version.run_id}" in {node.id for node in graph.nodes}
    copy = client.assets.lineage(ref=f"model:{named.asset}-copy@v1")
    assert str(version.ref) in {node.id for node in copy.nodes}

    page = httpx.get(f"{up.url}/p/default/assets/model:{named.asset}", timeout=30, follow_redirects=True)
    assert page.status_code == 200
    assert "never run by Gimbal" in page.text
    slug = f"e{uuid.uuid4().hex[:8]}"
    client.endpoints.set(slug=slug, targets=[Target(ref=f"model:{named.asset}@champion")])
    asked = {"inputs": [{"name": "a", "datatype": "FP64", "shape": [1], "data": [1.0]}]}
    answer = httpx.post(f"{up.url}/v2/models/{slug}/infer", json=asked, timeout=30)
    assert answer.status_code == 400
    assert "does not run it" in answer.text
    client.endpoints.remove(slug=slug)


def test_a_gate_holds_against_aliases_and_stages(rest: httpx.Client, client: gimbal.Client) -> None:
    """The clients get 403 with the gate's words, the alias stays, and so does what it stands on."""
    name = _own()
    assert rest.post("/registered-models/create", json={"name": name}).status_code == 200
    for source in ("s3://b/1", "s3://b/2"):
        assert rest.post("/model-versions/create", json={"name": name, "source": source}).status_code == 200
    asset = client.registry.show(name=name).asset
    rule = Rule(evidence="evaluation", source="suite:help/questions", metric="exact_match", threshold=0.5)
    move = {"name": name, "alias": "production", "version": "1"}
    assert rest.post("/registered-models/alias", json=move).status_code == 200
    gate = client.gates.set(pattern=f"model:{asset}@production", rules=[rule])
    try:
        answers = [
            rest.post("/registered-models/alias", json=move | {"version": "2"}),
            rest.request("DELETE", "/registered-models/alias", json={"name": name, "alias": "production"}),
            rest.post("/model-versions/transition-stage", json={"name": name, "version": "2", "stage": "Production"}),
            rest.request("DELETE", "/model-versions/delete", json={"name": name, "version": "1"}),
            rest.request("DELETE", "/registered-models/delete", json={"name": name}),
        ]
        assert [answer.status_code for answer in answers] == [403] * 5
        assert {answer.json()["error_code"] for answer in answers} == {"PERMISSION_DENIED"}
        assert "A gate guards" in answers[0].json()["message"]
        found = rest.get("/registered-models/get", params={"name": name}).json()["registered_model"]
        assert found["aliases"] == [{"alias": "production", "version": "1"}]
        assert {one["current_stage"] for one in found["latest_versions"]} == {"None"}
        with pytest.raises(GateRefused):
            client.assets.move_alias(ref=f"model:{asset}", alias="production", to="v2")
    finally:
        client.gates.remove(id=gate.id)


def test_other_projects_have_a_registry_of_their_own(rest: httpx.Client, client: gimbal.Client) -> None:
    """Names, versions and logged models of another workspace are not found, and its names are free here."""
    slug, name = f"w{uuid.uuid4().hex[:8]}", _own()
    client.projects.create(slug=slug)
    there = {"X-MLFLOW-WORKSPACE": slug}
    made = rest.post("/registered-models/create", json={"name": name}, headers=there)
    assert made.status_code == 200
    rest.post("/model-versions/create", json={"name": name, "source": "s3://b/1"}, headers=there)
    logged = rest.post("/logged-models", json={"experiment_id": "0", "name": "m"}, headers=there).json()["model"][
        "info"
    ]

    assert rest.get("/registered-models/get", params={"name": name}).status_code == 404
    assert rest.get("/model-versions/get", params={"name": name, "version": "1"}).status_code == 404
    assert rest.get(f"/logged-models/{logged['model_id']}").status_code == 404
    assert rest.patch(f"/logged-models/{logged['model_id']}", json={"status": "LOGGED_MODEL_READY"}).status_code == 404
    assert rest.post("/registered-models/create", json={"name": name}).status_code == 200
    source = {"name": name, "source": f"models:/{logged['model_id']}", "model_id": logged["model_id"]}
    assert rest.post("/model-versions/create", json=source).status_code == 400


def test_prompts_of_mlflow_are_prompts_here_and_ours_are_theirs(
    mlflow_client: MlflowClient, up: Running, client: gimbal.Client, tmp_path: Path
) -> None:
    """One is filled by us, or says why it is not; ours are loaded by the client."""
    own = _own()
    mlflow_client.run(SCRIPTS / "prompts.py", up.url, own, PYTHONWARNINGS="ignore")
    slug = own.replace(" ", "_")
    shown = client.prompts.render(ref=f"prompt:answer_{slug}@v1", variables={"question": "it", "tone": "a friend"})
    assert [(one.role, one.content) for one in shown.messages] == [("user", "Answer it as a friend.")]
    third = client.prompts.show(ref=f"prompt:answer_{slug}@v3").manifest
    assert [one.role for one in third.messages] == ["system", "user"]
    assert (third.model, third.params.temperature, third.params.max_tokens) == ("openai/gpt-5", 0.2, 10)
    with pytest.raises(GimbalError, match="cannot be filled here"):
        client.prompts.render(ref=f"prompt:odd_{slug}@v1", variables={})

    ours = f"ours-{uuid.uuid4().hex[:8]}"
    text = '+++\nmodel = "local/extractive"\n+++\n\n## system\n\nBe brief.\n\n## user\n\n{{question}}\n'
    client.prompts.sync(files=[PromptFile(path=f"{ours}.md", text=text)])
    script = tmp_path / "ours.py"
    script.write_text(
        "import mlflow, sys\n"
        "found = mlflow.genai.load_prompt(f'prompts:/{sys.argv[1]}/1')\n"
        "assert [one['role'] for one in found.template] == ['system', 'user'], found.template\n"
        "assert found.variables == {'question'}\n"
        "assert sys.argv[1] in [one.name for one in mlflow.genai.search_prompts()]\n"
        "print('ok')\n"
    )
    assert mlflow_client.run(script, up.url, ours).endswith("ok\n")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/registered-models/create", {}, 400),
        ("POST", "/registered-models/create", {"name": "a\0b"}, 400),
        ("POST", "/registered-models/create", {"name": ".."}, 400),
        ("POST", "/registered-models/create", {"name": "x" * 300}, 400),
        ("POST", "/registered-models/rename", {"name": "never"}, 400),
        ("POST", "/registered-models/rename", {"name": "never", "new_name": "x"}, 404),
        ("PATCH", "/registered-models/update", {"name": "never", "description": "x"}, 404),
        ("DELETE", "/registered-models/delete", {"name": "never"}, 404),
        ("POST", "/registered-models/set-tag", {"name": "never", "key": "a", "value": "b"}, 404),
        ("POST", "/registered-models/set-tag", {"name": "never"}, 400),
        ("GET", "/registered-models/search", {"max_results": "1001"}, 400),
        ("GET", "/registered-models/search", {"max_results": "0"}, 400),
        ("GET", "/registered-models/search", {"page_token": "x"}, 400),
        ("GET", "/registered-models/search", {"page_token": "eyJhdCI6OTk5OTk5OTk5OTk5fQ"}, 400),
        ("GET", "/registered-models/search", {"filter": "name = 'a' -- b"}, 400),
        ("GET", "/registered-models/search", {"filter": "name = 'a'; DROP TABLE versions"}, 400),
        ("GET", "/model-versions/search", {"max_results": "200001"}, 400),
        ("GET", "/model-versions/search", {"filter": "version_number = 1.5"}, 400),
        ("GET", "/model-versions/search", {"filter": "run_id IN ()"}, 400),
        ("GET", "/model-versions/get", {"name": "never", "version": "-1"}, 400),
        ("GET", "/model-versions/get", {"name": "never", "version": "99999999999999999999"}, 400),
        ("POST", "/model-versions/transition-stage", {"name": "never", "version": "1"}, 400),
        ("GET", "/logged-models/m-1", {}, 404),
        ("PATCH", "/logged-models/..", {"status": "LOGGED_MODEL_READY"}, 404),
        ("POST", "/logged-models", {"experiment_id": "x"}, 400),
        ("POST", "/logged-models", {"experiment_id": "0", "name": "a.b"}, 400),
        ("POST", "/logged-models", {"experiment_id": "0", "params": [{"key": str(at)} for at in range(101)]}, 400),
        ("POST", "/logged-models", {"experiment_id": "0", "source_run_id": "0" * 32}, 404),
        ("POST", "/logged-models/search", {}, 400),
        ("POST", "/logged-models/search", {"experiment_ids": ["0"], "order_by": [{"field_name": "params.a"}]}, 400),
        ("POST", "/logged-models/search", {"experiment_ids": ["0"], "datasets": [{"dataset_digest": "a"}]}, 400),
        ("POST", "/runs/outputs", {"run_id": "0" * 32, "models": []}, 404),
    ],
)
def test_bad_input_is_told_in_mlflows_words(
    rest: httpx.Client, method: str, path: str, body: dict[str, object], status: int
) -> None:
    """Never as a failure of the server, which clients would ask again for minutes."""
    sent = {"params": body} if method == "GET" else {"json": body}
    answer = rest.request(method, path, **sent)  # pyright: ignore[reportArgumentType]
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"] in {
        "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND",
    }  # fmt: skip


def test_what_a_prompt_version_says_stands(rest: httpx.Client) -> None:
    """Its text cannot be changed by a tag, nor can a prompt become a model."""
    name = f"p{uuid.uuid4().hex[:8]}"
    prompt = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    text = {"key": "mlflow.prompt.text", "value": "{{a}}"}
    rest.post("/registered-models/create", json={"name": name, "tags": [prompt]})
    version = {"name": name, "source": "dummy-source", "tags": [prompt]}
    assert rest.post("/model-versions/create", json=version).status_code == 400
    assert (
        rest.post("/model-versions/create", json=version | {"source": "s3://b", "tags": [prompt, text]}).status_code
        == 400
    )
    assert rest.post("/model-versions/create", json=version | {"tags": [prompt, text]}).status_code == 200
    changed = {"name": name, "version": "1", "key": "mlflow.prompt.text", "value": "other"}
    assert rest.post("/model-versions/set-tag", json=changed).status_code == 400
    assert rest.request("DELETE", "/model-versions/delete-tag", json=changed).status_code == 400
    tag = {"name": name, "key": "mlflow.prompt.is_prompt", "value": "false"}
    assert rest.post("/registered-models/set-tag", json=tag).status_code == 400
    found = rest.get("/model-versions/get", params={"name": name, "version": "1"}).json()["model_version"]
    assert {one["key"]: one["value"] for one in found["tags"]}["mlflow.prompt.text"] == "{{a}}"


def test_two_who_make_one_name_or_versions_at_once(up: Running, rest: httpx.Client) -> None:
    """One makes the name; versions are numbered without gaps."""
    name = _own()
    code = (
        "import httpx, sys, concurrent.futures as f\n"
        "url, name = sys.argv[1:]\n"
        "with httpx.Client(base_url=url, timeout=60) as c, f.ThreadPoolExecutor(8) as pool:\n"
        "    made = list(pool.map(lambda _: c.post('/registered-models/create', json={'name': name}).status_code, range(8)))\n"
        "    body = {'name': name, 'source': 's3://b/1'}\n"
        "    found = list(pool.map(lambda _: c.post('/model-versions/create', json=body).json(), range(16)))\n"
        "print(sorted(made), sorted(int(one['model_version']['version']) for one in found))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(rest.base_url), name], capture_output=True, text=True, check=True, timeout=120
    )
    assert said.stdout == f"{[200] + [400] * 7} {list(range(1, 17))}\n"
