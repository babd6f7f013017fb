"""`gimbal runs plot --metric loss --out loss.png` and `gimbal runs sync`: charts as files, and what waits on this machine."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from gimbal.axis.runs.charts.model import Kind
from gimbal.axis.runs.plotting import Plot, check_ending
from gimbal.faces.cli import show
from gimbal.kernel.errors import BadInput

Project = Annotated[str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")]


def add(app: App) -> None:
    """Put these commands into the app of the group."""
    app.command(sync)
    app.command(plot)


def sync(*, project: Project = None) -> None:
    """Send what programs of this machine logged while the server was away.

    The next program that tracks a run does so, too. What arrives twice is there once.
    """
    from gimbal.faces.client import run_sync
    from gimbal.faces.client.client import Client

    with Client(project=project) as client:
        sent, refused = run_sync.sync(client)
    sys.stdout.write(f"{sent:,} requests sent\n" if sent else "Nothing waits.\n")
    for each in refused:
        sys.stdout.write(f"refused: {each}\n")


def plot(
    *runs: Annotated[str, Parameter(help="Ids of runs; the ten newest that have the metric otherwise.")],
    metric: Annotated[str, Parameter(help="The metric.")],
    out: Annotated[Path, Parameter(help="File to write: .png, .svg, or .json for Vega-Lite.")],
    kind: Annotated[Kind, Parameter(help="What kind of chart.")] = "line",
    by: Annotated[
        list[str] | None, Parameter(help="A column, params.depth say; two for scatter and contour.", negative="")
    ] = None,
    x: Annotated[
        Literal["step", "time", "relative"], Parameter(help="Steps, clock time, or seconds since the start.")
    ] = "step",
    smooth: Annotated[float, Parameter(help="Weight of what came before, 0 to 0.99.")] = 0.0,
    log: Annotated[Literal["x", "y", "xy"] | None, Parameter(help="Logarithmic axes.")] = None,
    band: Annotated[
        str, Parameter(help="A column: runs that are equal in it become their mean and its interval.")
    ] = "",
    experiment: Annotated[str | None, Parameter(help="Only runs of this experiment.")] = None,
    theme: Annotated[Literal["light", "dark"], Parameter(help="Colours.")] = "light",
    width: Annotated[int, Parameter(help="Width in points.")] = 720,
    height: Annotated[int, Parameter(help="Height in points.")] = 360,
    scale: Annotated[float, Parameter(help="Pixels for each point of a PNG.")] = 2.0,
    project: Project = None,
) -> None:
    """Draw a chart over runs into a file.

    It is drawn here: the server gives the data, downsampled so that extremes stay.
    """
    check_ending(out)
    if not 80 <= width <= 4_000 or not 0.1 <= scale <= 8:
        raise BadInput(
            f"A chart cannot be {width} points wide at {scale:g} pixels each.",
            where="--width",
            todo="Use a width of 80 to 4000 and a scale of 0.1 to 8.",
        )
    # Only who asks pays for the HTTP client.
    from gimbal.faces.client.client import Client

    with Client(project=project) as client:
        chart = client.runs.chart(
            kind=kind,
            metric=metric,
            runs=list(runs),
            experiment=experiment,
            x=x,
            smooth=smooth,
            log=log or "",
            band=band,
            by=by or [],
            height=height,
        )
    Plot({**chart.spec, "width": width}, theme).save(out, scale)
    show.remark(f"{out}: {chart.runs} runs" + (f", {chart.without} without it" if chart.without else ""))
