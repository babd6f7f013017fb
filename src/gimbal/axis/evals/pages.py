"""The console's pages of evaluations: runs, the results of one, and two side by side."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import gimbal.axis.evals.start_pages  # noqa: F401  # pyright: ignore[reportUnusedImport] - importing it declares its pages
from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.model import EvaluationResult
from gimbal.axis.evals.reading import PARTS, SUITE, WORST
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.summing import by_example
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import Page, cursor_text, encode_cursor

R = TypeVar("R")
_ROWS = 20
_LEAST_MOVE = 1e-9


@page("/evaluations", title="Evaluations", nav="Evaluations", order=40, icon="evaluations")
async def evaluations_page(ctx: Context, request: PageRequest) -> View:
    """Show evaluation runs, newest first."""
    found = await ctx.get(Evaluations).runs.page(
        ctx,
        suite=request.query.get("suite"),
        subject=request.query.get("subject"),
        cursor=request.query.get("cursor"),
    )
    data = {
        "found": found,
        "running": any(r.status == "running" for r in found.items),
        "may": request.principal.may(Permission.DEVELOP, request.project),
    }
    return View("evals/list.html", data)


@page("/evaluations/compare", title="Compare", icon="evaluations")
async def compare_page(ctx: Context, request: PageRequest) -> View:
    """Show two runs on one suite, paired by example."""
    before, after = request.query.get("before"), request.query.get("after")
    if not before or not after:
        raise BadInput("Two evaluations are compared.", where="before, after", todo="Open one and choose another.")
    evaluations = ctx.get(Evaluations)
    found = await compare_runs(ctx, evaluations, before, after, margin=0.02)
    marks = [row.scorer for row in found.scorers if not row.unit]
    left, right = await evaluations.results(ctx, before), await evaluations.results(ctx, after)
    changed = _changed(marks, left, right)
    rows = _part(changed, lambda row: row["after"].example_id, request.query.get("cursor"))
    return View("evals/compare.html", {"found": found, "changed": rows})


def _part(rows: Sequence[R], id_of: Callable[[R], str], cursor: str | None) -> Page[R]:
    """Return the page of rows that follows the example that a cursor names; raise BadInput when it is not there."""
    start = 0
    if cursor:
        last = cursor_text(cursor, "example")
        start = next((i for i, row in enumerate(rows, start=1) if id_of(row) == last), 0)
        if not start:
            raise BadInput("The cursor was not made by this list.", where="cursor", todo="Start at the first page.")
    items = list(rows[start : start + _ROWS])
    more = start + _ROWS < len(rows)
    return Page(items=items, next=encode_cursor({"example": id_of(items[-1])}) if more else None, total=len(rows))


def _changed(
    scorers: Sequence[str], before: Sequence[EvaluationResult], after: Sequence[EvaluationResult]
) -> list[dict[str, Any]]:
    """Return the examples whose marks moved, the largest moves first; of several tries the first is shown."""
    left = {row.example_id: row for row in reversed(before)}
    means = [
        {name: {row.id: row.mean for row in by_example(name, results)} for name in scorers}
        for results in (before, after)
    ]
    rows: list[dict[str, Any]] = []
    for id_, right in {row.example_id: row for row in reversed(after)}.items():
        both = [name for name in scorers if id_ in means[0][name] and id_ in means[1][name]]
        moves = {name: means[1][name][id_] - means[0][name][id_] for name in both}
        moved = {name: move for name, move in moves.items() if abs(move) > _LEAST_MOVE}
        if moved and id_ in left:
            rows.append({"before": left[id_], "after": right, "moved": moved, "size": max(map(abs, moved.values()))})
    places = {row.example_id: place for place, row in reversed(list(enumerate(after)))}
    return sorted(rows, key=lambda row: (-row["size"], places[row["after"].example_id]))


@page("/evaluations/{id}", title="Evaluation", icon="evaluations")
async def evaluation_page(ctx: Context, request: PageRequest) -> View:
    """Show one run: what each scorer found, what is missing, and the answers."""
    evaluations = ctx.get(Evaluations)
    run = await evaluations.runs.get(ctx, request.path["id"])
    scorers = await evaluations.scorers(ctx, run)
    names = [one.name for one in scorers]
    only, scorer = request.query.get("only", ""), request.query.get("scorer", "")
    results = await evaluations.results_page(
        ctx,
        run,
        only=only if only in PARTS and (scorer in names or only != "below") else "",
        scorer=scorer if scorer in names else "",
        order=request.one_of("order", (SUITE, WORST)),
        cursor=request.query.get("cursor"),
        limit=_ROWS,
    )
    others = await evaluations.runs.page(ctx, suite=str(run.suite), limit=20)
    data = {
        "run": run,
        "results": results,
        "cards": {one.name: one.card for one in scorers},
        "scorers": names,
        "filtered": bool(only),
        "may": request.principal.may(Permission.DEVELOP, request.project),
        "others": [row for row in others.items if row.id != run.id and row.status == "done"],
    }
    return View("evals/detail.html", data)
