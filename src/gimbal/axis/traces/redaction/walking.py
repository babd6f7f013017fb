"""The texts in a value, with what holds them: so each is looked at as it is meant, and put back where it was.

A text that is JSON is read, and so is base64 that is text; what was found inside is written as JSON or base64 again. The
name of a field goes before its value: it tells what a number is. Whole numbers are texts of digits. Names of fields may
be personal data themselves.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from gimbal.axis.traces.media import LEAST

Holder = dict[Any, Any] | list[Any]
_json = msgspec.json.Encoder(enc_hook=str)
_reader = msgspec.json.Decoder()
# Fewer digits are of nothing that is looked for.
_LEAST_NUMBER = 10_000_000
# More are no whole number as a float.
_LAST_FLOAT = 1e19
_MOST_BEFORE = 48
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/")
_DATA_TEXT = re.compile(
    r"data:(?:text/[\w.+-]+|application/[\w.+-]*json)(?:;[\w.+-]+=[\w.+-]+)*;base64,([A-Za-z0-9+/_=-]+)"
)
_OPENS = frozenset('{["')
_HEX = frozenset("0123456789abcdefABCDEF-")
# Fields whose numbers are what they are called; by the last part of their names.
_IDS = frozenset({
    "trace_id", "traceid", "span_id", "spanid", "parent_id", "parentid", "parent_span_id", "parentspanid", "parent_run_id",
    "run_id", "request_id", "requestid", "correlation_id", "message_id", "event_id", "seed", "timestamp", "time", "created",
    "created_at", "updated_at", "completed_at", "start_time", "end_time", "system_fingerprint", "checksum", "hash", "sha",
    "digest", "etag", "at_us", "at_ns", "start_time_unix_nano", "end_time_unix_nano", "time_unix_nano",
})  # fmt: skip


class Slot(NamedTuple):
    """One text and what holds it."""

    holder: Holder
    key: Any
    before: str
    """Name of its field, as it goes before it."""
    text: str
    parent: int
    """Place among the wrappings of what it is inside of; -1 for none."""


class Wrapping(NamedTuple):
    """A value that was a text: read, and to be written again where something in it changed."""

    holder: Holder
    key: Any
    inner: list[Any]
    """The value, alone in a list."""
    form: str
    """`json`, `base64`, or `data`: a text with base64 in it."""
    parent: int
    was: str = ""
    """The base64 in a text."""


class Walk:
    """The texts of some values, in the order in which they stand."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.wrappings: list[Wrapping] = []
        self.maps: list[tuple[dict[str, Any], int]] = []
        """Maps, whose keys may be personal data, and what they are inside of."""
        self.size = 0
        """Characters of all texts."""

    def value(self, holder: Holder, key: Any, named: str, skip: Any, parent: int = -1) -> None:
        """Find the texts in a value; `skip` tells of a field's name whether it is left alone."""
        value = holder[key]
        kind = type(value)
        if kind is str:
            self._text(holder, key, named, value, skip, parent)
        elif kind is dict:
            self.map(value, skip, parent)
        elif kind is list:
            for place in range(len(value)):
                self.value(value, place, named, skip, parent)
        elif kind is int or (kind is float and value.is_integer() and abs(value) < _LAST_FLOAT):
            if abs(value) >= _LEAST_NUMBER and not _is_id(named):
                self._add(holder, key, named, str(int(value)), parent)
        elif kind not in _ALONE:
            # What JSON has no form for: it is stored as its text.
            holder[key] = msgspec.to_builtins(value, enc_hook=str)
            self.value(holder, key, named, skip, parent)

    def map(self, value: dict[str, Any], skip: Any, parent: int = -1) -> None:
        """Find the texts in a map."""
        self.maps.append((value, parent))
        for key in list(value):
            if not skip(key):
                self.value(value, key, _named(value, key), skip, parent)

    def _text(self, holder: Holder, key: Any, named: str, text: str, skip: Any, parent: int) -> None:
        if not text:
            return
        if text[0] in _OPENS or text[0].isspace():
            inner = _read(text)
            if inner is not _NOT_READ:
                self._wrapped(Wrapping(holder, key, [inner], "json", parent), named, skip)
                return
        elif len(text) % 4 == 0 and _BASE64.fullmatch(text):
            plain = _decoded(text)
            if isinstance(plain, str):
                self._wrapped(Wrapping(holder, key, [plain], "base64", parent), named, skip)
            elif plain is not None and len(text) >= LEAST:
                # Media.
                return
        if ";base64," in text:
            for found in _DATA_TEXT.finditer(text):
                plain = _decoded(found[1])
                if isinstance(plain, str):
                    self._wrapped(Wrapping(holder, key, [plain], "data", parent, found[1]), named, skip)
        if not (_is_id(named) and _HEX.issuperset(text)):
            self._add(holder, key, named, text, parent)

    def _wrapped(self, one: Wrapping, named: str, skip: Any) -> None:
        self.wrappings.append(one)
        self.value(one.inner, 0, named, skip, len(self.wrappings) - 1)

    def _add(self, holder: Holder, key: Any, named: str, text: str, parent: int) -> None:
        self.slots.append(Slot(holder, key, f"{named[-_MOST_BEFORE:]}: " if named else "", text, parent))
        self.size += len(text)

    def write(self, changed: set[int], rename: Callable[[int], None]) -> None:
        """Write what is inside of texts into them again, where it changed; the last one first, as it is the inmost.

        `rename` changes the names of the fields of what is inside of one, or of the values themselves for -1.
        """
        for place in range(len(self.wrappings) - 1, -1, -1):
            if place not in changed:
                continue
            rename(place)
            one = self.wrappings[place]
            if one.parent >= 0:
                changed.add(one.parent)
            if one.form == "json":
                one.holder[one.key] = _json.encode(one.inner[0]).decode()
                continue
            inner = base64.b64encode(str(one.inner[0]).encode(errors="surrogatepass")).decode()
            one.holder[one.key] = one.holder[one.key].replace(one.was, inner) if one.was else inner
        rename(-1)


_ALONE = frozenset({int, float, bool, type(None)})
_NOT_READ = object()


def _read(text: str) -> Any:
    """Return what JSON says that is no mere number or word; `_NOT_READ` for what is not JSON."""
    try:
        found = _reader.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NOT_READ
    return found if isinstance(found, dict | list | str) else _NOT_READ


def _decoded(text: str) -> str | bytes | None:
    """Return the text that base64 is, the bytes of what is no text, or None for what is no base64."""
    try:
        content = binascii.a2b_base64(text.translate(_URL_SAFE), strict_mode=True)
    except binascii.Error:
        return None
    try:
        found = content.decode()
    except UnicodeDecodeError:
        return content
    return found if found.isprintable() or all(sign.isprintable() or sign.isspace() for sign in found) else content


def _named(value: dict[str, Any], key: Any) -> str:
    """Return what a value is called: by its key, or where that says only `value`, by the name beside it."""
    if key in {"value", "Value"}:
        name = value.get("name") or value.get("key")
        if isinstance(name, str):
            return name
    return key if isinstance(key, str) else str(key)


def _is_id(named: str) -> bool:
    return named.rpartition(".")[2].lower() in _IDS
