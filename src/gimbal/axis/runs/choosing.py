"""Which runs an address of the console means: by filter, experiment and status, in an order. The table and Compare share it."""

from gimbal.axis.runs.model import Run
from gimbal.axis.runs.search.model import RunQuery
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.views import order_of
from gimbal.engines.console.pages import PageRequest
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.pages import Page

CHOICES = ("filter", "experiment", "status", "sort")
"""What of an address chooses runs."""


async def asked_for(ctx: Context, request: PageRequest, limit: int) -> tuple[Page[Run], GimbalError | None]:
    """Return the runs that the address asks for, and what is wrong with its filter where that cannot be read."""
    query = request.query
    words = query.get("filter", "").strip()
    if query.get("status"):
        words = " AND ".join(filter(None, [words, f"attributes.status = '{_quoted(query['status'].upper())}'"]))
    try:
        within: list[int] | None = None
        if query.get("experiment"):
            within = [(await ctx.get(Runs).experiments.named(ctx, query["experiment"])).key]
        order = order_of(query.get("sort", ""))
        body = RunQuery(experiments=within, filter=words, order=order, cursor=query.get("cursor"), limit=limit)
        return await invoke(find("runs.search"), ctx, {"project": request.project, "body": body}), None
    except (BadInput, NotFound) as error:
        return Page(items=[]), error


def _quoted(text: str) -> str:
    return text.replace("'", "")
