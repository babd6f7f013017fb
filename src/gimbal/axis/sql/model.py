"""What is asked in SQL and what comes back."""

from typing import Any, Literal

import msgspec

Format = Literal["csv", "jsonl", "arrow", "parquet"]
MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/jsonl",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


class SqlQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement."""

    query: str
    """One SELECT over the views, in ClickHouse's dialect."""
    parameters: dict[str, Any] = {}
    """Values for {name:Type} in it."""
    limit: int = 1000
    """Rows of the answer at most; `truncated` tells whether there are more."""


class SqlColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of an answer or view."""

    name: str
    type: str
    """As ClickHouse names it."""
    meaning: str = ""
    """Of a view's column."""


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    columns: list[SqlColumn]
    rows: list[list[Any]]
    """By column. Times are RFC 3339 in UTC, decimals texts, NaN and infinite numbers null."""
    truncated: bool
    """Whether there are more rows than were asked for."""
    elapsed_ms: float


class SqlView(msgspec.Struct, frozen=True, kw_only=True):
    """One view that statements may name."""

    name: str
    meaning: str
    columns: list[SqlColumn]
