"""Reads files as suites: finds the format of each, and puts together what they have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gimbal.axis.evals.formats.collecting import Collected
from gimbal.axis.evals.formats.files import MIB, decoded_leniently, lines, opened
from gimbal.axis.evals.formats.model import FORMATS, Imported, ReadOptions
from gimbal.axis.evals.formats.yaml_files import read_yaml
from gimbal.kernel.errors import BadInput, TooLarge

_SEEN = 64 * 1024
_NOTHING = ReadOptions()


def read_suite(paths: Sequence[Path], *, format: str = "", options: ReadOptions = _NOTHING) -> Imported:  # noqa: A002 - the word for it
    """Read files of one format, or each of its own where none is named; raise BadInput, NotFound, TooLarge."""
    if not paths:
        raise BadInput("There is no file to read.", where="files", todo="Give at least one.")
    into = Collected()
    for path in paths:
        FORMATS.get(format or detect(path)).read(path, options, into)
    return into.imported()


def detect(path: Path) -> str:
    """Return the name of a file's format; raise BadInput when none reads it."""
    with opened(path):
        first = _first(path)
    found = {name: FORMATS.get(name).recognises(path, first) for name in FORMATS}
    best = max(found, key=lambda name: found[name])
    if not found[best]:
        raise BadInput(
            f"Nothing tells what format {path} has.",
            where=str(path),
            todo=f"Name it: {', '.join(found)}.",
        )
    return best


def _first(path: Path) -> Any:
    """Return the first JSON value of a file as far as it is short; for a long object its first keys, null otherwise."""
    if path.suffix.lower() in {".yaml", ".yml"} and path.stat().st_size <= _SEEN:
        try:
            return read_yaml(path)
        except (BadInput, TooLarge):
            return None
    if path.suffix.lower() not in {".json", ".jsonl", ".ndjson"}:
        return None
    if path.suffix.lower() == ".json":
        with opened(path) as file:
            head = file.read(_SEEN)
        try:
            return msgspec.json.decode(head)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return [] if head.lstrip()[:1] == b"[" else {"": head.decode("utf-8", "replace")}
    for number, text in lines(path, most=64 * MIB):
        if text.strip():
            try:
                return decoded_leniently(text, f"{path}:{number}")
            except BadInput:
                return None
    return None
