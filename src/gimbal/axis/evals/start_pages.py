"""The console's form that starts an evaluation, with its plan before it, and the buttons that stop one and go on.

The plan is the page itself: what the address says is planned, and only the button below it starts.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.assets.model import KINDS
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import EvaluationPlan, ResumeEvaluation, StartEvaluation
from gimbal.axis.evals.target import NAMED, TARGETS
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke

_PATH = "/evaluations/new"
_FIELDS = ("suite", "subject", "repeats", "concurrency", "max_cost")
_MOST = 200


@page(_PATH, title="New evaluation", icon="evaluations", allow=Permission.DEVELOP)
async def new_page(ctx: Context, request: PageRequest) -> View:
    """Show the form, and for a suite what an evaluation of it would ask and cost."""
    given = {name: request.query.get(name, "").strip() for name in _FIELDS}
    plan, problem = None, None
    if given["suite"]:
        try:
            plan = await invoke(find("evaluations.plan"), ctx, {"project": request.project, "body": _body(given)})
        except GimbalError as refused:
            problem = refused
    return await _shown(ctx, given, plan, problem)


async def _shown(
    ctx: Context, given: Mapping[str, str], plan: EvaluationPlan | None, problem: GimbalError | None
) -> View:
    assets = ctx.get(Assets)
    suites = await assets.page(ctx, kind="suite", newest=True, limit=_MOST)
    kinds = [name for name in TARGETS if name in KINDS]
    subjects: list[str] = []
    for kind in kinds:
        found = await assets.page(ctx, kind=kind, newest=True, limit=_MOST // 4)
        subjects += [f"{kind}:{one.name}" for one in found.items]
        subjects += [f"{kind}:{one.name}@{alias}" for one in found.items for alias in one.aliases]
    where = problem.where if problem is not None and problem.where in _FIELDS else ""
    data: dict[str, Any] = {
        "given": given,
        "plan": plan,
        "problem": problem,
        "wrong": where,
        "suites": [f"suite:{one.name}" for one in suites.items],
        "subjects": subjects,
        "kinds": sorted({*kinds, *NAMED}),
    }
    return View("evals/new.html", data, 200 if problem is None else problem.status)


def _body(given: Mapping[str, str]) -> StartEvaluation:
    """Return what the fields say; an empty one is left out. Raise BadInput that names the field."""
    fields = {name: text for name, text in given.items() if text}
    try:
        return msgspec.convert(fields, StartEvaluation, strict=False)
    except msgspec.ValidationError as problem:
        place = str(problem).partition(" - at ")[2].strip("`$.")
        raise BadInput(f"{given.get(place, '')!r:.40} cannot be this.", where=place, todo="Correct it.") from None


@page_action(_PATH)
async def start_action(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Start what was planned; what is wrong is told beside its field, with the form as it was filled."""
    given = {name: form.get(name, "").strip() for name in _FIELDS}
    try:
        run = await invoke(find("evaluations.start"), ctx, {"project": request.project, "body": _body(given)})
    except GimbalError as problem:
        return await _shown(ctx, given, None, problem)
    return Redirect(request.href("/evaluations/{id}", id=run.id), flash="The evaluation is under way.")


@page_action("/evaluations/{id}/cancel")
async def cancel_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Stop an evaluation; what it has found stays."""
    return await _acted(ctx, request, "evaluations.cancel", {}, "It is asked to stop; what it has found stays.")


@page_action("/evaluations/{id}/resume")
async def resume_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Go on with an evaluation, under another cap where one is given."""
    here = request.href("/evaluations/{id}", id=request.path["id"])
    cap = form.get("max_cost", "").strip()
    try:
        body = ResumeEvaluation(max_cost=Decimal(cap) if cap else None)
    except ArithmeticError:
        return Redirect(here, flash=f"{cap[:40]!r} is no amount: give dollars like 5.00.", tone="bad")
    return await _acted(ctx, request, "evaluations.resume", {"body": body}, "The evaluation goes on.")


async def _acted(ctx: Context, request: PageRequest, name: str, given: Mapping[str, Any], said: str) -> Redirect:
    here = request.href("/evaluations/{id}", id=request.path["id"])
    try:
        await invoke(find(name), ctx, {"project": request.project, "id": request.path["id"], **given})
    except GimbalError as problem:
        return Redirect(here, flash=f"{problem.message} {problem.todo}".strip(), tone="bad")
    return Redirect(here, flash=said)
