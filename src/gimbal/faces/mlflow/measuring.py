"""Points of metrics as they come; the newest of those of a logged model stays with the model, for each dataset apart."""

from collections.abc import Sequence

import msgspec

from gimbal.axis.runs.candidates.model import ModelMetric
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import to_wire
from gimbal.faces.mlflow.names import Int64, metric_us, number
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a metric."""

    key: str = ""
    value: float | str | None = None
    timestamp: Int64 | None = None
    step: Int64 = 0
    model_id: str = ""
    """The logged model that it is of, too."""
    dataset_name: str = ""
    dataset_digest: str = ""


async def keep_of_models(ctx: Context, row: RunRow, metrics: Sequence[Metric]) -> None:
    """Keep the newest points of those metrics that name a model; raise NotFound for one that is not there."""
    found: dict[str, list[ModelMetric]] = {}
    for one in metrics:
        if one.model_id:
            found.setdefault(one.model_id, []).append(
                ModelMetric(
                    name=one.key,
                    value=to_wire(number(one.value, "value")),
                    step=one.step,
                    at=from_us(metric_us(one.timestamp, "timestamp")),
                    run_id=row.id,
                    dataset_name=one.dataset_name,
                    dataset_digest=one.dataset_digest,
                )
            )
    if found:
        await ctx.get(LoggedModels).measured(ctx, found)
