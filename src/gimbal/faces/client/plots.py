"""Charts over runs in a script or a notebook: `gimbal.plot("loss")` shows itself, and saves itself to a file."""

from collections.abc import Sequence
from typing import Any, Literal

from gimbal.axis.runs.plotting import Plot
from gimbal.faces.client.client import Client, default_client


def plot(
    metric: str,
    runs: Sequence[Any] = (),
    *,
    theme: Literal["light", "dark"] = "light",
    **how: Any,
) -> Plot:
    """Return a chart over runs (runs or their ids; the ten newest that have the metric otherwise).

    `how` is what `client.runs.chart` takes: `kind`, `x`, `smooth`, `log`, `band`, `by`, `experiment`, `height`.
    """
    return drawn(default_client(), metric, runs, theme, how)


def drawn(
    client: Client, metric: str, runs: Sequence[Any], theme: Literal["light", "dark"], how: dict[str, Any]
) -> Plot:
    """Return the chart that a client's server gives the data for."""
    ids = [run if isinstance(run, str) else run.id for run in runs]
    return Plot(client.runs.chart(metric=metric, runs=ids, **how).spec, theme)
