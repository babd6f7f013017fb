"""Requests of templates: `{{question}}` stands for what an example's input has under that name.

In JSON a text that is nothing else becomes the value itself, of whatever type; within more text, and in texts of other types,
a value stands as text. What is filled in is never read as a template again.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, quote_plus

import msgspec

from gimbal.kernel.errors import BadInput

PLACE = re.compile(r"\{\{\s*([^{}\s](?:[^{}]{0,198}[^{}\s])?)\s*\}\}")
_DOTS = frozenset({".", ".."})
FORM = "application/x-www-form-urlencoded"


def places_in(template: Any) -> Iterator[str]:
    """Yield the names that a template asks for."""
    if isinstance(template, str):
        yield from (match[1] for match in PLACE.finditer(template))
    elif isinstance(template, Mapping):
        for value in cast("Mapping[str, Any]", template).values():
            yield from places_in(value)
    elif isinstance(template, list):
        for value in cast("list[Any]", template):
            yield from places_in(value)


def value_of(given: Mapping[str, Any], name: str) -> Any:
    """Return what an input has under a name, or under a path of names with dots; raise BadInput where it has nothing."""
    if name in given:
        return given[name]
    found: Any = given
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise BadInput(
                f"The example has no value for {{{{{name}}}}}.",
                where=f"input.{name}",
                todo="Give it one, or change the service's template.",
            )
        found = cast("Mapping[str, Any]", found)[part]
    return found


def filled(template: Any, given: Mapping[str, Any]) -> Any:
    """Return a JSON template with its places filled; raise BadInput for one without a value."""
    if isinstance(template, str):
        whole = PLACE.fullmatch(template)
        return value_of(given, whole[1]) if whole else text_of(template, given)
    if isinstance(template, Mapping):
        return {key: filled(value, given) for key, value in cast("Mapping[str, Any]", template).items()}
    if isinstance(template, list):
        return [filled(value, given) for value in cast("list[Any]", template)]
    return template


def text_of(template: str, given: Mapping[str, Any], escape: Callable[[str], str] = str) -> str:
    """Return a text with its places filled by texts, each through `escape`; raise BadInput for one without a value."""
    return PLACE.sub(lambda match: escape(as_text(value_of(given, match[1]))), template)


def as_text(value: Any) -> str:
    """Return a value as text: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode("utf-8", "replace")


def target_of(template: str, given: Mapping[str, Any]) -> str:
    """Return a path and query with its places filled, each percent-encoded (RFC 3986) so that it stays within its part.

    Raise BadInput for a value that would lead to another folder: `.` and `..` mean something also when they are encoded.
    """

    def escape(value: str) -> str:
        if value in _DOTS:
            raise BadInput(f"{value!r} is no value for a place in an address.", where="url", todo="Change the example.")
        return quote(value, safe="")

    return text_of(template, given, escape)


def body_of(template: Any, media_type: str, given: Mapping[str, Any]) -> bytes:
    """Return the body of a request; without a template the whole input as JSON."""
    if template is None:
        return msgspec.json.encode(given, enc_hook=str)
    if is_json(media_type):
        return msgspec.json.encode(filled(template, given), enc_hook=str)
    escape = quote_plus if media_type.partition(";")[0].strip().lower() == FORM else str
    return text_of(str(template), given, escape).encode()


def is_json(media_type: str) -> bool:
    """Tell whether a media type is JSON's or ends in `+json` (RFC 6839)."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
