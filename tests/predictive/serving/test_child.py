"""One model process by itself: what a model does in it stays in it, and it goes when its host does."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gimbal.kernel.errors import Upstream
from gimbal.predictive.serving import wire
from gimbal.predictive.serving.child import STUCK

# A process of the room's own code with a model that does what no scikit-learn model may.
_CHILD = """
import asyncio, os, sys, threading, time
from pathlib import Path
import pyarrow as pa
from gimbal.predictive.serving import child

class Model:
    def predict(self, rows):
        what = rows["what"][0].as_py()
        if what == "hang":
            time.sleep(600)
        if what == "wait":
            Path(sys.argv[1] + ".taken").touch()
            while not Path(sys.argv[1] + ".go").exists():
                time.sleep(0.05)
        if what == "print":
            print("x" * 200_000)
        if what == "die":
            os._exit(9)
        if what == "raise":
            raise KeyError("no such thing")
        return pa.table({"predict": rows["what"]})

say = child.speaker()
threading.Thread(target=child.leave_with_host, daemon=True).start()
asyncio.run(child.run(Path(sys.argv[1]), Model(), say))
os._exit(0)
"""


class Child:
    """A process of `_CHILD` with one open connection."""

    def __init__(self, process: asyncio.subprocess.Process, path: Path) -> None:
        self.process = process
        self.path = path

    async def ask(self, what: str, timeout_s: float = 60) -> Any:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            await wire.send_request(writer, pa.table({"what": [what]}), timeout_s=timeout_s)
            return (await wire.read_answer(reader))["predict"].to_pylist()
        finally:
            writer.close()


@pytest.fixture
async def child(tmp_path: Path) -> Any:
    """Give a process whose host this test is; it is killed afterwards if it still lives."""
    path = tmp_path / "m.sock"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    yield Child(process, path)
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_what_a_model_prints_goes_to_the_log(child: Child) -> None:
    """More than a pipe holds, three times: nobody reads it, nobody waits for it."""
    for _ in range(3):
        assert await child.ask("print") == ["print"]


async def test_what_a_model_raises_is_an_answer(child: Child) -> None:
    """With the kind and the words; the process goes on."""
    with pytest.raises(Upstream, match="KeyError: 'no such thing'"):
        await child.ask("raise")
    assert await child.ask("fine") == ["fine"]


async def test_a_model_that_hangs_ends_its_process(child: Child) -> None:
    """After as long as the caller waits: behind it nobody would ever be served."""
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await child.ask("hang", timeout_s=0.1)
    assert await asyncio.wait_for(child.process.wait(), 60) == STUCK


async def test_who_left_the_line_is_not_worked_for(child: Child) -> None:
    """A request whose caller is gone when its turn comes is dropped: here it would have been deadly."""
    first = asyncio.create_task(child.ask("wait"))
    async with asyncio.timeout(60):
        while not child.path.with_name(f"{child.path.name}.taken").exists():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    _, gone = await asyncio.open_unix_connection(str(child.path))
    await wire.send_request(gone, pa.table({"what": ["die"]}), timeout_s=60)
    gone.close()
    await gone.wait_closed()
    child.path.with_name(f"{child.path.name}.go").touch()
    assert await first == ["wait"]
    assert await child.ask("fine") == ["fine"]


async def test_it_goes_with_its_host(child: Child) -> None:
    """Even in the middle of a model that hangs: no process is left behind."""
    hanging = asyncio.create_task(child.ask("hang"))
    await asyncio.sleep(0)
    assert child.process.stdin is not None
    child.process.stdin.close()
    await asyncio.wait_for(child.process.wait(), 60)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, FileNotFoundError)):
        await hanging
    assert not child.path.exists()
