"""Runs of a catalog from before experiments had keys: all that was logged is there after the migration."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gimbal.engines.storage import migrate
from gimbal.engines.storage.catalog import sqlite_url
from gimbal.faces.server.stores import MIGRATIONS

SCRIPTS = MIGRATIONS / "catalog"
_AT = 1_700_000_000_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a catalog without a table."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "catalog.sqlite")
        return
    admin: sa.Engine = request.getfixturevalue("postgres_admin")
    url: sa.URL = request.getfixturevalue("postgres")
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE migrated_runs")
    yield url.set(database="migrated_runs").render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE migrated_runs WITH (FORCE)")


def _older(folder: Path, last: str) -> Path:
    """Return the scripts up to a revision."""
    scripts = Path(shutil.copytree(SCRIPTS, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__")))
    for path in (scripts / "versions").glob("[0-9]*.py"):
        if path.name[:4] > last:
            path.unlink()
    return scripts


def test_runs_are_taken_over(address: str, tmp_path: Path) -> None:
    """With parameters, tags and files; each experiment once in each project."""
    migrate.catalog(address, _older(tmp_path, "0007"))
    engine = sa.create_engine(migrate.sync_url(address))
    with engine.begin() as tx:
        for slug in ("default", "flights"):
            tx.exec_driver_sql(f"INSERT INTO projects VALUES ('{slug}', '{slug}', {_AT}, false)")
        for number, (project, experiment, status) in enumerate(
            [("default", "delay", "finished"), ("default", "delay", "running"), ("flights", "delay", "failed")]
        ):
            tx.exec_driver_sql(
                "INSERT INTO runs (id, project, name, experiment, status, started_at, ended_at, created_by, error) VALUES "
                f"('run-{number}', '{project}', 'n{number}', '{experiment}', '{status}', {_AT + number}, "
                f"{'NULL' if status == 'running' else _AT + 9}, 'ada', 'e{number}')"
            )
            tx.exec_driver_sql(f"INSERT INTO run_params VALUES ('run-{number}', 'depth', '{number}')")
            tx.exec_driver_sql(f"INSERT INTO run_tags VALUES ('run-{number}', 'team', 't{number}')")
            tx.exec_driver_sql(
                f"INSERT INTO run_artifacts VALUES ('run-{number}', 'a/b', 'd{number}', 5, 'text/plain', 7)"
            )
    migrate.catalog(address, SCRIPTS)
    with engine.connect() as tx:
        rows = tx.exec_driver_sql(
            'SELECT r.id, r.project, e.name, r.status, r.stage, r.started_at, r.ended_at, r."user", r.error, p.value, t.value, '
            "a.digest FROM runs r JOIN experiments e ON e.key = r.experiment_key AND e.project = r.project "
            "JOIN run_params p ON p.run_key = r.key JOIN run_tags t ON t.run_key = r.key "
            "JOIN artifact_files a ON a.owner = 'run' AND a.owner_id = r.id ORDER BY r.key"
        ).all()
        left = sa.inspect(tx).get_table_names()
    engine.dispose()
    assert [tuple(row) for row in rows] == [
        ("run-0", "default", "delay", "finished", "active", _AT, _AT + 9, "ada", "e0", "0", "t0", "d0"),
        ("run-1", "default", "delay", "running", "active", _AT + 1, None, "ada", "e1", "1", "t1", "d1"),
        ("run-2", "flights", "delay", "failed", "active", _AT + 2, _AT + 9, "ada", "e2", "2", "t2", "d2"),
    ]
    assert not [name for name in left if name.startswith("old_")]
