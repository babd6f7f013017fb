"""The console's pages of runs: the list with newest metrics, and one run with its curves."""

from urllib.parse import quote

from gimbal.axis.runs.model import MetricValue
from gimbal.axis.runs.service import Runs
from gimbal.engines.console import charts
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.context import Context
from gimbal.kernel.operations import PREFIX

_STATUSES = ("running", "finished", "failed", "killed")
_MOST_CURVES = 12


@page("/runs", title="Runs", nav="Runs", order=20, icon="runs")
async def runs_page(ctx: Context, request: PageRequest) -> View:
    """Show runs, newest first."""
    query = request.query
    found = await ctx.get(Runs).page(
        ctx, status=query.get("status"), experiment=query.get("experiment"), cursor=query.get("cursor")
    )
    data = {
        "found": found,
        "statuses": _STATUSES,
        "filtered": bool(query.get("status") or query.get("experiment")),
        "running": any(run.status == "running" for run in found.items),
    }
    return View("runs/list.html", data)


@page("/runs/{id}", title="Run", icon="runs")
async def run_page(ctx: Context, request: PageRequest) -> View:
    """Show one run."""
    runs = ctx.get(Runs)
    run = await runs.get(ctx, request.path["id"])
    curves = []
    for name in sorted(run.metrics)[:_MOST_CURVES]:
        points = [
            charts.Point(x=float(point.step), y=_number(point.value)) for point in await runs.curve(ctx, run.id, name)
        ]
        curves.append({"name": name, "spec": charts.line(points, x_title="step") if len(points) > 1 else None})
    artifacts = [
        {"of": artifact, "url": _download(request, run.id, artifact.path)}
        for artifact in await runs.artifacts(ctx, run.id)
    ]
    data = {"run": run, "curves": curves, "artifacts": artifacts}
    return View("runs/detail.html", data)


def _download(request: PageRequest, run_id: str, path: str) -> str:
    parts = [quote(part, safe="") for part in (request.project, run_id, path)]
    return f"{PREFIX}/projects/{parts[0]}/runs/{parts[1]}/artifacts/{parts[2]}"


def _number(value: MetricValue) -> float | None:
    """Return a value that can be drawn; NaN and infinities leave a gap."""
    return value if isinstance(value, float | int) else None
