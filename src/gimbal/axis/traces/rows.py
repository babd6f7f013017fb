"""Spans to and from rows of the column table, a whole batch at a time."""

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.pricing.model import OTHERS, TOTALS, Usage
from gimbal.axis.traces import tree
from gimbal.axis.traces.model import Document, Span
from gimbal.engines.storage.writer import Rows

_json = msgspec.json.Encoder(enc_hook=str)
_documents = msgspec.json.Decoder(list[Document])
_TEXT = (
    "trace_id", "span_id", "parent_id", "name", "kind", "status", "status_message", "provider", "model", "unpriced",
    "price_book", "finish", "response_id", "input", "output", "session_id", "user_id", "feature", "endpoint", "key_id",
    "scope", "dialect",
)  # fmt: skip
_FLAGS = ("remote_parent", "estimated", "billable", "truncated", "cached")
_LISTS = ("refs", "tags")
COLUMNS = (
    *_TEXT, *_FLAGS, *_LISTS, *TOTALS, "usage_classes", "tier", "start_us", "end_us", "cost", "parts", "saved",
    "first_token_us", "documents", "attributes", "events", "resource", "weight", "randomness",
)  # fmt: skip
_PLAIN = (*_TEXT, *_FLAGS, *_LISTS, "start_us", "end_us", "first_token_us", "weight", "randomness")
_plain = attrgetter(*_PLAIN)
_NO_USAGE = (*(None,) * len(TOTALS), None, "")
_usual = attrgetter("input", "cache_read", "cache_write", "output", "reasoning", "tier", "requests", "contradictory")
_other = attrgetter(*OTHERS)
_NO_OTHER = (0,) * len(OTHERS)
_FEW = {"input", "output"}
_NOTHING = Decimal(0)
_MONEY = pa.decimal128(28, 12)
_TYPES = {
    "is_root": pa.bool_(),
    "cost": _MONEY,
    "saved": _MONEY,
    "parts": pa.map_(pa.string(), _MONEY),
    "usage_classes": pa.map_(pa.string(), pa.int64()),
    "weight": pa.float64(),
    "randomness": pa.uint64(),
    **dict.fromkeys(_LISTS, pa.list_(pa.string())),
    **dict.fromkeys(_FLAGS, pa.bool_()),
    **dict.fromkeys(("start_us", "end_us", "first_token_us", *TOTALS), pa.int64()),
}
# In the order in which `to_rows` gives them.
_ORDER = (
    "project", "is_root", "cost", "parts", "saved", "documents", "attributes", "events", "resource", *_PLAIN, *TOTALS,
    "usage_classes", "tier",
)  # fmt: skip
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
            stored_parts(span.parts) if span.parts else None,
            None if span.saved is None else round(span.saved, 12),
            _text(span.documents),
            _text(span.attributes),
            _text(span.events),
            _text(span.resource),
            *_plain(span),
            *(_NO_USAGE if span.usage is None else _columns(span.usage)),
            *(() if written_us is None else (written_us + place,)),
        )
        for place, (span, is_head) in enumerate(zip(spans, tree.heads(spans), strict=True))
    ]
    size = sum(_ROW_BYTES + sum(len(row[place]) for place in _LONG) for row in rows)
    return Rows(_FIELDS if written_us is None else _STAMPED, rows, size)


def stored_parts(parts: dict[str, Decimal]) -> list[tuple[str, Decimal]]:
    """Return the cost by class, without the input, which is the rest of it; the output is always there."""
    if parts.keys() == _FEW:
        return [("output", round(parts["output"], 12))]
    return [(name, round(part, 12)) for name, part in parts.items() if name != "input" and (part or name == "output")]


def _parts_in(row: dict[str, Any]) -> dict[str, Decimal]:
    stored: dict[str, Decimal] = dict(row["parts"])
    if not stored or row["cost"] is None:
        return {}
    parts = {"input": row["cost"] - sum(stored.values(), _NOTHING), **stored}
    return {name: part.normalize() + 0 for name, part in parts.items()}


def _columns(usage: Usage) -> tuple[Any, ...]:
    """Return the totals of a usage, the classes that they do not tell, and its tier."""
    text, read, written, said, thought, tier, requests, contradictory = _usual(usage)
    if _other(usage) == _NO_OTHER and not requests and not contradictory:
        # Nearly every span comes this way.
        return text + read + written, said + thought, read, written, thought, None, tier
    return *(getattr(usage, name) for name in TOTALS), list(usage.others().items()), tier


def _usage(row: dict[str, Any]) -> Usage | None:
    if row["input_tokens"] is None:
        return None
    totals = {name: row[name] or 0 for name in TOTALS}
    return Usage.of_totals(totals, row["usage_classes"], row["tier"] or "standard")


def _amount(stored: Decimal | None) -> Decimal | None:
    return None if stored is None else stored.normalize() + 0


def from_row(row: dict[str, Any]) -> Span:
    """Return the span of a row."""
    texts: dict[str, Any] = {name: row[name] for name in _TEXT}
    flags: dict[str, Any] = {name: bool(row[name]) for name in _FLAGS}
    return Span(
        **texts,
        **flags,
        usage=_usage(row),
        start_us=row["start_us"],
        end_us=row["end_us"],
        first_token_us=row["first_token_us"],
        cost=_amount(row["cost"]),
        parts=_parts_in(row),
        saved=_amount(row["saved"]),
        documents=_documents.decode(row["documents"]) if row["documents"] else [],
        refs=list(row["refs"]),
        tags=list(row["tags"]),
        weight=row["weight"],
        randomness=row["randomness"],
        attributes=msgspec.json.decode(row["attributes"]) if row["attributes"] else {},
        events=msgspec.json.decode(row["events"]) if row["events"] else [],
        resource=msgspec.json.decode(row["resource"]) if row["resource"] else {},
    )
