"""Every point that was acknowledged is there exactly once, whenever the process is killed, and the disk had it before."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gimbal.engines.storage import journal as journal_module
from gimbal.engines.storage.journal import Journal, whole

# A process has one engine of columns, so what is killed is another one.
WORK = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
import sqlalchemy as sa
from gimbal.axis.projects.service import Projects
from gimbal.axis.runs.desk import COLUMNS, WITH_EXPERIMENT, row_of
from gimbal.axis.runs.points.model import PointBatch
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.store import experiments, runs
from gimbal.engines.storage import migrate
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server.stores import MIGRATIONS
from gimbal.faces.server.wiring import beside
from gimbal.kernel.clock import SystemClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = "01900000-0000-7000-8000-000000000001"

async def work(folder, verb):
    address = sqlite_url(folder / "catalog.sqlite")
    migrate.catalog(address, MIGRATIONS / "catalog")
    catalog, columns = Catalog.open(address), await Columns.open(f"chdb://{folder / 'columns'}")
    await migrate.columns(columns, MIGRATIONS / "columns")
    await Projects(catalog, SystemClock()).ensure_default()
    async with catalog.write() as tx:
        if (await tx.execute(sa.select(runs.c.key))).first() is None:
            await tx.execute(experiments.insert().values(key=1, project="default", name="default", stage="active",
                artifact_location="", created_at=NOW, updated_at=NOW))
            await tx.execute(runs.insert().values(id=ID, project="default", experiment_key=1, name="", status="running",
                stage="active", user="", started_at=NOW, updated_at=NOW, group="", created_by="", error="", note=""))
    async with catalog.read() as tx:
        run = row_of((await tx.execute(sa.select(*COLUMNS).select_from(WITH_EXPERIMENT))).mappings().one())
    points = Points(columns, catalog)
    keeping = points.kept_in(folder / "journal-runs", most_bytes=100_000_000)
    keeping.open()
    async with beside(keeping.run, "carrying"), beside(keeping.sync, "journal"):
        if verb == "log":
            print("ready", flush=True)
            for line in sys.stdin:
                first = int(line)
                steps = list(range(first, first + 50))
                await points.put(run, PointBatch(names=["m"] * 50, steps=steps, at_us=steps, values=[s / 2 for s in steps]))
                print(first, flush=True)
        else:
            await points.settled(60)
            found = await points.history(run, "m", limit=1_000_000)
            print(",".join(str(p.step) for p in found if p.value == p.step / 2))
            rows = await columns.query("SELECT count() AS n FROM metric_points FINAL")
            print(rows[0]["n"], (await points.latest([run]))[ID]["m"].step, flush=True)
    keeping.close()
    await columns.close()
    await catalog.close()

asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_acknowledged_point_is_there_once_after_a_kill(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    acknowledged: set[int] = set()
    asked = 0
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", WORK, str(tmp_path), "log"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(rng.randrange(5, 60)):
            process.stdin.write(f"{asked}\n")
            process.stdin.flush()
            asked += 50
            acknowledged.add(int(process.stdout.readline()))
        # One more that is not waited for: it may be there or not.
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
        asked += 50
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()

    done = subprocess.run(
        [sys.executable, "-c", WORK, str(tmp_path), "read"], capture_output=True, text=True, check=True, timeout=120
    )

    listed, counted = done.stdout.strip().splitlines()
    steps = [int(step) for step in listed.split(",")]
    assert len(steps) == len(set(steps)) == int(counted.split()[0])
    assert {first + i for first in acknowledged for i in range(50)} <= set(steps)
    assert set(steps) <= set(range(asked))
    assert int(counted.split()[1]) == max(steps)
    with sqlite3.connect(tmp_path / "catalog.sqlite") as catalog:
        assert catalog.execute("SELECT count(*) FROM run_latest").fetchone() == (1,)


async def test_the_disk_has_a_record_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the files at each sync is what power may not take; what was acknowledged is among it."""
    on_disk: set[bytes] = set()
    folders: set[Path] = set()
    synced = os.fdatasync
    listed = os.fsync

    def look(file: int) -> None:
        size = os.fstat(file).st_size
        raw = os.pread(file, size, journal_module.START)
        synced(file)
        on_disk.update(record for record, _ in whole(raw, journal_module.START, 1_000_000))

    def list_(file: int) -> None:
        listed(file)
        folders.add(Path(f"/proc/self/fd/{file}").readlink())

    monkeypatch.setattr(journal_module, "_sync_data", look)
    monkeypatch.setattr(journal_module.os, "fsync", list_)
    journal = Journal(tmp_path / "j", most_bytes=10_000_000, segment_bytes=4_096)
    journal.open()
    stop = asyncio.Event()
    running = asyncio.create_task(journal.run(stop))

    async def send(sender: int) -> None:
        for number in range(30):
            record = f"{sender}-{number}".encode() * 20
            journal.append(record)
            await journal.durable()
            assert record in on_disk

    await asyncio.gather(*(send(sender) for sender in range(8)))

    own = next(path for path in (tmp_path / "j").iterdir())
    assert {tmp_path, tmp_path / "j", own} <= folders
    stop.set()
    await running
    journal.close()


async def test_a_disk_that_does_not_take_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next sync takes what this one could not."""
    journal = Journal(tmp_path / "j", most_bytes=10_000_000)
    journal.open()
    real = os.fdatasync
    failing = [True]

    def fail(file: int) -> None:
        if failing and failing.pop():
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(journal_module, "_sync_data", fail)
    journal.append(b"one")
    with pytest.raises(journal_module.DiskFull):
        await journal.durable()
    journal.append(b"two")
    await journal.durable()
    journal.close()
