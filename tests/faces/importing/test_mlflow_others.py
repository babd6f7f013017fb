"""Import of MLflow's database and from MLflow's servers: the same runs, however they are read."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from bench.bar import Running, gimbal_up
from bench.runs_import import TABLES, fill_database, fill_folder
from tests.faces.cli.conftest import Cli
from tests.faces.importing.conftest import SCRIPTS, Bring
from tests.links import Cable
from tests.mlflow_clients import MlflowClient

import gimbal
from gimbal.faces.importing.carrier import Carrier
from gimbal.faces.importing.report import Report
from gimbal.faces.importing.sources.mlflow import PROMPT
from gimbal.faces.importing.sources.mlflow_files import MlflowFiles
from gimbal.kernel.errors import Unavailable


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Running]:
    """Start another installation, which is a server that speaks MLflow's calls."""
    with gimbal_up() as running:
        yield running


def relabelled(database: Path, name: str) -> None:
    """Give the runs of a filled database ids of this test alone, and its experiment a name."""
    with sqlite3.connect(database) as db:
        db.execute("UPDATE experiments SET name = ?", (name,))
        for (own_id,) in db.execute("SELECT run_uuid FROM runs").fetchall():
            new = uuid.uuid4().hex
            for table in ("runs", "metrics", "params", "tags"):
                db.execute(f"UPDATE {table} SET run_uuid = ? WHERE run_uuid = ?", (new, own_id))
        first = db.execute("SELECT min(run_uuid) FROM runs").fetchone()[0]
        db.execute("UPDATE metrics SET value = 0, is_nan = 1 WHERE run_uuid = ? AND key = 'm0'", (first,))


def test_a_database_of_mlflow(tmp_path: Path, client: gimbal.Client, bring: Bring) -> None:
    """Runs, points, parameters and tags come from the tables; NaN is a flag there; tables that are missing are empty."""
    fill_database(tmp_path / "mlflow.db", 300)
    relabelled(tmp_path / "mlflow.db", tmp_path.name)
    source = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code, told = bring("mlflow", source)

    assert (code, told["problems"]) == (0, [])
    assert {name: told["counts"][name] for name in ("created", "points", "params", "tags")} == {
        "created": 300, "points": 30_000, "params": 3000, "tags": 1200,
    }  # fmt: skip
    with sqlite3.connect(tmp_path / "mlflow.db") as db:
        first = db.execute("SELECT min(run_uuid) FROM runs").fetchone()[0]
    assert client.runs.show(first).metrics["m0"] == "NaN"
    assert bring("mlflow", source, "--verify")[0] == 0
    assert bring("mlflow", source)[1]["counts"]["there"] == 300


def test_a_path_that_looks_like_an_address(tmp_path: Path, bring: Bring) -> None:
    """A file in a folder with # in its name is read, and no other one made."""
    place = tmp_path / "a#b"
    place.mkdir()
    fill_database(place / "mlflow.db", 2)
    relabelled(place / "mlflow.db", tmp_path.name)
    assert bring("mlflow", f"sqlite:///{place}/mlflow.db", "--dry-run")[1]["counts"]["created"] == 2
    assert [one.name for one in tmp_path.iterdir()] == ["a#b"]


def test_a_database_in_postgresql(postgres: sa.URL, client: gimbal.Client, bring: Bring, tmp_path: Path) -> None:
    """The same tables in PostgreSQL, where a flag is a boolean; the connection cannot write."""
    source, own_id = postgres.set(drivername="postgresql+psycopg"), uuid.uuid4().hex
    admin = sa.create_engine(source, isolation_level="AUTOCOMMIT")
    with admin.connect() as db:
        db.exec_driver_sql("CREATE DATABASE imported")
    admin.dispose()
    filled = sa.create_engine(source.set(database="imported"))
    with filled.begin() as db:
        for statement in TABLES.replace("REAL", "DOUBLE PRECISION").split(";")[:-1]:
            db.exec_driver_sql(statement)
        told = (tmp_path.name, own_id)
        db.exec_driver_sql("INSERT INTO experiments VALUES (1, %s, '', 'active', 0, 0)", told[:1])
        db.exec_driver_sql("INSERT INTO runs VALUES (%s, 'pg', 'u', 'FAILED', 1000, 2000, 'active', '', 1)", told[1:])
        db.exec_driver_sql(
            "INSERT INTO metrics VALUES ('m', 0.1, 1000, %s, 1, false), ('n', 0, 1000, %s, 1, true)", told[1:] * 2
        )
    filled.dispose()
    code, report = bring(
        "mlflow", source.set(drivername="postgresql", database="imported").render_as_string(hide_password=False)
    )

    assert (code, report["problems"]) == (0, [])
    run = client.runs.show(own_id)
    assert (run.name, run.status, run.metrics) == ("pg", "failed", {"m": 0.1, "n": "NaN"})


def test_other_workspaces_are_named(tmp_path: Path, client: gimbal.Client, bring: Bring) -> None:
    """A database with workspaces gives those of one; what is left out is told."""
    fill_database(tmp_path / "mlflow.db", 2)
    relabelled(tmp_path / "mlflow.db", tmp_path.name)
    with sqlite3.connect(tmp_path / "mlflow.db") as db:
        db.execute("ALTER TABLE experiments ADD COLUMN workspace TEXT DEFAULT 'default'")
        db.execute("INSERT INTO experiments VALUES (2, 'other', '', 'active', 0, 0, 'theirs')")
    code, told = bring("mlflow", f"sqlite:///{tmp_path / 'mlflow.db'}")

    assert (code, told["counts"]["created"], [one["where"] for one in told["problems"]]) == (1, 2, ["workspace theirs"])
    assert "other" not in {one.name for one in client.every(client.experiments.list)}


def test_a_database_of_something_else(tmp_path: Path, cli: Cli) -> None:
    """It says which table is missing, and a file that is no database that it cannot be read."""
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE runs (x)")
    (tmp_path / "text.db").write_text("no database " * 100)
    for name, said in (("other.db", "has no table 'experiments'"), ("text.db", "cannot be read")):
        ran = cli("import", "mlflow", f"sqlite:///{tmp_path / name}")
        assert (ran.code, said in ran.err) == (1, True), ran.err


def test_a_server_of_mlflow(
    elsewhere: Running, mlflow_client: MlflowClient, client: gimbal.Client, bring: Bring, tmp_path: Path
) -> None:
    """What MLflow's client wrote to one server it reads on the other, files and logged models among it."""
    mlflow_client.run(SCRIPTS / "fill.py", elsewhere.url, tmp_path.name)
    code, told = bring("mlflow", elsewhere.url)

    assert (code, told["problems"]) == (0, [])
    there = json.loads(mlflow_client.run(SCRIPTS / "dump.py", elsewhere.url, tmp_path.name))
    here = json.loads(mlflow_client.run(SCRIPTS / "dump.py", client.transport.url, tmp_path.name))
    assert here == there
    assert bring("mlflow", elsewhere.url)[1]["counts"]["created"] == 0
    assert bring("mlflow", elsewhere.url, "--verify")[0] == 0


def test_prompts_of_a_server(elsewhere: Running, client: gimbal.Client, bring: Bring, tmp_path: Path) -> None:
    """A prompt of MLflow's registry is a prompt here, with its versions and texts."""
    mark, text = {"key": PROMPT, "value": "true"}, {"key": "mlflow.prompt.text", "value": "Say {{word}}."}
    with gimbal.Client(elsewhere.url) as there:
        call = there.transport.dialect
        call("POST", "/api/2.0/mlflow/registered-models/create", {"name": tmp_path.name, "tags": [mark]})
        version = {"name": tmp_path.name, "source": "dummy-source", "tags": [mark, text]}
        call("POST", "/api/2.0/mlflow/model-versions/create", version)
    code, told = bring("mlflow", elsewhere.url)

    assert (code, told["problems"]) == (0, [])
    asked = {"name": tmp_path.name, "version": "1"}
    found = client.transport.dialect("GET", "/api/2.0/mlflow/model-versions/get", None, query=asked)["model_version"]
    assert text in found["tags"]
    assert client.prompts.show(f"prompt:{tmp_path.name}@v1").ref.endswith("@v1")
    assert bring("mlflow", elsewhere.url, "--verify")[0] == 0


def test_a_server_that_is_none(cli: Cli) -> None:
    """Nobody at the address, and somebody who is not MLflow, end with 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ran = cli("import", "mlflow", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (ran.code, "MLflow does not answer" in ran.err) == (1, True), ran.err


def test_killed_in_the_middle(tmp_path: Path, up: Running, client: gimbal.Client, bring: Bring) -> None:
    """An import that is killed with SIGKILL leaves nothing double and nothing out: the next one ends what it began."""
    fill_database(tmp_path / "mlflow.db", 2000)
    relabelled(tmp_path / "mlflow.db", tmp_path.name)
    source = f"sqlite:///{tmp_path / 'mlflow.db'}"
    words = [sys.executable, "-m", "gimbal.faces.cli.main", "import", "mlflow", source]
    with subprocess.Popen(words, env=os.environ | {"GIMBAL_URL": up.url}, stdout=subprocess.DEVNULL) as program:
        while not client.runs.list(experiment=tmp_path.name, limit=1).items:
            assert program.poll() is None
        program.send_signal(signal.SIGKILL)
    code, told = bring("mlflow", source)

    counts = told["counts"]
    assert (code, told["problems"], counts["read"]) == (0, [], 2000)
    assert counts["created"] < 2000
    assert counts["created"] + counts["added"] + counts["there"] == 2000
    code, compared = bring("mlflow", source, "--verify")
    assert (code, compared["differences"]) == (0, [])
    assert len(list(client.every(client.runs.list, experiment=tmp_path.name, limit=1000))) == 2000


def test_the_server_goes_away(tmp_path: Path, up: Running, client: gimbal.Client, cli: Cli, bring: Bring) -> None:
    """It ends with an error that says how to go on; the same command then ends what was begun."""
    fill_folder(tmp_path / "mlruns", 600)
    meta = tmp_path / "mlruns" / "1" / "meta.yaml"
    meta.write_text(meta.read_text().replace("filled", tmp_path.name))
    for each in list((tmp_path / "mlruns" / "1").iterdir()):
        if each.is_dir():
            own = uuid.uuid4().hex
            (each / "meta.yaml").write_text((each / "meta.yaml").read_text().replace(each.name, own))
    cable = Cable(up.url)
    moved: list[int] = []

    def pull(runs: int) -> None:
        moved.append(runs)
        cable.pull()

    with gimbal.Client(cable.url, patience=0) as through, pytest.raises(Unavailable):
        Carrier(through, MlflowFiles(tmp_path / "mlruns"), Report(), patience=0.5).bring(pull)
    assert moved
    code, told = bring("mlflow", tmp_path / "mlruns")
    assert (code, told["problems"]) == (0, [])
    assert told["counts"]["there"] >= sum(moved)
    assert bring("mlflow", tmp_path / "mlruns", "--verify")[0] == 0
