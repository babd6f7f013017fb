"""The beginnings of what went into traces and came out, as lists show them."""

from collections.abc import Sequence

from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context

_LONGEST = 1000


async def previews(ctx: Context, trace_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the first 1,000 characters of the input and the output of the root of each trace, as JSON text."""
    rows = await ctx.get(Columns).query(
        "SELECT trace_id, substringUTF8(input, 1, {most:UInt32}) AS given, substringUTF8(output, 1, {most:UInt32}) AS came "
        "FROM spans WHERE project = {project:String} AND trace_id IN {ids:Array(String)} AND parent_id = '' "
        "ORDER BY start_us, written_us DESC LIMIT 1 BY trace_id",
        {"project": ctx.project or "default", "ids": list(trace_ids), "most": _LONGEST},
    )
    return {row["trace_id"]: (row["given"], row["came"]) for row in rows}
