"""Results of evaluations in the columns: one row per example, written once under its place in the suite."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.evals.model import EvaluationResult, Example, TargetOutput
from gimbal.axis.scores.model import ScoreValue

TABLE = "eval_results"
COLUMNS = "example_id, cluster, input, expected, text, sources, scores, missing, trace_id, latency_ms, cost, error"


def to_row(
    project: str,
    evaluation_id: str,
    position: int,
    example: Example,
    output: TargetOutput,
    scores: Mapping[str, ScoreValue],
) -> pa.Table:
    """Return one result as a row of the table; the same place again replaces it."""
    texts = {
        "project": project,
        "evaluation_id": evaluation_id,
        "example_id": example.id,
        "cluster": example.cluster or example.id,
        "input": _json(example.input),
        "expected": _json(example.expected),
        "text": output.text,
        "sources": None if output.sources is None else _json(output.sources),
        "scores": _json({k: v.value for k, v in scores.items() if v.value is not None}),
        "missing": _json({k: v.missing or "missing" for k, v in scores.items() if v.value is None}),
        "trace_id": output.trace_id,
        "error": output.error,
    }
    return pa.table(
        {name: pa.array([text], pa.string()) for name, text in texts.items()}
        | {
            "position": pa.array([position], pa.uint32()),
            "latency_ms": pa.array([output.latency_ms], pa.float64()),
            "cost": pa.array([None if output.cost is None else round(output.cost, 12)], pa.decimal128(28, 12)),
        }
    )


def from_row(row: Mapping[str, Any]) -> EvaluationResult:
    """Return a stored result."""
    values = dict(row)
    for name in ("input", "expected", "scores", "missing"):
        values[name] = msgspec.json.decode(values[name])
    values["sources"] = None if row["sources"] is None else msgspec.json.decode(row["sources"])
    values["cost"] = None if row["cost"] is None else row["cost"].normalize() + 0
    return EvaluationResult(**values)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
