"""Parquet: tables with nested values, read batch by batch, and suites as Gimbal writes them, with their objects as JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from gimbal.axis.evals.formats.files import decoded, opened
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ReadOptions
from gimbal.axis.evals.formats.rows import RowReader
from gimbal.axis.evals.model import Example
from gimbal.kernel.errors import BadInput

MARK = b"gimbal.suite"
"""Key in a table's metadata: objects are JSON in texts, for rows differ in their fields."""
OBJECTS = ("input", "expected", "metadata")
_BATCH = 256


class Parquet:
    """Reads a table of any types."""

    title = "Parquet"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the ending."""
        return int(path.suffix.lower() in {".parquet", ".pq"})

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read batch by batch."""
        with opened(path) as file, _readable(path):
            table = pq.ParquetFile(file)
            own = MARK in (table.schema_arrow.metadata or {})
            reader = RowReader(options.columns, into)
            if not own:
                reader.check(table.schema_arrow.names, str(path))
            for number, row in _rows(table):
                where = f"{path}:{number}"
                if own and not options.columns:
                    into.example(_example(row, where), where)
                else:
                    reader.take(row, where)
        reader.finish(path)


def _rows(table: pq.ParquetFile) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for batch in table.iter_batches(batch_size=_BATCH):
        for row in batch.to_pylist(maps_as_pydicts="lossy"):
            number += 1
            yield number, row


def _example(row: dict[str, Any], where: str) -> Example:
    values = {name: value for name, value in row.items() if value is not None}
    for name in OBJECTS:
        if name in values:
            values[name] = decoded(values[name], where)
    try:
        return msgspec.convert(values, Example)
    except msgspec.ValidationError as problem:
        raise BadInput(f"This is not an example: {problem}.", where=where, todo="Mend it.") from None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, OverflowError, ValueError) as problem:
        first = (str(problem).splitlines() or [type(problem).__name__])[0][:200]
        raise BadInput(
            f"{path} is not a Parquet file that can be read: {first}",
            where=str(path),
            todo="Write it with pyarrow or pandas and give the file as it is.",
        ) from None


FORMATS.add("parquet", Parquet())
