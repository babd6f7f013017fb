"""The operations on charts over runs."""

from gimbal.axis.runs.charts.columns import compared
from gimbal.axis.runs.charts.drawing import drawn
from gimbal.axis.runs.charts.model import AskChart, AskComparison, Chart, Comparison
from gimbal.axis.runs.charts.previews import media
from gimbal.axis.runs.operations import Path, RunId
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import Download
from gimbal.kernel.operations import operation

_SAVED = "runs.artifact saves the same file"


@operation("POST", "/projects/{project}/runs/chart", name="runs.chart", allow=Permission.VIEW)
async def chart_runs(ctx: Context, project: str, body: AskChart) -> Chart:
    """Make a chart over runs as a Vega-Lite spec.

    Curves keep the highest and lowest value of every stretch that is drawn as one; the fewer runs, the more points each.
    """
    return await drawn(ctx, body)


@operation("POST", "/projects/{project}/runs/compare", name="runs.compare", allow=Permission.VIEW)
async def compare_runs(ctx: Context, project: str, body: AskComparison) -> Comparison:
    """Put runs beside each other: parameters, tags and newest metrics, and which of them differ."""
    return compared(await ctx.get(Runs).some(ctx, body.runs))


@operation(
    "GET",
    "/projects/{project}/runs/{id}/media/{path}",
    name="runs.media",
    allow=Permission.VIEW,
    absent={"cli": _SAVED, "mcp": _SAVED},
)
async def run_media(ctx: Context, project: str, id: RunId, path: Path) -> Download:  # noqa: A002 - the name in the path
    """Return an image or a sound of a run with the type that its first bytes say; anything else is refused."""
    return await media(ctx, id, path)
