"""The column table of events that came by themselves, apart from their spans: rows in, and what a span looks like with them.

An event is known by its project, trace, span, time, name and what it says, so that one sent again is the same. It may come
before or after its span; whoever reads the span puts the two together.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.traces.logs import RawEvent
from gimbal.axis.traces.model import Span
from gimbal.engines.storage.columns import Columns

TABLE = "span_events"
# Of one trace; of those beyond nobody could read the messages.
_MOST = 50_000
_json = msgspec.json.Encoder(enc_hook=str, order="deterministic")
Events = Mapping[tuple[str, str], Sequence[dict[str, Any]]]
"""Events by trace and span id, by time."""


def to_table(project: str, events: Sequence[RawEvent]) -> pa.Table:
    """Return the Arrow table of a batch."""
    said = [_json.encode(event.attributes) for event in events]
    return pa.table(
        {
            "project": pa.repeat(project, len(events)),
            **{
                name: pa.array([getattr(event, name) for event in events], pa.string())
                for name in ("trace_id", "span_id", "name", "scope")
            },
            "at_ns": pa.array([event.at_ns for event in events], pa.int64()),
            "position": pa.array([event.position for event in events], pa.uint32()),
            "digest": [hashlib.blake2b(one, digest_size=16).hexdigest() for one in said],
            "attributes": [one.decode() for one in said],
            "resource": [_json.encode(event.resource).decode() for event in events],
        }
    )


async def of_traces(columns: Columns, project: str, trace_ids: Sequence[str], span_id: str = "") -> Events:
    """Return the events of some traces by their spans, or those of one span, in the order in which they happened."""
    only = " AND span_id = {span:String}" if span_id else ""
    rows = await columns.query(
        f"SELECT trace_id, span_id, at_ns, name, attributes FROM {TABLE} "
        "WHERE project = {project:String} AND trace_id IN {ids:Array(String)} AND span_id != ''"
        f"{only} "
        "ORDER BY at_ns, position, written_us LIMIT 1 BY trace_id, span_id, at_ns, name, digest LIMIT {most:UInt64}",
        {"project": project, "ids": list(trace_ids), "span": span_id, "most": _MOST * len(trace_ids)},
    )
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        event = {
            "name": row["name"],
            "at_us": row["at_ns"] // 1000,
            "attributes": msgspec.json.decode(row["attributes"]),
        }
        found.setdefault((row["trace_id"], row["span_id"]), []).append(event)
    return found


def with_events(span: Span, events: Events) -> Span:
    """Return a span with its events from the table among its own, by time; the same object where there are none."""
    more = events.get((span.trace_id, span.span_id))
    if not more:
        return span
    # Some senders write an event on the span and send it, too.
    new = [event for event in more if event not in span.events]
    return msgspec.structs.replace(span, events=sorted([*span.events, *new], key=lambda event: event["at_us"]))
