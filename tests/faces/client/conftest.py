"""A cable to the server that can be pulled, patience for when it is plugged in again, and a spool for each test."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench.bar import Running
from tests.links import Cable

from gimbal.faces.client.outbox import PASSING


def until_done(finish: Callable[[], None]) -> None:
    """Call it again while it says that the server has not answered yet."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return finish()
        except PASSING:
            assert time.monotonic() < deadline


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a spool of its own."""
    monkeypatch.setenv("GIMBAL_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def cable(up: Running) -> Iterator[Cable]:
    """Lead to the server by a cable."""
    made = Cable(up.url)
    yield made
    made.pull()
