"""The console's pages of evaluations: runs, the results of one, and two side by side."""

from typing import Any

from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.model import EvaluationResult
from gimbal.axis.evals.service import Evaluations
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

_MOST_ROWS = 200


@page("/evaluations", title="Evaluations", nav="Evaluations", order=40, icon="evaluations")
async def evaluations_page(ctx: Context, request: PageRequest) -> View:
    """Show evaluation runs, newest first."""
    found = await ctx.get(Evaluations).page(
        ctx,
        suite=request.query.get("suite"),
        subject=request.query.get("subject"),
        cursor=request.query.get("cursor"),
    )
    return View("evals/list.html", {"found": found, "running": any(r.status == "running" for r in found.items)})


@page("/evaluations/compare", title="Compare", icon="evaluations")
async def compare_page(ctx: Context, request: PageRequest) -> View:
    """Show two runs on one suite, paired by example."""
    before, after = request.query.get("before"), request.query.get("after")
    if not before or not after:
        raise BadInput("Two evaluations are compared.", where="before, after", todo="Open one and choose another.")
    evaluations = ctx.get(Evaluations)
    found = await compare_runs(ctx, evaluations, before, after, margin=0.02)
    changed = _changed(await evaluations.results(ctx, before), await evaluations.results(ctx, after))
    return View("evals/compare.html", {"found": found, "changed": changed[:_MOST_ROWS], "all_changed": len(changed)})


def _changed(before: list[EvaluationResult], after: list[EvaluationResult]) -> list[dict[str, Any]]:
    """Return the examples whose score moved, the largest moves first."""
    left = {row.example_id: row for row in before}
    rows: list[dict[str, Any]] = []
    for right in after:
        old = left.get(right.example_id)
        if old is None:
            continue
        moves = {name: value - old.scores[name] for name, value in right.scores.items() if name in old.scores}
        moved = {name: move for name, move in moves.items() if abs(move) > 1e-9}
        if moved:
            rows.append({"before": old, "after": right, "moved": moved, "size": max(map(abs, moved.values()))})
    return sorted(rows, key=lambda row: -row["size"])


@page("/evaluations/{id}", title="Evaluation", icon="evaluations")
async def evaluation_page(ctx: Context, request: PageRequest) -> View:
    """Show one run: estimates, what is missing, and every example."""
    evaluations = ctx.get(Evaluations)
    run = await evaluations.get(ctx, request.path["id"])
    results = await evaluations.results(ctx, run.id)
    only = request.query.get("only", "")
    if only == "missing":
        shown = [row for row in results if row.missing]
    elif only:
        shown = [row for row in results if row.scores.get(only, 1.0) < 1.0]
    else:
        shown = results
    others = await evaluations.page(ctx, suite=str(run.suite), limit=20)
    data = {
        "run": run,
        "results": shown[:_MOST_ROWS],
        "hidden": max(0, len(shown) - _MOST_ROWS),
        "scorers": [row.scorer for row in run.summaries],
        "others": [row for row in others.items if row.id != run.id and row.status == "done"],
    }
    return View("evals/detail.html", data)
