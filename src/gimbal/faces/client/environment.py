"""What a run ran in: interpreter, packages, hardware, command line, and the version of its code by git.

Nothing here raises, and nothing takes long: what cannot be found out is left out. Words of the command line that look
like secrets are not written down.
"""

import contextlib
import functools
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from gimbal.axis.runs.model import BRANCH_TAG, COMMIT_TAG, DIFF_FILE, DIRTY_TAG, ENVIRONMENT_FILE
from gimbal.faces.client.nvidia import gpus
from gimbal.faces.client.wire import text

_GIT_S = 2.0
_MOST_DIFF = 2**20
_MOST_WORDS = 200
_SECRET = re.compile(r"(?i)key|token|secret|passw|credential|auth")
_HIDDEN = "…"


class Environment(NamedTuple):
    """What there is to store with a run."""

    tags: dict[str, str]
    files: dict[str, bytes]


def environment() -> Environment:
    """Return what is known of this process, its machine and its code."""
    code, diff = _code(Path.cwd())
    told: dict[str, Any] = {
        "command": [text(word) for word in redacted(sys.argv)],
        "folder": text(str(Path.cwd())),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "code": code,
        **_machine(),
        "packages": packages(),
    }
    tags = {tag: code[name] for name, tag in (("commit", COMMIT_TAG), ("branch", BRANCH_TAG)) if name in code}
    if "dirty" in code:
        tags[DIRTY_TAG] = str(code["dirty"]).lower()
    files = {ENVIRONMENT_FILE: msgspec.json.format(msgspec.json.encode(told, enc_hook=str))}
    if diff:
        files[DIFF_FILE] = diff
    return Environment(tags, files)


def redacted(words: Sequence[str]) -> list[str]:
    """Return a command line without the values of what is named like a secret."""
    kept: list[str] = []
    hide = False
    for word in words[:_MOST_WORDS]:
        name, equals, _ = word.partition("=")
        if hide and not word.startswith("-"):
            kept.append(_HIDDEN)
            hide = False
            continue
        secret = bool(_SECRET.search(name)) and (bool(equals) or word.startswith("-"))
        kept.append(name + equals + _HIDDEN if secret and equals else _address(word))
        hide = secret and not equals
    return kept


def _address(word: str) -> str:
    """Return a word without the user and password of an address in it."""
    if "://" not in word or "@" not in word:
        return word
    with contextlib.suppress(ValueError):
        parts = urlsplit(word)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return _HIDDEN


@functools.cache
def packages() -> dict[str, str]:
    """Return the versions of what is installed, by name."""
    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():
        with contextlib.suppress(Exception):  # a broken installation of something is no reason to fail
            found.setdefault(each.metadata["Name"], each.version)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


@functools.cache
def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": text(sys.executable),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
        "gpus": gpus(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _code(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return commit, branch, remote and whether anything was changed, and what."""
    commit = _line(_git(folder, "rev-parse", "HEAD"))
    if not commit:
        return {}, b""
    found: dict[str, Any] = {"commit": commit}
    if branch := _line(_git(folder, "symbolic-ref", "--short", "-q", "HEAD")):
        found["branch"] = branch
    if remote := _line(_git(folder, "config", "--get", "remote.origin.url")):
        found["remote"] = _address(remote)
    diff = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color")
    if diff is None:
        # Too large to look at in time, say: then nobody knows.
        return found, b""
    found["dirty"] = bool(diff)
    if len(diff) > _MOST_DIFF:
        found["diff_cut_at_bytes"] = _MOST_DIFF
    return found, diff[:_MOST_DIFF]


def _line(told: bytes | None) -> str:
    return (told or b"").decode(errors="replace").strip()


def _git(folder: Path, *words: str) -> bytes | None:
    """Return what git says; None where it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", *words],  # noqa: S607 - the user's own git
            cwd=folder,
            capture_output=True,
            timeout=_GIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
