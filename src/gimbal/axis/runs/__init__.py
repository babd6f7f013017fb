"""Runs: experiment tracking. One run is one tracked computation: parameters, metrics, artifacts, inputs and outputs.

Nouns and parameters are in the catalog, metric points in the columns (through the writer), artifacts in the blobs.
What a run read and made is noted with `axis/assets`, which owns lineage.
"""

from gimbal.axis.runs.model import (
    Artifact,
    CreateRun,
    FinishRun,
    LogRun,
    MetricPoint,
    MetricValue,
    Run,
    RunFinished,
    RunStatus,
)

__all__ = [
    "Artifact",
    "CreateRun",
    "FinishRun",
    "LogRun",
    "MetricPoint",
    "MetricValue",
    "Run",
    "RunFinished",
    "RunStatus",
]
