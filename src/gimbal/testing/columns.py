"""Conformance of the columns: embedded, by the dialect of our own server, or a ClickHouse server, all answer alike."""

import pyarrow as pa

from gimbal.engines.storage.columns import TABLE_SETTINGS, Columns
from gimbal.testing.promise import promise

_NASTY = "it's \\ \n \t \x00 '; DROP TABLE x; -- é 🜚"


async def check_columns(columns: Columns, table: str = "conformance") -> None:
    """Check an open store with a table of its own, which is made and dropped.

    Arrow goes in and comes out unchanged, parameters stay values whatever is in them, missing stays missing, columns
    that are left out take their defaults.
    """
    await columns.command(
        f"CREATE TABLE {table} (a Int64, b String, c Nullable(Float64), d LowCardinality(String) DEFAULT 'none')"
        f" ENGINE = MergeTree ORDER BY a SETTINGS {TABLE_SETTINGS}"
    )
    try:
        rows = pa.table(
            {
                "a": pa.array([-(2**63), 0, 2**63 - 1], pa.int64()),
                "b": [_NASTY, "", "plain"],
                "c": pa.array([None, 0.0, 0.1], pa.float64()),
            }
        )
        await columns.insert(table, rows)
        found = await columns.arrow(f"SELECT a, b, c FROM {table} ORDER BY a")
        promise(found.cast(rows.schema).equals(rows), "Arrow comes out as it went in; missing is not zero.")
        asked = await columns.query(f"SELECT a, d FROM {table} WHERE b = {{b:String}}", {"b": _NASTY})
        promise(asked == [{"a": -(2**63), "d": "none"}], "What looks like SQL in a value is a value.")
        counted = await columns.query(
            f"SELECT count() AS n FROM {table} WHERE a IN {{ids:Array(Int64)}}", {"ids": [0, 2**63 - 1]}
        )
        promise(counted == [{"n": 2}], "A parameter may be a list.")
    finally:
        await columns.command(f"DROP TABLE {table}")
