"""MLflow's search over experiments. A project has few of them: they are read whole, and weighed here."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.registry.model import Clause
from gimbal.axis.runs.experiments.model import DEFAULT, Experiment
from gimbal.axis.runs.search.model import View
from gimbal.axis.runs.service import Runs
from gimbal.faces.mlflow.filters import Grammar, parse_filter, parse_order
from gimbal.faces.mlflow.names import Int64, ms_of
from gimbal.faces.mlflow.paging import limited, offset_of, token_for
from gimbal.faces.mlflow.reading import SHOWN_DEFAULT, experiment_id, shown_experiment
from gimbal.faces.mlflow.runs import view_of
from gimbal.faces.mlflow.table import call
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import MAX_LIMIT

MAX_EXPERIMENTS = 50_000
_USUAL = 1000
_LONGEST_PATTERN = 1000
_ORDERS = frozenset({"name", "experiment_id", "creation_time", "last_update_time"})
_GRAMMAR = Grammar(
    texts=frozenset({"name", "experiment_id"}),
    numbers=frozenset({"creation_time", "last_update_time"}),
    lists=frozenset({"experiment_id"}),
)
_STAGES: dict[View, str | None] = {"active": "active", "deleted": "deleted", "all": None}
_PLACE = re.compile(r"(\d{1,18})-(.+)", re.ASCII)


def _like(text: str, pattern: str) -> bool:
    """Tell whether a text is as a pattern of SQL has it; the time grows with the product of both and no faster."""
    if len(pattern) > _LONGEST_PATTERN:
        raise BadInput(f"A pattern has at most {_LONGEST_PATTERN} characters.", where="filter")
    at = place = 0
    # Where the last % stands, and how far it has reached.
    star, reached = -1, 0
    while at < len(text):
        sign = pattern[place] if place < len(pattern) else ""
        if sign == "%":
            star, reached, place = place, at, place + 1
        elif sign in {"_", text[at]}:
            at, place = at + 1, place + 1
        elif star >= 0:
            reached += 1
            at, place = reached, star + 1
        else:
            return False
    return not pattern[place:].strip("%")


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda mine, given: mine == given,
    "!=": lambda mine, given: mine != given,
    "<": lambda mine, given: mine < given,
    "<=": lambda mine, given: mine <= given,
    ">": lambda mine, given: mine > given,
    ">=": lambda mine, given: mine >= given,
    "IN": lambda mine, given: mine in given,
    "NOT IN": lambda mine, given: mine not in given,
    "LIKE": _like,
    "ILIKE": lambda mine, given: _like(mine.casefold(), given.casefold()),
}


class SearchExperiments(msgspec.Struct, frozen=True, kw_only=True):
    """Which experiments, in which order."""

    max_results: Int64 | None = None
    page_token: str = ""
    filter: str = ""
    order_by: list[str] = []
    view_type: str | int = "ACTIVE_ONLY"


@call("POST", "/mlflow/experiments/search", SearchExperiments, allow=Permission.VIEW)
@call("GET", "/mlflow/experiments/search", SearchExperiments, allow=Permission.VIEW)
async def search(ctx: Context, asked: SearchExperiments) -> dict[str, Any]:
    """Return experiments that a filter lets through, newest first when nothing is said, a page of them."""
    limit = limited(asked.max_results, _USUAL, MAX_EXPERIMENTS)
    clauses = parse_filter(asked.filter, _GRAMMAR)
    orders = parse_order(asked.order_by, _ORDERS)
    view = view_of(asked.view_type, "view_type")
    until, token = _place(asked.page_token)
    start = offset_of(token, asked.filter, asked.order_by, view, until)
    everything = await _everything(ctx, view)
    # What is made while somebody turns the pages does not shift them.
    until = until or max((one.key for one in everything), default=0)
    found = [one for one in everything if one.key <= until and all(_holds(one, clause) for clause in clauses)]
    found.sort(key=lambda one: one.key)
    if not orders:
        found.sort(key=lambda one: one.created_at, reverse=True)
    for order in reversed(orders):
        found.sort(key=lambda one, key=order.key: _value(one, key, ordered=True), reverse=order.descending)
    page = found[start : start + limit]
    answer: dict[str, Any] = {"experiments": [shown_experiment(one) for one in page]}
    if start + limit < len(found):
        following = token_for(start + limit, asked.filter, asked.order_by, view, until)
        answer["next_page_token"] = f"{until}-{following}"
    return answer


async def _everything(ctx: Context, view: View) -> Sequence[Experiment]:
    found: list[Experiment] = []
    experiments, cursor = ctx.get(Runs).experiments, None
    if view != "deleted":
        await experiments.default(ctx)
    while True:
        page = await experiments.page(ctx, stage=_STAGES[view], cursor=cursor, limit=MAX_LIMIT)
        found += page.items
        if (cursor := page.next) is None:
            return found


def _place(token: str) -> tuple[int, str]:
    if not token:
        return 0, ""
    match = _PLACE.fullmatch(token)
    if match is None:
        raise BadInput("Invalid page token: it was not made for this search.", where="page_token")
    return int(match[1]), match[2]


def _value(one: Experiment, key: str, *, ordered: bool = False) -> Any:
    if key == "name":
        return SHOWN_DEFAULT if one.name == DEFAULT else one.name
    if key == "experiment_id":
        shown = experiment_id(one.key, one.name)
        return int(shown) if ordered else shown
    return ms_of(one.created_at if key == "creation_time" else one.updated_at)


def _holds(one: Experiment, clause: Clause) -> bool:
    mine = one.tags.get(clause.key) if clause.entity == "tag" else _value(one, clause.key)
    if clause.op in {"IS NULL", "IS NOT NULL"}:
        return (mine is None) == (clause.op == "IS NULL")
    # What is not there is neither equal nor unequal to anything.
    return mine is not None and _COMPARED[clause.op](mine, clause.value)
