"""Search over experiments, by the names and numbers under which MLflow's clients know them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.experiments.model import DEFAULT, DEFAULT_ID, SHOWN_DEFAULT
from gimbal.axis.runs.search.model import View
from gimbal.axis.runs.store import experiment_tags, experiments
from gimbal.engines.storage.comparing import field_condition, label_condition
from gimbal.engines.storage.keyset import Term, page, term_of
from gimbal.kernel.filters import ALIASES, Clause, Kind, Ordering, Spec

_TIMES: dict[str, Kind] = {"creation_time": "number", "last_update_time": "number"}
EXPERIMENTS = Spec(
    entities={"attribute": {"name": "text", "experiment_id": "listed", **_TIMES}, "tag": "label"}, aliases=ALIASES
)
"""What experiments are searched by."""
EXPERIMENT_ORDERS = Spec(entities={"attribute": {"name": "text", "experiment_id": "whole", **_TIMES}}, aliases=ALIASES)
"""What they are sorted by."""

_default = experiments.c.name == DEFAULT
_name = sa.case((_default, SHOWN_DEFAULT), else_=experiments.c.name)
_FIELDS: dict[str, Any] = {
    "name": _name,
    "experiment_id": sa.case((_default, DEFAULT_ID), else_=sa.cast(experiments.c.key, sa.Text)),
    "creation_time": experiments.c.created_at,
    "last_update_time": experiments.c.updated_at,
}
_SORTED: dict[str, Any] = _FIELDS | {
    "experiment_id": sa.case((_default, int(DEFAULT_ID)), else_=sa.type_coerce(experiments.c.key, sa.BigInteger))
}


class ExperimentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which experiments, in which order, and which page of them."""

    clauses: Sequence[Clause] = ()
    order: Sequence[Ordering] = ()
    """Newest first where nothing is said."""
    view: View = "active"
    cursor: str | None = None
    """`next` of the page before, for the same question."""
    limit: int = 1000


async def experiment_rows(
    tx: AsyncConnection, project: str, asked: ExperimentQuery
) -> tuple[list[dict[str, Any]], str | None]:
    """Return rows, and the cursor behind them where there are more; raise BadInput for a cursor of another search."""
    sqlite = tx.dialect.name == "sqlite"
    query = sa.select(experiments).where(experiments.c.project == project)
    if asked.view != "all":
        query = query.where(experiments.c.stage == asked.view)
    mine = experiment_tags.c.experiment_key == experiments.c.key
    for clause in asked.clauses:
        query = query.where(
            label_condition(experiment_tags, mine, clause, sqlite=sqlite)
            if clause.entity == "tag"
            else field_condition(_FIELDS, clause, sqlite=sqlite)
        )
    order = asked.order or [Ordering(key="creation_time", ascending=False)]
    terms = [term_of(_SORTED[one.key], ascending=one.ascending, sqlite=sqlite) for one in order]
    terms.append(Term(experiments.c.key, ascending=True))
    search = [asked.clauses, asked.order, asked.view]
    return await page(tx, query, terms, asked=search, cursor=asked.cursor, limit=asked.limit)
