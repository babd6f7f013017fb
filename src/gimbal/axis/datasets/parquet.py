"""Reads and writes the Parquet files of datasets: checks what comes in, and writes the same table as the same bytes.

Plain types only (text as `string`, categories as their values), no library's private metadata, fixed row groups:
equal data has an equal digest, whoever made it and however it was chunked.
"""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gimbal.axis.datasets.model import MAX_COLUMNS, ColumnProfile, ColumnSchema, DatasetManifest
from gimbal.axis.datasets.profile import profile_column
from gimbal.kernel.errors import BadInput, CorruptUpload, TooLarge

_GROUP = 131_072


def check_parquet(path: Path) -> pq.ParquetFile:
    """Open an upload; raise CorruptUpload when it is not Parquet, BadInput or TooLarge when it cannot be a dataset."""
    if not path.stat().st_size:
        raise CorruptUpload("The body is empty.", where="body", kept="nothing", todo="Send a Parquet file.")
    with readable("The body"):
        file = pq.ParquetFile(path, memory_map=True)
    check_schema(file.schema_arrow, file.metadata.num_rows)
    return file


@contextlib.contextmanager
def readable(what: str) -> Generator[None]:
    """Turn what Arrow says of a damaged file into CorruptUpload: footers, pages and types that it does not know."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as problem:
        raise CorruptUpload(
            f"{what} is not a Parquet file that can be read: {_first_line(problem)}",
            where="body",
            kept="nothing",
            todo="Write it with pyarrow.parquet.write_table or DataFrame.to_parquet and send the file as it is.",
        ) from None


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0][:200]


def read_batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an upload; raise CorruptUpload at the first page that is damaged."""
    batches = file.iter_batches()
    while True:
        with readable("The body"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def check_schema(schema: pa.Schema, rows: int) -> None:
    """Raise BadInput or TooLarge when a table cannot be a dataset, naming the column."""
    seen: set[str] = set()
    for index, name in enumerate(schema.names):
        if not name:
            raise BadInput("A column has no name.", where=f"columns[{index}]", kept="nothing", todo="Name it.")
        if name in seen:
            raise BadInput(
                f"Two columns are called {name!r}.", where="columns", kept="nothing", todo="Rename or drop one of them."
            )
        seen.add(name)
    if not seen:
        raise BadInput("The table has no columns.", where="body", kept="nothing", todo="Send at least one column.")
    if len(seen) > MAX_COLUMNS:
        raise TooLarge(
            f"{len(seen)} columns are too many for one dataset; {MAX_COLUMNS} is the most.",
            where="columns",
            kept="nothing",
            todo="Split it, or keep vectors in one column of lists.",
        )
    if not rows:
        raise BadInput(
            "The table has no rows.", where="body", kept="nothing", todo="A snapshot needs at least one row."
        )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type as which a column is stored."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema as which a table is stored: plain types and no metadata."""
    return pa.schema([pa.field(f.name, plain_type(f.type), f.nullable) for f in schema])


def write_plain(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write the batches in order as the canonical file; return the number of rows.

    Raise BadInput for a type that Parquet does not have, and for text that is not UTF-8.
    """
    target = plain_schema(schema)
    rows = 0
    try:
        with pq.ParquetWriter(path, target, compression="zstd", version="2.6", store_schema=True) as writer:
            for group in _groups(batches, target):
                group.validate(full=True)
                writer.write_table(group, row_group_size=_GROUP)
                rows += group.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as problem:
        raise BadInput(
            f"The table cannot be stored as Parquet: {_first_line(problem)}",
            where="columns",
            kept="nothing",
            todo="Turn that column into numbers, text, times or lists of them.",
        ) from None
    return rows


def _groups(batches: Iterator[pa.RecordBatch], target: pa.Schema) -> Iterator[pa.Table]:
    """Cut the stream into row groups of one size, so that the chunks in which it came do not show."""
    waiting: list[pa.Table] = []
    rows = 0
    for batch in batches:
        waiting.append(pa.Table.from_batches([batch]).replace_schema_metadata(None).cast(target))
        rows += batch.num_rows
        while rows >= _GROUP:
            merged = pa.concat_tables(waiting).combine_chunks()
            yield merged.slice(0, _GROUP).combine_chunks()
            waiting, rows = [merged.slice(_GROUP)], rows - _GROUP
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()


def describe(path: Path) -> DatasetManifest:
    """Return the manifest of a canonical file; reads one column at a time."""
    file = pq.ParquetFile(path, memory_map=True)
    schema = file.schema_arrow
    profiles: list[ColumnProfile] = []
    for field in schema:
        column = file.read([field.name], use_threads=False)[field.name]
        profiles.append(profile_column(field.name, column))
    return DatasetManifest(
        format="parquet",
        rows=file.metadata.num_rows,
        schema=[ColumnSchema(name=f.name, type=str(f.type), nullable=f.nullable) for f in schema],
        profile=profiles,
    )
