"""Suites and results as files: JSON lines that read back to the same bytes, and Parquet."""

import io
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from gimbal.axis.evals.formats.parquet import MARK, OBJECTS
from gimbal.axis.evals.model import EvaluationResult, Example, encode_examples

_EXAMPLE_FIELDS = (("id", pa.string()), ("cluster", pa.string()), ("slice", pa.string()), ("weight", pa.float64()))
_RESULT_TYPES = {
    "repeat": pa.int32(),
    "weight": pa.float64(),
    "latency_ms": pa.float64(),
    "cached": pa.bool_(),
} | dict.fromkeys(("input_tokens", "output_tokens"), pa.int64())
_RESULT_TEXTS = frozenset({"example_id", "cluster", "slice", "text", "trace_id", "error", "failure"})


def examples_jsonl(examples: Sequence[Example]) -> bytes:
    """Return an example a line, fields in a fixed order; what is left at its default is left out."""
    return encode_examples(list(examples))


def examples_parquet(examples: Sequence[Example]) -> bytes:
    """Return a row for each example; input, expectation and metadata are JSON in texts, for rows differ in their fields."""
    schema = pa.schema([*_EXAMPLE_FIELDS, *((name, pa.string()) for name in OBJECTS)], metadata={MARK: b"1"})
    rows = [
        {name: getattr(one, name) for name, _ in _EXAMPLE_FIELDS}
        | {name: _json(getattr(one, name)) for name in OBJECTS}
        for one in examples
    ]
    return _parquet(rows, schema)


def results_jsonl(results: Sequence[EvaluationResult]) -> bytes:
    """Return an answer a line, with its scores and why they are missing."""
    return b"".join(msgspec.json.encode(one, enc_hook=str, order="deterministic") + b"\n" for one in results)


def results_parquet(results: Sequence[EvaluationResult]) -> bytes:
    """Return a row for each answer; amounts of money are texts with every digit, objects and lists are JSON in texts."""
    names = EvaluationResult.__struct_fields__
    schema = pa.schema([(name, _RESULT_TYPES.get(name, pa.string())) for name in names])
    return _parquet([{name: _cell(name, getattr(one, name)) for name in names} for one in results], schema)


def _cell(name: str, value: Any) -> Any:
    if value is None or name in _RESULT_TYPES or name in _RESULT_TEXTS:
        return value
    return str(value) if name == "cost" else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str, order="deterministic").decode()


def _parquet(rows: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out, compression="zstd")
    return out.getvalue()
