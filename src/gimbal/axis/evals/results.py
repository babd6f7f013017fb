"""Results of evaluations in the columns: a row for each answer, written once under its place in the run."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec
import pyarrow as pa

from gimbal.axis.evals.metering import Tally
from gimbal.axis.evals.model import EvaluationResult, Example
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.scores.model import ScoreValue
from gimbal.engines.storage.writer import Rows
from gimbal.kernel.money import ZERO

TABLE = "eval_results"
MOST_GENERATIONS = 2_047
"""The last generation of a run: above the time `written_us` has room for no more."""
WRITTEN = "written_us % 4503599627370496"
"""Of a row: the microsecond it was stored in. `written_us` is the version that counts: times 2^52 the generation, and this."""
JUDGE_COST = "toDecimal128OrZero(JSONExtractString(output, 'judge_cost'), 12)"
"""Of a row: US dollars of what its judges asked, where that is known."""
SPENT = f"if(cached, toDecimal128(0, 12), ifNull(cost, toDecimal128(0, 12))) + {JUDGE_COST}"
"""Of a row: US dollars that its run paid for the answer and its judges, where that is known."""
COLUMNS = (
    "example_id, repeat, cluster, slice, weight, input, expected, text, sources, scores, missing, notes, output, trace_id, "
    "latency_ms, cost, cached, error, failure"
)
_FIELDS = pa.struct(
    [
        *((name, pa.string()) for name in ("project", "evaluation_id", "example_id", "cluster", "slice", "input", "expected")),
        *((name, pa.string()) for name in ("text", "sources", "scores", "missing", "notes", "output", "trace_id", "error")),
        *((name, pa.string()) for name in ("failure", "cache_key")),
        ("position", pa.uint32()),
        ("generation", pa.uint16()),
        ("repeat", pa.uint16()),
        ("weight", pa.float64()),
        ("latency_ms", pa.float64()),
        ("cost", pa.decimal128(28, 12)),
        ("cached", pa.bool_()),
    ]
)  # fmt: skip
_REST = ("marked", "value", "contexts", "tool_calls", "steps", "input_tokens", "output_tokens")
"""Fields of an output that share a column: few answers have any of them."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is to be had."""

    position: int
    """Of the answer in the run: the example's place times the repeats, and the repeat."""
    repeat: int
    example: Example


class Answer(Ask, frozen=True, kw_only=True):
    """One answer, judged, on its way to the columns."""

    output: TargetOutput
    scores: dict[str, ScoreValue]
    cache_key: str = ""
    """Names the content that was asked; empty where answers are not kept for others."""
    cached: bool = False
    tally: Tally | None = None
    """What its judges asked; null where nobody counted."""
    judged: bool = True
    """Whether the suite's scorers have seen it; `scores` are only what others said of it otherwise."""


def to_rows(project: str, evaluation_id: str, answers: Sequence[Answer], *, generation: int = 0) -> Rows:
    """Return answers as rows of the table; the same place again replaces what was there, unless that is of a later generation."""
    rows = [_row(project, evaluation_id, answer, generation) for answer in answers]
    return Rows(_FIELDS, rows, sum(len(part) for row in rows for part in row if isinstance(part, str)))


def _row(project: str, evaluation_id: str, answer: Answer, generation: int) -> tuple[Any, ...]:
    example, output, scores = answer.example, answer.output, answer.scores
    notes = {
        name: {"label": score.label, "why": score.explanation}
        for name, score in scores.items()
        if score.label or score.explanation
    }
    rest = {name: found for name in _REST if (found := getattr(output, name)) is not None}
    if not answer.judged:
        rest["judged"] = False
    if answer.tally is not None and answer.tally.calls:
        rest |= {"judge_calls": answer.tally.calls, "judge_unpriced": answer.tally.unpriced}
        # As a text: a number of JSON is no exact amount.
        rest |= {} if answer.tally.known is None else {"judge_cost": f"{round(answer.tally.cost, 12):f}"}
    return (
        project,
        evaluation_id,
        example.id,
        example.cluster or example.id,
        example.slice,
        _json(example.input),
        _json(example.expected),
        output.text,
        None if output.sources is None else _json(output.sources),
        _json({name: score.value for name, score in scores.items() if score.value is not None}),
        _json({name: score.missing for name, score in scores.items() if score.missing}),
        _json(notes) if notes else "",
        _json(rest) if rest else "",
        output.trace_id,
        output.error,
        output.failure if output.error else "",
        answer.cache_key,
        answer.position,
        generation,
        answer.repeat,
        example.weight,
        output.latency_ms,
        None if output.cost is None else round(output.cost, 12),
        answer.cached,
    )


def from_row(row: Mapping[str, Any]) -> EvaluationResult:
    """Return a stored result."""
    values = dict(row)
    notes: dict[str, dict[str, str]] = _object(values.pop("notes"))
    rest = _object(values.pop("output"))
    if "judge_cost" in rest:
        rest["judge_cost"] = Decimal(rest["judge_cost"]).normalize() + 0
    for name in ("input", "expected", "scores", "missing"):
        values[name] = msgspec.json.decode(values[name])
    values["sources"] = None if row["sources"] is None else msgspec.json.decode(row["sources"])
    values["cost"] = None if row["cost"] is None else row["cost"].normalize() + 0
    # Rows of before there were weights have none.
    values["weight"] = values["weight"] or 1.0
    return EvaluationResult(
        **values,
        **rest,
        labels={name: note["label"] for name, note in notes.items() if note["label"]},
        explanations={name: note["why"] for name, note in notes.items() if note["why"]},
    )


def output_of(row: EvaluationResult) -> TargetOutput:
    """Return what a target gave, from a stored result."""
    return TargetOutput(
        text=row.text, marked=row.marked, value=row.value, sources=row.sources, contexts=row.contexts, tool_calls=row.tool_calls,
        steps=row.steps, trace_id=row.trace_id, input_tokens=row.input_tokens, output_tokens=row.output_tokens,
        cost=row.cost, latency_ms=row.latency_ms, error=row.error,
        failure=cast("Any", row.failure or "error"),
    )  # fmt: skip


def tally_of(row: EvaluationResult) -> Tally:
    """Return what the judges of a stored answer asked."""
    return Tally(calls=row.judge_calls, cost=row.judge_cost or ZERO, unpriced=row.judge_unpriced)


def said_elsewhere(row: EvaluationResult) -> dict[str, ScoreValue]:
    """Return what a stored answer that no scorer has seen yet has of scores: they came with it."""
    names = dict.fromkeys([*row.scores, *row.missing, *row.labels])
    return {
        name: ScoreValue(value=row.scores.get(name), missing=row.missing.get(name, ""), label=row.labels.get(name, ""))
        for name in names
    }


def seen_of(output: TargetOutput, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what scorers see of an output to an input."""
    return {
        "text": output.text, "marked": output.marked, "value": output.value, "sources": output.sources, "contexts": output.contexts,
        "tool_calls": output.tool_calls, "steps": output.steps, "latency_ms": output.latency_ms, "cost": output.cost,
        "input_tokens": output.input_tokens, "output_tokens": output.output_tokens, "input": given,
    }  # fmt: skip


def _object(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text) if text else {}


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode("utf-8", "replace")
