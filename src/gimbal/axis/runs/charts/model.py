"""What a chart over runs, or a comparison of runs, asks and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.runs.model import RunStatus

MOST_RUNS = 1_000

Kind = Literal["line", "scatter", "parallel", "contour", "importance"]
Across = Literal["step", "time", "relative"]
Log = Literal["", "x", "y", "xy"]
Column = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
RunIds = Annotated[list[str], msgspec.Meta(max_length=MOST_RUNS)]


class AskChart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chart over runs."""

    metric: Annotated[str, msgspec.Meta(max_length=300)] = ""
    """The metric that is drawn; for `parallel` the last axis, for `contour` and `scatter` the colour."""
    kind: Kind = "line"
    """`line` over steps or time, `scatter` and `contour` over two columns, `parallel` over many, or `importance` of the
    parameters for the metric."""
    runs: RunIds = []
    """Ids of runs, in the order of their colours; the newest ten that fit `experiment` where there are none."""
    experiment: str | None = None
    """Only runs of this experiment, where `runs` names none."""
    x: Across = "step"
    """What a line goes over: steps, time, or seconds since the run started."""
    smooth: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Weight of what came before, 0 to 0.99; 0 draws the values as they are."""
    log: Log = ""
    """Logarithmic axes."""
    band: Annotated[str, msgspec.Meta(max_length=300)] = ""
    """A column such as `params.depth` or `name`: runs that are equal in it become one line, the mean, with the 95 %
    interval of the mean at each step."""
    by: Annotated[list[Column], msgspec.Meta(max_length=12)] = []
    """Columns such as `params.depth` or `metrics.auc`: two for `scatter` and `contour`, some for `parallel`."""
    named: bool = True
    """Whether lines are named in a legend and the axis after the metric; not where the page around it does so."""
    height: Annotated[int, msgspec.Meta(ge=80, le=2_000)] = 240
    """Height in points."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart, to be drawn by whoever asked."""

    spec: dict[str, Any]
    """Vega-Lite, version 6, with its data in it."""
    runs: int
    """Runs that are in it."""
    without: int = 0
    """Runs that were asked for and have nothing to draw."""


class AskComparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs are put beside each other."""

    runs: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_RUNS)]
    """Ids of runs; the first is the one that others are compared with."""


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a comparison."""

    id: str
    name: str
    experiment: str
    status: RunStatus
    started_at: datetime


class ComparedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter, tag or metric over the runs."""

    column: str
    """`params.depth`, `tags.team`, `metrics.auc`."""
    values: list[Any]
    """One for each run, in their order; null where it has none."""
    same: bool
    """Whether all of them have the same."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs beside each other."""

    runs: list[ComparedRun]
    rows: list[ComparedRow]
    """Parameters, then tags, then metrics, each by name."""
