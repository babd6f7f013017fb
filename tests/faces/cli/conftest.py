"""The command line as a person calls it, in this process for speed; a few tests start a process of its own."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from bench.bar import Running

from gimbal.faces.cli.main import main


class Ran(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of standard output."""
        return self.out.splitlines()


Cli = Callable[..., Ran]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command, 80 columns wide, without a server."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("GIMBAL_URL", "GIMBAL_API_KEY", "GIMBAL_PROJECT", "GIMBAL_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Ran:
        try:
            main(list(words))
            code = 0
        except SystemExit as done:
            code = int(done.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture
def cli(alone: Cli, up: Running, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command against the session's server."""
    monkeypatch.setenv("GIMBAL_URL", up.url)
    return alone
