"""Sweeps as people start them: the command, in a folder with a program and a file, against a real server."""

import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.bar import Running

import gimbal

# Logs with gimbal, which joins the trial's run; what it is told to do beside is in `do`.
TRAIN = """
import argparse, os, pathlib, signal, subprocess, sys, time
import gimbal
words = argparse.ArgumentParser()
words.add_argument("--x", type=float)
words.add_argument("--do", default="")
given = words.parse_args()
if given.do == "exit":
    print("the disk of the data is not mounted")
    sys.exit(3)
if given.do == "signal":
    os.kill(os.getpid(), signal.SIGKILL)
if given.do == "quiet":
    sys.exit(0)
if given.do == "print":
    print('{"loss": 0.5}')
    sys.exit(0)
if given.do == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(f"hanging-{os.getpid()}").write_text(str(child.pid))
    time.sleep(600)
with gimbal.run("training", environment=False, system_s=0) as run:
    if given.do == "worse":
        for step in range(600):
            run.log({"loss": 10.0 * given.x + step}, step=step)
            time.sleep(0.1)
    for step in range(40):
        run.log({"loss": (given.x - 0.3) ** 2}, step=step)
"""


class Place:
    """A folder from which sweeps are started."""

    def __init__(self, folder: Path, url: str, project: str) -> None:
        self.folder = folder
        self.client = gimbal.Client(url, project=project, patience=10)
        self._environment = os.environ | {"GIMBAL_URL": url, "GIMBAL_PROJECT": project}
        (folder / "train.py").write_text(TRAIN)

    def write(self, text: str, name: str = "sweep.yaml") -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def start(self, *words: str, file: str = "sweep.yaml") -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "gimbal", "sweep", file, *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.folder, env=self._environment, text=True, **pipes)

    def run(self, *words: str, file: str = "sweep.yaml") -> tuple[int, str, str]:
        process = self.start(*words, file=file)
        out, err = process.communicate(timeout=150)
        return process.returncode, out, err


@pytest.fixture
def place(up: Running, tmp_path: Path) -> Place:
    """Make a folder and a project."""
    slug = f"p{uuid.uuid4().hex[:10]}"
    with gimbal.Client(up.url) as client:
        client.projects.create(slug=slug)
    return Place(tmp_path, up.url, slug)


def alive(pid: int) -> bool:
    """Tell whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


Until = Callable[[], bool]
