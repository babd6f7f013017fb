"""What others wrote may be odd anywhere: one run that cannot be read is a problem of the report, never its end."""

import csv
import re
import sqlite3
import struct
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pyarrow as pa
import yaml

from gimbal.faces.importing.records import Problem
from gimbal.kernel.errors import BadInput, Forbidden, NotFound, Upstream

T = TypeVar("T")
_ODD = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    csv.Error,
    sqlite3.Error,
    struct.error,
    pa.ArrowException,
    yaml.YAMLError,
    msgspec.MsgspecError,
)
# What a server refused of one run; that it is away, or knows no such user, holds for all.
_REFUSED = (BadInput, Forbidden, NotFound, Upstream)
_SHOWN = 200
# A password that was not encoded may hold a slash or another @: rather too much is hidden than too little.
_PASSWORD = re.compile(r"//([^/:@\s]*):\S*@|(?<=[?&]password=)[^&\s]*")


def reading(where: str, call: Callable[[], T]) -> T | Problem:
    """Return what a call reads, or why it cannot be read."""
    try:
        return call()
    except (*_ODD, *_REFUSED) as problem:
        why = " ".join(str(problem).split())[:_SHOWN] or "no reason given"
        return Problem(where, f"It cannot be read ({type(problem).__name__}: {shown(why)}), and is left out.")


def shown(address: str) -> str:
    """Return an address as messages and reports may show it, without passwords."""
    return _PASSWORD.sub(lambda found: "***" if found[1] is None else f"//{found[1]}:***@", address)
