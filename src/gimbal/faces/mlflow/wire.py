"""Requests of MLflow's clients as records, and records as answers.

GET sends its fields as a query, all others as JSON. Whole numbers come as numbers or texts and go out as numbers; NaN
and infinities are texts both ways. Fields that we do not know are ignored, as protobuf does.
"""

import functools
import re
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from gimbal.kernel.errors import BadInput
from gimbal.kernel.http import HttpRequest

T = TypeVar("T")

_TODO = "See the API docs for more information about request parameters."
_FIELD = re.compile(r"`\$\.?([^`]*)`")
_encoder = msgspec.json.Encoder()
_EMPTY = b"{}"
_FREE = frozenset({"value"})
"""Fields that may hold any JSON, in which a null is a null."""


async def decoded(request: HttpRequest, kind: type[T]) -> T:
    """Return what a request asks as a record; raise BadInput that names the field."""
    body = b"" if request.method == "GET" and request.query else await request.body.read()
    if body and not request.parameters:
        return from_json(body, kind)
    found: Any = from_json(body, dict[str, Any]) if body else _from_query(request, kind)
    return converted({**found, **request.parameters}, kind)


def query_of(request: HttpRequest, kind: type[T]) -> T:
    """Return what the query of a request asks as a record."""
    return converted(_from_query(request, kind), kind)


def from_json(body: bytes, kind: type[T]) -> T:
    """Read a JSON body; nulls are as if they were left out."""
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError:
        return converted(_parsed(body), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _parsed(body)
        raise


def converted(value: Any, kind: type[T]) -> T:
    """Return parsed JSON, or texts of a query, as a record."""
    try:
        return msgspec.convert(_without_nulls(value), kind, strict=False)
    except msgspec.ValidationError as bad:
        text, _, _ = str(bad).partition(" - at ")
        place = _FIELD.search(str(bad))
        where = place[1] if place else "body"
        raise BadInput(f"Invalid value for parameter '{where}' supplied: {text}.", where=where, todo=_TODO) from None
    except RecursionError:
        raise BadInput("The body is nested too deeply.", where="body", todo=_TODO) from None


def encoded(answer: Any) -> bytes:
    """Write an answer; bytes are JSON already."""
    if answer is None:
        return _EMPTY
    return answer if isinstance(answer, bytes) else _encoder.encode(answer)


def needed(name: str, value: str) -> str:
    """Return a text that must be there; raise BadInput as MLflow words it."""
    if not value:
        raise BadInput(f"Missing value for required parameter '{name}'.", where=name, todo=_TODO)
    if "\0" in value:
        raise BadInput(f"Invalid value for parameter '{name}' supplied: it has a NUL.", where=name, todo=_TODO)
    return value


def _parsed(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
        # Old clients encoded it twice.
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise BadInput(f"The body is not valid JSON: {bad}.", where="body", todo="Send UTF-8 JSON.") from None
    except RecursionError:
        raise BadInput("The body is nested too deeply.", where="body", todo=_TODO) from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: inner if name in _FREE else _without_nulls(inner)
            for name, inner in value.items()
            if inner is not None
        }
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _from_query(request: HttpRequest, kind: type) -> dict[str, Any]:
    lists = _lists(kind)
    found: dict[str, Any] = {name: value for name, value in request.query.items() if name not in lists}
    for name in lists & request.query.keys():
        found[name] = request.several.get(name, [request.query[name]])
    return found


@functools.cache
def _lists(kind: type) -> frozenset[str]:
    """Return the fields of a record that are repeated in a query."""
    return frozenset(
        name
        for name, hint in get_type_hints(kind).items()
        if list in {get_origin(one) for one in (hint, *get_args(hint))}
    )


@functools.cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)
