"""Parquet in and out: nested values, types that JSON has not, damaged files, and suites and results as we write them."""

import datetime as dt
import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.axis.evals.test_suites import OBJECTS

from gimbal.axis.evals.formats import read_suite
from gimbal.axis.evals.formats.exporting import examples_parquet, results_jsonl, results_parquet
from gimbal.axis.evals.model import EvaluationResult, Example
from gimbal.kernel.errors import BadInput

from .conftest import Read


def table(rows: list[dict], schema: pa.Schema | None = None) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    return out.getvalue()


@settings(max_examples=25)
@given(rows=st.lists(st.builds(Example, id=st.text(min_size=1, max_size=9), input=OBJECTS, expected=OBJECTS, cluster=st.none() | st.text(min_size=1, max_size=9), slice=st.text(max_size=9), weight=st.floats(0.1, 9), metadata=OBJECTS), min_size=1, max_size=4, unique_by=lambda e: e.id))  # fmt: skip
def test_a_suite_survives_parquet(rows: list[Example], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Objects of rows differ in their fields and types; null and absent stay apart."""
    path = tmp_path_factory.mktemp("round") / "suite.parquet"
    path.write_bytes(examples_parquet(rows))

    assert read_suite([path]).examples == rows


def test_nested_values_and_times_are_plain(read: Read) -> None:
    """Lists, structures, maps and times; what is null is missing."""
    rows = [
        {
            "input": {"question": "x", "at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)},
            "answers": ["a", "b"],
            "price": Decimal("1.50"),
            "seen": dt.date(2026, 1, 2),
            "cluster": None,
        }
    ]
    found = read("a.parquet", table(rows)).examples[0]

    assert found.input == {"question": "x", "at": "2026-01-02T00:00:00+00:00"}
    assert found.expected == {"answers": ["a", "b"]}
    assert found.metadata == {"price": "1.50", "seen": "2026-01-02"}


def test_what_pandas_makes_of_missing_values_is_missing(read: Read) -> None:
    """NaN stands for null, and whole numbers beside it became fractions."""
    rows = [{"id": 1.0, "question": "x", "number": 5.0}, {"id": 2.0, "question": "y", "number": float("nan")}]
    found = read("a.parquet", table(rows))

    assert [(e.id, e.expected) for e in found.examples] == [("1", {"number": 5.0}), ("2", {})]
    assert any("NaN" in note and "a.parquet:2" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a Parquet file"),
        (b"PAR1 is not one PAR1", "not a Parquet file"),
        (table([{"question": "x" * 9000}])[:-20], "not a Parquet file"),
        (table([{"question": b"\xff"}]), "bytes"),
        (table([{"thing": "x"}]), "No column is the input"),
        (table([], pa.schema([("question", pa.string())])), "no example"),
        (table([{"id": "a", "question": "x"}, {"id": "a", "question": "y"}]), "already"),
    ],
)
def test_a_bad_table_is_refused(read: Read, content: bytes, told: str) -> None:
    """Damaged, cut off, of other types, empty."""
    with pytest.raises(BadInput, match=told):
        read("a.parquet", content)


def test_a_column_that_is_not_there_is_named(read: Read) -> None:
    """With those that are."""
    with pytest.raises(BadInput, match="'text'; there are: question") as refused:
        read("a.parquet", table([{"question": "x"}]), "input=text")
    assert refused.value.where.endswith("a.parquet")


def test_results_are_files_for_others() -> None:
    """Money keeps its digits, what is missing is null or has its reason, nested things are JSON."""
    result = EvaluationResult(
        example_id="a", cluster="a", input={"question": "x"}, expected={"answer": "y"}, text=None, sources=["d"],
        scores={"exact": 1.0}, missing={"bleu": "no_output"}, trace_id="t", latency_ms=None, cost=Decimal("0.10"), error="",
    )  # fmt: skip
    row = pq.read_table(io.BytesIO(results_parquet([result]))).to_pylist()[0]
    line = json.loads(results_jsonl([result]))

    assert (row["cost"], row["text"], row["latency_ms"], row["weight"]) == ("0.10", None, None, 1.0)
    assert json.loads(row["missing"]) == line["missing"] == {"bleu": "no_output"}
    assert json.loads(row["scores"]) == line["scores"] == {"exact": 1.0}
    assert line["cost"] == "0.10"
    assert set(row) == set(line)
