"""Stored answers of a run: all of them for sums, or a page of them as somebody wants to look at them."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.evals.model import EvaluationResult
from gimbal.axis.evals.results import COLUMNS, JUDGE_COST, SPENT, TABLE, from_row
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.money import ZERO
from gimbal.kernel.pages import Page, check_limit, decode_cursor, encode_cursor

PARTS = ("missing", "failed", "below")
"""Without a value, without an answer, below the best value there is."""
SUITE, WORST = "suite", "worst"
_OF_RUN = "project = {project:String} AND evaluation_id = {id:String}"
_WAITS = "JSONHas(output, 'judged')"
_SCORE = "JSONExtract(scores, {scorer:String}, 'Nullable(Float64)')"
# Of all scorers: what lacks a value, then by the least value.
_LEAST = "if(missing != '{}' OR scores = '{}', -inf, arrayMin(arrayMap(x -> x.2, JSONExtractKeysAndValues(scores, 'Float64'))))"


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers of a run cost so far."""

    places: set[int]
    """Those of the answers that are stored."""
    spent: Decimal
    """US dollars, of judges too."""
    judges: Decimal
    """What judges took of it."""
    judging: Decimal | None
    """What judging one answer took at most; null where nobody knows."""


async def every(columns: Columns, ctx: Context, run_id: str) -> list[EvaluationResult]:
    """Return all answers that are stored, in the order of the suite."""
    rows = await columns.query(
        f"SELECT {COLUMNS} FROM {TABLE} FINAL WHERE {_OF_RUN} ORDER BY position",
        _run(ctx, run_id),
    )
    return [from_row(row) for row in rows]


async def count(columns: Columns, ctx: Context, run_id: str, *, judged: bool = True) -> int:
    """Return how many answers are stored; without `judged` only of those that no scorer has seen."""
    waiting = "" if judged else f" AND {_WAITS}"
    rows = await columns.query(f"SELECT count() AS n FROM {TABLE} FINAL WHERE {_OF_RUN}{waiting}", _run(ctx, run_id))
    return int(rows[0]["n"])


async def positions(columns: Columns, ctx: Context, run_id: str) -> set[int]:
    """Return the places that have an answer."""
    rows = await columns.query(f"SELECT position FROM {TABLE} FINAL WHERE {_OF_RUN}", _run(ctx, run_id))
    return {row["position"] for row in rows}


async def spending(columns: Columns, ctx: Context, run_id: str) -> Spending:
    """Return what the answers that are stored cost this run."""
    rows = await columns.query(
        f"SELECT position, {SPENT} AS spent, {JUDGE_COST} AS judging FROM {TABLE} FINAL WHERE {_OF_RUN}",
        _run(ctx, run_id),
    )
    judging = [row["judging"] for row in rows]
    return Spending(
        places={row["position"] for row in rows},
        spent=sum((row["spent"] for row in rows), ZERO),
        judges=sum(judging, ZERO),
        judging=max(judging, default=ZERO) or None,
    )


async def shared_traces(columns: Columns, ctx: Context, run_id: str, trace_ids: Sequence[str]) -> set[str]:
    """Return which of these traces more than one answer names."""
    rows = await columns.query(
        f"SELECT trace_id FROM {TABLE} FINAL WHERE {_OF_RUN} AND trace_id IN {{traces:Array(String)}} "
        "GROUP BY trace_id HAVING count() > 1",
        _run(ctx, run_id) | {"traces": list(trace_ids)},
    )
    return {row["trace_id"] for row in rows}


async def unjudged(
    columns: Columns, ctx: Context, run_id: str, *, after: int, limit: int
) -> list[tuple[int, EvaluationResult]]:
    """Return the next answers behind a place that no scorer has seen, each with its place."""
    rows = await columns.query(
        f"SELECT position, {COLUMNS} FROM {TABLE} FINAL WHERE {_OF_RUN} AND {_WAITS} AND position > {{after:Int64}} "
        f"ORDER BY position LIMIT {int(limit)}",
        _run(ctx, run_id) | {"after": after},
    )
    return [(row.pop("position"), from_row(row)) for row in rows]


def _run(ctx: Context, run_id: str) -> dict[str, Any]:
    return {"project": ctx.project or "default", "id": run_id}


async def page(
    columns: Columns,
    ctx: Context,
    run_id: str,
    *,
    only: str = "",
    scorer: str = "",
    best: float = 1.0,
    lower_is_better: bool = False,
    order: str = SUITE,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[EvaluationResult]:
    """Return a page of the answers; `only` is one of PARTS or empty, of one `scorer` or (empty) of any.

    `worst` first begins with answers without a value: they are not wrong, but somebody should look. `best` is the
    scorer's best value. Raise BadInput for another `only` or `order`, or a foreign cursor.
    """
    given = _run(ctx, run_id) | {"scorer": scorer, "best": best}
    where = " AND ".join([_OF_RUN, *_part(only, scorer, lower_is_better=lower_is_better)])
    rank = _rank(order, scorer, lower_is_better=lower_is_better)
    after = ""
    if cursor:
        given |= _place(cursor)
        after = f" AND ({rank}, position) > ({{rank:Float64}}, {{position:UInt32}})"
    # First the places, then their rows: whatever sorts looks at no text.
    counted, places = await asyncio.gather(
        columns.query(f"SELECT count() AS n FROM {TABLE} FINAL WHERE {where}", given),
        columns.query(
            f"SELECT position, {rank} AS rank FROM {TABLE} FINAL WHERE {where}{after} "
            f"ORDER BY rank, position LIMIT {check_limit(limit) + 1}",
            given,
        ),
    )
    following = None
    if len(places) > limit:
        places = places[:limit]
        last = places[-1]["rank"]
        # JSON has no infinities.
        place = {"position": places[-1]["position"], "rank": None if last == float("-inf") else last}
        following = encode_cursor(place)
    items = await _at(columns, given, [row["position"] for row in places])
    return Page(items=items, next=following, total=int(counted[0]["n"]))


async def _at(columns: Columns, given: dict[str, Any], positions: list[int]) -> list[EvaluationResult]:
    """Return the answers at these places, in this order."""
    rows = await columns.query(
        f"SELECT position, {COLUMNS} FROM {TABLE} FINAL WHERE {_OF_RUN} AND position IN {{positions:Array(UInt32)}}",
        given | {"positions": positions},
    )
    found = {row.pop("position"): row for row in rows}
    return [from_row(found[position]) for position in positions if position in found]


def _place(cursor: str) -> dict[str, Any]:
    place = decode_cursor(cursor)
    rank, position = place.get("rank"), place.get("position")
    if not isinstance(position, int) or not (rank is None or isinstance(rank, int | float)):
        raise BadInput("The cursor was not made by this list.", where="cursor", todo="Start at the first page.")
    return {"rank": float("-inf") if rank is None else float(rank), "position": position}


def _part(only: str, scorer: str, *, lower_is_better: bool) -> list[str]:
    if not only:
        return []
    if only not in PARTS:
        raise BadInput(
            f"{only!r} is not a part of the answers.", where="only", todo=f"Give one of: {', '.join(PARTS)}."
        )
    if only == "missing":
        return ["JSONHas(missing, {scorer:String})" if scorer else "missing != '{}'"]
    if only == "failed":
        return ["error != ''"]
    if not scorer:
        raise BadInput("Below the best value of which scorer?", where="scorer", todo="Name one.")
    return [f"{_SCORE} {'>' if lower_is_better else '<'} {{best:Float64}}"]


def _rank(order: str, scorer: str, *, lower_is_better: bool) -> str:
    if order == SUITE:
        return "toFloat64(0)"
    if order != WORST:
        raise BadInput(f"{order!r} is no order.", where="order", todo=f"Give {SUITE} or {WORST}.")
    return f"coalesce({'-' if lower_is_better else ''}{_SCORE}, -inf)" if scorer else _LEAST
