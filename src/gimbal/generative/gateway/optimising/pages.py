"""The console's pages of optimisations: all of them, and one with its candidates and its proof."""

from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.generative.gateway.optimising.service import Optimisations
from gimbal.kernel.context import Context
from gimbal.kernel.operations import find, invoke


@page("/optimisations", title="Optimisations", order=66, icon="evaluations", tab="Optimisations", within="/gateway")
async def optimisations_page(ctx: Context, request: PageRequest) -> View:
    """Show optimisations, newest first."""
    found = await ctx.get(Optimisations).page(
        ctx, prompt=request.query.get("prompt"), cursor=request.query.get("cursor")
    )
    running = any(one.status == "running" for one in found.items)
    return View("gateway/optimisations.html", {"found": found, "running": running})


@page("/optimisations/{id}", title="Optimisation", icon="evaluations")
async def optimisation_page(ctx: Context, request: PageRequest) -> View:
    """Show one optimisation: how far it is, its candidates, and the winner against the start."""
    optimisations = ctx.get(Optimisations)
    found = await optimisations.get(ctx, request.path["id"])
    candidates = await optimisations.candidates(ctx, found.id)
    shown = candidates[found.chosen] if found.chosen is not None and found.chosen < len(candidates) else None
    data = {"run": found, "candidates": candidates, "winner": shown, "start": candidates[0] if candidates else None}
    return View("gateway/optimisation.html", data)


@page_action("/optimisations/{id}/cancel")
async def cancel(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Stop the optimisation."""
    id_ = request.path["id"]
    await invoke(find("optimisations.cancel"), ctx, {"project": request.project, "id": id_})
    where = request.href("/optimisations/{id}", id=id_)
    return Redirect(where, flash="The optimisation is asked to stop.", tone="info")
