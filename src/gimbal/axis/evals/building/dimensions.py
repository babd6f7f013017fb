"""What traces are dealt out by, and what becomes the slice of an example: a word of the trace, an attribute, a score."""

from collections.abc import Mapping, Sequence
from datetime import UTC

import msgspec

from gimbal.axis.traces.filters import held
from gimbal.axis.traces.finding_model import Judgement
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.model import TraceSummary
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

_PLAIN = ("feature", "model", "kind", "status", "hour")
_NAMED = ("attribute", "tag", "score")
_LONGEST = 200
# What the head says, else the first span that says something.
_FIRST = "tuple(s.is_root = 0, s.parent_id != '', s.start_us)"


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """One thing by which traces differ."""

    kind: str
    """A word of the trace, or `attribute`, `tag` or `score`."""
    name: str = ""
    """Key of the attribute or tag, name of the score."""


def read_dimension(text: str, where: str) -> Dimension | None:
    """Return what a caller wrote, None for nothing; raise BadInput."""
    if not text:
        return None
    kind, _, name = text.partition(":")
    if (kind in _PLAIN and text == kind) or (kind in _NAMED and 0 < len(name) <= _LONGEST and "\0" not in name):
        return Dimension(kind=kind, name=name)
    raise BadInput(
        f"Traces are not told apart by {text[:_LONGEST]!r}.",
        where=where,
        todo=f"Give {', '.join(_PLAIN)}, score:NAME, attribute:KEY or tag:KEY.",
    )


async def values_of(ctx: Context, dimension: Dimension | None, traces: Sequence[TraceSummary]) -> Mapping[str, str]:
    """Return what traces have there, by their ids; those are left out that have nothing."""
    if dimension is None or not traces:
        return {}
    ids = [one.trace_id for one in traces]
    match dimension.kind:
        case "attribute":
            found = await _of_spans(ctx, ids, held("key"), dimension.name)
        case "tag":
            tagged = "arrayFirst(t -> startsWith(t, {key:String}), s.tags)"
            found = await _of_spans(ctx, ids, f"substring({tagged}, length({{key:String}}) + 1)", f"{dimension.name}:")
        case "score":
            judged = await judgements_of(ctx, ids)
            found = {id_: said for id_, ones in judged.items() if (said := _scored(ones, dimension.name))}
        case "hour":
            found = {one.trace_id: f"{one.start.astimezone(UTC):%H}:00" for one in traces}
        case _:
            found = {one.trace_id: getattr(one, dimension.kind) for one in traces}
    return {trace_id: value[:_LONGEST] for trace_id, value in found.items() if value}


async def judgements_of(ctx: Context, trace_ids: Sequence[str]) -> Mapping[str, Sequence[Judgement]]:
    """Return what was said of traces and their spans, the newest first; nothing where nobody keeps scores."""
    if not trace_ids or not ctx.services.has(Judgements):
        return {}
    return await ctx.get(Judgements).of_many(ctx, "trace", trace_ids)


def told(one: Judgement) -> str:
    """Return a judgement as a word: its label, else its number; empty where it is missing."""
    return "" if one.missing else one.label or ("" if one.value is None else f"{one.value:g}")


def _scored(ones: Sequence[Judgement], name: str) -> str:
    return next((told(one) for one in ones if one.name == name), "")


async def _of_spans(ctx: Context, ids: Sequence[str], value: str, key: str) -> dict[str, str]:
    """Return the value of an expression over the span that says it first, by trace."""
    reads = "trace_id, span_id, parent_id, is_root, start_us, attributes, tags, weight"
    rows = await ctx.get(Columns).query(
        f"SELECT trace_id, argMinIf({value} AS said, {_FIRST}, said != '') AS value FROM (SELECT {reads} FROM spans "
        "WHERE project = {project:String} AND trace_id IN {ids:Array(String)} "
        "ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) AS s WHERE s.weight > 0 GROUP BY trace_id",
        {"project": ctx.project or "default", "ids": list(ids), "key": key},
    )
    return {row["trace_id"]: row["value"] for row in rows}
