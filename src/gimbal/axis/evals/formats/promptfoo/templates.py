"""Nunjucks as far as it is plain: `{{name}}` and `{{name.field}}` are filled or taken over, all else is left to its tool."""

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

_ANY = re.compile(r"\{\{.*?\}\}|\{%|\{#|\{\{", re.DOTALL)
_PLACE = re.compile(r"\{\{-?\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*-?\}\}")
_NAME = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}")


def is_template(text: str) -> bool:
    """Tell whether a text has anything that Nunjucks reads."""
    return bool(_ANY.search(text))


def filled(text: str, given: Mapping[str, Any]) -> str | None:
    """Return a text with its places filled; None where it is more than plain places, or one of them has no value."""
    whole = True

    def fill(found: re.Match[str]) -> str:
        nonlocal whole
        place = _PLACE.fullmatch(found[0])
        value = None if place is None else _at(given, place[1].split("."))
        if value is None:
            whole = False
            return ""
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    done = _ANY.sub(fill, text)
    return done if whole else None


def filled_through(value: Any, given: Mapping[str, Any]) -> Any:
    """Return a value with all its texts filled; raise ValueError where one cannot be."""
    if isinstance(value, str):
        done = filled(value, given)
        if done is None:
            raise ValueError(value)
        return done
    if isinstance(value, list):
        return [filled_through(item, given) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: filled_through(item, given) for key, item in cast("dict[str, Any]", value).items()}
    return value


def as_ours(text: str) -> str | None:
    """Return a template with places as `{{name}}`; None where it has anything else."""
    if "\\{{" in text or any(not _NAME.fullmatch(found[0]) for found in _ANY.finditer(text)):
        return None
    return _NAME.sub(r"{{\1}}", text)


def _at(given: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = given
    for name in path:
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, Mapping) else None
    return value
