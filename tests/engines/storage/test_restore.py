"""Restoring: into a new folder and never over something, and nothing half-done is left by the final name."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gimbal.faces.server import safekeeping
from gimbal.kernel.errors import BadInput, DataFolderLocked
from gimbal.kernel.settings import Settings


async def test_nothing_is_restored_over_something(taken: Path, tmp_path: Path) -> None:
    """A data folder in use stays as it is; so does a file where the folder should be."""
    data = tmp_path / "used"
    data.mkdir()
    (data / "catalog.sqlite").write_bytes(b"mine")
    with pytest.raises(BadInput, match="not empty"):
        await asyncio.to_thread(safekeeping.restore, taken, Settings(data=str(data)))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput):
        await asyncio.to_thread(safekeeping.restore, taken, Settings(data=str(tmp_path / "file")))

    assert [path.name for path in data.iterdir()] == ["catalog.sqlite"]
    assert (tmp_path / "file").read_text() == "mine"


async def test_a_restore_that_breaks_off_leaves_no_data_folder(
    taken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody starts on half of one; a killed restore's leavings are cleared, and another one's are not touched."""
    settings = Settings(data=str(tmp_path / "new"))
    building = tmp_path / "new.restoring"

    async def breaks(*_: object) -> dict[str, int]:
        message = "half-way"
        raise RuntimeError(message)

    async def fine(*_: object) -> dict[str, int]:
        return {}

    monkeypatch.setattr(safekeeping, "_load", breaks)
    with pytest.raises(RuntimeError, match="half-way"):
        await asyncio.to_thread(safekeeping.restore, taken, settings)
    assert not (tmp_path / "new").exists()
    assert not building.exists()
    (building / "columns").mkdir(parents=True)
    (building / "catalog.sqlite").write_bytes(b"half")
    monkeypatch.setattr(safekeeping, "_load", fine)
    with safekeeping.preflight.folder_lock(Settings(data=str(building))), pytest.raises(DataFolderLocked):
        await asyncio.to_thread(safekeeping.restore, taken, settings)
    await asyncio.to_thread(safekeeping.restore, taken, settings)

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["blobs", "catalog.sqlite", "lock"]
    assert (tmp_path / "new" / "catalog.sqlite").read_bytes() == (taken / "catalog.sqlite").read_bytes()
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


# A process has one engine of columns, so what was restored is looked at by another one.
LOOK = """
import asyncio, sys
from gimbal.engines.storage.columns import Columns
async def look():
    store = await Columns.open("chdb://" + sys.argv[1])
    print((await store.query("SELECT count() AS n, max(step) AS step FROM run_metrics"))[0])
    print((await store.query("SELECT uniqMerge(n) AS n FROM (SELECT uniqState(name) AS n FROM run_metrics_latest)"))[0])
    await store.close()
asyncio.run(look())
"""


async def test_the_command_restores_into_a_new_folder_and_never_twice(taken: Path, tmp_path: Path) -> None:
    """Everything is under the final name, in the engine's own files; a second time the folder is in use."""
    command = [sys.executable, "-m", "gimbal.faces.cli.main", "restore", str(taken), "--data", str(tmp_path / "new")]
    done, again = [
        await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
        for _ in range(2)
    ]
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^run metrics +3$", done.stdout, re.MULTILINE)
    assert not (tmp_path / "new.restoring").exists()
    look = [sys.executable, "-c", LOOK, str(tmp_path / "new" / "columns")]
    seen = await asyncio.to_thread(subprocess.run, look, capture_output=True, text=True, check=True, timeout=60)
    assert seen.stdout.splitlines() == ["{'n': 3, 'step': 2}", "{'n': 2}"]
    assert again.returncode == 1
    assert "is not empty" in " ".join(again.stderr.split())
