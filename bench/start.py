"""Start-up: the import, the command line, the server; and what an idle installation takes."""

import sys
import time
from collections.abc import Iterator

import psutil

from bench.bar import Figure, gimbal_up, over

IDLE_S = 20.0


def figures() -> Iterator[Figure]:
    """Measure against bare Python and the bars of the design."""
    bare = [sys.executable, "-c", "pass"]
    imported = over(bare, [sys.executable, "-c", "import gimbal"])
    helped = over(bare, [sys.executable, "-m", "gimbal.faces.cli.main", "--help"])
    yield Figure("import gimbal, over bare Python", imported * 1000, "ms", 50, "50 ms")
    yield Figure("gimbal --help, over bare Python", helped * 1000, "ms", 200, "200 ms")
    starts: list[float] = []
    for _ in range(3):
        with gimbal_up() as running:
            starts.append(running.started_s)
    yield Figure("gimbal up to healthy, fresh folder", sorted(starts)[1], "s", 5, "5 s")
    with gimbal_up() as running:
        time.sleep(5)  # what start-up left behind settles; this is a measurement, not a test
        family = [psutil.Process(running.process.pid), *psutil.Process(running.process.pid).children(recursive=True)]
        before = sum(sum(p.cpu_times()[:2]) for p in family)
        time.sleep(IDLE_S)
        used = sum(sum(p.cpu_times()[:2]) for p in family) - before
        server = max(p.memory_info().rss for p in family)
    yield Figure("idle, all processes", used / IDLE_S * 100, "% core", 3, "3 % of a core")
    yield Figure("server RSS when idle", server / 2**20, "MB", 500, "500 MB")
