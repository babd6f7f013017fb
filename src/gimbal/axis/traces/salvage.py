"""What can be read of a request that cannot be read as a whole: one broken span or event rejects no other.

A request goes here only after the ordinary decoder has refused it, so this takes its time. It walks the outer messages
(request, resource, scope) by their field numbers and decodes every span by itself. `otlp.read` calls it.
Sources: opentelemetry-proto 1.x; the protobuf encoding.
"""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from gimbal.axis.traces.signals import R, Signal

# Numbers of the fields: records in groups of a scope in groups of a resource.
_GROUPS, _RESOURCE, _PARTS, _SCOPE, _RECORDS = 1, 1, 2, 1, 2
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_ID_BYTES = 8
_JSON_ERRORS = (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError)


class Unreadable(Exception):
    """The outer messages themselves are broken."""


class Lost:
    """A span or event that could not be decoded, with what can be said of it."""

    __slots__ = ("name", "span_id")

    def __init__(self, span_id: str = "", name: str = "") -> None:
        self.span_id, self.name = span_id, name


def protobuf(body: bytes, signal: Signal[R]) -> tuple[R, list[Lost]]:
    """Return what can be read of a request in protobuf; raise Unreadable when its outer messages cannot be walked."""
    request, lost = signal.request(), list[Lost]()
    for group in _messages(body, _GROUPS):
        found = signal.groups_of(request).add()
        for resource in _messages(group, _RESOURCE):
            _merge(found.resource, Resource, resource)
        for part in _messages(group, _PARTS):
            into = signal.parts_of(found).add()
            for scope in _messages(part, _SCOPE):
                _merge(into.scope, InstrumentationScope, scope)
            for record in _messages(part, _RECORDS):
                try:
                    getattr(into, signal.records).append(signal.record.FromString(record))
                except DecodeError:
                    lost.append(_lost(record, signal))
    return request, lost


def parsed(document: dict[str, Any], signal: Signal[R]) -> tuple[R, list[Lost]]:
    """Return what can be read of a request in JSON whose ids are base64 by now; raise Unreadable as `protobuf` does."""
    request, lost = signal.request(), list[Lost]()
    try:
        for group in signal.json_groups(document):
            found = signal.groups_of(request).add()
            _merge_json(found.resource, group.get("resource"))
            for part in signal.json_parts(group):
                into = signal.parts_of(found).add()
                _merge_json(into.scope, part.get("scope"))
                for record in signal.json_records(part):
                    try:
                        read = json_format.ParseDict(record, signal.record(), ignore_unknown_fields=True)
                        getattr(into, signal.records).append(read)
                    except _JSON_ERRORS:
                        name = record.get(signal.name_field) if isinstance(record, dict) else None
                        lost.append(Lost(name=name if isinstance(name, str) else ""))
    except (TypeError, AttributeError) as problem:
        raise Unreadable from problem
    return request, lost


def _merge(into: Message, kind: Callable[[], Message], content: bytes) -> None:
    """Read a resource or scope; where that cannot be, its spans do without."""
    found = kind()
    try:
        found.ParseFromString(content)
    except DecodeError:
        return
    into.MergeFrom(found)


def _merge_json(into: Message, content: Any) -> None:
    if isinstance(content, dict):
        try:
            into.MergeFrom(json_format.ParseDict(content, type(into)(), ignore_unknown_fields=True))
        except _JSON_ERRORS:
            return


def _lost(record: bytes, signal: Signal[Any]) -> Lost:
    """Return the id and name of a span or event that cannot be decoded, where at least those can."""
    found = Lost()
    try:
        for number, content in _fields(record):
            if number == signal.span_id and len(content) == _ID_BYTES:
                found.span_id = content.hex()
            elif number == signal.name:
                found.name = content[:100].decode(errors="replace")
    except Unreadable:
        pass
    return found


def _messages(message: bytes, wanted: int) -> Iterator[bytes]:
    return (content for number, content in _fields(message) if number == wanted)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the length-delimited fields of a message by number, over all others."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in {_FIXED64, _FIXED32}:
            at += 8 if kind == _FIXED64 else 4
        elif kind == _DELIMITED:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise Unreadable
            yield number, message[at : at + size]
            at += size
        else:
            raise Unreadable
    if at > len(message):
        raise Unreadable


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place after it."""
    number = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise Unreadable
