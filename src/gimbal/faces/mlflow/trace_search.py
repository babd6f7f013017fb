"""MLflow's search over traces, under both of its interfaces, and deletion of what a search would find."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.retention.service import Retaining
from gimbal.axis.traces.facts.grammar import TRACE_ORDERS, TRACES, meant
from gimbal.axis.traces.facts.model import TraceRow
from gimbal.axis.traces.facts.search import TraceQuery, terms
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.service import arrived
from gimbal.engines.storage.keyset import check_asked, cursor_of, place_of
from gimbal.faces.mlflow.names import Int64, invalid
from gimbal.faces.mlflow.paging import limited
from gimbal.faces.mlflow.reading import MlflowExperiments
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.trace_reading import old_info, own_trace_id, shown_infos
from gimbal.faces.mlflow.traces import Location
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.filters import Clause, Ordering, parse, parse_order

_USUAL, _MOST = 100, 500
MOST_AT_ONCE = 10_000
"""Traces that go in one step: of more, those of each step are gone for good before the next begins."""
_DELETE = "/mlflow/traces/delete-traces"


class SearchTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces, in which order."""

    locations: list[Location] = []
    filter: str = ""
    max_results: Int64 | None = None
    order_by: list[str] = []
    page_token: str = ""


class SearchOldTraces(msgspec.Struct, frozen=True, kw_only=True):
    """The same in the form of MLflow 2."""

    experiment_ids: list[str] = []
    filter: str = ""
    max_results: Int64 | None = None
    order_by: list[str] = []
    page_token: str = ""


class DeleteTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces of an experiment are to go."""

    experiment_id: str = ""
    max_timestamp_millis: Int64 | None = None
    max_traces: Int64 | None = None
    request_ids: list[str] = []


@call("POST", "/mlflow/traces/search", SearchTraces, allow=Permission.VIEW, version=3)
async def search(ctx: Context, asked: SearchTraces) -> dict[str, Any]:
    """Return traces of experiments that a filter lets through, a page of them."""
    experiments: list[str] = []
    for one in asked.locations:
        if one.mlflow_experiment is None:
            raise BadInput("Traces are in experiments here.", where="locations", todo="Name each as mlflow_experiment.")
        experiments.append(one.mlflow_experiment.experiment_id)
    old = SearchOldTraces(
        experiment_ids=experiments,
        filter=asked.filter,
        max_results=asked.max_results,
        order_by=asked.order_by,
        page_token=asked.page_token,
    )
    rows, more = await _found(ctx, old)
    return {"traces": await shown_infos(ctx, rows)} | more


@call("GET", "/mlflow/traces", SearchOldTraces, allow=Permission.VIEW)
async def search_old(ctx: Context, asked: SearchOldTraces) -> dict[str, Any]:
    """Return the same in the form of MLflow 2."""
    rows, more = await _found(ctx, asked)
    infos = await shown_infos(ctx, rows)
    return {"traces": [old_info(info, row) for info, row in zip(infos, rows, strict=True)]} | more


@call("POST", _DELETE, DeleteTraces, allow=Permission.ADMIN)
@call("POST", _DELETE, DeleteTraces, allow=Permission.ADMIN, version=3)
async def delete(ctx: Context, asked: DeleteTraces) -> dict[str, Any]:
    """Delete traces for good, with all that was said of them; the project's legal hold keeps them."""
    if bool(asked.request_ids) == (asked.max_timestamp_millis is not None):
        raise BadInput(
            "Either `max_timestamp_millis` or `request_ids` must be specified, but not both.",
            where="request_ids",
            kept="everything",
        )
    if asked.request_ids and asked.max_traces is not None:
        raise BadInput("`max_traces` can't be specified if `request_ids` is specified.", where="max_traces")
    clauses = (
        [Clause(key="trace_id", op="IN", value=tuple(own_trace_id(one) for one in asked.request_ids))]
        if asked.request_ids
        else [Clause(key="timestamp_ms", op="<=", value=asked.max_timestamp_millis)]
    )
    if asked.max_traces is not None and asked.max_traces < 1:
        raise invalid("max_traces", asked.max_traces, "it must be at least 1.")
    await arrived(ctx)
    key = await MlflowExperiments().key_of(ctx, asked.experiment_id)
    query = TraceQuery(experiments=[key], clauses=clauses, orders=[Ordering(key="timestamp_ms")])
    deleted, left = 0, asked.max_traces or sys.maxsize
    while left:
        limit = min(left, MOST_AT_ONCE)
        rows, more = await ctx.get(TraceFacts).search(ctx, msgspec.structs.replace(query, limit=limit))
        if rows:
            await ctx.get(Retaining).delete_traces(ctx, [row.trace_id for row in rows])
        deleted += len(rows)
        left = left - len(rows) if more is not None else 0
    return {"traces_deleted": deleted}


async def _found(ctx: Context, asked: SearchOldTraces) -> tuple[list[TraceRow], dict[str, str]]:
    limit = limited(asked.max_results, _USUAL, _MOST)
    if not asked.experiment_ids:
        raise BadInput("Missing value for required parameter 'experiment_ids'.", where="experiment_ids")
    clauses, among = meant(parse(asked.filter, TRACES), ctx.get(Judgements))
    query = TraceQuery(
        experiments=await _keys(ctx, asked.experiment_ids),
        clauses=clauses,
        among=among,
        orders=parse_order(asked.order_by, TRACE_ORDERS),
        limit=limit,
    )
    question = [asked.experiment_ids, asked.filter, asked.order_by]
    if asked.page_token:
        check_asked(asked.page_token, question)
        query = msgspec.structs.replace(query, after=place_of(asked.page_token, terms(query)))
    await arrived(ctx)
    rows, place = await ctx.get(TraceFacts).search(ctx, query)
    return rows, {"next_page_token": cursor_of(question, place)} if place is not None else {}


async def _keys(ctx: Context, texts: Sequence[str]) -> list[int]:
    """Return the numbers of experiments to search in: one that is not there has no traces."""
    found: list[int] = []
    for text in texts:
        try:
            found.append(await MlflowExperiments().key_of(ctx, text))
        except NotFound:
            continue
    return found
