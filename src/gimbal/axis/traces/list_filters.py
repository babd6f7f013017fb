"""The filters of the list's page: what the address says, as the operation takes it, and as chips and fields show it.

Names and types are those of `traces.list`, so that whatever the operation can do the page can, and both say no alike.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, get_args, get_origin

import msgspec

from gimbal.engines.console.pages import PageRequest
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import Parameter, decode_value, find

RANGES = {
    "15m": ("Last 15 minutes", timedelta(minutes=15)),
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
_PLACE = frozenset({"project", "cursor", "limit", "sort"})
_TIMES = ("since", "until")
# How a person calls them, and what helps to fill them in; others are called by their names.
_WORDS: dict[str, tuple[str, str]] = {
    "since": ("From", "2026-05-03T12:00"),
    "until": ("To", "2026-05-04"),
    "status": ("Status", "error"),
    "kind": ("Kind", "llm"),
    "model": ("Model", "gpt-4o"),
    "provider": ("Provider", "openai"),
    "feature": ("Feature", "help"),
    "user": ("User", "ann"),
    "session": ("Session", "s-42"),
    "text": ("Name", "part of the root's name"),
    "search": ("Words", "in input, output …"),
    "ref": ("Version used", "prompt:help/answer@v2"),
    "attribute": ("Attribute", "tenant:acme"),
    "tag": ("Tag", "team:search, or team"),
    "endpoint": ("Endpoint", "support"),
    "key": ("Key id", ""),
    "unpriced": ("Unpriced because", "unknown_model or any"),
    "score": ("Score", "helpful:<0.5 or helpful:unscored"),
    "scored_by": ("Judged by", ""),
    "min_ms": ("At least ms", "500"),
    "max_ms": ("At most ms", "2000"),
    "min_usd": ("At least $", "0.01"),
    "max_usd": ("At most $", "1"),
    "min_tokens": ("At least tokens", "1000"),
    "max_tokens": ("At most tokens", "100000"),
}


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    """A filter that is set."""

    label: str
    value: str
    href: str
    """The page without it."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the filter's form."""

    name: str
    label: str
    hint: str
    values: list[str]
    """One input each, as they were given; the last is empty where there may be another."""
    error: str = ""
    many: bool = False


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    values: dict[str, Any]
    """For the operation."""
    chips: list[Chip]
    fields: list[Field]
    error: GimbalError | None = None
    """What is wrong with a field; then nothing is asked."""


def read(ctx: Context, request: PageRequest) -> Asked:
    """Return the filters of a request; what is wrong with one is told beside it."""
    given = {row.name: _given(request, row.name) for row in _rows()}
    chosen = request.query.get("range", "")
    values: dict[str, Any] = {}
    error: GimbalError | None = None
    try:
        values = _values(ctx, given, chosen)
    except BadInput as problem:
        error = problem
    return Asked(
        values=values,
        chips=_chips(request, given, chosen),
        fields=fields(given, error),
        error=error,
    )


def _values(ctx: Context, given: Mapping[str, list[str]], chosen: str) -> dict[str, Any]:
    """Return what the operation takes; raise BadInput at the field that is wrong."""
    if chosen and chosen not in RANGES:
        raise BadInput(f"{chosen!r} is no range.", where="range", todo=f"Choose one of {', '.join(RANGES)}.")
    values = {row.name: _value(row, given[row.name]) for row in _rows() if given[row.name]}
    if chosen and not values.get("since"):
        values["since"] = ctx.now() - RANGES[chosen][1]
    if values.get("since") and values.get("until") and values["since"] >= values["until"]:
        raise BadInput("The range ends before it begins.", where="until", todo="Give a later end.")
    return values


def of_field(problem: GimbalError) -> str:
    """Return the field that an error of the operation is about; empty where it is about none."""
    name = problem.where.rpartition(".")[2]
    return name if name in {row.name for row in _rows()} else ""


def fields(given: Mapping[str, list[str]], error: GimbalError | None) -> list[Field]:
    """Return the fields with what was given, and the error at the one that is wrong."""
    wrong = "" if error is None else of_field(error)
    found: list[Field] = []
    for row in _rows():
        label, hint = _WORDS.get(row.name, (row.name.replace("_", " ").capitalize(), ""))
        many, values = _many(row), given.get(row.name, [])
        told = f"{error.message} {error.todo}".strip() if error is not None and row.name == wrong else ""
        shown = [*values, ""] if many or not values else values
        found.append(Field(name=row.name, label=label, hint=hint, values=shown, error=told, many=many))
    return found


def with_error(asked: Asked, request: PageRequest, problem: GimbalError) -> Asked:
    """Return what was asked with an error that the operation found in a field."""
    given = {row.name: _given(request, row.name) for row in _rows()}
    return msgspec.structs.replace(asked, fields=fields(given, problem), error=problem)


def _rows() -> list[Parameter]:
    return [row for row in find("traces.list").parameters if row.name not in _PLACE]


def _given(request: PageRequest, name: str) -> list[str]:
    found = [one.strip() for one in request.values(name)]
    if name == "text" and not found:
        # As the address called it before.
        found = [one.strip() for one in request.values("q")]
    return [one for one in found if one]


def _many(row: Parameter) -> bool:
    return any(get_origin(one) is list for one in (row.type, *get_args(row.type)))


def _value(row: Parameter, given: list[str]) -> Any:
    if datetime in (row.type, *get_args(row.type)):
        return parse_time(given[0], row.name)
    try:
        return decode_value(given if _many(row) else given[0], row.type, row.name)
    except BadInput:
        raise BadInput(f"{given[0]!r} is no number.", where=row.name, todo="Write it like 12 or 0.5.") from None


def _chips(request: PageRequest, given: dict[str, list[str]], chosen: str) -> list[Chip]:
    found: list[Chip] = []
    if chosen in RANGES and not given["since"]:
        found.append(Chip(label="Time", value=RANGES[chosen][0], href=request.url(range=None)))
    for name, values in given.items():
        label = _WORDS.get(name, (name.replace("_", " ").capitalize(), ""))[0]
        for place, value in enumerate(values):
            rest = values[:place] + values[place + 1 :]
            changes: dict[str, Any] = {name: rest or None} | ({"q": None} if name == "text" else {})
            found.append(Chip(label=label, value=value, href=request.url(**changes)))
    return found
