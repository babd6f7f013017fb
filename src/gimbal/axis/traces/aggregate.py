"""Sums and percentiles over spans: how many, how much, how slow, by dimension and time.

The newest version of each span counts once, a call counts once whichever spans report it, and a span that stands for
others counts for them. Unknown stays unknown: it is no group's zero.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.traces import measures
from gimbal.axis.traces.dimensions import Plan, check_choice, plan
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.measures import Measure
from gimbal.axis.traces.model import Aggregate
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

MOST_GROUPS, MOST_ROWS = 1000, 10_000
# States take more memory than sums: where there are many groups, reading twice is cheaper.
_MOST_STATES = 10_000
_US: dict[str, int] = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    by: tuple[str, ...] = ()
    """Up to two dimensions."""
    every: str | None = None
    order: str = "spans"
    limit: int = 50
    narrowed: TraceFilter = TraceFilter()
    roots: bool = False
    """Only spans without a parent."""
    parts: bool = False
    """Whether the cost is told by token class, too."""


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question as it is put to the columns."""

    columns: Columns
    plan: Plan
    sums: tuple[Measure, ...]
    keys: tuple[str, ...]
    order: str
    every: str | None
    most: int

    @property
    def start(self) -> str:
        return (
            "CAST(NULL, 'Nullable(Int64)')"
            if self.every is None
            else f"s.start_us - positiveModulo(s.start_us, {_US[self.every]})"
        )

    def at_once(self) -> str:
        return ", ".join(one.at_once for one in self.sums)

    async def table(self, sql: str, **values: Any) -> pa.Table:
        """Return the rows of a statement whose spans are those of the plan."""
        return await self.columns.arrow(
            f"{self.plan.head()} {sql}{measures.LIMITED}", {**self.plan.values, "most": self.most, **values}
        )


async def aggregate(ctx: Context, question: Question) -> Aggregate:
    """Return what a project's spans come to; raise BadInput, or DeadlineExceeded when it takes too long."""
    if not 1 <= question.limit <= MOST_GROUPS:
        raise BadInput(f"There cannot be {question.limit} groups.", where="limit", todo=f"Ask for 1 to {MOST_GROUPS}.")
    check_choice("order", question.order, measures.ORDERS)
    if question.every is not None:
        check_choice("every", question.every, _US)
    reading = plan(ctx.project or "default", question.by, question.narrowed, roots=question.roots)
    columns = ctx.get(Columns)
    state = (await columns.query(reading.state(groups=question.every is None), reading.values))[0]
    more = {"cached": bool(state["cached"]), "parts": question.parts}
    asked = _Asked(
        columns=columns,
        plan=reading.over(state, measured=measures.columns(**more)),
        sums=measures.sums(weighted=state["weighted"], **more),
        keys=tuple(f"k{place}" for place in range(len(question.by))),
        order=measures.ordered(question.order, weighted=state["weighted"]),
        every=question.every,
        most=question.limit,
    )
    if not question.by:
        return await _without_dimensions(asked)
    if question.every is not None:
        return await _by_time(asked)
    return await (_in_one(asked) if question.limit < state["groups"] <= _MOST_STATES else _by_groups(asked))


async def _without_dimensions(asked: _Asked) -> Aggregate:
    table = await asked.table(
        f"SELECT {asked.start} AS start, {asked.at_once()} FROM ({asked.plan.spans()}) AS s GROUP BY start ORDER BY start "
        f"LIMIT {MOST_ROWS + 1}"
    )
    _check_rows(table)
    return Aggregate(groups=measures.groups(table, ()), more=False, other=[])


async def _by_groups(asked: _Asked) -> Aggregate:
    """Return the groups with the most, and of a second reading all others as one."""
    keys = ", ".join(asked.keys)
    table = await asked.table(
        f"SELECT {keys}, {asked.at_once()} FROM ({asked.plan.spans()}) AS s GROUP BY {keys} "
        f"ORDER BY isNull({asked.order}), {asked.order} DESC, {keys} LIMIT {{most:UInt32}} + 1"
    )
    more, top = table.num_rows > asked.most, table.slice(0, asked.most)
    groups = measures.groups(top, asked.keys)
    if not more:
        return Aggregate(groups=groups, more=False, other=[])
    place, values = _place([top.column(key).to_pylist() for key in asked.keys])
    rest = await asked.table(
        f"SELECT {asked.at_once()} FROM (SELECT *, {place} AS place FROM ({asked.plan.spans()})) AS s "
        f"WHERE s.place = {top.num_rows} GROUP BY s.place",
        **values,
    )
    return Aggregate(groups=groups, more=True, other=measures.groups(rest, ()))


async def _in_one(asked: _Asked) -> Aggregate:
    """Return the same of one reading: the states of the groups are kept until it is known which are put together."""
    keys = ", ".join(asked.keys)
    states = ", ".join(one.state for one in asked.sums)
    ended = ", ".join(one.ended for one in asked.sums if one.name in asked.order)
    table = await asked.table(
        f"SELECT if(place > {{most:UInt32}}, 0, place) AS shown, {', '.join(f'any({key}) AS {key}' for key in asked.keys)}, "
        f"{', '.join(one.merged for one in asked.sums)} "
        f"FROM (SELECT *, row_number() OVER (ORDER BY isNull(worth), worth DESC, {keys}) AS place "
        f"FROM (SELECT *, {ended}, {asked.order} AS worth "
        f"FROM (SELECT {keys}, {states} FROM ({asked.plan.spans()}) AS s GROUP BY {keys}))) GROUP BY shown ORDER BY shown"
    )
    rest = 1 if table.num_rows and table.column("shown")[0].as_py() == 0 else 0
    return Aggregate(
        groups=measures.groups(table.slice(rest), asked.keys),
        more=bool(rest),
        other=measures.groups(table.slice(0, rest), ()),
    )


async def _by_time(asked: _Asked) -> Aggregate:
    """Return the groups with the most by time, and all others as one by time."""
    keys = ", ".join(asked.keys)
    # Here they are only put in order: what is not read is not summed up.
    found = await asked.table(
        f"SELECT {keys} FROM (SELECT {keys}, {asked.at_once()} FROM ({asked.plan.spans()}) AS s GROUP BY {keys}) "
        f"ORDER BY isNull({asked.order}), {asked.order} DESC, {keys} LIMIT {{most:UInt32}} + 1"
    )
    more, top = found.num_rows > asked.most, found.slice(0, asked.most)
    place, values = _place([top.column(key).to_pylist() for key in asked.keys])
    table = await asked.table(
        f"SELECT place, {asked.start} AS start, {asked.at_once()} FROM (SELECT *, {place} AS place "
        f"FROM ({asked.plan.spans()})) AS s GROUP BY place, start ORDER BY start, place LIMIT {MOST_ROWS + 1}",
        **values,
    )
    _check_rows(table)
    places = table.column("place").to_numpy()
    shown, others = table.filter(pa.array(places < top.num_rows)), table.filter(pa.array(places == top.num_rows))
    for key in asked.keys:
        shown = shown.append_column(key, top.column(key).take(shown.column("place")))
    return Aggregate(groups=measures.groups(shown, asked.keys), more=more, other=measures.groups(others, ()))


def _place(top: Sequence[Sequence[str]]) -> tuple[str, dict[str, Any]]:
    """Return the expression that tells the place of a span's group among those, their number where it has none.

    Numbers are compared faster than texts: each value gets one, and each group one of those of its values.
    """
    code, codes, values = "0", [0] * len(top[0]), dict[str, Any]()
    for at, column in enumerate(top):
        different = list(dict.fromkeys(column))
        numbers = {value: number for number, value in enumerate(different)}
        size = len(different) + 1
        values |= {f"texts{at}": different, f"numbers{at}": list(range(len(different)))}
        number = (
            f"transform(k{at}, {{texts{at}:Array(String)}}, {{numbers{at}:Array(UInt32)}}, toUInt32({len(different)}))"
        )
        code = f"{code} * {size} + {number}"
        codes = [old * size + numbers[value] for old, value in zip(codes, column, strict=True)]
    values |= {"codes": codes, "places": list(range(len(codes)))}
    return (
        f"transform(toUInt32({code}), {{codes:Array(UInt32)}}, {{places:Array(UInt32)}}, toUInt32({len(codes)}))",
        values,
    )


def _check_rows(table: pa.Table) -> None:
    if table.num_rows > MOST_ROWS:
        raise BadInput(
            f"The answer would have more than {MOST_ROWS:,} rows.",
            where="every",
            todo="Take a larger stretch of time, a shorter range, or fewer groups.",
        )
