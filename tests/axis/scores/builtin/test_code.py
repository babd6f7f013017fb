"""Code: what passes, what fails and why, and what is contained."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from gimbal.axis.scores.builtin import sandbox
from gimbal.axis.scores.builtin.code import code
from gimbal.axis.scores.model import ScoreValue
from gimbal.kernel.context import Context, Services
from gimbal.kernel.settings import Settings, WorkerSettings


@pytest.fixture(autouse=True)
def allowed(services: Services) -> None:
    """Let code run."""
    services.register(Settings, Settings(worker=WorkerSettings(run_code=True)))


async def test_nothing_runs_where_nobody_allowed_it(services: Services, ctx: Context, tmp_path: Path) -> None:
    services.register(Settings, Settings())
    trace = tmp_path / "ran"
    found = await run(ctx, f"open({str(trace)!r}, 'w')")

    assert (found.value, found.missing) == (None, "not_allowed")
    assert "worker.run_code" in found.explanation
    assert not trace.exists()


async def run(ctx: Context, text: str, tests: str = "assert True", **params: Any) -> ScoreValue:
    return await code(ctx, {"tests": tests}, {"text": text}, **params)


@pytest.mark.parametrize(
    "text",
    [
        "def double(x): return 2 * x",
        "Sure:\n```python\ndef double(x):\n    return 2 * x\n```\nThat is it.",
        "```bash\npip install x\n```\n```\ndouble = lambda x: x + x\n```",
        "```python\ndef double(x): return 2 * x\nif __name__ == '__main__':\n    raise SystemExit(3)",
        "from dataclasses import dataclass\n@dataclass\nclass One:\n    n: 'int' = 2\ndef double(x): return x * One().n",
    ],
)
async def test_code_that_passes_its_tests_passes(ctx: Context, text: str) -> None:
    """Alone or in the first Python fence; what would run as a program of its own does not."""
    found = await run(ctx, text, "assert double(4) == 8")

    assert (found.value, found.label, found.explanation) == (1.0, "passed", "")


async def test_an_entry_point_is_given_to_check(ctx: Context) -> None:
    """As HumanEval has it; an entry point that is not there fails."""
    tests = "def check(candidate):\n    assert candidate(3) == 9"
    expected = {"tests": tests, "entry_point": "square"}

    assert (await code(ctx, expected, {"text": "def square(x): return x * x"})).value == 1
    assert (await code(ctx, expected, {"text": "def square(x): return x + x"})).value == 0
    assert "KeyError: 'square'" in (await code(ctx, expected, {"text": "def other(x): return x"})).explanation


@pytest.mark.parametrize(
    ("text", "tests", "why"),
    [
        ("x = 1", "assert x == 2", "AssertionError:  (tests, line 1: assert x == 2)"),
        ("x = 1 / 0", "assert True", "ZeroDivisionError: division by zero (code, line 1: x = 1 / 0)"),
        ("def (", "assert True", "SyntaxError"),
        ("import sys; sys.exit(0)", "assert True", "SystemExit: 0"),
        ("import os; os._exit(0)", "assert True", "ended with 0 before the tests were through"),
        ("x = '\x00'", "assert True", "null bytes"),
        ("x = '\ud800'", "assert True", "surrogates"),
        ("", "assert done", "NameError: name 'done' is not defined"),
    ],
)
async def test_code_that_fails_says_why(ctx: Context, text: str, tests: str, why: str) -> None:
    """Leaving early, by whichever door, is no success."""
    found = await run(ctx, text, tests)

    assert (found.value, found.label) == (0.0, "failed")
    assert why in found.explanation


async def test_what_is_not_there_is_missing(ctx: Context) -> None:
    assert (await code(ctx, {}, {"text": "x"})).missing == "no_expectation"
    assert (await code(ctx, {"tests": " "}, {"text": "x"})).missing == "no_expectation"
    assert (await code(ctx, {"tests": "assert 1"}, {})).missing == "no_output"
    assert (await run(ctx, "x" * 5_000_000)).missing == "too_long"


async def test_code_without_an_end_is_ended_with_what_it_started(ctx: Context, tmp_path: Path) -> None:
    """The process that it left behind writes nothing more."""
    sign = tmp_path / "sign"
    text = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', \"import time; time.sleep(3); open({str(sign)!r}, 'w')\"])\n"
        "while True: pass"
    )
    begun = time.monotonic()
    found = await run(ctx, text, timeout_s=1.0)

    assert (found.value, found.label) == (0.0, "timed out")
    assert time.monotonic() - begun < 3
    await asyncio.sleep(max(0.0, 3.5 - (time.monotonic() - begun)))
    assert not sign.exists()


async def test_memory_and_files_have_a_limit(ctx: Context) -> None:
    assert "MemoryError" in (await run(ctx, "x = bytearray(1 << 30)", memory_mb=512)).explanation
    assert (await run(ctx, "x = bytearray(1 << 26)", memory_mb=512)).value == 1
    assert "File too large" in (await run(ctx, "open('x', 'wb').write(b'0' * (20 << 20))")).explanation


async def test_it_sees_no_environment_and_leaves_nothing(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the server's variables none, of its folder nothing once it has ended; what it prints is not kept."""
    monkeypatch.setenv("A_SECRET_OF_THE_SERVER", "x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = "import os\nseen = dict(os.environ)\nopen('file', 'w').write('x')\nfolder = os.getcwd()\nprint('x' * 10_000_000)"
    tests = (
        "assert 'A_SECRET_OF_THE_SERVER' not in seen and 'PATH' not in seen\n"
        f"assert folder == os.environ['HOME'] and folder.startswith({str(tmp_path)!r})"
    )

    assert (await run(ctx, text, tests)).label == "passed"
    assert not list(tmp_path.iterdir())


async def test_it_has_no_network_where_the_system_allows_that(ctx: Context) -> None:
    """A port of this machine that listens is not reached."""
    if not sandbox._namespaces():
        pytest.skip("this system makes no namespaces for us")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = await run(ctx, f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)")
    server.close()

    assert found.label == "failed"
    assert "OSError" in found.explanation


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


async def test_a_run_that_is_cancelled_leaves_no_process(ctx: Context, tmp_path: Path) -> None:
    """Its folder goes as well, and no descriptor stays open."""
    before = open_files()
    sign = tmp_path / "sign"
    task = asyncio.create_task(run(ctx, f"import time\ntime.sleep(1.5)\nopen({str(sign)!r}, 'w')"))
    await asyncio.sleep(0.6)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1.5)

    assert not sign.exists()
    assert not before or open_files() <= before + 1
