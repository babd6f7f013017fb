"""MLflow's client against our server and against MLflow's own, one after the other, and stores of both filled with runs."""

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench import peers
from bench.bar import free_port, gimbal_up

_CLIENT = Path(__file__).parent / "runs_client.py"
_MINUTES_S = 1800
START_MS = 1_767_225_600_000
METRICS, PARAMS, TAGS = 10, 10, 3


def asked(verb: str, url: str, *words: object) -> dict[str, float]:
    """Return what the client measured; raise PeerMissing when there is none."""
    python = peers.installed(peers.MLFLOW) / "python"
    command = [str(python), str(_CLIENT), verb, url, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_MINUTES_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def ours(database: str = "") -> Iterator[tuple[str, Path]]:
    """Start our server on a fresh folder, its catalog in a database of PostgreSQL when one is given.

    Yield its address and the file of its catalog where that is SQLite's.
    """
    settings = {"GIMBAL_CATALOG_URL": database} if database else {}
    with (
        tempfile.TemporaryDirectory(prefix="gimbal-runs-", ignore_cleanup_errors=True) as text,
        gimbal_up(Path(text) / "data", **settings) as up,
    ):
        yield up.url, Path(text) / "data" / "catalog.sqlite"


@contextlib.contextmanager
def theirs() -> Iterator[tuple[str, Path]]:
    """Start MLflow's server with SQLite; yield its address and the file of its database."""
    with peers.running(peers.MLFLOW) as beside:
        yield f"http://127.0.0.1:{beside.port}", next(beside.folder.rglob("mlflow.db"))


@contextlib.contextmanager
def theirs_on(database: str) -> Iterator[str]:
    """Start MLflow's server with a database of PostgreSQL; yield its address."""
    peers.environment(peers.MLFLOW.name, "psycopg[binary]")
    spoken = database.replace("postgresql:", "postgresql+psycopg:", 1)
    words = peers.MLFLOW.command
    peer = peers.MLFLOW._replace(command=lambda port, folder: [*words(port, folder), "--backend-store-uri", spoken])
    with peers.running(peer) as beside:
        yield f"http://127.0.0.1:{beside.port}"


@contextlib.contextmanager
def thin() -> Iterator[str]:
    """Start the quickest server there can be: what MLflow's client takes there, it takes everywhere."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(_CLIENT.with_name("thin_tracking.py")), str(port)])
    try:
        while not peers.ready(port, "/health"):
            assert process.poll() is None, "it did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def fill_ours(catalog: Path, runs: int) -> str:
    """Put runs into our catalog; return the number of their experiment."""
    chance = random.Random(runs)
    with contextlib.closing(sqlite3.connect(catalog, timeout=60)) as db, db:
        at = START_MS * 1000
        db.execute(
            "INSERT INTO experiments (project, name, stage, artifact_location, created_at, updated_at) "
            "VALUES ('default', ?, 'active', '', ?, ?)",
            (f"filled-{runs}", at, at),
        )
        (key,) = db.execute("SELECT max(key) FROM experiments").fetchone()
        for place in range(METRICS):
            db.execute("INSERT OR IGNORE INTO metric_names (project, name) VALUES ('default', ?)", (f"m{place}",))
        names = [
            db.execute("SELECT key FROM metric_names WHERE name = ?", (f"m{p}",)).fetchone()[0] for p in range(METRICS)
        ]
        first = db.execute("SELECT coalesce(max(key), 0) + 1 FROM runs").fetchone()[0]
        keys = range(first, first + runs)
        db.executemany(
            "INSERT INTO runs (key, id, project, experiment_key, name, status, stage, user, started_at, updated_at, "
            "\"group\", created_by, error, note) VALUES (?, ?, 'default', ?, ?, 'finished', 'active', 'u', ?, ?, '', 'u', '', '')",
            ((k, str(uuid.UUID(int=chance.getrandbits(128))), key, f"run {k}", at + k * 60_000_000, at) for k in keys),
        )
        db.executemany(
            "INSERT INTO run_latest (run_key, name_key, experiment_key, started_at, value, step, at_us) VALUES (?, ?, ?, ?, ?, 9, ?)",
            ((k, n, key, at + k * 60_000_000, chance.random(), at) for k in keys for n in names),
        )
        db.executemany(
            "INSERT INTO run_params (run_key, name, value) VALUES (?, ?, ?)",
            ((k, f"p{p}", f'"{chance.randrange(10)}"') for k in keys for p in range(PARAMS)),
        )
        db.executemany(
            "INSERT INTO run_tags (run_key, name, value) VALUES (?, ?, ?)",
            ((k, f"t{t}", f"v{chance.randrange(10)}") for k in keys for t in range(TAGS)),
        )
    # As it stands in a while: nobody fills a log of gigabytes in one go.
    with contextlib.closing(sqlite3.connect(catalog, timeout=60)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return str(key)


def fill_theirs(database: Path, runs: int) -> str:
    """Put runs of the same kind into MLflow's database; return the number of their experiment."""
    chance = random.Random(runs)
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as db, db:
        (key,) = db.execute("SELECT max(experiment_id) + 1 FROM experiments").fetchone()
        columns = {row[1] for row in db.execute("PRAGMA table_info(experiments)")}
        values = {
            "experiment_id": key, "name": f"filled-{runs}", "artifact_location": "mlflow-artifacts:/x",
            "lifecycle_stage": "active", "creation_time": START_MS, "last_update_time": START_MS, "workspace": "default",
        }  # fmt: skip
        values = {name: value for name, value in values.items() if name in columns}
        db.execute(
            f"INSERT INTO experiments ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", [*values.values()]
        )
        ids = [f"{chance.getrandbits(128):032x}" for _ in range(runs)]
        db.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, "
            "source_version, lifecycle_stage, artifact_uri, experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', 'u', 'FINISHED', ?, ?, "
            "'', 'active', ?, ?)",
            (
                (i, f"run {n}", START_MS + n * 60_000, START_MS, f"mlflow-artifacts:/x/{i}", key)
                for n, i in enumerate(ids)
            ),
        )
        db.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, 9, 0, ?)",
            ((f"m{m}", chance.random(), START_MS, i) for i in ids for m in range(METRICS)),
        )
        db.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
            ((f"p{p}", str(chance.randrange(10)), i) for i in ids for p in range(PARAMS)),
        )
        db.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
            ((f"t{t}", f"v{chance.randrange(10)}", i) for i in ids for t in range(TAGS)),
        )
    return str(key)


def scaled(most: int, least: int = 1) -> int:
    """Return a size, made smaller by RUNS_SCALE for a quick look."""
    return max(least, int(most * float(os.environ.get("RUNS_SCALE", "1"))))
