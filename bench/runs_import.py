"""Import of MLflow's runs: 10,000 runs with a million points, from a folder mlruns and from MLflow's database."""

import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.bar import Figure, gimbal_up
from bench.runs_peer import METRICS, PARAMS, START_MS, TAGS, scaled

_STEPS = 10
TABLES = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT, lifecycle_stage TEXT,
    creation_time BIGINT, last_update_time BIGINT);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, user_id TEXT, status TEXT, start_time BIGINT, end_time BIGINT,
    lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER);
CREATE TABLE metrics (key TEXT, value REAL, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN,
    PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
"""
"""The tables of MLflow's database that an import of runs reads, with their keys and indexes."""


def figures() -> Iterator[Figure]:
    """Measure both, each into an empty installation; then the same command again, and the comparison of both sides."""
    count = scaled(10_000, 200)
    points = count * METRICS * _STEPS
    with tempfile.TemporaryDirectory(prefix="gimbal-import-") as text:
        folder, database = Path(text) / "mlruns", Path(text) / "mlflow.db"
        fill_folder(folder, count)
        fill_database(database, count)
        for what, source in (("a folder mlruns", str(folder)), ("a database", f"sqlite:///{database}")):
            with gimbal_up() as up:
                told = f"import of {count:,} runs, {points:,} points, from {what}"
                yield Figure(told, imported(up.url, source), "s", 60, "bar")
                yield Figure("  the same again", imported(up.url, source), "s", 60, "bar")
                yield Figure("  compared by digests", imported(up.url, source, "--verify"), "s", 60, "bar")


def imported(url: str, source: str, *flags: str) -> float:
    """Return how many seconds the command takes."""
    command = [sys.executable, "-m", "gimbal.faces.cli.main", "import", "mlflow", source, *flags]
    begun = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | {"GIMBAL_URL": url}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return time.perf_counter() - begun


def fill_folder(folder: Path, count: int) -> None:
    """Write a folder as MLflow's file store does."""
    place = folder / "1"
    place.mkdir(parents=True)
    (place / "meta.yaml").write_text(_yaml({"experiment_id": "'1'", "name": "filled", "lifecycle_stage": "active"}))
    for run in _runs(count):
        home = place / run["id"]
        for part in ("metrics", "params", "tags", "artifacts"):
            (home / part).mkdir(parents=True)
        meta = {"run_id": run["id"], "run_name": run["name"], "status": 3, "start_time": run["start"]}
        more = {"end_time": run["start"] + 1000, "experiment_id": "'1'", "lifecycle_stage": "active", "user_id": "u"}
        (home / "meta.yaml").write_text(_yaml(meta | more))
        for name, rows in run["metrics"].items():
            (home / "metrics" / name).write_text("".join(f"{ms} {value!r} {step}\n" for ms, value, step in rows))
        for part in ("params", "tags"):
            for name, value in run[part].items():
                (home / part / name).write_text(value)


def fill_database(path: Path, count: int) -> None:
    """Write the same runs into a database as MLflow has it."""
    db = sqlite3.connect(path)
    with db:
        db.executescript(TABLES)
        db.execute("INSERT INTO experiments VALUES (1, 'filled', '', 'active', ?, ?)", (START_MS, START_MS))
        for run in _runs(count):
            own, start = run["id"], run["start"]
            row = (own, run["name"], "u", "FINISHED", start, start + 1000, "active", "", 1)
            db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            db.executemany(
                "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, 0)",
                ((name, value, ms, own, step) for name, rows in run["metrics"].items() for ms, value, step in rows),
            )
            for table in ("params", "tags"):
                db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", ((n, v, own) for n, v in run[table].items()))
    db.close()


def _runs(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(count)
    for at in range(count):
        start = START_MS + at * 60_000
        yield {
            "id": f"{chance.getrandbits(128):032x}",
            "name": f"run-{at}",
            "start": start,
            "metrics": {
                f"m{m}": [(start + step, chance.random(), step) for step in range(_STEPS)] for m in range(METRICS)
            },
            "params": {f"p{p}": str(chance.randrange(10)) for p in range(PARAMS)},
            "tags": {f"t{t}": f"v{chance.randrange(10)}" for t in range(TAGS)} | {"mlflow.runName": f"run-{at}"},
        }


def _yaml(values: dict[str, Any]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in values.items())
