"""What the machine does while runs go on: a thread measures it every few seconds and logs it as metrics `system/…`.

On Linux it reads /proc; elsewhere it needs psutil, and without that only what NVML tells is logged.
"""

import contextlib
import importlib
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from gimbal.faces.client.nvidia import readings
from gimbal.faces.client.runs import ActiveRun
from gimbal.kernel.errors import GimbalError

_SECTOR = 512
_LOOPBACK = "lo"


class Machine:
    """Counters of the machine, and what they grew by since they were read last."""

    def __init__(self) -> None:
        self._at = 0.0
        self._before: dict[str, float] = {}
        self.measure()

    def measure(self) -> dict[str, float]:
        """Return what can be measured now: shares in percent, sizes in bytes, rates in bytes per second."""
        now = time.monotonic()
        counters, found = (_by_proc if Path("/proc/stat").exists() else _by_psutil)()
        grown = {name: value - self._before[name] for name, value in counters.items() if name in self._before}
        seconds = now - self._at
        self._at, self._before = now, counters
        if (total := grown.pop("cpu_total", 0.0)) > 0:
            found["system/cpu_percent"] = 100.0 * max(0.0, 1.0 - grown.pop("cpu_idle", 0.0) / total)
        grown.pop("cpu_idle", None)
        if seconds > 0:
            for name, value in grown.items():
                found[f"system/{name}_bytes_per_s"] = max(value, 0.0) / seconds
        return found | readings()


def _by_proc() -> tuple[dict[str, float], dict[str, float]]:
    counters: dict[str, float] = {}
    found: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        times = [float(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        counters["cpu_total"], counters["cpu_idle"] = sum(times), times[3] + times[4]
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
        sizes = {words[0].rstrip(":"): float(words[1]) * 1024 for words in lines if len(words) > 1}
        found["system/memory_percent"] = 100.0 * (1.0 - sizes["MemAvailable"] / sizes["MemTotal"])
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = float(Path("/proc/self/statm").read_text().split()[1])
        found["system/process_memory_bytes"] = pages * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, IndexError):
        whole = {path.name for path in Path("/sys/block").iterdir() if not path.name.startswith(("loop", "ram"))}
        rows = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
        mine = [row for row in rows if row[2] in whole]
        counters["disk_read"] = sum(float(row[5]) for row in mine) * _SECTOR
        counters["disk_write"] = sum(float(row[9]) for row in mine) * _SECTOR
    with contextlib.suppress(OSError, ValueError, IndexError):
        rows = [line.replace(":", " ").split() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
        outside = [row for row in rows if row[0] != _LOOPBACK]
        counters["network_in"] = sum(float(row[1]) for row in outside)
        counters["network_out"] = sum(float(row[9]) for row in outside)
    return counters, found


def _by_psutil() -> tuple[dict[str, float], dict[str, float]]:
    try:
        ps: Any = importlib.import_module("psutil")
    except ImportError:
        return {}, {}
    counters: dict[str, float] = {}
    found: dict[str, float] = {}
    with contextlib.suppress(Exception):
        times = ps.cpu_times()
        counters["cpu_total"], counters["cpu_idle"] = float(sum(times)), float(times.idle)
    with contextlib.suppress(Exception):
        found["system/memory_percent"] = float(ps.virtual_memory().percent)
        found["system/process_memory_bytes"] = float(ps.Process().memory_info().rss)
    with contextlib.suppress(Exception):
        disk = ps.disk_io_counters()
        counters["disk_read"], counters["disk_write"] = float(disk.read_bytes), float(disk.write_bytes)
    with contextlib.suppress(Exception):
        net = ps.net_io_counters()
        counters["network_in"], counters["network_out"] = float(net.bytes_recv), float(net.bytes_sent)
    return counters, found


def watch(run: ActiveRun, every_s: float) -> None:
    """Log what the machine does into a run every few seconds until it ends."""
    over = threading.Event()
    run.before_end(over.set)
    threading.Thread(target=_watch, args=(weakref.ref(run), every_s, over), name="gimbal-system", daemon=True).start()


def _watch(of: "weakref.ref[ActiveRun]", every_s: float, over: threading.Event) -> None:
    machine = Machine()
    step = 0
    while not over.wait(every_s):
        run = of()
        if run is None:
            return
        with contextlib.suppress(GimbalError):
            run.log_of_rank(machine.measure(), step=step)
        del run
        step += 1
