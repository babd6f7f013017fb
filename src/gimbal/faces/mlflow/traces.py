"""MLflow's calls on traces: begun by their senders, read whole or without spans, linked to runs and prompts, deleted.

Spans come to `/v1/traces`; what comes here is what is said of all of a trace. A client sends both, in any order.
"""

from datetime import datetime
from typing import Any

import msgspec

from gimbal.axis.assets.registry.service import Registry
from gimbal.axis.traces.facts.model import (
    CLIENT_ID,
    DURATION_MS,
    EXPERIMENT,
    INFO,
    PROMPT,
    REQUEST,
    RESPONSE,
    RUN,
    START_MS,
    STATE,
    TAG,
    Fact,
)
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.axis.traces.service import Traces
from gimbal.faces.mlflow.assessing import Assessment
from gimbal.faces.mlflow.assessments import keep_sent
from gimbal.faces.mlflow.names import MAX_KEY, hex_of, invalid
from gimbal.faces.mlflow.reading import active_experiment, run_row
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.trace_reading import (
    missing,
    own_trace_id,
    shown_info,
    shown_infos,
    trace_of,
    traces_of,
)
from gimbal.faces.mlflow.trace_spans import shown_spans
from gimbal.faces.mlflow.trace_tags import checked_tags, metadata_facts
from gimbal.faces.mlflow.wire import encoded, needed
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.ids import is_trace_id

MAX_LINKED = 100
"""Traces that one call links, or reads with their spans, and prompts that it links."""
MOST_BYTES = 128 << 20
"""Of several traces with their spans in one answer."""
_MOST_DIGITS = 9
"""Of a version of ours: no number of it is longer."""
_LONGEST_PREVIEW = 10_000
_STATES = {"OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"}


class ExperimentPlace(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment by its id."""

    experiment_id: str = ""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trace is."""

    type: str = ""
    mlflow_experiment: ExperimentPlace | None = None


class SentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender says of all of a trace."""

    trace_id: str = ""
    client_request_id: str = ""
    trace_location: Location = Location()
    request_preview: str = ""
    response_preview: str = ""
    request_time: datetime | None = None
    execution_duration: str = ""
    state: str = ""
    trace_metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: list[Assessment] = []


class SentTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace without its spans."""

    trace_info: SentInfo = SentInfo()


class StartTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace that its sender tells of."""

    trace: SentTrace = SentTrace()


class OneTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace by its id."""

    trace_id: str = ""


class SomeTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Traces by their ids."""

    trace_ids: list[str] = []
    experiment_ids: list[str] | None = None


class LinkToRun(msgspec.Struct, frozen=True, kw_only=True):
    """Traces that belong to a run."""

    trace_ids: list[str] = []
    run_id: str = ""


class PromptRef(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a prompt."""

    name: str = ""
    version: str = ""


class LinkPrompts(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of prompts that a trace used."""

    trace_id: str = ""
    prompt_versions: list[PromptRef] = []


@call("POST", "/mlflow/traces", StartTrace, allow=Permission.DEVELOP, version=3)
async def start(ctx: Context, asked: StartTrace) -> dict[str, Any]:
    """Keep what a sender says of all of a trace; what it said before is replaced."""
    sent = asked.trace.trace_info
    trace_id = sent.trace_id.removeprefix("tr-")
    if not is_trace_id(trace_id):
        raise invalid("trace.trace_info.trace_id", sent.trace_id, "an id is tr- and 32 hex digits.")
    place = sent.trace_location.mlflow_experiment
    if place is None:
        raise BadInput(
            "A trace belongs to an experiment.",
            where="trace.trace_info.trace_location",
            kept="nothing",
            todo="Name it as mlflow_experiment.",
        )
    experiment = await active_experiment(ctx, place.experiment_id)
    if sent.request_time is None:
        raise BadInput("Missing value for required parameter 'request_time'.", where="trace.trace_info.request_time")
    state = sent.state or "STATE_UNSPECIFIED"
    if state not in _STATES:
        raise invalid("trace.trace_info.state", state, f"states are {sorted(_STATES)}.")
    said = {
        EXPERIMENT: str(experiment),
        START_MS: str(to_us(sent.request_time) // 1000),
        DURATION_MS: _duration(sent.execution_duration),
        STATE: state,
        CLIENT_ID: sent.client_request_id[:MAX_KEY],
        REQUEST: sent.request_preview[:_LONGEST_PREVIEW],
        RESPONSE: sent.response_preview[:_LONGEST_PREVIEW],
    }
    facts = [
        *(Fact(kind=INFO, name=name, value=value) for name, value in said.items()),
        *(Fact(kind=TAG, name=name, value=value) for name, value in checked_tags(ctx, sent.tags).items()),
        *metadata_facts(sent.trace_metadata),
    ]
    if not await ctx.get(TraceFacts).takes(ctx, trace_id):
        # Sampling leaves it out, and its spans were left out before: senders shall not come again.
        return {"trace": {"trace_info": _echo(asked)}}
    await ctx.get(TraceFacts).put(ctx, {trace_id: facts})
    await keep_sent(ctx, trace_id, sent.assessments)
    return {"trace": {"trace_info": await shown_info(ctx, await trace_of(ctx, trace_id))}}


@call("GET", "/mlflow/traces/{trace_id}", OneTrace, allow=Permission.VIEW, version=3)
async def get_info(ctx: Context, asked: OneTrace) -> dict[str, Any]:
    """Show a trace without its spans."""
    return {"trace": {"trace_info": await shown_info(ctx, await trace_of(ctx, asked.trace_id))}}


@call("GET", "/mlflow/traces/get", OneTrace, allow=Permission.VIEW, version=3)
async def get(ctx: Context, asked: OneTrace) -> dict[str, Any]:
    """Show a trace with its spans."""
    row = await trace_of(ctx, needed("trace_id", asked.trace_id))
    return {"trace": await _whole(ctx, await shown_info(ctx, row), row.trace_id)}


@call("GET", "/mlflow/traces/batchGet", SomeTraces, allow=Permission.VIEW, version=3)
async def batch_get(ctx: Context, asked: SomeTraces) -> dict[str, Any]:
    """Show those of some traces that there are, with their spans; raise BadInput where these are too much for one answer."""
    traces: list[msgspec.Raw] = []
    size = 0
    for info in await _infos(ctx, asked):
        # Written at once: the objects of a long trace take ten times as much memory.
        whole = encoded(await _whole(ctx, info, own_trace_id(info["trace_id"])))
        traces.append(msgspec.Raw(whole))
        size += len(whole)
        if size > MOST_BYTES and len(traces) > 1:
            raise BadInput(
                f"The first {len(traces)} of these traces are more than {MOST_BYTES >> 20} MiB.",
                where="trace_ids",
                todo="Ask for fewer at once; a trace by itself is always shown.",
            )
    return {"traces": traces}


@call("POST", "/mlflow/traces/batchGetInfos", SomeTraces, allow=Permission.VIEW, version=3)
async def batch_get_infos(ctx: Context, asked: SomeTraces) -> dict[str, Any]:
    """Show those of some traces that there are, without their spans."""
    return {"trace_infos": await _infos(ctx, asked)}


@call("POST", "/mlflow/traces/link-to-run", LinkToRun, allow=Permission.DEVELOP)
async def link_to_run(ctx: Context, asked: LinkToRun) -> None:
    """Say that traces belong to a run."""
    run = hex_of((await run_row(ctx, needed("run_id", asked.run_id))).id)
    if len(asked.trace_ids) > MAX_LINKED:
        raise BadInput(
            f"Cannot link more than {MAX_LINKED} traces to a run in a single request. "
            f"Provided {len(asked.trace_ids)} traces.",
            where="trace_ids",
            kept="nothing",
        )
    there = {row.trace_id for row in await traces_of(ctx, asked.trace_ids)}
    for one in asked.trace_ids:
        if one.removeprefix("tr-") not in there:
            raise missing(one)
    link = [Fact(kind=RUN, name=run)]
    await ctx.get(TraceFacts).store(ctx, dict.fromkeys(there, link))


@call("POST", "/mlflow/traces/link-prompts", LinkPrompts, allow=Permission.DEVELOP)
async def link_prompts(ctx: Context, asked: LinkPrompts) -> None:
    """Say which versions of prompts a trace used."""
    trace_id = (await trace_of(ctx, asked.trace_id)).trace_id
    if len(asked.prompt_versions) > MAX_LINKED:
        raise BadInput(f"Cannot link more than {MAX_LINKED} prompts at once.", where="prompt_versions", kept="nothing")
    facts = [await _linked(ctx, one) for one in asked.prompt_versions]
    if facts:
        await ctx.get(TraceFacts).put(ctx, {trace_id: facts})


async def _linked(ctx: Context, ref: PromptRef) -> Fact:
    name, version = needed("prompt_versions.name", ref.name), needed("prompt_versions.version", ref.version)
    if len(name) + len(version) > MAX_KEY * 2:
        raise invalid("prompt_versions.name", name[:80], "it is too long.")
    number = int(version) if version.isascii() and version.isdecimal() and len(version) <= _MOST_DIGITS else None
    try:
        found = None if number is None else await ctx.get(Registry).version(ctx, name, number)
    except NotFound:
        # A prompt of another registry; the name stays.
        found = None
    ours = "" if found is None or found.kind != "prompt" else f"prompt:{found.asset}@v{found.number}"
    return Fact(kind=PROMPT, name=f"{name}/{version}", value=ours)


async def _infos(ctx: Context, asked: SomeTraces) -> list[dict[str, Any]]:
    if len(asked.trace_ids) > MAX_LINKED:
        raise BadInput(f"Cannot get more than {MAX_LINKED} traces at once.", where="trace_ids", todo="Ask in parts.")
    found = await shown_infos(ctx, await traces_of(ctx, asked.trace_ids))
    if asked.experiment_ids is None:
        return found
    wanted = set(asked.experiment_ids)
    return [one for one in found if one["trace_location"]["mlflow_experiment"]["experiment_id"] in wanted]


async def _whole(ctx: Context, info: dict[str, Any], trace_id: str) -> dict[str, Any]:
    try:
        spans = (await ctx.get(Traces).get(ctx, trace_id)).spans
    except NotFound:
        # Its sender has told of it and has sent no span yet.
        spans = []
    return {"trace_info": info, "spans": await shown_spans(ctx, spans)}


def _duration(text: str) -> str:
    """Return milliseconds of protobuf's text for a duration; empty for none."""
    if not text:
        return ""
    try:
        found = float(text.removesuffix("s"))
        return str(round(found * 1000)) if text.endswith("s") and abs(found) < 1e12 else _no_duration(text)
    except ValueError:
        return _no_duration(text)


def _no_duration(text: str) -> str:
    raise invalid("trace.trace_info.execution_duration", text, "write seconds like 1.5s.")


def _echo(asked: StartTrace) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(asked.trace.trace_info)
    found["tags"] |= {"mlflow.trace.spansLocation": "TRACKING_STORE"}
    found["assessments"] = []
    return {name: value for name, value in found.items() if value}
