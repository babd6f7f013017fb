"""Traces by MLflow's ids, and shown in its forms: the third, of which spans come apart, and the second.

The id is `tr-` and the W3C trace id. The state of a trace, its times and previews are what its sender said of it, else what
its root tells.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from gimbal.axis.runs.experiments.model import DEFAULT
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.facts.model import (
    CLIENT_ID,
    INFO,
    METADATA,
    NAME,
    PROMPT,
    REQUEST,
    RESPONSE,
    SESSION,
    TAG,
    USER,
    Fact,
    Facts,
    TraceRow,
)
from gimbal.axis.traces.facts.previews import previews
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.axis.traces.finding_model import Judgement
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces, arrived
from gimbal.faces.mlflow.assessing import shown_assessment
from gimbal.faces.mlflow.reading import experiment_id, pairs
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.ids import is_trace_id

PREFIX = "tr-"
LOCATION = "mlflow.trace.spansLocation"
LINKED = "mlflow.linkedPrompts"
TOKENS, COST = "mlflow.trace.tokenUsage", "mlflow.trace.cost"
MOST_ASSESSMENTS = 1000
"""Of one trace; of those beyond nobody could read any."""
_OLD = frozenset({"OK", "ERROR", "IN_PROGRESS"})
"""States that MLflow 2 has, too."""


def own_trace_id(text: str) -> str:
    """Return the W3C id of a trace; raise NotFound for what is none."""
    found = text.removeprefix(PREFIX)
    if not is_trace_id(found):
        raise missing(text)
    return found


def shown_trace_id(trace_id: str) -> str:
    """Return the id of a trace as MLflow writes it."""
    return PREFIX + trace_id


def missing(text: str) -> NotFound:
    """Return what says that there is no such trace, in MLflow's words."""
    return NotFound(f"Trace with ID '{text[:200]}' not found.", where="trace_id", todo="It may not be sent yet.")


async def trace_of(ctx: Context, text: str) -> TraceRow:
    """Return a trace by MLflow's id; raise NotFound."""
    trace_id = own_trace_id(text)
    await arrived(ctx)
    found = (await ctx.get(TraceFacts).rows(ctx, [trace_id])).get(trace_id)
    if found is None:
        raise missing(text)
    return found


async def traces_of(ctx: Context, texts: Sequence[str]) -> list[TraceRow]:
    """Return those of some traces that there are, in the order in which they are named."""
    wanted = dict.fromkeys(text.removeprefix(PREFIX) for text in texts)
    await arrived(ctx)
    found = await ctx.get(TraceFacts).rows(ctx, [one for one in wanted if is_trace_id(one)])
    return [found[one] for one in wanted if one in found]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of some traces besides their rows."""

    facts: Mapping[str, Facts]
    judged: Mapping[str, Sequence[Judgement]]
    summaries: Mapping[str, TraceSummary]
    previews: Mapping[str, tuple[str, str]]


async def shown_infos(ctx: Context, rows: Sequence[TraceRow]) -> list[dict[str, Any]]:
    """Return what MLflow calls the infos of traces."""
    if not rows:
        return []
    ids = [row.trace_id for row in rows]
    facts, judged, summaries, beginnings = await asyncio.gather(
        ctx.get(TraceFacts).of(ctx, ids),
        ctx.get(Scores).of_many(ctx, "trace", ids, each=MOST_ASSESSMENTS),
        ctx.get(Traces).summaries(ctx, ids),
        previews(ctx, ids),
    )
    told = Told(facts=facts, judged=judged, summaries=summaries, previews=beginnings)
    return [_info(row, told) for row in rows]


async def shown_info(ctx: Context, row: TraceRow) -> dict[str, Any]:
    """Return what MLflow calls the info of a trace."""
    return (await shown_infos(ctx, [row]))[0]


def unkept_info(row: TraceRow, facts: Sequence[Fact]) -> dict[str, Any]:
    """Return the info of a trace that sampling leaves out, with what was said of it: its sender goes on by it."""
    said: dict[str, dict[str, str]] = {}
    for one in facts:
        said.setdefault(one.kind, {})[one.name] = one.value
    return _info(row, Told(facts={row.trace_id: said}, judged={}, summaries={}, previews={}))


def old_info(info: Mapping[str, Any], row: TraceRow) -> dict[str, Any]:
    """Return the info of a trace in the form of MLflow 2."""
    found: dict[str, Any] = {
        "request_id": info["trace_id"],
        "experiment_id": info["trace_location"]["mlflow_experiment"]["experiment_id"],
        "timestamp_ms": row.start_ms,
        "status": row.state if row.state in _OLD else "TRACE_STATUS_UNSPECIFIED",
        "request_metadata": pairs(info["trace_metadata"]),
        "tags": pairs(info["tags"]),
        "assessments": info["assessments"],
    }
    return found if row.duration_ms is None else found | {"execution_time_ms": row.duration_ms}


def home_of(row: TraceRow) -> str:
    """Return the id of a trace's experiment as MLflow knows it."""
    return experiment_id(row.experiment, "" if row.experiment else DEFAULT)


def _info(row: TraceRow, told: Told) -> dict[str, Any]:
    facts, home = told.facts.get(row.trace_id, {}), home_of(row)
    said = facts.get(INFO, {})
    seen = told.previews.get(row.trace_id, ("", ""))
    found: dict[str, Any] = {
        "trace_id": shown_trace_id(row.trace_id),
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": home}},
        "request_time": (from_us(0) + timedelta(milliseconds=row.start_ms)).isoformat().replace("+00:00", "Z"),
        "state": row.state,
        "trace_metadata": _metadata(row, facts, told.summaries.get(row.trace_id)),
        "tags": _tags(row, facts, home),
        "assessments": [shown_assessment(one, row.trace_id) for one in told.judged.get(row.trace_id, ())],
    }
    if row.duration_ms is not None:
        found["execution_duration"] = f"{row.duration_ms / 1000:.3f}s"
    more = {
        "request_preview": said.get(REQUEST) or seen[0],
        "response_preview": said.get(RESPONSE) or seen[1],
        "client_request_id": said.get(CLIENT_ID),
    }
    return found | {name: value for name, value in more.items() if value}


def _metadata(row: TraceRow, facts: Facts, summary: TraceSummary | None) -> dict[str, str]:
    found = dict(facts.get(METADATA, {}))
    for name, value in ((SESSION, row.session_id), (USER, row.user_id)):
        if value:
            found.setdefault(name, value)
    if summary is not None and summary.input_tokens is not None:
        put, got = summary.input_tokens, summary.output_tokens or 0
        usage = {"input_tokens": put, "output_tokens": got, "total_tokens": put + got}
        found.setdefault(TOKENS, msgspec.json.encode(usage).decode())
    if summary is not None and summary.cost is not None:
        found.setdefault(COST, msgspec.json.encode({"total_cost": float(summary.cost)}).decode())
    return found


def _tags(row: TraceRow, facts: Facts, home: str) -> dict[str, str]:
    own = facts.get(TAG, {})
    shown = shown_trace_id(row.trace_id)
    found = {
        NAME: row.name,
        **own,
        "mlflow.artifactLocation": f"mlflow-artifacts:/{home}/traces/{shown}/artifacts",
        LOCATION: "TRACKING_STORE",
    }
    if LINKED not in own and (linked := facts.get(PROMPT)):
        names = [one.rpartition("/") for one in linked]
        versions = [{"name": name, "version": version} for name, _, version in names]
        found[LINKED] = msgspec.json.encode(versions).decode()
    return {name: value for name, value in found.items() if value or name in own}
