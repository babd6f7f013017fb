"""What spans left in the blobs, read back: long values, the rest of a span, media and vectors.

Blobs are known by what is in them, over all projects. So one is given out only where a span or an event of the trace, in
the project that was asked, was marked with it when it came: whoever merely writes a digest into a span learns nothing.
"""

import asyncio
import mimetypes
from typing import Any

import msgspec

from gimbal.axis.traces.fitting import MARK
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.http import Download
from gimbal.kernel.ids import is_trace_id

# What a browser may be told that it gets; anything else a sender may call as it likes, and it is bytes.
_TOLD = {
    **{name: name for name in (
        "image/png", "image/jpeg", "image/gif", "image/webp", "audio/mpeg", "audio/wav", "audio/ogg", "audio/flac",
        "audio/mp4", "audio/webm", "application/json", "application/pdf",
    )},
    "audio/mp3": "audio/mpeg", "image/jpg": "image/jpeg", "audio/x-wav": "audio/wav",
    "text/plain": "text/plain; charset=utf-8",
}  # fmt: skip
_FROM = (
    "SELECT attributes, resource FROM (SELECT attributes, resource FROM {table} WHERE project = {{project:String}} "
    "AND trace_id = {{id:String}} ORDER BY written_us DESC LIMIT 1 BY {key}) "
    "WHERE position(attributes, {{digest:String}}) > 0 OR position(resource, {{digest:String}}) > 0"
)
_QUESTIONS = (
    _FROM.format(table="spans", key="span_id"),
    _FROM.format(table="span_events", key="span_id, at_ns, name, digest"),
)


async def payload(ctx: Context, trace_id: str, digest: str) -> Download:
    """Return what a trace left in the blobs under a digest; raise NotFound where it left nothing under it."""
    media_type = await _type_of(ctx, trace_id, digest) if is_trace_id(trace_id) else None
    if media_type is None:
        raise NotFound(
            f"The trace {trace_id} left nothing in the blobs under {digest[:80]}.",
            where="digest",
            todo="What it left is among its spans' attributes, in gimbal.ingest under payloads.",
        )
    blobs = ctx.get(Blobs)
    told = _TOLD.get(media_type, "application/octet-stream")
    ending = ".txt" if told.startswith("text/") else mimetypes.guess_extension(told) or ""
    return Download(
        chunks=blobs.stream(digest),
        media_type=told,
        filename=f"{digest[3:15]}{ending}",
        size=await blobs.size(digest),
    )


async def _type_of(ctx: Context, trace_id: str, digest: str) -> str | None:
    """Return the media type with which a trace bears a digest; None where it does not."""
    values = {"project": ctx.project or "default", "id": trace_id, "digest": digest}
    columns = ctx.get(Columns)
    for rows in await asyncio.gather(*(columns.query(question, values) for question in _QUESTIONS)):
        for row in rows:
            for said in (row["attributes"], row["resource"]):
                found = _payloads(said).get(digest)
                if isinstance(found, str):
                    return found
    return None


def _payloads(said: str) -> dict[str, Any]:
    """Return the digests in the mark that we put on a span, an event or a resource, each with its media type."""
    mark = msgspec.json.decode(said).get(MARK) if said else None
    held = mark.get("payloads") if isinstance(mark, dict) else None
    return held if isinstance(held, dict) else {}
