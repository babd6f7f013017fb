"""The console's page of budget lines: where each stands, and the form that sets one."""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from gimbal.axis.ledger import budgets
from gimbal.axis.ledger.cost_range import DIMENSIONS
from gimbal.axis.ledger.model import BudgetPeriod, SetBudget
from gimbal.axis.ledger.narrowing import DIMENSIONS as NARROWED
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke

_PATH = "/costs/budgets"
_FIELDS = ("name", "amount", "period", "dimension", "key", "value")
_OWN = ("tag:", "attribute:")
_CHOICES = [
    ("", "All calls"),
    *((name, DIMENSIONS[name]) for name in NARROWED if name in DIMENSIONS),
    ("tag:", "Tag of a key …"),
    ("attribute:", "Attribute …"),
]


@page(_PATH, title="Budget lines", order=77, icon="money", tab="Budgets", within="/costs")
async def budgets_page(ctx: Context, request: PageRequest) -> View:
    """Show the lines; `change` fills the form with one of them."""
    lines = await budgets.all_budgets(ctx)
    chosen = next((one for one in lines if one.name == request.query.get("change")), None)
    given: dict[str, str] = {}
    if chosen is not None:
        kind, colon, key = chosen.dimension.partition(":")
        given = {
            "name": chosen.name,
            "amount": f"{chosen.amount.normalize():f}",
            "period": chosen.period,
            "dimension": f"{kind}:" if colon else chosen.dimension,
            "key": key,
            "value": chosen.value,
        }
    return _shown(request, lines, given, changed=chosen is not None)


def _shown(
    request: PageRequest,
    lines: list[Any],
    given: Mapping[str, str],
    problem: GimbalError | None = None,
    *,
    changed: bool = False,
) -> View:
    wrong = "" if problem is None else problem.where.rpartition(".")[2]
    data = {
        "lines": lines,
        "given": {name: given.get(name, "") for name in _FIELDS} | {"period": given.get("period") or "month"},
        "periods": get_args(BudgetPeriod),
        "dimensions": _CHOICES,
        "problem": problem,
        "wrong": wrong if wrong in _FIELDS else "",
        "changed": changed,
        "may": request.principal.may(Permission.DEVELOP, request.project),
    }
    return View("ledger/budgets.html", data, 200 if problem is None else problem.status)


@page_action(_PATH)
async def set_action(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Set a line; what is wrong is told beside its field, with the form as it was filled."""
    given = {name: form.get(name, "").strip() for name in _FIELDS}
    try:
        done = await invoke(find("ledger.set-budget"), ctx, {"project": request.project, "body": _body(given)})
    except GimbalError as problem:
        return _shown(request, await budgets.all_budgets(ctx), given, problem)
    return Redirect(request.href(_PATH), flash=f"The budget line {done.name} is set.")


def _body(given: Mapping[str, str]) -> SetBudget:
    dimension = given["dimension"]
    if dimension in _OWN:
        if not given["key"]:
            raise BadInput("A key is missing.", where="key", todo="Write the key of the tag or attribute.")
        dimension += given["key"]
    if not given["amount"]:
        raise BadInput("An amount is missing.", where="amount", todo="Give one in US dollars, like 500.")
    fields = {name: given[name] for name in ("name", "amount", "period", "value")}
    try:
        return msgspec.convert({**fields, "dimension": dimension}, SetBudget)
    except msgspec.ValidationError as problem:
        place = str(problem).partition(" - at ")[2].strip("`$.")
        raise BadInput(
            f"{given.get(place, '')!r:.40} cannot be the {place}.", where=place, todo="Correct it."
        ) from None


@page_action("/costs/budgets/remove")
async def remove_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Remove a line."""
    name = form.need("name")
    try:
        await invoke(find("ledger.remove-budget"), ctx, {"project": request.project, "name": name})
    except GimbalError as error:
        return Redirect(request.href(_PATH), flash=error.message, tone="bad")
    return Redirect(request.href(_PATH), flash=f"The budget line {name} is removed.")
