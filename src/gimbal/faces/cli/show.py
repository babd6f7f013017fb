"""How results look in a terminal: tables for lists, lines for records, JSON on request, errors with what to do."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gimbal.kernel.errors import GimbalError

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)
# What a person looks for first stands left; the rest is in `--json` and in `show`.
_FIRST = ("id", "slug", "kind", "name", "number", "status", "title", "value", "verdict")
# What is the same in every row, or longer than a terminal is wide.
_HIDDEN = frozenset(
    {"project", "digest", "hash", "previous", "created_by", "experiment", "started_by", "error", "tags"}
)
_MOST_COLUMNS = 7


def result(value: Any, *, as_json: bool, columns: Sequence[str] = ()) -> None:
    """Print the result of a command; `columns` chooses those of a list."""
    if as_json:
        _out.print_json(msgspec.json.encode(value, enc_hook=str).decode())
        return
    if isinstance(value, dict):
        page = cast("dict[str, Any]", value)
        if set(page) <= {"items", "next", "total"} and "items" in page:
            table(page["items"], columns)
            if page.get("next"):
                _out.print(Text(f"more: --cursor {page['next']}", style="dim"))
        else:
            record(page)
    elif isinstance(value, list):
        table(cast("list[Any]", value), columns)
    elif value is not None:
        _out.print(str(value))


def table(rows: list[Any], chosen: Sequence[str] = ()) -> None:
    """Print rows as a table of the chosen columns, or of their plain ones."""
    if not rows:
        _out.print(Text("nothing here yet", style="dim"))
        return
    if not all(isinstance(row, dict) for row in rows):
        for row in rows:
            _out.print(cell(row))
        return
    columns = list(chosen) or _columns(cast("list[dict[str, Any]]", rows))
    grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        whole = name in {"id", "slug", "status", "name"}
        grid.add_column(
            name.replace("_", " "),
            overflow="ellipsis",
            no_wrap=True,
            min_width=len(cell(rows[0].get(name))) if whole else None,
        )
    for row in rows:
        grid.add_row(*(cell(row.get(name)) for name in columns))
    _out.print(grid)


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    plain = [n for n in names if any(_is_plain(row.get(n)) and row.get(n) not in (None, "") for row in rows)]
    shown = [n for n in plain if n not in _HIDDEN]
    shown.sort(key=lambda n: _FIRST.index(n) if n in _FIRST else 50)
    return shown[:_MOST_COLUMNS]


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return 0 < len(cast("dict[str, Any]", value)) <= 2
    return not isinstance(value, list)


def record(row: dict[str, Any]) -> None:
    """Print one record, a line per field."""
    grid = Table.grid(padding=(0, 2))
    for name, value in row.items():
        if value in (None, "", [], {}):
            continue
        grid.add_row(Text(name.replace("_", " "), style="dim"), cell(value, wide=True))
    _out.print(grid)


def cell(value: Any, *, wide: bool = False) -> str:
    """Return a value as short text; missing is shown as a dash, never as zero."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return _time(value) or value
    if isinstance(value, dict) and not wide:
        return " ".join(f"{k}={cell(v)}" for k, v in cast("dict[str, Any]", value).items())
    if isinstance(value, dict | list):
        return msgspec.json.format(msgspec.json.encode(value), indent=2 if wide else -1).decode()
    return str(value)


def _time(text: str) -> str:
    if len(text) < 20 or text[4:5] != "-" or text[10:11] != "T":
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def line(text: str, *, style: str = "") -> None:
    """Print a line."""
    _out.print(Text(text, style=style))


def error(problem: GimbalError) -> None:
    """Print what happened, what was kept and what to do."""
    body = problem.body()
    _err.print(Text.assemble(("error: ", "bold red"), body.message, (f"  [{body.code}]", "dim")))
    for label, text in (("where", body.where), ("kept", body.kept), ("to do", body.todo)):
        if text:
            _err.print(Text.assemble((f"{label:>6}: ", "dim"), text))
