"""MLflow's calls that log: one metric, parameter or tag, or a batch of them. What was answered is durable."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import LogRun, UpdateRun
from gimbal.axis.runs.points.model import PointBatch
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.faces.mlflow.measuring import Metric, keep_of_models
from gimbal.faces.mlflow.names import KeyValue, hex_of, key, metric_us, number
from gimbal.faces.mlflow.reading import active_run
from gimbal.faces.mlflow.runs import OneRun
from gimbal.faces.mlflow.table import call, raw
from gimbal.faces.mlflow.tags import checked_params, checked_tags, meant
from gimbal.faces.mlflow.wire import encoded, from_json, needed
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.http import HttpReply, HttpRequest

MAX_BATCH = 1_000_000
"""Bytes of a batch; MLflow measures the same."""
_MOST: Mapping[str, int] = {"metrics": 1000, "params": 100, "tags": 100}
_MOST_IN_ALL = 1000
_BATCH = "/mlflow/runs/log-batch"


class RunMetric(Metric, frozen=True, kw_only=True):
    """A point of a metric of a run."""

    run_id: str = ""
    run_uuid: str = ""


class RunValue(OneRun, frozen=True, kw_only=True):
    """A parameter or tag of a run."""

    key: str = ""
    value: str = ""


class Batch(OneRun, frozen=True, kw_only=True):
    """Metrics, parameters and tags of a run."""

    metrics: list[Metric] = msgspec.field(default_factory=list[Metric])
    params: list[KeyValue] = msgspec.field(default_factory=list[KeyValue])
    tags: list[KeyValue] = msgspec.field(default_factory=list[KeyValue])


@call("POST", "/mlflow/runs/log-metric", RunMetric, allow=Permission.DEVELOP)
async def log_metric(ctx: Context, asked: RunMetric) -> None:
    """Log a point of a metric."""
    points = PointBatch(
        names=[key(asked.key)],
        steps=[asked.step],
        at_us=[metric_us(asked.timestamp, "timestamp")],
        values=[number(asked.value, "value")],
    )
    row = await active_run(ctx, asked)
    if asked.model_id:
        await keep_of_models(ctx, row, [asked])
    await ctx.get(Points).put(row, points)


@call("POST", "/mlflow/runs/log-parameter", RunValue, allow=Permission.DEVELOP)
async def log_parameter(ctx: Context, asked: RunValue) -> None:
    """Log a parameter; it never changes."""
    params = checked_params(ctx, [KeyValue(key=needed("key", asked.key), value=asked.value)])
    await _keep(ctx, await active_run(ctx, asked), params, {})


@call("POST", "/mlflow/runs/set-tag", RunValue, allow=Permission.DEVELOP)
async def set_tag(ctx: Context, asked: RunValue) -> None:
    """Set a tag."""
    tags = checked_tags(ctx, [KeyValue(key=needed("key", asked.key), value=asked.value)])
    await _keep(ctx, await active_run(ctx, asked), {}, tags)


@call("POST", "/mlflow/runs/delete-tag", RunValue, allow=Permission.DEVELOP)
async def delete_tag(ctx: Context, asked: RunValue) -> None:
    """Take a tag away; raise NotFound where there is none."""
    row = await active_run(ctx, asked)
    found = ctx.get(Runs)
    if needed("key", asked.key) not in (await found.get(ctx, row.id)).tags:
        raise NotFound(f"No tag with name: {asked.key} in run with id {hex_of(row.id)}", where="key")
    await found.update(ctx, row.id, UpdateRun(tags={asked.key: None}))


@raw("POST", _BATCH, allow=Permission.DEVELOP)
async def log_batch(ctx: Context, request: HttpRequest) -> HttpReply:
    """Log a batch: parameters and tags all or none, then the points of the metrics."""
    body = await request.body.read()
    if len(body) > MAX_BATCH:
        raise BadInput(
            f"Batched logging API requests must be at most {MAX_BATCH} bytes, got a request of size {len(body)}.",
            where="metrics",
            kept="nothing",
        )
    asked = from_json(body, Batch)
    _check_limits({"metrics": asked.metrics, "params": asked.params, "tags": asked.tags})
    points = _points(asked.metrics)
    params, tags = checked_params(ctx, asked.params), checked_tags(ctx, asked.tags)
    row = await active_run(ctx, asked)
    await _keep(ctx, row, params, tags)
    if asked.metrics:
        await keep_of_models(ctx, row, asked.metrics)
        await ctx.get(Points).put(row, points)
    return HttpReply(body=encoded(None))


def _check_limits(given: Mapping[str, Sequence[Any]]) -> None:
    counted = {name: (len(values), _MOST[name]) for name, values in given.items()}
    counted["metrics, params, and tags"] = (sum(len(values) for values in given.values()), _MOST_IN_ALL)
    for name, (count, most) in counted.items():
        if count > most:
            raise BadInput(
                f"A batch logging request can contain at most {most} {name}. Got {count} {name}. Please split up "
                f"{name} across multiple requests and try again.",
                where=name,
                kept="nothing",
            )


def _points(metrics: Sequence[Metric]) -> PointBatch:
    names = [one.key for one in metrics]
    for name in dict.fromkeys(names):  # a thousand points have few names
        key(name, f"metrics[{names.index(name)}].key")
    return PointBatch(
        names=names,
        steps=[one.step for one in metrics],
        at_us=[metric_us(one.timestamp, f"metrics[{at}].timestamp") for at, one in enumerate(metrics)],
        values=[
            one.value if isinstance(one.value, float) else number(one.value, f"metrics[{at}].value")
            for at, one in enumerate(metrics)
        ],
    )


async def _keep(ctx: Context, row: RunRow, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    if not params and not tags:
        return
    found = ctx.get(Runs)
    try:
        await found.log(ctx, row.id, LogRun(params=dict(params), tags=dict(tags)), late=True)
    except Conflict as changed:
        raise Conflict(
            f"Changing param values is not allowed. {changed.message}", where=changed.where, kept=changed.kept
        ) from None
    if (change := meant(tags)) is not None:
        await found.update(ctx, row.id, change)
