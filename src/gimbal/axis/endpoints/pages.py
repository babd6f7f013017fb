"""The console's pages of endpoints: what each resolves to, its traffic, and its newest predictions."""

from gimbal.axis.endpoints.predictions import Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.engines.console import charts
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.context import Context

_NEWEST = 20


@page("/endpoints", title="Endpoints", nav="Endpoints", order=60, icon="endpoints")
async def endpoints_page(ctx: Context, request: PageRequest) -> View:
    """Show the endpoints."""
    rows = []
    for endpoint in await ctx.get(Endpoints).all(ctx):
        traffic = await ctx.get(Predictions).traffic(ctx, endpoint.slug)
        rows.append(
            {"endpoint": endpoint, "predictions": sum(day.predictions for day in traffic), "days": traffic[-60:]}
        )
    return View("endpoints/list.html", {"rows": rows})


@page("/endpoints/{slug}", title="Endpoint", icon="endpoints")
async def endpoint_page(ctx: Context, request: PageRequest) -> View:
    """Show one endpoint."""
    endpoint = await ctx.get(Endpoints).get(ctx, request.path["slug"])
    predictions = ctx.get(Predictions)
    traffic = await predictions.traffic(ctx, endpoint.slug)
    counts = [charts.Point(x=day.start, y=float(day.predictions)) for day in traffic]
    means = [charts.Point(x=day.start, y=day.mean_score) for day in traffic]
    data = {
        "endpoint": endpoint,
        "total": sum(day.predictions for day in traffic),
        "counts": charts.line(counts, y_title="predictions a day", zero=True) if counts else None,
        "means": charts.line(means, y_title="mean score") if means else None,
        "newest": (await predictions.page(ctx, endpoint.slug, limit=_NEWEST)).items,
    }
    return View("endpoints/detail.html", data)
