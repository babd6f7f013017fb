"""Spans to and from rows of the column table, a whole batch at a time."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import tree
from gimbal.axis.traces.model import Document, Span

_json = msgspec.json.Encoder(enc_hook=str)
_documents = msgspec.json.Decoder(list[Document])
_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_TEXT = (
    "trace_id", "span_id", "parent_id", "name", "kind", "status", "status_message", "provider", "model", "unpriced",
    "price_book", "finish", "input", "output", "session_id", "user_id", "feature", "scope", "dialect",
)  # fmt: skip
_FLAGS = ("remote_parent", "estimated", "billable", "truncated")
COLUMNS = (
    *_TEXT, *_FLAGS, *_USAGE, "start_us", "end_us", "cost", "first_token_us", "documents", "refs",
    "attributes", "events", "resource",
)  # fmt: skip
_COST = pa.decimal128(28, 12)


def _text(value: Any) -> str:
    return _json.encode(value).decode() if value else ""


def to_table(project: str, spans: Sequence[Span], *, written_us: int | None = None) -> pa.Table:
    """Return the Arrow table of a batch; its rows are versions `written_us` and up, or of the moment they arrive."""
    columns: dict[str, Any] = {"project": pa.repeat(project, len(spans))}
    for name in _TEXT:
        columns[name] = pa.array([getattr(s, name) for s in spans], pa.string())
    for name in _FLAGS:
        columns[name] = pa.array([getattr(s, name) for s in spans], pa.bool_()).cast(pa.uint8())
    for name in _USAGE:
        columns[name] = pa.array([None if s.usage is None else getattr(s.usage, name) for s in spans], pa.int64())
    columns["is_root"] = pa.array(tree.heads(spans), pa.bool_()).cast(pa.uint8())
    for name in ("start_us", "end_us", "first_token_us"):
        columns[name] = pa.array([getattr(s, name) for s in spans], pa.int64())
    columns["cost"] = pa.array([None if s.cost is None else round(s.cost, 12) for s in spans], _COST)
    for name in ("documents", "attributes", "events", "resource"):
        columns[name] = pa.array([_text(getattr(s, name)) for s in spans], pa.string())
    columns["refs"] = pa.array([s.refs for s in spans], pa.list_(pa.string()))
    if written_us is not None:
        columns["written_us"] = pa.array(range(written_us, written_us + len(spans)), pa.int64())
    return pa.table(columns)


def from_row(row: dict[str, Any]) -> Span:
    """Return the span of a row."""
    counts = {name: row[name] for name in _USAGE}
    usage = None if counts["input_tokens"] is None else Usage(**{k: v or 0 for k, v in counts.items()})
    cost: Decimal | None = row["cost"]
    texts: dict[str, Any] = {name: row[name] for name in _TEXT}
    flags: dict[str, Any] = {name: bool(row[name]) for name in _FLAGS}
    return Span(
        **texts,
        **flags,
        usage=usage,
        start_us=row["start_us"],
        end_us=row["end_us"],
        first_token_us=row["first_token_us"],
        cost=None if cost is None else cost.normalize() + 0,
        documents=_documents.decode(row["documents"]) if row["documents"] else [],
        refs=list(row["refs"]),
        attributes=msgspec.json.decode(row["attributes"]) if row["attributes"] else {},
        events=msgspec.json.decode(row["events"]) if row["events"] else [],
        resource=msgspec.json.decode(row["resource"]) if row["resource"] else {},
    )
