"""`gimbal ledger import FILE` and `gimbal ledger difference`: files with their names, and a table that can be read."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.kernel.clock import parse_time
from gimbal.kernel.errors import BadInput
from gimbal.kernel.money import format_money

_MOST_REJECTED = 20
_Project = Annotated[str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")]
_Json = Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)]


def import_(
    file: Annotated[Path, Parameter(help="What the provider exported: JSON or CSV.")],
    *,
    format: Annotated[  # noqa: A002 - what people call it
        str, Parameter(help="openai-usage, openai-costs, anthropic-usage, anthropic-costs or csv.")
    ],
    provider: Annotated[str | None, Parameter(help="Whose it is; a csv does not say.")] = None,
    account: Annotated[str, Parameter(help="Which of several accounts with the same provider.")] = "",
    column: Annotated[
        list[str] | None,
        Parameter(help="What a column of a csv means: day=Date; may be given several times.", negative=""),
    ] = None,
    project: _Project = None,
    json: _Json = False,
) -> None:
    """Import what a provider says of usage or costs; the same file, or the same line, counts once."""
    if not file.is_file():
        raise BadInput(f"There is no file {file}.", where="file", todo="Give the path of a file.")
    # The client is a face, which stands above this room: it is reached as a script reaches it.
    with importlib.import_module("gimbal").Client(project=project) as client:
        found = client.ledger.import_(
            file, format=format, provider=provider, account=account, filename=file.name, column=column
        )
    print(_encoded(found) if json else imported(found))  # noqa: T201 - the result of a command


def imported(found: Any) -> str:
    """Return what an import came to."""
    if found.repeated:
        return f"This file is there already, since {found.created_at:%Y-%m-%d}: statement {found.id}. Nothing changed."
    told = [f"line {row.line} was rejected: {row.reason}" for row in found.rejected[:_MOST_REJECTED]]
    if found.rejected_lines > len(told):
        told.append(f"… {found.rejected_lines - len(told):,} more lines were rejected")
    figures = [] if found.cost is None else [format_money(found.cost)]
    if found.input_tokens is not None:
        figures.append(f"{found.input_tokens:,} tokens in, {found.output_tokens:,} out")
    days = f"{found.first_day}" if found.first_day == found.last_day else f"{found.first_day} to {found.last_day}"
    instead = f", {found.replaced:,} of them instead of earlier ones" if found.replaced else ""
    told.append(
        f"{found.lines:,} lines of {found.provider}, {days}{instead}: {', '.join(figures)}; statement {found.id}"
    )
    return "\n".join(told)


def difference(
    *,
    since: Annotated[str | None, Parameter(help="First day, in UTC; thirty days ago when left out.")] = None,
    until: Annotated[str | None, Parameter(help="Up to this, today included when left out.")] = None,
    provider: Annotated[str | None, Parameter(help="Only of this provider.")] = None,
    project: _Project = None,
    json: _Json = False,
) -> None:
    """Show providers' figures beside ours by day and model, with what likely explains the difference."""
    with importlib.import_module("gimbal").Client(project=project) as client:
        found = client.ledger.difference(
            since=None if since is None else parse_time(since, "since"),
            until=None if until is None else parse_time(until, "until"),
            provider=provider,
        )
    print(_encoded(found) if json else compared(found))  # noqa: T201 - as above


def compared(found: Any) -> str:
    """Return a report as a person reads it: a row for each day and model, its explanation beneath."""
    if not found.rows:
        return "no statement has a line in these days: `gimbal ledger import FILE` takes one"
    rows = [("day", "model", "", "theirs", "ours", "difference", "their tokens", "our tokens")]
    rows += [
        (
            f"{row.day}",
            f"{row.provider}/{row.model}",
            row.state.replace("_", " "),
            _money(row.their_cost),
            _money(row.our_cost),
            _money(row.cost_difference),
            _tokens(row.their_input_tokens, row.their_output_tokens),
            _tokens(row.our_input_tokens, row.our_output_tokens),
        )
        for row in found.rows
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    told: list[str] = []
    for place, row in enumerate(rows):
        cells = [f"{cell:<{width}}" for cell, width in zip(row[:3], widths[:3], strict=True)]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[3:], widths[3:], strict=True)]
        told.append("  ".join(cells).rstrip())
        told += [f"            {text}" for text in (found.rows[place - 1].explanations if place else ())]
    told.append(f"theirs {_money(found.their_cost)}, ours {_money(found.our_cost)} of the same days and models")
    if found.days_without_statement:
        told.append(
            f"{found.days_without_statement:,} days with calls of ours have no statement; they are not compared"
        )
    return "\n".join([*told, found.boundary])


def _tokens(input_tokens: int | None, output_tokens: int | None) -> str:
    return "—" if input_tokens is None else f"{input_tokens + (output_tokens or 0):,}"


def _money(amount: Any) -> str:
    return "—" if amount is None else format_money(amount)


def _encoded(found: Any) -> str:
    return msgspec.json.encode(found, enc_hook=str).decode()


def add(app: App) -> None:
    """Put the room's own commands into the app of the group."""
    app.command(import_, name="import")
    app.command(difference)
