"""Points that were acknowledged are in a backup that is taken at once, also where a killed server left them in its journal."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.flows.test_kill import Killable

from gimbal.axis.runs.points.keeping import FOLDER
from gimbal.engines.storage.journal import waiting

pytestmark = pytest.mark.alone

REQUESTS, EACH = 30, 2_000


def columns(start: int) -> dict[str, Any]:
    steps = list(range(start, start + EACH))
    times = [1_700_000_000_000_000 + step for step in steps]
    return {
        "names": ["loss"],
        "index": [0] * EACH,
        "steps": steps,
        "times": times,
        "values": [step / 7 for step in steps],
    }


class Asking:
    """Asks one server."""

    def __init__(self, server: Killable) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{server.port}/api/v1", timeout=120)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.http.post(path, json=body).raise_for_status().json()

    def points(self, run: str) -> list[tuple[int, float]]:
        """Return all points of the metric, page by page."""
        found: list[tuple[int, float]] = []
        query: dict[str, Any] = {"limit": 1000}
        while True:
            page = self.http.get(f"/projects/default/runs/{run}/metrics/loss", params=query).raise_for_status().json()
            found += [(one["step"], one["value"]) for one in page["items"]]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]


def test_a_backup_has_the_points_that_a_killed_server_left_in_its_journal(tmp_path: Path) -> None:
    """Log, kill, start again, back up at once, restore elsewhere: every point that was acknowledged is there, once."""
    data, kept = tmp_path / "data", tmp_path / "backup"
    server = Killable(data)
    server.start()
    ask = Asking(server)
    run = ask.post("/projects/default/runs", {"name": "long"})["id"]
    for nth in range(REQUESTS):
        ask.post(f"/projects/default/runs/{run}/log", {"columns": columns(nth * EACH)})
    server.kill()
    journals = [path for path in (data / FOLDER).iterdir() if path.is_dir()]
    assert sum(waiting(path) for path in journals) > 0, "the journal was empty: this shows nothing"

    server.start()
    ask.post("/backups", {"target": str(kept)})
    # What comes afterwards is not in it.
    ask.post(f"/projects/default/runs/{run}/log", {"columns": columns(REQUESTS * EACH)})
    assert server.stop() == 0

    command = [
        sys.executable,
        "-m",
        "gimbal.faces.cli.main",
        "restore",
        str(kept),
        "--data",
        str(tmp_path / "restored"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    restored = Killable(tmp_path / "restored")
    restored.start()
    try:
        again, most = Asking(restored), REQUESTS * EACH
        assert again.points(run) == [(step, step / 7) for step in range(most)]
        asked = {"filter": f"metrics.loss = {(most - 1) / 7!r}"}
        assert [one["id"] for one in again.post("/projects/default/runs/search", asked)["items"]] == [run]
    finally:
        restored.stop()
