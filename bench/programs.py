"""Programs of Debian and npm that bars use: what is on the PATH, else fetched into `.bench/` and used from there.

Nothing is installed on the machine and nothing is left running.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from bench.peers import PeerMissing, pinned

_ENVIRONMENTS = Path(__file__).parent.parent / ".bench"
_FETCH_S = 600


class Program(NamedTuple):
    """A program and the environment it needs."""

    path: str
    environment: dict[str, str]


def debian(name: str, *packages: str) -> Program:
    """Return a program that is on the PATH or in one of these packages; raise PeerMissing when it cannot be had."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found:
        return Program(found, {})
    folder = _ENVIRONMENTS / "debian"
    if not any(folder.glob(f"usr/*bin/{name}")):
        folder.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", "-qq", *packages], folder)
        for package in folder.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), str(folder)], folder)
            package.unlink()
    libraries = ":".join(str(path) for path in folder.glob("usr/lib/*-linux-gnu"))
    path = next(folder.glob(f"usr/*bin/{name}"), None)
    if path is None:
        raise PeerMissing(f"none of {', '.join(packages)} has it")
    return Program(str(path), {"LD_LIBRARY_PATH": libraries})


def npm(package: str, script: str) -> list[str]:
    """Return the words that start a script of a pinned package of npm; raise PeerMissing when it cannot be had."""
    node = shutil.which("node")
    if node is None:
        raise PeerMissing("node is not on the PATH")
    folder = _ENVIRONMENTS / package.rpartition("/")[2]
    found = folder / "node_modules" / package / script
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True}))
        wanted = f"{package}@{pinned(package)}"
        _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", wanted], folder)
    return [node, str(found)]


def _run(command: list[str], folder: Path) -> None:
    print(f"      {' '.join(command)} …", flush=True)
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise PeerMissing(str(problem)) from None
    if ended.returncode:
        raise PeerMissing((ended.stderr.strip().splitlines() or ["no reason given"])[-1][:200])
