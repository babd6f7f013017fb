"""MLflow's calls on traces as its version 2 made them: begun, ended, read without spans.

These clients send spans as a file of the trace, which is kept as such; see `artifacts`.
"""

from typing import Any

import msgspec

from gimbal.axis.traces.facts.model import DURATION_MS, EXPERIMENT, INFO, START_MS, STATE, TAG, Fact, TraceRow
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.faces.mlflow.names import Int64, KeyValue, invalid, metric_us
from gimbal.faces.mlflow.reading import active_experiment
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.trace_reading import old_info, own_trace_id, shown_info, trace_of, unkept_info
from gimbal.faces.mlflow.trace_tags import checked_tags, metadata_facts
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.ids import new_trace_id

_STATES = {"OK", "ERROR", "IN_PROGRESS"}


class StartOldTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace that begins."""

    experiment_id: str = ""
    timestamp_ms: Int64 | None = None
    request_metadata: list[KeyValue] = []
    tags: list[KeyValue] = []


class EndOldTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace that ends."""

    request_id: str = ""
    timestamp_ms: Int64 | None = None
    status: str = ""
    request_metadata: list[KeyValue] = []
    tags: list[KeyValue] = []


class OneOldTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace by its id."""

    request_id: str = ""


@call("POST", "/mlflow/traces", StartOldTrace, allow=Permission.DEVELOP)
async def start(ctx: Context, asked: StartOldTrace) -> dict[str, Any]:
    """Begin a trace under an id of ours."""
    experiment = await active_experiment(ctx, asked.experiment_id)
    trace_id = new_trace_id()
    start_ms = metric_us(asked.timestamp_ms, "timestamp_ms") // 1000
    facts = _facts(ctx, {EXPERIMENT: str(experiment), START_MS: str(start_ms), STATE: "IN_PROGRESS"}, asked)
    if not await ctx.get(TraceFacts).takes(ctx, trace_id):
        return _unkept(trace_id, facts, experiment=experiment, start_ms=start_ms, state="IN_PROGRESS")
    await ctx.get(TraceFacts).put(ctx, {trace_id: facts})
    return await _shown(ctx, trace_id)


@call("PATCH", "/mlflow/traces/{request_id}", EndOldTrace, allow=Permission.DEVELOP)
async def end(ctx: Context, asked: EndOldTrace) -> dict[str, Any]:
    """End a trace."""
    trace_id = own_trace_id(asked.request_id)
    status = asked.status or "OK"
    if status not in _STATES:
        raise invalid("status", status, f"states are {sorted(_STATES)}.")
    ended = metric_us(asked.timestamp_ms, "timestamp_ms") // 1000
    if not await ctx.get(TraceFacts).takes(ctx, trace_id):
        return _unkept(trace_id, _facts(ctx, {}, asked), experiment=0, start_ms=ended, state=status)
    row = await trace_of(ctx, trace_id)
    facts = _facts(ctx, {DURATION_MS: str(max(ended - row.start_ms, 0)), STATE: status}, asked)
    await ctx.get(TraceFacts).put(ctx, {trace_id: facts})
    return await _shown(ctx, trace_id)


@call("GET", "/mlflow/traces/{request_id}/info", OneOldTrace, allow=Permission.VIEW)
async def get_info(ctx: Context, asked: OneOldTrace) -> dict[str, Any]:
    """Show a trace without its spans."""
    return await _shown(ctx, asked.request_id)


def _facts(ctx: Context, said: dict[str, str], asked: StartOldTrace | EndOldTrace) -> list[Fact]:
    tags = checked_tags(ctx, {one.key: one.value for one in asked.tags})
    return [
        *(Fact(kind=INFO, name=name, value=value) for name, value in said.items()),
        *(Fact(kind=TAG, name=name, value=value) for name, value in tags.items()),
        *metadata_facts({one.key: one.value for one in asked.request_metadata}),
    ]


def _unkept(trace_id: str, facts: list[Fact], *, experiment: int, start_ms: int, state: str) -> dict[str, Any]:
    """Return what is shown of a trace that sampling leaves out; of its end its sender knows more than we."""
    row = TraceRow(
        trace_id=trace_id, experiment=experiment, start_ms=start_ms, duration_ms=None, state=state, name="", session_id="",
        user_id="", has_spans=False,
    )  # fmt: skip
    return {"trace_info": old_info(unkept_info(row, facts), row)}


async def _shown(ctx: Context, text: str) -> dict[str, Any]:
    row = await trace_of(ctx, text)
    return {"trace_info": old_info(await shown_info(ctx, row), row)}
