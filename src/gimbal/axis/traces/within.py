"""What is asked of one trace beyond its spans: where a text stands, and which traces stand beside it in its session."""

import msgspec

from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces, check_trace_id
from gimbal.axis.traces.shapes import FoundSpans
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

MOST_FOUND = 10_000
_LONGEST_TEXT = 1000
_SEARCHED = ("name", "kind", "status_message", "model", "input", "output", "documents", "attributes", "events")


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """The traces before and after one in its session, by start; empty where there is none."""

    before: str = ""
    after: str = ""


async def find_spans(ctx: Context, trace_id: str, text: str) -> FoundSpans:
    """Return the spans of a trace with a text in their name, messages, documents, attributes or events, in any case.

    Raise BadInput, NotFound.
    """
    check_trace_id(trace_id)
    if not text.strip() or len(text) > _LONGEST_TEXT:
        raise BadInput(
            "The text is empty." if not text.strip() else f"The text has {len(text):,} characters.",
            where="text",
            todo=f"Give up to {_LONGEST_TEXT:,} characters.",
        )
    columns = ", ".join(_SEARCHED)
    has = " OR ".join(f"positionCaseInsensitiveUTF8({name}, {{text:String}}) > 0" for name in _SEARCHED)
    values = {"project": ctx.project or "default", "id": trace_id, "text": text, "most": MOST_FOUND + 1}
    rows = await ctx.get(Columns).query(
        f"SELECT span_id FROM (SELECT span_id, start_us, weight, {columns} FROM spans WHERE project = {{project:String}} "
        "AND trace_id = {id:String} ORDER BY written_us DESC LIMIT 1 BY span_id) "
        f"WHERE weight > 0 AND ({has}) ORDER BY start_us, span_id LIMIT {{most:UInt32}}",
        values,
    )
    if not rows and not await ctx.get(Traces).known(ctx, "trace", [trace_id]):
        raise ctx.get(Traces).missing(trace_id)
    return FoundSpans(ids=[row["span_id"] for row in rows[:MOST_FOUND]], more=len(rows) > MOST_FOUND)


async def neighbours(ctx: Context, summary: TraceSummary) -> Neighbours:
    """Return the traces next to one in its session."""
    if not summary.session_id:
        return Neighbours()
    values = {
        "project": ctx.project or "default",
        "session": summary.session_id,
        "at": to_us(summary.start),
        "id": summary.trace_id,
    }
    rows = await ctx.get(Columns).query(
        "SELECT argMaxIf(trace_id, (begun, trace_id), (begun, trace_id) < ({at:Int64}, {id:String})) AS before, "
        "argMinIf(trace_id, (begun, trace_id), (begun, trace_id) > ({at:Int64}, {id:String})) AS after "
        "FROM (SELECT trace_id, min(start_us) AS begun FROM spans WHERE project = {project:String} "
        "AND session_id = {session:String} AND trace_id != {id:String} AND weight > 0 GROUP BY trace_id)",
        values,
    )
    return Neighbours(**rows[0]) if rows else Neighbours()
