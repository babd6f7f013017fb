"""Runs a piece of Python in a process of its own: contained against accidents, not against an attacker.

What holds: a folder, an environment and a session of its own, limits of processor time, memory, file size and processes, a
wall clock, an end for the whole process group, nothing kept of what it prints. Where `unshare` may make namespaces, it has
no network and every process it starts ends with it. What does not hold: it runs as the user of the worker and can read
and write what that user can; a worker that runs as root has no limit of processes; so code of strangers belongs on a
machine of its own.
"""

import asyncio
import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Any

import msgspec

# Sets the limits, runs answer and tests as one module, and tells through a pipe which the code is not told of. The word
# that it begins with keeps an early `sys.exit()` from passing for success.
_HARNESS = r"""
import json, os, sys
given = json.load(sys.stdin)
try:
    import resource
    for name, most in given["limits"].items():
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (AttributeError, ValueError, OSError):
            pass
except ImportError:
    pass
import linecache, traceback, types
pipe = given["pipe"]
os.set_inheritable(pipe, False)
module = types.ModuleType("answer")
sys.modules["answer"] = module
said = "passed"
try:
    for name in ("code", "tests"):
        exec(compile(given[name], "<" + name + ">", "exec"), module.__dict__)
    if given["entry_point"] and callable(module.__dict__.get("check")):
        module.__dict__["check"](module.__dict__[given["entry_point"]])
except BaseException as problem:
    where = [one for one in traceback.extract_tb(problem.__traceback__) if one.filename in ("<code>", "<tests>")]
    said = "failed " + type(problem).__name__ + ": " + str(problem)[:300]
    if where:
        lines = given[where[-1].filename[1:-1]].splitlines()
        at = where[-1].lineno
        line = lines[at - 1].strip()[:120] if 0 < at <= len(lines) else ""
        said += f" ({where[-1].filename[1:-1]}, line {at}: {line})"
os.write(pipe, (given["word"] + said).encode(errors="replace")[:2000])
os._exit(0)
"""
_FILE_BYTES = 16 << 20
_PROCESSES = 32
_MOST_SAID = 4096


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a piece of code ended."""

    label: str
    """`passed`, `failed` or `timed out`."""
    why: str = ""
    """The exception and its line, or how the process ended."""


async def run_python(code: str, tests: str, entry_point: str, *, timeout_s: float, memory_mb: int) -> Ran:
    """Run code and then its tests; with an entry point also `check(entry_point)`, where the tests define one."""
    prefix = await asyncio.to_thread(_namespaces)
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="gimbal-code-")
    reader, writer = os.pipe()
    word = secrets.token_hex(16)
    given = {
        "code": code,
        "tests": tests,
        "entry_point": entry_point,
        "pipe": writer,
        "word": word,
        "limits": {
            "RLIMIT_CPU": int(timeout_s) + 2,
            "RLIMIT_AS": memory_mb << 20,
            "RLIMIT_FSIZE": _FILE_BYTES,
            "RLIMIT_NPROC": _PROCESSES,
            "RLIMIT_CORE": 0,
        },
    }
    try:
        code_of_exit = await _run(prefix, folder, writer, json.dumps(given).encode(), timeout_s)
        os.set_blocking(reader, False)
        said = b""
        with contextlib.suppress(BlockingIOError):
            said = os.read(reader, _MOST_SAID)
    finally:
        os.close(reader)
        os.close(writer)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    told = said.decode(errors="replace")
    if code_of_exit is None:
        return Ran(label="timed out", why=f"it had not ended after {timeout_s:g} s")
    if not told.startswith(word):
        return Ran(label="failed", why=f"its process ended with {code_of_exit} before the tests were through")
    label, _, why = told.removeprefix(word).partition(" ")
    return Ran(label=label, why=why)


async def _run(prefix: tuple[str, ...], folder: str, pipe: int, given: bytes, timeout_s: float) -> int | None:
    """Return how the process ended; None where it had to be ended."""
    process = await asyncio.create_subprocess_exec(
        *prefix, sys.executable, "-I", "-B", "-X", "utf8", "-c", _HARNESS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
        # One thread for the libraries of numerics, which would start one per core and count as processes.
        env={"HOME": folder, "TMPDIR": folder, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        pass_fds=(pipe,),
        start_new_session=True,
    )  # fmt: skip
    try:
        await asyncio.wait_for(process.communicate(given), timeout_s)
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return process.returncode


@functools.cache
def _namespaces() -> tuple[str, ...]:
    """Return how to start a process without network and with its own process ids; nothing where that is not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for flags in (("--net", "--pid", "--fork", "--kill-child"), ("--net",)):
        command = (unshare, "--user", "--map-root-user", *flags)
        try:
            tried = subprocess.run((*command, sys.executable, "-I", "-c", ""), timeout=10, check=False, **quiet)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return ()
        if tried.returncode == 0:
            return command
    return ()
