"""Each way of installing Gimbal brings all that it needs: what else lies in the environment is hidden from it here."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from bench.bar import Running, gimbal_up
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HIDING = """
import json, os, sys

class Hidden:
    names = frozenset(json.loads(os.environ["HIDDEN"]))

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""
RUN = """
import gimbal
with gimbal.run("first") as run:
    run.log(params={"depth": 3})
    run.log({"auc": 0.81}, step=1)
"""
QUESTION = "[1] a.md\nA gimbal keeps both rings level.\n\nQuestion: What does it keep level?"


@functools.cache
def brought(name: str, extra: str = "") -> frozenset[str]:
    """Return the distributions that come with one, itself among them."""
    found = {canonicalize_name(name)}
    for line in metadata.requires(name) or ():
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            found |= {one for more in ("", *needed.extras) for one in brought(needed.name, more)}
    return frozenset(found)


def hiding(folder: Path, extra: str) -> dict[str, str]:
    """Return the variables of a process that sees no module but those of an installation with this extra."""
    (folder / "sitecustomize.py").write_text(HIDING)
    there = brought("gimbal-ops") | (brought("gimbal-ops", extra) if extra else frozenset[str]())
    hidden = [
        module
        for module, owners in metadata.packages_distributions().items()
        if not there.intersection(map(canonicalize_name, owners))
    ]
    assert {"pytest", "playwright"} <= set(hidden)
    return {"PYTHONPATH": str(folder), "HIDDEN": json.dumps(hidden)}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a server of `pip install 'gimbal-ops[server]'`."""
    folder: Path = tmp_path_factory.mktemp("installed")
    variables = hiding(folder, "server")
    with gimbal_up(PYTHONPATH=variables["PYTHONPATH"], HIDDEN=variables["HIDDEN"]) as running:
        yield running


def test_the_server_answers_calls_and_shows_its_pages(up: Running) -> None:
    body = {"model": "local/extractive", "messages": [{"role": "user", "content": QUESTION}]}
    said = httpx.post(f"{up.url}/v1/chat/completions", json=body, timeout=30).raise_for_status().json()
    made = httpx.post(f"{up.url}/api/v1/projects/default/experiments", json={"name": "first"}, timeout=30)
    page = httpx.get(f"{up.url}/p/default", timeout=30)

    assert "both rings level" in said["choices"][0]["message"]["content"]
    assert made.is_success, made.text
    assert page.is_success, page.text


def test_a_script_needs_the_core_alone(up: Running, tmp_path: Path) -> None:
    environment = os.environ | hiding(tmp_path, "") | {"GIMBAL_URL": up.url}
    subprocess.run([sys.executable, "-c", RUN], env=environment, check=True, timeout=60, cwd=tmp_path)

    found = httpx.get(f"{up.url}/api/v1/projects/default/runs", timeout=30).raise_for_status().json()
    assert [run["status"] for run in found["items"]] == ["finished"]


@pytest.mark.parametrize("words", [[], ["--help"], ["up"]])
def test_a_command_says_what_is_missing(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gimbal.faces.cli.main", *words]
    done = subprocess.run(
        command, env=os.environ | hiding(tmp_path, ""), capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'gimbal-ops[server]'" in done.stderr
