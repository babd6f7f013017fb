"""The operation table as the command line needs it: light JSON beside this file, written by `make generate`.

Reading it costs a millisecond where importing the table would cost half a second.
"""

from pathlib import Path
from typing import Any

import msgspec

PATH = Path(__file__).parent / "manifest.json"


class Argument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One argument of a command."""

    name: str
    place: str
    """`path`, `query`, `body` or `raw` (a file is sent)."""
    type: str
    """`str`, `int`, `float`, `bool`, `list` or `json`."""
    required: bool = False
    default: Any = None
    doc: str = ""


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation as a command."""

    group: str
    verb: str
    method: str
    path: str
    summary: str
    description: str = ""
    returns: str = "record"
    """`record`, `list`, `page`, `none` or `download`."""
    arguments: list[Argument] = []


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All commands."""

    meanings: dict[str, str]
    """What each group is about, in alphabetical order."""
    commands: list[Command]


class _Meanings(msgspec.Struct, frozen=True):
    meanings: dict[str, str]


def read() -> Manifest:
    """Return the manifest that was generated."""
    return msgspec.json.decode(PATH.read_bytes(), type=Manifest)


def meanings() -> dict[str, str]:
    """Return what each group is about, without the commands."""
    return msgspec.json.decode(PATH.read_bytes(), type=_Meanings).meanings
