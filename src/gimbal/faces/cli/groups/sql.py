"""`gimbal sql "SELECT …"`: an answer as a table, or a file of all its rows.

The CLI loads this and hands in the app of the group; everything else about SQL is an operation.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import show
from gimbal.kernel.errors import BadInput


def ask(
    query: str,
    *,
    parameter: Annotated[
        list[str] | None, Parameter(help="Value for {name:Type} in it, as name=value.", negative="")
    ] = None,
    limit: Annotated[int, Parameter(help="Rows that are shown at most.")] = 100,
    format: Annotated[  # noqa: A002 - the word for it
        Literal["table", "json", "jsonl", "csv", "arrow", "parquet"],
        Parameter(help="table and json show the first rows; the others write all of them."),
    ] = "table",
    out: Annotated[Path | None, Parameter(help="File to write to; standard output otherwise.")] = None,
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
) -> None:
    """Answer one SELECT over the project's views.

    `gimbal sql views` tells what there is. A file that was not written to its end is taken away again.
    """
    # Only who asks pays for the HTTP client.
    from gimbal.faces.client.client import Client

    with Client(project=project) as client:
        if format == "table" or format == "json":  # noqa: PLR1714 - so a type checker knows what is left
            given: dict[str, Any] = dict(_pair(one) for one in parameter or ())
            answer = client.sql.query(query=query, parameters=given, limit=limit)
            if format == "json":
                print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())  # noqa: T201 - the result
                return
            names = [column.name for column in answer.columns]
            show.table([dict(zip(names, row, strict=True)) for row in answer.rows], names)
            if answer.truncated:
                show.remark(f"the first {len(answer.rows)} rows; --limit shows more, --format csv writes all")
            return
        _save(client.sql.export(query=query, parameter=parameter, format=format), out)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"{text!r} gives no parameter.", where="--parameter", todo="Write name=value.")
    return name, value


def _save(chunks: Iterator[bytes], out: Path | None) -> None:
    if out is None:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        return
    partial = out.with_name(out.name + ".part")
    try:
        with partial.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def add(app: App) -> None:
    """Add what `gimbal sql` does without a verb."""
    app.default(ask)
