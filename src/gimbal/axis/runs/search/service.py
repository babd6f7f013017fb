"""Search over runs, answered by the catalog alone.

A filter that few runs pass is driven by the index of newest values, or by that of parameters or tags where one is asked for
by its value; an order by one metric within one experiment is read from the index of newest values in order. All else goes
through the runs, newest first, until a page is full.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.desk import COLUMNS, WITH_EXPERIMENT, RunRow, row_of
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.search.conditions import Condition, Conditions
from gimbal.axis.runs.search.model import RUNS, RunQuery
from gimbal.axis.runs.search.ordering import Order, by_columns, by_metric, cursor_of, newest_first, part_of
from gimbal.axis.runs.store import experiments, metric_names, run_latest, runs
from gimbal.engines.storage.among import Among
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.keyset import Value, behind, place_of, sorted_by
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause, Ordering, parse, parse_order
from gimbal.kernel.pages import Page

MAX_RUNS = 50_000
_FEW = 5_000
"""Runs that pass one comparison; with more of them it does not pay to begin with that."""
_MOST_EXPERIMENTS = 200
_CHUNK = 2_000
_LARGEST = 2**63 - 1

# Made once: to put a statement together takes longer than SQLite needs for its answer.
_ROWS = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT).where(Among(runs.c.key))

_Found = tuple[list[int], tuple[int, list[Value]] | None]


async def search(ctx: Context, query: RunQuery) -> Page[RunRow]:
    """Return the rows that a query asks for, by its order; `filled` makes them whole.

    What this server acknowledged before is found, also where the columns have not taken it yet. Raise BadInput, which names
    the part (`filter`, `order`, `cursor`, `limit`) that cannot be understood.
    """
    if not 1 <= query.limit <= MAX_RUNS:
        raise BadInput(f"A page cannot have {query.limit} runs.", where="limit", todo=f"Ask for 1 to {MAX_RUNS}.")
    clauses, order = parse(query.filter, RUNS), parse_order(query.order, RUNS)
    if any(one.entity == "dataset" for one in order):
        raise BadInput("Runs are not sorted by their datasets.", where="order", todo="Sort by another column.")
    part = part_of(query)
    if query.experiments is not None and not query.experiments:
        return Page(items=[])
    if ctx.services.has(Points):
        await ctx.get(Points).searchable(ctx.project or "default")
    catalog = ctx.get(Catalog)
    async with catalog.read() as tx:
        names = await _names(tx, ctx.project or "default", clauses, order)
        asked = _Asked(ctx.project or "default", query, clauses, order, Conditions(catalog.dialect, names))
        keys, more = await asked.found(tx, part)
        rows = await _rows(tx, keys)
    return Page(items=rows, next=cursor_of(query, *more) if more else None)


class _Asked:
    """One search, understood."""

    def __init__(
        self, project: str, query: RunQuery, clauses: list[Clause], order: list[Ordering], conditions: Conditions
    ) -> None:
        self._query = query
        self._clauses = clauses
        self._order = order
        self._conditions = conditions
        self._project = project
        self._experiments: list[int] | None = None
        self._driven = False

    async def found(self, tx: AsyncConnection, part: int) -> _Found:
        """Return keys of runs in order, and the place behind the last of them when there are more."""
        if self._query.experiments is not None:
            self._experiments = await self._own(tx, self._query.experiments)
            if not self._experiments:
                return [], None
        one = self._order[0] if len(self._order) == 1 else None
        if one is not None and one.entity == "metric" and self._experiments is not None and len(self._experiments) == 1:
            return await self._by_metric(tx, one, part)
        order = by_columns(self._conditions, self._order) if self._order else newest_first()
        filters = await self._filters(tx)
        return await self._page(tx, 0, order, filters, self._query.limit, continued=self._query.cursor is not None)

    async def _own(self, tx: AsyncConnection, keys: Sequence[int]) -> list[int]:
        """Return those experiments that are the project's."""
        own: list[int] = []
        known = [key for key in keys if 0 <= key <= _LARGEST]
        for start in range(0, len(known), _CHUNK):
            inside = experiments.c.key.in_(known[start : start + _CHUNK])
            query = sa.select(experiments.c.key).where(experiments.c.project == self._project, inside)
            own += (await tx.execute(query)).scalars()
        return own

    def _scope(self) -> list[Condition]:
        """Return the conditions of project, experiments and stage, each for the index that has it."""
        within, stage = runs.c.project, runs.c.stage
        keys = self._query.experiments and self._experiments
        if keys:
            within = runs.c.experiment_key
        if self._driven:
            # Not by those indexes: the few runs are known.
            within, stage = within.op("+")(0) if keys else within.op("||")(""), stage.op("||")("")
        scope = [within == self._project if not keys else within == keys[0] if len(keys) == 1 else within.in_(keys)]
        return scope if self._query.view == "all" else [*scope, stage == self._query.view]

    async def _by_metric(self, tx: AsyncConnection, one: Ordering, part: int) -> _Found:
        """Read an index in its order: runs with a number, then those with NaN, then those without, newest first."""
        mine = run_latest.c.name_key == self._conditions.name_key(one.key)
        within = run_latest.c.experiment_key == (self._experiments or [0])[0]
        own = [clause for clause in self._clauses if (clause.entity, clause.key) == ("metric", one.key)]
        others = [self._conditions.of(clause) for clause in self._clauses if clause not in own]
        numbers = [test for clause in own for test in self._conditions.of_metric(clause)]
        has = sa.exists().where(run_latest.c.run_key == runs.c.key, mine)
        nan = sa.exists().where(run_latest.c.run_key == runs.c.key, mine, run_latest.c.value.is_(None))
        all_others = [self._conditions.of(clause) for clause in self._clauses]
        parts = [
            (by_metric(self._conditions, one), [within, mine, run_latest.c.value.is_not(None), *numbers, *others]),
            (newest_first(), [nan, *all_others]),
            (newest_first(), [~has, *all_others]),
        ]
        if own:
            # What has no such metric passes no comparison with it.
            parts = parts[:2]
        keys: list[int] = []
        for number, (order, filters) in enumerate(parts):
            if number < part:
                continue
            continued = number == part and self._query.cursor is not None
            left = self._query.limit - len(keys)
            if left == 0:
                if (await self._page(tx, number, order, filters, 1, continued=False))[0]:
                    return keys, (number, [_LARGEST, _LARGEST])
                continue
            found, more = await self._page(tx, number, order, filters, left, continued=continued)
            keys += found
            if more:
                return keys, more
        return keys, None

    async def _filters(self, tx: AsyncConnection) -> list[Condition]:
        """Return the conditions; where few runs pass one that an index has, that one as the set of those."""
        driving = await self._driving(tx)
        self._driven = driving is not None
        conditions = [self._conditions.of(clause) for clause in self._clauses]
        if driving is not None:
            place, few = driving
            conditions[place] = runs.c.key.in_(few)
        return conditions

    async def _driving(self, tx: AsyncConnection) -> tuple[int, sa.Select[tuple[int]]] | None:
        """Return which comparison the fewest runs pass, and those; None where that are many."""
        best: tuple[int, int, sa.Select[tuple[int]]] | None = None
        for place, clause in enumerate(self._clauses):
            found = await self._indexed(tx, clause)
            if found is None:
                continue
            some = found.limit(_FEW + 1).subquery()
            count = int((await tx.execute(sa.select(sa.func.count()).select_from(some))).scalar_one())
            if count <= _FEW and (best is None or count < best[0]):
                best = count, place, found
        return best[1:] if best else None

    async def _indexed(self, tx: AsyncConnection, clause: Clause) -> sa.Select[tuple[int]] | None:
        """Return the keys of runs that pass a comparison, where an index has them; other projects' may be among them."""
        if clause.entity != "metric" or clause.op == "!=":
            return self._conditions.labelled(clause)
        if self._experiments is None:
            mine = sa.select(experiments.c.key).where(experiments.c.project == self._project)
            self._experiments = list((await tx.execute(mine.limit(_MOST_EXPERIMENTS + 1))).scalars())
        if len(self._experiments) > _MOST_EXPERIMENTS:
            return None
        return sa.select(run_latest.c.run_key).where(self._within(), *self._conditions.of_metric(clause))

    def _within(self) -> Condition:
        keys = self._experiments or []
        return run_latest.c.experiment_key == keys[0] if len(keys) == 1 else run_latest.c.experiment_key.in_(keys)

    async def _page(
        self, tx: AsyncConnection, part: int, order: Order, filters: list[Condition], limit: int, *, continued: bool
    ) -> _Found:
        terms = order.terms
        query = sa.select(runs.c.key, *(term.column.label(f"t{place}") for place, term in enumerate(terms)))
        query = query.select_from(order.source).where(*self._scope(), *filters)
        if continued:
            query = query.where(behind(terms, place_of(self._query.cursor or "", terms)))
        query = query.order_by(*sorted_by(terms)).limit(limit + 1)
        found = (await tx.execute(query)).all()
        more = (part, list(found[limit - 1][1:])) if len(found) > limit else None
        return [row[0] for row in found[:limit]], more


async def _names(
    tx: AsyncConnection, project: str, clauses: Sequence[Clause], order: Sequence[Ordering]
) -> Mapping[str, int]:
    wanted = {one.key for one in (*clauses, *order) if one.entity == "metric"}
    if not wanted:
        return {}
    query = sa.select(metric_names.c.name, metric_names.c.key)
    query = query.where(metric_names.c.project == project, metric_names.c.name.in_(sorted(wanted)))
    return {row.name: row.key for row in await tx.execute(query)}


async def _rows(tx: AsyncConnection, keys: Sequence[int]) -> list[RunRow]:
    """Return rows in the order of their keys."""
    found = {row["key"]: row for row in (await tx.execute(_ROWS, {"keys": keys})).mappings().all()}
    return [row_of(found[key]) for key in keys]
