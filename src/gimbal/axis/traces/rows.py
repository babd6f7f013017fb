"""Spans to and from rows of the column table, a whole batch at a time."""

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import tree
from gimbal.axis.traces.model import Document, Span
from gimbal.engines.storage.writer import Rows

_json = msgspec.json.Encoder(enc_hook=str)
_documents = msgspec.json.Decoder(list[Document])
_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_TEXT = (
    "trace_id", "span_id", "parent_id", "name", "kind", "status", "status_message", "provider", "model", "unpriced",
    "price_book", "finish", "response_id", "input", "output", "session_id", "user_id", "feature", "scope", "dialect",
)  # fmt: skip
_FLAGS = ("remote_parent", "estimated", "billable", "truncated")
COLUMNS = (
    *_TEXT, *_FLAGS, *_USAGE, "start_us", "end_us", "cost", "first_token_us", "documents", "refs",
    "attributes", "events", "resource", "weight", "randomness",
)  # fmt: skip
_PLAIN = (*_TEXT, *_FLAGS, "start_us", "end_us", "first_token_us", "refs", "weight", "randomness")
_plain = attrgetter(*_PLAIN)
_counts = attrgetter(*_USAGE)
_NO_USAGE = (None,) * len(_USAGE)
_TYPES = {
    "is_root": pa.bool_(),
    "cost": pa.decimal128(28, 12),
    "weight": pa.float64(),
    "randomness": pa.uint64(),
    "refs": pa.list_(pa.string()),
    **dict.fromkeys(_FLAGS, pa.bool_()),
    **dict.fromkeys(("start_us", "end_us", "first_token_us", *_USAGE), pa.int64()),
}
# In the order in which `to_rows` gives them.
_ORDER = ("project", "is_root", "cost", "documents", "attributes", "events", "resource", *_PLAIN, *_USAGE)
_FIELDS = pa.struct([(name, _TYPES.get(name, pa.string())) for name in _ORDER])
_STAMPED = pa.struct([*_FIELDS, ("written_us", pa.int64())])
# Where the long values are, and about what all others of a row take.
_LONG = tuple(_ORDER.index(name) for name in ("documents", "attributes", "events", "input", "output"))
_ROW_BYTES = 1000


def _text(value: Any) -> str:
    return _json.encode(value).decode() if value else ""


def to_rows(project: str, spans: Sequence[Span], *, written_us: int | None = None) -> Rows:
    """Return the rows of a batch; they are versions `written_us` and up, or of the moment they arrive."""
    rows: list[tuple[Any, ...]] = [
        (
            project,
            is_head,
            None if span.cost is None else round(span.cost, 12),
            _text(span.documents),
            _text(span.attributes),
            _text(span.events),
            _text(span.resource),
            *_plain(span),
            *(_NO_USAGE if span.usage is None else _counts(span.usage)),
            *(() if written_us is None else (written_us + place,)),
        )
        for place, (span, is_head) in enumerate(zip(spans, tree.heads(spans), strict=True))
    ]
    size = sum(_ROW_BYTES + sum(len(row[place]) for place in _LONG) for row in rows)
    return Rows(_FIELDS if written_us is None else _STAMPED, rows, size)


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
        weight=row["weight"],
        randomness=row["randomness"],
        attributes=msgspec.json.decode(row["attributes"]) if row["attributes"] else {},
        events=msgspec.json.decode(row["events"]) if row["events"] else [],
        resource=msgspec.json.decode(row["resource"]) if row["resource"] else {},
    )
