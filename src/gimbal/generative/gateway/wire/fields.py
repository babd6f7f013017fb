"""Reads JSON that strangers sent: every error names the field, and what nobody reads is told by name.

Objects with a key twice are refused, because we and a provider might each see another one of the two.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import msgspec

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.protocol import Fields
from gimbal.kernel.errors import BadInput

_MOST = 2**53
_SPARE = 150
"""Levels of nesting that are left to those who write what was read."""
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
_KEY = re.compile(rb'[\s,{]*"([^"\\]*(?:\\.[^"\\]*)*)"\s*:\s*', re.DOTALL)
_TODO = "See the reference of the API for what the field takes."
_T = TypeVar("_T")
_KINDS = {str: "a string", bool: "true or false", int: "an integer", float: "a number", list: "an array"}


def bad(message: str, where: str, todo: str = _TODO) -> BadInput:
    """Return the error about one field."""
    return BadInput(message, where=where, todo=todo)


def fields_of(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the fields of a JSON object, each as its bytes; raise BadInput where it is none, or has a key twice."""
    if not body.isascii():
        _utf8(body)
    try:
        fields = _fields.decode(body)
    except msgspec.ValidationError:
        raise bad("The body is not a JSON object.", "body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise bad(f"The body is not valid JSON: {problem}.", "body", "Send UTF-8 JSON.") from None
    # What is written as compact or as Python writes it by default has each key once; else the keys are counted.
    if _encode(fields) != body and _spaced(fields) != body:
        _each_once(body, fields)
    return fields


def request_of(body: bytes, decoder: msgspec.json.Decoder[_T]) -> tuple[_T, dict[str, msgspec.Raw]]:
    """Return a request as its form says, and its fields; raise BadInput naming the field that does not fit."""
    fields = fields_of(body)
    try:
        return decoder.decode(body), fields
    except msgspec.ValidationError as problem:
        raise invalid(problem) from None
    except (ValueError, RecursionError) as problem:
        raise bad(f"The body is not valid JSON: {problem}.", "body", "Send UTF-8 JSON.") from None


def _spaced(fields: Fields) -> bytes:
    return b"{" + b", ".join([b'"%b": %b' % (name.encode(), raw) for name, raw in fields.items()]) + b"}"


def value_of(raw: bytes | msgspec.Raw, where: str) -> Any:
    """Return the value that JSON means; raise BadInput where it is none, or has an object with a key twice."""
    said = bytes(raw)
    try:
        value = _any.decode(said)
        if _encode(value) != said:
            _no_twins(said, where)
        if said.count(b"{") + said.count(b"[") > _SPARE:
            # What can just be read here must be written by whoever is called from here, within more than this.
            deeper = value
            for _ in range(_SPARE):
                deeper = [deeper]
            _encode(deeper)
    except (ValueError, RecursionError) as problem:
        raise bad(f"The value is not valid JSON: {problem}.", where, "Send UTF-8 JSON.") from None
    return value


def invalid(problem: msgspec.ValidationError) -> BadInput:
    """Return the error of a typed decoder, with the field in its right place."""
    what, _, place = str(problem).partition(" - at ")
    where = place.strip("`").removeprefix("$").removeprefix(".")
    missing = re.search(r"missing required field `([^`]+)`", what)
    if missing:
        where = f"{where}.{missing[1]}".removeprefix(".")
    return bad(f"{what}.", where or "body")


def _utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as problem:
        raise bad(f"The body is not UTF-8 at byte {problem.start}.", _around(body), "Send UTF-8 JSON.") from None


def _around(body: bytes) -> str:
    """Return the field with the first bytes that are not UTF-8, as far as that can be told."""
    try:
        fields = _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "body"
    for name, raw in fields.items():
        try:
            bytes(raw).decode()
        except UnicodeDecodeError:
            return name
    return "body"


def _each_once(body: bytes, fields: Fields) -> None:
    """Walk along the keys: where a value is not the one that was kept, its key comes again."""
    left = dict(fields)
    place, name = 0, ""
    while match := _KEY.match(body, place):
        key = match[1]
        name = _any.decode(b'"' + key + b'"') if b"\\" in key else key.decode()
        kept = bytes(left.pop(name, b"\n"))
        place = match.end()
        if not body.startswith(kept, place):
            break
        place += len(kept)
    # A value that only begins as the one that was kept ends the walk too early.
    if fields and body[place:].strip() != b"}":
        raise bad(f"The field {name!r:.80} is there twice.", name or '""', "Send it once.")


class _Twins(dict[str, Any]):
    """An object with a key twice."""

    key = ""


def _no_twins(said: bytes, where: str) -> None:
    found: list[_Twins] = []

    def pairs(rows: list[tuple[str, Any]]) -> Json:
        table = dict(rows)
        if len(table) == len(rows):
            return table
        names = [name for name, _ in rows]
        twins = _Twins(table)
        twins.key = next(name for name in names if names.count(name) > 1)
        found.append(twins)
        return twins

    value = json.loads(said, object_pairs_hook=pairs, parse_int=len, parse_float=len)
    if found:
        place = next(_twins_in(value, where), where)
        raise bad("An object has the same key twice.", place, "Send it once.")


def _twins_in(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, _Twins):
        yield f"{where}.{value.key}"
    if isinstance(value, dict):
        for name, inner in cast("Json", value).items():
            yield from _twins_in(inner, f"{where}.{name}")
    if isinstance(value, list):
        for number, inner in enumerate(cast("list[Any]", value)):
            yield from _twins_in(inner, f"{where}[{number}]")


def shown(value: Any) -> str:
    """Return what kind of JSON value this is, in words."""
    return "null" if value is None else _KINDS.get(cast("type[Any]", type(value)), "an object")


class Table:
    """One object of a request: take its fields one by one, then `close` it, which tells `extras` what was left.

    `null` means not given, everywhere.
    """

    __slots__ = ("_given", "_left", "extras", "where")

    def __init__(self, value: Any, where: str, extras: Json) -> None:
        if not isinstance(value, dict):
            raise bad(f"Expected an object, got {shown(value)}.", where or "body")
        self._given = cast("Json", value)
        self._left = dict(self._given)
        self.extras = extras
        self.where = where

    def at(self, name: str) -> str:
        """Return where a field of this object stands."""
        return f"{self.where}.{name}" if self.where else name or '""'

    def take(self, name: str) -> Any:
        """Return a field's value, of any kind; None where it is not given."""
        return self._left.pop(name, None)

    def _typed(self, name: str, kind: type[Any]) -> Any:
        value = self._left.pop(name, None)
        # A bool is an int to Python, not to JSON.
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise bad(f"Expected {_KINDS[kind]}, got {shown(value)}.", self.at(name))
        return value

    def text(self, name: str) -> str:
        """Return a string; empty where it is not given."""
        return self._typed(name, str) or ""

    def required(self, name: str) -> str:
        """Return a string that must be given."""
        value = self._typed(name, str)
        if value is None:
            raise bad("A string is missing here.", self.at(name))
        return value

    def word(self, name: str, *allowed: str) -> str:
        """Return one of some strings; empty where it is not given."""
        value = self.text(name)
        if value and value not in allowed:
            raise bad(f"{value!r:.60} is none of {', '.join(allowed)}.", self.at(name))
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        return self._typed(name, bool)

    def count(self, name: str, low: int = 0, high: int = _MOST) -> int | None:
        """Return an integer between two limits."""
        value = self._typed(name, int)
        if value is not None and not low <= value <= high:
            raise bad(f"Expected an integer from {low} to {high}.", self.at(name))
        return value

    def number(self, name: str, low: float, high: float) -> float | None:
        """Return a number between two limits."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad(f"Expected a number, got {shown(value)}.", self.at(name))
        if not low <= value <= high:
            raise bad(f"Expected a number from {low:g} to {high:g}.", self.at(name))
        return value

    def object(self, name: str) -> Json | None:
        """Return an object as it is, unread."""
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, dict):
            raise bad(f"Expected an object, got {shown(value)}.", self.at(name))
        return cast("Json | None", value)

    def table(self, name: str) -> "Table | None":
        """Return an object that is to be read and closed too."""
        value = self._left.pop(name, None)
        return None if value is None else Table(value, self.at(name), self.extras)

    def rows(self, name: str) -> Sequence[Any]:
        """Return an array; empty where it is not given."""
        return cast("list[Any] | None", self._typed(name, list)) or ()

    def tables(self, name: str) -> list["Table"]:
        """Return an array of objects, each to be read and closed too."""
        return [Table(row, f"{self.at(name)}[{number}]", self.extras) for number, row in enumerate(self.rows(name))]

    def words(self, name: str) -> tuple[str, ...]:
        """Return an array of strings."""
        rows = self.rows(name)
        for number, row in enumerate(rows):
            if not isinstance(row, str):
                raise bad(f"Expected a string, got {shown(row)}.", f"{self.at(name)}[{number}]")
        return tuple(rows)

    def has(self, name: str) -> bool:
        """Tell whether a field is given and has not been taken."""
        return self._left.get(name) is not None

    def left(self) -> bool:
        """Tell whether anything that is given has not been taken."""
        return any(value is not None for value in self._left.values())

    def peek(self, name: str) -> Json:
        """Return an object as it is and leave it to be taken; empty where it is not given."""
        value = self._left.get(name)
        if value is not None and not isinstance(value, dict):
            raise bad(f"Expected an object, got {shown(value)}.", self.at(name))
        return cast("Json", value or {})

    def whole(self) -> None:
        """Tell of all of it, as it came: an object of a kind without a place in the normal form."""
        self.extras[self.where] = self._given

    def tell(self, name: str, value: Any, default: Any = None) -> None:
        """Tell of a field without a place in the normal form, unless it is null or asks for what happens anyway."""
        if value is not None and value != default:
            self.extras[self.at(name)] = value

    def close(self) -> None:
        """Tell of every field that was not taken and not null."""
        for name, value in self._left.items():
            if value is not None:
                self.extras[self.at(name)] = value


def parts_of(holder: Table, name: str, given: Any, read: Callable[[Table], _T | None]) -> Iterator[_T]:
    """Yield what is read of each object of an array; one that nobody knows how to read is told as a whole."""
    for row in Table({name: given}, holder.where, holder.extras).tables(name):
        part = read(row)
        if part is None:
            row.whole()
        else:
            row.close()
            yield part
