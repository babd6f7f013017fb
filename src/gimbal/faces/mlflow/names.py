"""What MLflow lets keys and values be, and our ids and times in its forms."""

import functools
import posixpath
import re
from datetime import datetime
from typing import Annotated

import msgspec

from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.errors import BadInput

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
MAX_EXPERIMENT_TAG = 20_000

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# The end of the year 9999: what comes behind it are nanoseconds, mistaken for milliseconds.
_LAST_MS = 253_402_300_799_999
_KEY = re.compile(r"[/\w.\- :]*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)


class KeyValue(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter or a tag."""

    key: str = ""
    value: str = ""


def invalid(name: str, shown: object, why: str) -> BadInput:
    """Return the error for a value that cannot be, in MLflow's words."""
    text = msgspec.json.encode(shown, enc_hook=str).decode()[:200]
    return BadInput(f"Invalid value {text} for parameter '{name}' supplied: {why}", where=name, kept="nothing")


def key(text: str, where: str = "key") -> str:
    """Return a key that MLflow allows; raise BadInput otherwise."""
    if not text:
        raise BadInput(f"Missing value for required parameter '{where}'.", where=where, kept="nothing")
    if why := _wrong(text):
        raise invalid(where, text, why)
    return text


@functools.lru_cache(maxsize=20_000)
def _wrong(text: str) -> str:
    if not _KEY.fullmatch(text):
        return (
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) "
            "and slashes (/)."
        )
    if len(text) > MAX_KEY:
        return f"it exceeds the maximum length of {MAX_KEY} characters"
    norm = posixpath.normpath(text)
    if norm != text or norm == "." or norm.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to {norm!r}"
        )
    return ""


def value(text: str, most: int, where: str, *, truncate: bool) -> str:
    """Return a value of at most so many characters; a longer one is cut, or raises BadInput where it is not to be."""
    if "\0" in text:
        raise invalid(where, text, "it has a NUL.")
    if len(text) <= most:
        return text
    if not truncate:
        raise BadInput(f"'{where}' exceeds the maximum length of {most} characters", where=where, kept="nothing")
    return text[:most]


def number(given: float | str | None, where: str) -> float:
    """Return the value of a metric, also one that comes as a text."""
    if given is None or given == "":
        raise BadInput(f"Missing value for required parameter '{where}'.", where=where, kept="nothing")
    if isinstance(given, str):
        if not _NUMBER.fullmatch(given):
            raise invalid(where, given, "Please specify value as a valid double (64-bit floating point)")
        return float(given)
    return given


def metric_us(ms: int | None, where: str) -> int:
    """Return the time of a metric in microseconds."""
    if ms is None:
        raise BadInput(f"Missing value for required parameter '{where}'.", where=where, kept="nothing")
    if not 0 <= ms <= _LAST_MS:
        raise invalid(where, ms, "Timestamp must be a nonnegative long (64-bit integer) of milliseconds since 1970.")
    return ms * 1000


def moment(ms: int | None, where: str) -> datetime | None:
    """Return the moment of milliseconds; None for none."""
    return from_us(metric_us(ms, where)) if ms else None


def ms_of(at: datetime) -> int:
    """Return milliseconds since 1970."""
    return to_us(at) // 1000


def hex_of(run_id: str) -> str:
    """Return the id of a run as MLflow writes it."""
    return run_id.replace("-", "")
