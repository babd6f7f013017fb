"""Progress while an import runs, and its report at the end."""

import contextlib
import sys
from collections.abc import Callable, Generator

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gimbal.faces.cli import show, values
from gimbal.faces.importing.records import Problem
from gimbal.faces.importing.report import Report

_DOING = {"bring": "importing", "look": "looking", "compare": "comparing"}
_MOST_SHOWN = 20


@contextlib.contextmanager
def moving(total: int | None, report: Report, verb: str) -> Generator[Callable[[int], None]]:
    """Show a bar of runs on standard error while the block runs, where that is a terminal; yield what moves it."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TextColumn("{task.fields[points]:,} points  {task.fields[files]:,} files", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(_DOING[verb], total=total, points=0, files=0)

        def moved(runs: int) -> None:
            counts = report.counts
            progress.update(task, advance=runs, points=counts.points, files=counts.files)

        yield moved


def show_report(report: Report, source: str, project: str, verb: str, *, as_json: bool, ended: bool) -> None:
    """Print what came, and what did not; `ended` says whether all was looked at."""
    counts = msgspec.structs.asdict(report.counts)
    if as_json:
        told = {"problems": [one._asdict() for one in report.problems]}
        told |= {"differences": [one._asdict() for one in report.differences]}
        head = {"source": source, "project": project, "ended": ended}
        show.result({**head, "counts": counts, **told}, as_json=True)
        return
    show.line(f"{_TITLE[verb]}: {source} → project {project}", style="bold")
    for name, label in _LABELS.items():
        number = counts[name]
        if number or name == "read":
            shown = values.size(number) if name == "file_bytes" else f"{number:,}"
            show.line(f"  {label:<28}{shown:>14}")
    _list("differ", report.differences, "bold red")
    _list("not brought over", report.problems, "bold yellow")
    if not ended:
        show.line("It broke off before the end; the same command goes on.", style="bold red")
    elif report.sound:
        show.line(_ALL_WELL[verb], style="bold green")
    sys.stdout.flush()


_TITLE = {"bring": "Imported", "look": "Would import", "compare": "Compared"}
_ALL_WELL = {
    "bring": "All of it is here.",
    "look": "Nothing stands in the way.",
    "compare": "Both sides are the same.",
}
_LABELS = {
    "read": "runs read",
    "created": "runs new",
    "added": "runs brought up to date",
    "there": "runs here already",
    "refused": "runs refused",
    "params": "parameters",
    "tags": "tags",
    "points": "metric points",
    "datasets": "datasets",
    "files": "files",
    "file_bytes": "size of files",
    "models": "logged models",
    "registered": "registered models",
    "versions": "versions",
    "aliases": "aliases",
}


def _list(title: str, problems: list[Problem], style: str) -> None:
    if not problems:
        return
    show.line(f"{len(problems):,} {title}", style=style)
    for where, what in problems[:_MOST_SHOWN]:
        show.line(f"  {values.clean(where)}")
        show.paragraph(values.clean(what), indent=4)
    if len(problems) > _MOST_SHOWN:
        show.line(f"  … {len(problems) - _MOST_SHOWN:,} more, with --json", style="dim")
