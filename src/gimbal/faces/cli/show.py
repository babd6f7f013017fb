"""How results look in a terminal: tables for lists, lines for records, JSON on request, errors with what to do.

The result goes to standard output, uncut when no terminal reads it; remarks and errors go to standard error.
"""

import os
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from rich.text import Text

from gimbal.faces.cli import grid, values
from gimbal.faces.cli.terminal import Terminal
from gimbal.kernel.errors import BadInput, GimbalError

_out = Terminal(highlight=False, soft_wrap=True)
_err = Terminal(stderr=True, highlight=False, soft_wrap=True)
# What a person looks for first stands left; the rest is in `--json` and in `show`.
_FIRST = ("id", "slug", "kind", "name", "number", "status", "title", "value", "verdict")
# What is the same in every row, or longer than a terminal is wide.
_HIDDEN = frozenset(
    {"project", "digest", "hash", "previous", "created_by", "experiment", "started_by", "error", "tags", "updated_by"}
)
_COPIED = frozenset({"id", "trace_id", "ref", "slug"})
_MOST_COLUMNS = 7
_MOST_ROWS = 30
_MOST_TEXT = 2_000
_DEEPEST = 4
_STYLES = {
    **dict.fromkeys(("finished", "succeeded", "done", "ok", "promoted", "active"), "green"),
    **dict.fromkeys(("failed", "error", "refused", "killed", "denied"), "red"),
    **dict.fromkeys(("running", "queued", "pending", "warn", "cancelled"), "yellow"),
}


def width() -> int | None:
    """Return the columns of the terminal; None when the output goes to a file or a program."""
    known = _out.is_terminal or os.environ.get("COLUMNS")
    return shutil.get_terminal_size().columns if known else None


def result(value: Any, *, as_json: bool, columns: Sequence[str] = ()) -> None:
    """Print the result of a command; `columns` chooses those of a list."""
    if as_json:
        _out.print(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode(), markup=False)
    elif isinstance(value, dict):
        page = cast("dict[str, Any]", value)
        if set(page) <= {"items", "next", "total"} and "items" in page:
            table(page["items"], columns)
            if page.get("next"):
                remark(f"there are more: --cursor {page['next']}")
        else:
            record(page)
    elif isinstance(value, list):
        table(cast("list[Any]", value), columns)
    elif value is not None:
        _out.print(Text(str(value)))


def table(rows: list[Any], chosen: Sequence[str] = ()) -> None:
    """Print rows as a table of the chosen columns, or of their plain ones."""
    if not rows:
        remark("nothing found")
        return
    if not all(isinstance(row, dict) for row in rows):
        for row in rows:
            _out.print(Text(values.cell(row)))
        return
    for text in _grid(cast("list[dict[str, Any]]", rows), chosen, 0):
        _out.print(text)


def _grid(rows: list[dict[str, Any]], chosen: Sequence[str], indent: int) -> Iterator[Text]:
    names = [name for name in chosen or _columns(rows) if any(name in row for row in rows)]
    if indent:
        # Rows inside a record share what the record says already.
        names = [name for name in names if name != "trace_id"]
    room = width()
    most = None if room is None else room - indent
    now = datetime.now(UTC)
    laid = grid.lay([_column(name, rows, None) for name in names], most)
    if laid.left_out:
        # Times to the minute take most room, and how long ago it was is what people want to know.
        laid = grid.lay([_column(name, rows, now) for name in names], most)
    margin = " " * indent
    for text in laid.heading:
        yield Text(margin + text, style="bold")
    for text in laid.rows:
        yield _coloured(margin + text)
    if laid.left_out:
        yield Text(f"{margin}no room for: {', '.join(laid.left_out)} (a wider terminal, or --json)", style="dim")


def _column(name: str, rows: Sequence[Mapping[str, Any]], now: datetime | None) -> grid.Column:
    """Return a column of a table; times are told from `now` when it is given."""
    found = [row.get(name) for row in rows]
    sample = next((item for item in found if item is not None), None)
    if now is not None and values.moment(sample):
        heading = values.title(name, sample).removesuffix(" (UTC)")
        return grid.Column(heading, [values.since(item, now) for item in found])
    cells = [values.cell(item, name) for item in found]
    return grid.Column(values.title(name, sample), cells, values.right(found, name), name in _COPIED)


def _coloured(text: str) -> Text:
    shown = Text(text)
    for word, style in _STYLES.items():
        shown.highlight_regex(rf"(?<=\s){word}(?=\s|$)", style)
    return shown


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    plain = [n for n in names if any(row.get(n) not in (None, "", [], {}) for row in rows)]
    plain = [n for n in plain if all(values.is_short(row.get(n)) or not row.get(n) for row in rows)]
    shown = [n for n in plain if n not in _HIDDEN]
    shown.sort(key=lambda n: _FIRST.index(n) if n in _FIRST else 50)
    return shown[:_MOST_COLUMNS]


def record(row: Mapping[str, Any]) -> None:
    """Print one record, a line per field; what is inside it stands indented below."""
    inside = [part for value in row.values() if isinstance(value, Mapping) for part in value.values()]
    # What stands inside another field already is not told twice.
    once = {name: value for name, value in row.items() if not (isinstance(value, Mapping) and value in inside)}
    for text in _fields(once, 0):
        _out.print(text)


def _fields(row: Mapping[str, Any], indent: int) -> Iterator[Text]:
    shown = {name: value for name, value in row.items() if value not in (None, "", [], {})}
    label = max((len(_label(name, value, indent)) for name, value in shown.items()), default=0)
    for name, value in shown.items():
        yield from _field(name, value, indent, min(label, 30))


def _label(name: str, value: Any, indent: int) -> str:
    """Return the name of a field in words; inside a record names are data and stay as they are."""
    return values.clean(name if indent else values.title(name, None if values.moment(value) else value))


def _field(name: str, value: Any, indent: int, label: int) -> Iterator[Text]:
    head = Text(" " * indent + f"{_label(name, value, indent):<{label}}", style="dim")
    inner = indent + 2
    if isinstance(value, Mapping) and not values.is_one(value):
        yield Text(head.plain.rstrip(), style="dim")
        if inner // 2 > _DEEPEST:
            yield Text(" " * inner + _cut(values.as_json(value)))
            return
        yield from _fields(cast("Mapping[str, Any]", value), inner)
    elif isinstance(value, list) and value and all(isinstance(i, Mapping) and not values.is_one(i) for i in value):
        rows = cast("list[dict[str, Any]]", value)
        yield Text(f"{head.plain.rstrip()} ({len(rows):,})", style="dim")
        yield from _grid(rows[:_MOST_ROWS], (), inner)
        if len(rows) > _MOST_ROWS:
            yield Text(f"{' ' * inner}… {len(rows) - _MOST_ROWS:,} more, with --json", style="dim")
    else:
        first, *rest = _wrapped(_words(name, value), indent + label + 2)
        yield Text.assemble(head, "  ", (first, _STYLES.get(first, "")))
        for text in rest:
            yield Text(" " * (indent + label + 2) + text)


def _words(name: str, value: Any) -> str:
    then = values.moment(value)
    if then:
        return f"{then:%Y-%m-%d %H:%M:%S} UTC, {values.ago(then, datetime.now(UTC))}"
    if isinstance(value, str) and "\n" in value:
        return _cut("\n".join(values.clean(text) for text in value.splitlines()))
    return _cut(values.cell(value, name))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}… ({len(text):,} characters; --json has all)"


def _wrapped(text: str, indent: int) -> list[str]:
    room = width()
    lines = text.split("\n")
    if room is None:
        return lines
    most = max(20, room - indent)
    return [
        part
        for text in lines
        for part in textwrap.wrap(text, most, break_on_hyphens=False, break_long_words=False) or [""]
    ]


def line(text: str, *, style: str = "") -> None:
    """Print a line."""
    _out.print(Text(text, style=style))


def paragraph(text: str, *, indent: int) -> None:
    """Print text that is wrapped and indented, dimmed."""
    for part in _wrapped(text, indent):
        _out.print(Text(" " * indent + part, style="dim"))


def remark(text: str) -> None:
    """Print what belongs to no result."""
    _err.print(Text(text, style="dim"))


def usage(message: str, command: str) -> None:
    """Print what was wrong with the words of a command."""
    _err.print(Text.assemble(("wrong usage: ", "bold red"), message))
    _err.print(Text.assemble(("to do: ", "dim"), f"`{command} --help` shows how it is used."))


def error(problem: GimbalError) -> None:
    """Print what happened, what was kept and what to do."""
    body = problem.body()
    _err.print(Text.assemble(("error: ", "bold red"), body.message, (f"  [{body.code}]", "dim")))
    for label, text in (("where", body.where), ("kept", body.kept), ("to do", body.todo)):
        if text:
            _err.print(Text.assemble((f"{label:>5}: ", "dim"), text))


def of_the_system(problem: OSError) -> None:
    """Print what the system refused, of a file as a rule."""
    what = f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem)
    error(BadInput(f"{what}.", todo="Check the path and the permissions."))
