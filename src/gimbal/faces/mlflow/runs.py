"""MLflow's calls on runs as a whole: begun, found, changed, deleted, restored, searched."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from gimbal.axis.runs.model import MAX_NAME, CreateRun, RunStatus, UpdateRun
from gimbal.axis.runs.search.model import RunQuery, View
from gimbal.axis.runs.search.service import search as search_runs
from gimbal.axis.runs.service import Runs
from gimbal.faces.mlflow.names import Int64, KeyValue, moment
from gimbal.faces.mlflow.reading import (
    DEFAULT_ID,
    active_run,
    artifact_root,
    experiment_of,
    pairs,
    run_of,
    run_row,
    shown_info,
    shown_row,
    shown_runs,
)
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.tags import NOTE, RUN_NAME, checked_tags
from gimbal.faces.mlflow.wire import encoded
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NotFound

PARENT = "mlflow.parentRunId"
MAX_RUNS = 50_000
_PAGE = 1000
"""Runs on a page when nothing is said, and as many as are written without a thread."""

_STATUS: dict[str, RunStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
_NUMBERED = dict(enumerate(_STATUS, start=1))
VIEWS: dict[str, View] = {
    "ACTIVE_ONLY": "active",
    "DELETED_ONLY": "deleted",
    "ALL": "all",
    "1": "active",
    "2": "deleted",
    "3": "all",
}
_FIRST = "amber bold brisk calm clever crisp deft eager fair fleet gentle keen lively lucid nimble plain quiet sharp"
_SECOND = "badger crane falcon finch fox hare heron ibex jay lark lynx marten otter owl raven seal stork swift tern"


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that begins."""

    experiment_id: str = DEFAULT_ID
    user_id: str = ""
    run_name: str = ""
    start_time: Int64 = 0
    tags: list[KeyValue] = []


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run by its id."""

    run_id: str = ""
    run_uuid: str = ""


class ChangedRun(OneRun, frozen=True, kw_only=True):
    """What shall be changed of a run."""

    status: str | int = ""
    end_time: Int64 = 0
    run_name: str = ""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs, in which order."""

    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: str | int = "ACTIVE_ONLY"
    max_results: Int64 = _PAGE
    order_by: list[str] = []
    page_token: str = ""


@call("POST", "/mlflow/runs/create", NewRun, allow=Permission.DEVELOP)
async def create(ctx: Context, asked: NewRun) -> dict[str, Any]:
    """Begin a run."""
    experiment = await experiment_of(ctx, asked.experiment_id or DEFAULT_ID, now=False)
    if experiment.stage != "active":
        raise BadInput(
            f"The experiment {asked.experiment_id} must be in the 'active' state. Current state is {experiment.stage}.",
            where="experiment_id",
            kept="nothing",
        )
    tags = checked_tags(ctx, asked.tags)
    tagged = tags.get(RUN_NAME, "")
    if asked.run_name and tagged and asked.run_name != tagged:
        raise BadInput(
            f"Both 'run_name' argument and '{RUN_NAME}' tag are specified, but with different values "
            f"(run_name='{asked.run_name[:80]}', {RUN_NAME}='{tagged[:80]}').",
            where="run_name",
            kept="nothing",
        )
    name = asked.run_name or tagged or _made_up()
    body = CreateRun(
        name=_short(name, "run_name"),
        experiment=experiment.name,
        tags={**tags, RUN_NAME: name},
        started_at=moment(asked.start_time, "start_time"),
        user=_short(asked.user_id or tags.get("mlflow.user", ""), "user_id"),
        parent_id=await _parent(ctx, tags),
        note=tags.get(NOTE, ""),
    )
    row = await ctx.get(Runs).begin(ctx, body)
    root = artifact_root(row, experiment.artifact_location)
    # All that a new run has is what was just given.
    data = {"metrics": [], "params": [], "tags": pairs(body.tags)}
    return {"run": {"info": shown_info(row, root), "data": data, "inputs": {}, "outputs": {}}}


@call("GET", "/mlflow/runs/get", OneRun, allow=Permission.VIEW)
async def get(ctx: Context, asked: OneRun) -> dict[str, Any]:
    """Show a run with all that was logged, also a deleted one."""
    return {"run": (await shown_runs(ctx, [await run_of(ctx, asked)]))[0]}


@call("POST", "/mlflow/runs/update", ChangedRun, allow=Permission.DEVELOP)
async def update(ctx: Context, asked: ChangedRun) -> dict[str, Any]:
    """End a run, go on with it, or rename it."""
    row = await active_run(ctx, asked)
    name = _short(asked.run_name, "run_name")
    changed = await ctx.get(Runs).update(
        ctx,
        row.id,
        UpdateRun(
            name=name or None,
            status=_status(asked.status),
            ended_at=moment(asked.end_time, "end_time"),
            tags={RUN_NAME: name} if name else {},
        ),
    )
    return {"run_info": await shown_row(ctx, changed)}


@call("POST", "/mlflow/runs/delete", OneRun, allow=Permission.DEVELOP)
async def delete(ctx: Context, asked: OneRun) -> None:
    """Take a run out of lists; a second time changes nothing."""
    await ctx.get(Runs).set_stage(ctx, (await run_of(ctx, asked)).id, "deleted")


@call("POST", "/mlflow/runs/restore", OneRun, allow=Permission.DEVELOP)
async def restore(ctx: Context, asked: OneRun) -> None:
    """Put a deleted run back into lists; a second time changes nothing."""
    await ctx.get(Runs).set_stage(ctx, (await run_of(ctx, asked)).id, "active")


@call("POST", "/mlflow/runs/search", Search, allow=Permission.VIEW)
async def search(ctx: Context, asked: Search) -> bytes:
    """Return the runs of experiments that a filter lets through, a page of them."""
    if not 1 <= asked.max_results <= MAX_RUNS:
        raise BadInput(
            f"Invalid value {asked.max_results} for parameter 'max_results' supplied. It must be 1 to {MAX_RUNS}.",
            where="max_results",
        )
    query = RunQuery(
        experiments=[await _key(ctx, one) for one in asked.experiment_ids],
        filter=asked.filter,
        order=asked.order_by,
        view=view_of(asked.run_view_type, "run_view_type"),
        cursor=asked.page_token or None,
        limit=asked.max_results,
    )
    page = await search_runs(ctx, query)
    found: dict[str, Any] = {"runs": await shown_runs(ctx, page.items)}
    if page.next:
        found["next_page_token"] = page.next
    return encoded(found) if len(page.items) <= _PAGE else await asyncio.to_thread(encoded, found)


def view_of(given: str | int, where: str) -> View:
    """Return which of active and deleted ones are meant; raise BadInput for another word."""
    found = VIEWS.get(str(given).upper() or "ACTIVE_ONLY")
    if found is None:
        raise BadInput(f"Invalid value '{str(given)[:80]}' for parameter '{where}' supplied.", where=where)
    return found


def _status(given: str | int) -> RunStatus | None:
    if given in {"", 0}:
        return None
    name = _NUMBERED.get(int(given)) if isinstance(given, int) or given.isdecimal() else given.upper()
    found = _STATUS.get(name or "")
    if found is None:
        raise BadInput(f"Invalid value '{str(given)[:80]}' for parameter 'status' supplied.", where="status")
    return found


async def _key(ctx: Context, text: str) -> int:
    """Return the number of an experiment to search in: one that is not there has no runs."""
    try:
        return (await experiment_of(ctx, text, now=False)).key
    except NotFound:
        return 0


async def _parent(ctx: Context, tags: Mapping[str, str]) -> str | None:
    """Return the run that a new one says it is a part of; one that is not here is only a tag."""
    if not (told := tags.get(PARENT)):
        return None
    try:
        return (await run_row(ctx, told)).id
    except (BadInput, NotFound):
        return None


def _short(text: str, where: str) -> str:
    if len(text) > MAX_NAME or "\0" in text:
        raise BadInput(f"'{where}' exceeds the maximum length of {MAX_NAME} characters", where=where, kept="nothing")
    return text


def _made_up() -> str:
    return f"{secrets.choice(_FIRST.split())}-{secrets.choice(_SECOND.split())}-{secrets.randbelow(900) + 100}"
