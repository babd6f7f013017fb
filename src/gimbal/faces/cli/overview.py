"""What `gimbal --help` shows: the commands of this machine and the groups of the server, each with what it is for.

It is what people ask first. To load what reads a command line (cyclopts) takes longer than all that this page needs, so
the page is drawn here. Where other words beside `--help` leave it to cyclopts, that shows the same: a test holds that both
are equal.
"""

import math
import textwrap
from collections.abc import Mapping

from rich.box import ROUNDED
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gimbal.faces.cli import manifest
from gimbal.faces.cli.terminal import Terminal

QUESTIONS = ([], ["--help"], ["-h"])
"""Words that ask for this page and for nothing else."""
HELP = """Operate predictive models and LLM applications together. Start with `gimbal up`.

GIMBAL_URL, GIMBAL_API_KEY and GIMBAL_PROJECT say which server, as whom, and in which project.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
TITLES = ("This machine", "On the server", "Options")
# By the module that each stands in. Its first line stands here again, so that the overview loads none of them; a test
# holds that it is the same.
HERE = {
    "backup": (
        "gimbal.faces.cli.local",
        "Copy everything of the running installation into a folder, with a digest of every file.",
    ),
    "doctor": (
        "gimbal.faces.cli.local",
        "Check what Gimbal needs here: versions, folder, disk, ports, clock, engines; say how to mend what is wrong.",
    ),
    "replay": (
        "gimbal.faces.cli.replaying",
        "Ask a candidate what production asked a prompt, and compare with what was answered then.",
    ),
    "restore": (
        "gimbal.faces.cli.local",
        "Restore a backup into a new data folder; every digest is checked before anything is written.",
    ),
    "settings": (
        "gimbal.faces.cli.local",
        "Print every setting with its value, where the value came from, and what it means.",
    ),
    "sweep": (
        "gimbal.faces.cli.sweep",
        "Search for good parameters: run trials, each a run, and keep the study on the server.",
    ),
    "sync": (
        "gimbal.faces.cli.sync",
        "Make the prompt files of a folder versions on the server: show what would change, ask, and apply it.",
    ),
    "up": ("gimbal.faces.cli.local", "Start Gimbal and keep it up until Ctrl-C."),
}
# Groups of commands that are more than operations, by the module that adds them when they are asked for.
OWN = {
    "eval": ("gimbal.faces.cli.evaluating", "Put a version through a suite and compare it, for people and CI."),
    "import": (
        "gimbal.faces.importing.commands",
        "Runs of MLflow, Weights & Biases, Neptune and Trackio, brought here.",
    ),
}
_FLAGS = {"--help (-h)": "Display this message and exit.", "--version": "Display application version."}
_MOST_OF_NAMES = 0.35
"""The part of the width that names may take; the rest is for what they mean."""


def show() -> None:
    """Print the page, as wide as the terminal is."""
    terminal = Terminal()
    terminal.print(Text("Usage: gimbal COMMAND\n", style="bold"))
    terminal.print(Text(f"{HELP}\n"))
    meanings = {group.replace("_", "-"): meaning for group, meaning in manifest.meanings().items()}
    there = meanings | {name: meaning for name, (_, meaning) in OWN.items()}
    here = {name: meaning for name, (_, meaning) in HERE.items()}
    for title, rows in zip(TITLES, (here, there, _FLAGS), strict=True):
        terminal.print(_panel(title, rows, terminal.width))


def _panel(title: str, rows: Mapping[str, str], width: int) -> Panel:
    most = math.ceil(width * _MOST_OF_NAMES)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", max_width=most)
    table.add_column(overflow="fold")
    for name in sorted(rows):
        lines = textwrap.wrap(name, most, subsequent_indent="  ", break_on_hyphens=False)
        table.add_row(Text("\n".join(lines)), Text(rows[name]))
    return Panel(table, title=Text(title), title_align="left", box=ROUNDED)
