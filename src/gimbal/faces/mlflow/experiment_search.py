"""MLflow's search over experiments."""

from typing import Any

import msgspec

from gimbal.axis.runs.experiments.search import EXPERIMENT_ORDERS, EXPERIMENTS, ExperimentQuery
from gimbal.axis.runs.service import Runs
from gimbal.faces.mlflow.names import Int64
from gimbal.faces.mlflow.paging import limited
from gimbal.faces.mlflow.reading import shown_experiment
from gimbal.faces.mlflow.runs import view_of
from gimbal.faces.mlflow.table import call
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.filters import parse, parse_order

MAX_EXPERIMENTS = 50_000
_USUAL = 1000


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
    query = ExperimentQuery(
        clauses=parse(asked.filter, EXPERIMENTS),
        order=parse_order(asked.order_by, EXPERIMENT_ORDERS),
        view=view_of(asked.view_type, "view_type"),
        cursor=asked.page_token or None,
        limit=limited(asked.max_results, _USUAL, MAX_EXPERIMENTS),
    )
    experiments = ctx.get(Runs).experiments
    if query.view != "deleted":
        await experiments.default(ctx)
    page = await experiments.search(ctx, query)
    answer: dict[str, Any] = {"experiments": [shown_experiment(one) for one in page.items]}
    return answer | ({"next_page_token": page.next} if page.next else {})
