"""What a bar returns and how it is printed: the figure, what it is compared with, and the ratio; medians of runs."""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured bar."""

    what: str
    value: float
    unit: str
    limit: float
    against: str
    """What the limit is."""
    lower_is_better: bool = True
    physical: bool = False
    """Whether the limit is what the machine can do at all: a share of it is reached, it is not held or missed."""

    @property
    def ratio(self) -> float:
        """Value over limit; the value itself where none is allowed."""
        return self.value / self.limit if self.limit else self.value

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return self.value <= self.limit if self.lower_is_better else self.value >= self.limit

    def line(self) -> str:
        """Return the line that is printed."""
        mark = "of  " if self.physical else "ok  " if self.holds else "MISS"
        return f"{mark}  {self.what:<52} {self.value:>10,.1f} {self.unit:<7} {self.ratio:>6.2f} × {self.against}"


def median(run: Callable[[], float], times: int = 5) -> float:
    """Return the median of several runs, after one that is not counted."""
    run()
    return statistics.median(run() for _ in range(times))


def over(base: list[str], command: list[str], times: int = 9) -> float:
    """Return by how many seconds a command takes longer than another: the median over pairs, one after the other."""
    return median(lambda: -seconds(base) + seconds(command), times)


def seconds(command: list[str]) -> float:
    """Return how long a process takes, with compiled modules kept as an installation keeps them."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running(NamedTuple):
    """A Gimbal that was started for a bar."""

    url: str
    process: subprocess.Popen[bytes]
    started_s: float


@contextlib.contextmanager
def gimbal_up(
    data: Path | None = None, *, port: int | None = None, grpc_port: int = 0, **settings: str
) -> Iterator[Running]:
    """Start Gimbal on `data` or a fresh folder, with these environment variables besides, and stop it again."""
    with tempfile.TemporaryDirectory(prefix="gimbal-bench-") as folder:
        port = port or free_port()
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= settings
        command = [sys.executable, "-m", "gimbal.faces.cli.main", "up", "--data", str(data or Path(folder) / "data")]
        command += ["--port", str(port), "--grpc-port", str(grpc_port)]
        said = Path(folder) / "said.log"
        begun = time.perf_counter()
        with said.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        url = f"http://127.0.0.1:{port}"
        try:
            while not answers(url):
                assert process.poll() is None, f"Gimbal did not start:\n{said.read_text(errors='replace')[-4000:]}"
                time.sleep(0.02)
            yield Running(url, process, time.perf_counter() - begun)
        finally:
            process.terminate()
            process.wait(30)


def answers(url: str) -> bool:
    """Tell whether Gimbal is ready."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=1) as reply:
            return reply.status == 200
    except OSError:
        return False
