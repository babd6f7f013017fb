"""W&B's `.wandb` files: protobuf records in a LevelDB log, read without W&B's package.

Format: wandb/sdk/internal/datastore.py (blocks of 32 KiB, records in fragments with a checksum, behind a header of seven
bytes) and wandb/proto/wandb_internal.proto, of W&B 0.12 to 0.31. A file that breaks off, because its program did, is read
up to there.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gimbal.faces.importing.records import Problem

_BLOCK, _HEAD = 32_768, struct.Struct("<IHB")
_FILE_HEAD = struct.Struct("<4sHB")
_IDENT, _MAGIC = b":W&B", 0xBEE1
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
Fields = dict[int, list[Any]]


class Recorded(msgspec.Struct, kw_only=True):
    """What the records of one file say, in the order in which they were written."""

    run: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    tags: list[str] = msgspec.field(default_factory=list[str])
    config: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    summary: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    history: list[tuple[int, dict[str, Any]]] = msgspec.field(default_factory=list[tuple[int, dict[str, Any]]])
    system: list[tuple[int, dict[str, Any]]] = msgspec.field(default_factory=list[tuple[int, dict[str, Any]]])
    """Microseconds, and what the machine measured then."""
    output: list[str] = msgspec.field(default_factory=list[str])
    exit_code: int | None = None
    runtime_s: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list[Problem])


def recorded(path: Path) -> Recorded:
    """Return what a file says; what cannot be read of it is among the problems."""
    found = Recorded()
    for record in _records(path, found.problems):
        try:
            _take(_fields(record), found)
        except (ValueError, IndexError, struct.error) as problem:
            found.problems.append(Problem(str(path), f"A record cannot be read ({problem}); the others are kept."))
    found.summary = _media_whole(found.summary)
    return found


def _records(path: Path, problems: list[Problem]) -> Iterator[bytes]:
    raw = path.read_bytes()
    if len(raw) < _FILE_HEAD.size or _FILE_HEAD.unpack_from(raw)[:2] != (_IDENT, _MAGIC):
        problems.append(Problem(str(path), "It is no file of W&B, or it is empty."))
        return
    at, parts = _FILE_HEAD.size, list[bytes]()
    while at < len(raw):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD.size:
            at += left
            continue
        if at + _HEAD.size > len(raw):
            problems.append(_broken(path, at))
            return
        check, length, kind = _HEAD.unpack_from(raw, at)
        data = raw[at + _HEAD.size : at + _HEAD.size + length]
        if len(data) < length or zlib.crc32(data, zlib.crc32(bytes([kind]))) != check:
            problems.append(_broken(path, at))
            return
        at += _HEAD.size + length
        parts = [*parts, data] if kind in {_MIDDLE, _LAST} else [data]
        if kind in {_FULL, _LAST}:
            yield b"".join(parts)
            parts = []


def _broken(path: Path, at: int) -> Problem:
    return Problem(f"{path}:{at}", "The file breaks off at this byte; what stands before it is kept.")


def _fields(raw: bytes) -> Fields:
    """Return the fields of a protobuf message by their numbers; varints as numbers, all else as bytes."""
    found: Fields = {}
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(raw, at)
        elif kind == 2:
            length, at = _varint(raw, at)
            value, at = raw[at : at + length], at + length
            if len(value) < length:
                message = "it is cut off"
                raise ValueError(message)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
            value, at = raw[at : at + size], at + size
        else:
            message = f"wire type {kind}"
            raise ValueError(message)
        found.setdefault(number, []).append(value)
    return found


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            message = "a number is too long"
            raise ValueError(message)


def _take(record: Fields, found: Recorded) -> None:
    """Note what one record says, by its field in the message `Record`."""
    for number, bodies in record.items():
        for body in bodies:
            match number:
                case 2:
                    _history(_fields(body), found)
                case 3:
                    _update(found.summary, _fields(body))
                case 5:
                    _update(found.config, _fields(body))
                case 7:
                    stats = _fields(body)
                    if row := dict(_item(item) for item in stats.get(3, [])):
                        found.system.append((_us(stats, 2), row))
                case 4 | 13:
                    found.output.append(_text(_fields(body), 3))
                case 17:
                    _run(_fields(body), found)
                case 18:
                    ended = _fields(body)
                    found.exit_code = _signed(ended.get(1, [0])[0])
                    found.runtime_s = ended.get(2, [0])[0]
                case _:
                    pass


def _history(fields: Fields, found: Recorded) -> None:
    row: dict[str, Any] = {}
    for item in fields.get(1, []):
        key, value = _item(item)
        row[key] = value
    step = _signed(_fields(fields[2][0]).get(1, [0])[0]) if 2 in fields else row.get("_step", len(found.history))
    found.history.append((int(step), _media_whole(row)))


def _media_whole(row: dict[str, Any]) -> dict[str, Any]:
    """Put the parts of images, tables and the like together again: nested keys have taken them apart."""
    media = {key.removesuffix("._type") for key in row if key.endswith("._type")}
    found: dict[str, Any] = {}
    for key, value in row.items():
        parent = next((one for one in media if key.startswith(f"{one}.")), None)
        if parent is None:
            found[key] = value
        else:
            found.setdefault(parent, {})[key.removeprefix(f"{parent}.")] = value
    return found


def _run(fields: Fields, found: Recorded) -> None:
    names = {
        1: "id",
        2: "entity",
        3: "project",
        6: "group",
        7: "job_type",
        8: "name",
        9: "notes",
        12: "sweep",
        13: "host",
    }
    found.run |= {name: _text(fields, number) for number, name in names.items() if number in fields}
    found.tags = [tag.decode(errors="replace") for tag in fields.get(10, [])] or found.tags
    if 17 in fields:
        found.run["started_us"] = _us(fields, 17)
    for git in fields.get(21, []):
        told = _fields(git)
        found.run |= {"git.remote": _text(told, 1), "git.commit": _text(told, 2)}
    for number, into in ((4, found.config), (5, found.summary)):
        for body in fields.get(number, []):
            _update(into, _fields(body))


def _update(into: dict[str, Any], fields: Fields) -> None:
    for item in fields.get(1, []):
        key, value = _item(item)
        into[key] = value
    for item in fields.get(2, []):
        into.pop(_key(_fields(item)), None)


def _item(raw: bytes) -> tuple[str, Any]:
    """Return key and value of an item; a history of 0.31 has it by its type, all others as JSON."""
    fields = _fields(raw)
    text = (fields.get(16) or fields.get(8) or [None])[0]
    value: Any = None
    if text is not None:
        try:
            value = json.loads(text)
        except ValueError:
            value = text.decode(errors="replace")
    elif 4 in fields:
        value = bool(fields[4][0])
    elif 5 in fields:
        zigzag = fields[5][0]
        value = (zigzag >> 1) ^ -(zigzag & 1)
    elif 6 in fields:
        value = struct.unpack("<d", fields[6][0])[0]
    elif 7 in fields:
        value = _text(fields, 7)
    return _key(fields), value


def _key(fields: Fields) -> str:
    nested = [part.decode(errors="replace") for part in fields.get(2, [])]
    return ".".join(nested) or _text(fields, 1)


def _text(fields: Fields, number: int) -> str:
    return fields[number][-1].decode(errors="replace") if number in fields else ""


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _us(fields: Fields, number: int) -> int:
    """Return the microseconds of a Timestamp."""
    if number not in fields:
        return 0
    stamp = _fields(fields[number][0])
    return _signed(stamp.get(1, [0])[0]) * 1_000_000 + stamp.get(2, [0])[0] // 1000
