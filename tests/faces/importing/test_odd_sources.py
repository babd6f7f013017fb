"""Sources in which something is wrong: it is named with its place, all else comes, and no password is shown."""

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from bench.runs_import import fill_database
from tests.faces.cli.conftest import Cli
from tests.faces.importing.conftest import Bring
from tests.faces.importing.test_mlflow_files import made_run, store  # noqa: F401 - a fixture
from tests.faces.importing.test_mlflow_others import relabelled

import gimbal
from gimbal.faces.importing.sources import mlflow_http
from gimbal.faces.importing.sources.mlflow import source_here

SECRET = "correct-horse"
Folder = Callable[[Path], object]


def changed(old: str, new: str) -> Folder:
    def change(run: Path) -> None:
        meta = run / "meta.yaml"
        meta.write_text(meta.read_text().replace(old, new))

    return change


def moved_behind_link(folder: Path) -> None:
    folder.rename(folder.with_name(f"real-{folder.name}"))
    folder.symlink_to(folder.with_name(f"real-{folder.name}"))


def without_name(run: Path) -> None:
    used, described = run / "inputs" / "one", run.parent / "datasets" / "d1"
    used.mkdir(parents=True)
    described.mkdir(parents=True)
    (used / "meta.yaml").write_text("source_type: DATASET\nsource_id: d1\n")
    (described / "meta.yaml").write_text("digest: x\n")


def name_in_latin_1(run: Path) -> None:
    (Path(os.fsdecode(os.fsencode(run / "artifacts") + b"/gr\xfc\xdfe.txt"))).write_text("x")


def params_as_a_file(run: Path) -> None:
    (run / "params").rmdir()
    (run / "params").write_text("x")


def step_of_64_bits(run: Path) -> None:
    (run / "metrics" / "loss").write_text("1767225600000 0.5 0\n1767225600000 0.5 -9223372036854775808\n")


def metric_broken_off(run: Path) -> None:
    (run / "metrics" / "loss").write_text("1767225600000 0.5 0\n1767225600002 0.3")


@pytest.mark.parametrize(
    ("harm", "comes"),
    [
        (changed("end_time: 1767225601000", "end_time: 2024-01-01"), False),
        (changed("start_time: 1767225600000", "start_time: abc"), False),
        (without_name, True),
        (params_as_a_file, True),
        (name_in_latin_1, True),
        (step_of_64_bits, True),
        (metric_broken_off, True),
        (lambda run: moved_behind_link(run / "artifacts"), True),
        (moved_behind_link, None),
        (changed("user_id: u", "user_id: u\nartifact_uri: file:///mnt/gone/5/{run}/artifacts"), True),
    ],
)
def test_one_odd_run(
    harm: Folder, comes: bool | None, store: Path, client: gimbal.Client, bring: Bring  # noqa: F811 - the fixture
) -> None:  # fmt: skip
    """It is named, and comes without what is odd, or not at all; the run beside it is here, and the report is told."""
    good, odd = made_run(store, uuid.uuid4().hex), made_run(store, uuid.uuid4().hex)
    harm(odd)
    changed("{run}", odd.name)(odd)
    code, told = bring("mlflow", store.parent)

    here = {uuid.UUID(one.id).hex for one in client.every(client.runs.list, experiment=store.parent.parent.name)}
    assert (code, len(told["problems"]), told["ended"]) == (1, 1, True), told
    assert good.name in here
    if comes is not None:
        assert (odd.name in here) is comes


def test_links_among_experiments(store: Path, bring: Bring) -> None:  # noqa: F811 - the fixture
    """A folder of an experiment that is a link is named, not passed over."""
    moved_behind_link(store)
    (store.parent / f"real-{store.name}").rename(store.parents[1] / "elsewhere")
    code, told = bring("mlflow", store.parent)
    assert (code, [one["where"] for one in told["problems"]]) == (1, [str(store)])


def test_places_of_files_that_are_not_here(tmp_path: Path, client: gimbal.Client, bring: Bring) -> None:
    """A database of another machine: each place is told once; without artifacts nothing is missed."""
    fill_database(tmp_path / "mlflow.db", 5)
    relabelled(tmp_path / "mlflow.db", tmp_path.name)
    with sqlite3.connect(tmp_path / "mlflow.db") as db:
        db.execute("UPDATE runs SET artifact_uri = '/home/nobody-here/mlruns/1/' || run_uuid || '/artifacts'")
        ids = [row[0] for row in db.execute("SELECT run_uuid FROM runs ORDER BY run_uuid")]
        db.execute("UPDATE runs SET artifact_uri = 's3://bucket/1/x/artifacts' WHERE run_uuid = ?", ids[:1])
        # MLflow's own folder, which it makes with the first file.
        own = (tmp_path / "mlruns" / "1" / ids[1] / "artifacts").as_uri()
        db.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (own, ids[1]))
    source = f"sqlite:///{tmp_path}/mlflow.db"
    code, told = bring("mlflow", source)

    places = ["/home/nobody-here/mlruns/1", "s3://bucket/1/x/artifacts"]
    assert (code, sorted(one["where"] for one in told["problems"]), told["counts"]["created"]) == (1, places, 5)
    code, told = bring("mlflow", source, "--no-artifacts")
    assert (code, told["problems"], told["counts"]["there"]) == (0, [], 5)


@pytest.mark.parametrize(
    "source",
    [
        f"ftp://ann:{SECRET}@h/x",
        f"mysql://ann:{SECRET}@h/db",
        f"postgresql://ann:{SECRET}@h:port/db",
        f"postgresql://ann:{SECRET}@127.0.0.1:1/db",
        f"sqlite://ann:{SECRET}@h/db",
        f"http://ann:{SECRET}@127.0.0.1:1",
        f"http://ann:{SECRET}@127.0.0.1:port",
        f"http://ann:{SECRET}@[h/",
    ],
)
def test_passwords_are_not_shown(source: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is wrong is told without the password in it."""
    monkeypatch.setattr(mlflow_http, "_REST_S", 0.001)
    ran = cli("import", "mlflow", source)
    assert ran.code == 1
    assert SECRET not in ran.out + ran.err
    assert "Traceback" not in ran.err


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Give the address of a server of MLflow with three runs, of which one has files that it does not give out."""
    monkeypatch.setattr(mlflow_http, "_REST_S", 0.001)
    ids = [uuid.uuid4().hex for _ in range(3)]
    busy = [503, 503]

    def run(own_id: str, start: object) -> dict[str, Any]:
        return {"info": {"run_id": own_id, "experiment_id": "1", "status": "FINISHED", "start_time": start}}

    def answer(path: str, run_id: str, of: str) -> tuple[int, Any]:
        match path.rpartition("mlflow/")[2]:
            case "experiments/search":
                return 200, {"experiments": [{"experiment_id": "1", "name": tmp_path.name}]}
            case "runs/search":
                return 200, {"runs": [run(ids[0], 1), run(ids[1], 1), run(ids[2], 1), run("odd", "abc")]}
            case "artifacts/list" if run_id == ids[2]:
                return 500, {"error_code": "INTERNAL_ERROR"}
            case "artifacts/list":
                return 200, {"files": [{"path": "a.txt", "is_dir": False, "file_size": 4}]}
            case "registered-models/search":
                return 200, {}
            case _ if of == "a.txt" and run_id == ids[0]:
                return (busy.pop(), {}) if busy else (200, "file")
            case _:
                return 404, {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            status, said = answer(parts.path, query.get("run_id", [""])[0], query.get("path", [""])[0])
            body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://ann:{SECRET}@127.0.0.1:{server.server_port}", ids
        server.shutdown()


def test_a_server_that_does_not_give_all(wrong: tuple[str, list[str]], client: gimbal.Client, bring: Bring) -> None:
    """A file and a list that are refused, and a run that is odd, are named with the run; what is busy is asked again."""
    url, ids = wrong
    code, told = bring("mlflow", url)

    assert (code, told["counts"]["created"], told["ended"]) == (1, 3, True)
    assert sorted(one["where"] for one in told["problems"]) == sorted(
        ["run odd", f"run {ids[1]}: a.txt", f"run {ids[2]}: artifacts"]
    )
    assert b"".join(client.runs.artifact(ids[0], "a.txt")) == b"file"
    assert SECRET not in json.dumps(told)
    code, told = bring("mlflow", url, "--no-artifacts")
    assert [one["where"] for one in told["problems"]] == ["run odd"]


def test_an_experiment_that_is_not_there(store: Path, cli: Cli, bring: Bring, tmp_path: Path) -> None:  # noqa: F811
    """Its name is refused with those that there are; MLflow's `Default` may be asked for by either name."""
    (tmp_path / "export" / "run").mkdir(parents=True)
    (tmp_path / "export" / "run" / "history.jsonl").write_text('{"_step": 0, "loss": 1}\n')
    for words in (("mlflow", str(store.parent)), ("wandb", str(tmp_path / "export"))):
        ran = cli("import", *words, "--experiment", "none")
        assert (ran.code, "There is no experiment 'none'" in ran.err) == (1, True), ran.err
    (store / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    made_run(store, uuid.uuid4().hex)
    for name in ("Default", "default"):
        assert bring("mlflow", store.parent, "--experiment", name, "--dry-run")[1]["counts"]["read"] == 1


def test_what_breaks_off_is_reported(tmp_path: Path, cli: Cli) -> None:
    """The report says how far it came, and that it did not end, before the error is told."""
    (tmp_path / "export" / "run").mkdir(parents=True)
    (tmp_path / "export" / "run" / "history.jsonl").write_text('{"_step": 0, "loss": 1}\n')
    ran = cli("import", "wandb", str(tmp_path / "export"), "--experiment", "none")
    assert (ran.code, "broke off" in ran.out) == (1, True)


def test_without_artifacts(store: Path, client: gimbal.Client, bring: Bring) -> None:  # noqa: F811 - the fixture
    """Files stay out; those that the import makes of what has no other place do not."""
    run = made_run(store, own_id := uuid.uuid4().hex)
    (run / "params" / "long").write_text("x" * 70_000)
    (run / "artifacts" / "a.txt").write_text("a")
    bring("mlflow", store.parent, "--no-artifacts")
    assert [one.path for one in client.runs.artifacts(own_id)] == ["import/values.json"]


def test_deleted_runs_get_their_files_later(store: Path, client: gimbal.Client, bring: Bring) -> None:  # noqa: F811
    """A run that is deleted on both sides takes the files that were left out; one restored there is told, then comes."""
    run = made_run(store, own_id := uuid.uuid4().hex)
    (run / "artifacts" / "a.txt").write_text("a")
    changed("lifecycle_stage: active", "lifecycle_stage: deleted")(run)
    assert bring("mlflow", store.parent, "--no-artifacts")[0] == 0
    code, told = bring("mlflow", store.parent)

    assert (code, told["problems"], told["counts"]["added"]) == (0, [], 1)
    assert client.runs.show(own_id).stage == "deleted"
    assert b"".join(client.runs.artifact(own_id, "a.txt")) == b"a"
    assert bring("mlflow", store.parent)[1]["counts"]["there"] == 1
    changed("lifecycle_stage: deleted", "lifecycle_stage: active")(run)
    code, told = bring("mlflow", store.parent)
    assert (code, "gimbal runs restore" in told["problems"][0]["what"]) == (1, True)
    client.runs.restore(own_id)
    assert bring("mlflow", store.parent)[0] == 0
    assert bring("mlflow", store.parent, "--verify")[0] == 0


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("s3://bucket/artifacts/1/{run}/artifacts/model", "runs:/{run}/model"),
        ("file:///x/mlruns/1/{run}/artifacts", "runs:/{run}"),
        ("s3://bucket/artifacts/1/other/artifacts/model", "s3://bucket/artifacts/1/other/artifacts/model"),
    ],
)
def test_sources_of_versions(place: str, found: str) -> None:
    """A place among the files of the version's run is a path of that run, whatever else is in its address."""
    run = uuid.uuid4().hex
    assert source_here(place.format(run=run), "", run, "") == (found.format(run=run), "")
