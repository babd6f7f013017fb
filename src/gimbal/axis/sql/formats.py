"""Record batches to the bytes of an answer or export, batch by batch.

Every export can be told from a broken one: Parquet and Arrow end with a mark of their own, and of all a transfer that
breaks off is no whole one to any HTTP client. CSV is RFC 4180 with a header; values stand as they are.
"""

import io
import math
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from gimbal.axis.sql.model import Format

_json = msgspec.json.Encoder(decimal_format="string", enc_hook=str)
_SPELLED: dict[str, str] = {
    "string": "String", "bool": "Bool", "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64",
    "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64", "float": "Float32", "double": "Float64",
    "halffloat": "Float32", "date32[day]": "Date", "null": "Nothing", "binary": "String",
}  # fmt: skip


def type_name(field: pa.Field) -> str:
    """Return ClickHouse's name for the type of a column."""
    kind = field.type
    if pa.types.is_list(kind):
        return f"Array({type_name(kind.value_field)})"
    if pa.types.is_map(kind):
        return f"Map({type_name(kind.key_field)}, {type_name(kind.item_field)})"
    if pa.types.is_struct(kind):
        return f"Tuple({', '.join(type_name(kind.field(place)) for place in range(kind.num_fields))})"
    if pa.types.is_timestamp(kind):
        digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
        name = f"DateTime64({digits}, '{kind.tz or 'UTC'}')"
    elif pa.types.is_decimal(kind):
        name = f"Decimal({kind.precision}, {kind.scale})"
    else:
        name = _SPELLED.get(str(kind), str(kind))
    return f"Nullable({name})" if field.nullable and not pa.types.is_null(kind) else name


def rows(batch: pa.RecordBatch) -> list[list[Any]]:
    """Return the rows of a batch as JSON has them."""
    columns = [[plain(value) for value in _values(column)] for column in batch.columns]
    return [list(row) for row in zip(*columns, strict=True)] if columns else []


def _values(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist(maps_as_pydicts="lossy")
    except UnicodeDecodeError:
        return [None if one is None else one.decode(errors="replace") for one in column.cast(pa.binary()).to_pylist()]


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return f"{value.normalize() + 0:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in cast("list[Any]", value)]
    return str(value)


class _Drain(io.RawIOBase):
    """A file that is written to and emptied."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        """Return what was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def encode(format_: Format, schema: pa.Schema, batches: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[bytes]:
    """Yield the bytes of an export; what raises in `batches` raises here, and the end is never written then."""
    if format_ == "jsonl":
        async for batch in batches:
            names = batch.schema.names
            lines = [_json.encode(dict(zip(names, row, strict=True))) for row in rows(batch)]
            yield b"\n".join([*lines, b""])
        return
    drain = _Drain()
    shape = _shape(format_, schema)
    writer: Any = _writer(format_, shape, drain)
    yield drain.take()
    async for batch in batches:
        if batch.num_rows:
            writer.write(_shaped(batch, shape)) if format_ != "parquet" else writer.write_batch(_shaped(batch, shape))
            yield drain.take()
    writer.close()
    yield drain.take()


def _writer(format_: Format, shape: pa.Schema, drain: _Drain) -> Any:
    if format_ == "arrow":
        return pa.ipc.new_stream(drain, shape)
    if format_ == "parquet":
        return pq.ParquetWriter(drain, shape, compression="zstd")
    return csv.CSVWriter(drain, shape, write_options=csv.WriteOptions(quoting_style="needed"))


def _shape(format_: Format, schema: pa.Schema) -> pa.Schema:
    """Return the columns as they are written: CSV has texts for what is not plain."""
    if format_ != "csv":
        return schema
    fields = [
        field
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type)
        else pa.field(field.name, pa.string())
        for field in schema
    ]
    return pa.schema(fields)


def _shaped(batch: pa.RecordBatch, shape: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type and not pa.types.is_string(column.type) else _text(column, field)
        for column, field in zip(batch.columns, shape, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=shape)


def _text(column: pa.Array, field: pa.Field) -> pa.Array:
    """Return a column as texts that are UTF-8."""
    if pa.types.is_string(column.type):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            return pa.array(_values(column), field.type)
        return column
    values = [plain(value) for value in _values(column)]
    return pa.array([v if v is None or isinstance(v, str) else _json.encode(v).decode() for v in values], field.type)
