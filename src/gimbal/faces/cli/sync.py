"""`gimbal sync FOLDER`: what a folder of prompt files would change, shown like a diff, and then done.

`gimbal prompts diff` shows the difference of two versions in the same way.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from gimbal.faces.cli import show, values
from gimbal.kernel.errors import BadInput

if TYPE_CHECKING:
    from gimbal.generative.prompts.model import PlannedPrompt, PromptChange, SyncPlan

_MARKS = {"created": ("+", "bold green"), "changed": ("~", "bold yellow"), "reverted": ("<", "bold cyan")}
_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_MOST_TEXT = 200


def sync(
    folder: Annotated[Path, Parameter(help="Folder with prompt files.")],
    *,
    yes: Annotated[bool, Parameter(help="Apply without asking.", negative="", show_default=False)] = False,
    check: Annotated[
        bool, Parameter(help="Write nothing; exit with 1 when something would change.", negative="", show_default=False)
    ] = False,
    note: Annotated[str, Parameter(help="Why, for the history of new versions; a commit id is a good note.")] = "",
    project: Annotated[str | None, Parameter(help="Project; GIMBAL_PROJECT, or default, otherwise.")] = None,
) -> None:
    """Make the prompt files of a folder versions on the server: show what would change, ask, and apply it.

    `help/answer.md` becomes `prompt:help/answer`. Prompts that have no file are left alone. What changes on the server after
    the plan was shown is a conflict: nothing is overwritten.
    """
    # Only who syncs pays for the HTTP client.
    from gimbal.faces.client.client import Client
    from gimbal.generative.prompts.commands import read_folder
    from gimbal.generative.prompts.model import SeenPrompt

    files = read_folder(folder)
    with Client(project=project) as client:
        plan = client.prompts.plan(files=files)
        new = plan.created + plan.changed
        show_plan(plan)
        if check or not new:
            raise SystemExit(1 if new else 0)
        if not yes and not _agreed():
            show.remark("Nothing was written.")
            raise SystemExit(1)
        seen = [SeenPrompt(name=row.name, newest=row.newest, digest=row.digest) for row in plan.prompts]
        report = client.prompts.sync(files=files, note=note, seen=seen)
    for row in report.prompts:
        if row.state == "created":
            show.line(f"written  {row.ref}")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise BadInput(
            "There is nobody to ask.", kept="nothing", todo="--yes applies without asking, --check only looks."
        )
    try:
        return input("Apply? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def show_plan(plan: "SyncPlan") -> None:
    """Print what a sync would do, file by file, with what differs."""
    for row in plan.prompts:
        if row.state != "unchanged":
            _show_row(row)
    if plan.elsewhere:
        many = len(plan.elsewhere) > 10
        names = ", ".join(plan.elsewhere[:10])
        show.line(f"On the server without a file, left alone: {names}{' …' if many else ''}", style="dim")
    counts = [f"{plan.created} to create", f"{plan.changed} to change", f"{plan.unchanged} unchanged"]
    show.line(", ".join([*counts, *([f"{plan.reverted} as an older version"] if plan.reverted else [])]), style="bold")


def _show_row(row: "PlannedPrompt") -> None:
    mark, style = _MARKS[row.state]
    show.line(f"{mark} {row.ref}  {row.path}", style=style)
    if row.state == "reverted":
        show.line(f"  the file is this older version; the newest, v{row.newest}, stays the newest")
    show_changes(row.changes)
    show_text(row.text)
    show.line("")


def show_changes(changes: "Sequence[PromptChange]") -> None:
    """Print what a difference means, a line for each."""
    for one in changes:
        if one.part == "formatting":
            show.line("  only the formatting differs: it means the same")
            continue
        place = f"{one.part} {one.path}".strip()
        # Long texts are in the difference of the files, line by line.
        said = {"added": _short(one.after), "removed": _short(one.before)}.get(
            one.change, f"{_short(one.before)} → {_short(one.after)}"
        )
        show.line(values.clean(f"  {place}: {one.change} {said}"))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def show_text(text: str | None) -> None:
    """Print a unified difference in its colours."""
    if text is None:
        show.line("  the files are too long to be shown line by line", style="dim")
        return
    for number, line in enumerate(text.split("\n")[:-1]):
        style = "bold" if number < 2 else _STYLES.get(line[:1], "")
        show.line(f"  {values.clean(line)}", style=style)
