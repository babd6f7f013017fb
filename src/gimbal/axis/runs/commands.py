"""Commands of runs that are more than one operation. The CLI loads this and hands in the app of the group."""

from cyclopts import App

from gimbal.axis.runs.plot_command import plot
from gimbal.axis.runs.syncing import sync


def add(app: App) -> None:
    """Put the room's own commands into the app of the group."""
    app.command(sync)
    app.command(plot)
