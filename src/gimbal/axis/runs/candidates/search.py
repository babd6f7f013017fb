"""Searches over logged models as SQL."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.candidates.model import ModelOrder, ModelQuery
from gimbal.axis.runs.candidates.store import (
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
)
from gimbal.axis.runs.store import experiments
from gimbal.engines.storage.comparing import Condition, field_condition, label_condition, number_condition
from gimbal.engines.storage.keyset import Term, page, term_of
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import ALIASES, Clause, Spec

COLUMNS = (*logged_models.c, experiments.c.name.label("experiment"))
WITH_EXPERIMENT = logged_models.join(experiments, logged_models.c.experiment_key == experiments.c.key)
FIELDS: Mapping[str, Any] = {
    "name": logged_models.c.name,
    "model_id": logged_models.c.id,
    "model_type": logged_models.c.model_type,
    "status": logged_models.c.status,
    "source_run_id": sa.func.coalesce(logged_models.c.source_run_id, ""),
    "creation_timestamp": logged_models.c.created_at,
    "last_updated_timestamp": logged_models.c.updated_at,
}


MODELS = Spec(
    entities={
        "attribute": {
            "name": "listed",
            "model_id": "listed",
            "model_type": "listed",
            "status": "listed",
            "source_run_id": "listed",
            "creation_timestamp": "number",
            "last_updated_timestamp": "number",
        },
        "tag": "label",
        "parameter": "label",
        "metric": "number",
    },
    aliases=ALIASES,
    keys={"creation_time": "creation_timestamp", "last_updated_time": "last_updated_timestamp"},
)
"""What logged models are searched by."""


async def model_rows(tx: AsyncConnection, project: str, asked: ModelQuery) -> tuple[list[dict[str, Any]], str | None]:
    """Return rows, and the cursor behind them where there are more."""
    sqlite = tx.dialect.name == "sqlite"
    query = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT)
    query = query.where(logged_models.c.project == project, logged_models.c.stage == "active")
    query = query.where(logged_models.c.experiment_key.in_(asked.experiments))
    for clause in asked.clauses:
        query = query.where(_condition(clause, asked.datasets, sqlite=sqlite))
    if asked.datasets and not any(clause.entity == "metric" for clause in asked.clauses):
        query = query.where(sa.exists().where(*_measured(asked.datasets)))
    search = [asked.experiments, asked.clauses, asked.datasets, asked.order]
    terms = _terms(asked.order, sqlite=sqlite)
    return await page(tx, query, terms, asked=search, cursor=asked.cursor, limit=asked.limit)


def _terms(orders: Sequence[ModelOrder], *, sqlite: bool) -> list[Term]:
    terms: list[Term] = []
    seen: set[tuple[str, str, str]] = set()
    for order in orders:
        place = (order.key, order.dataset_name, order.dataset_digest)
        if place in seen:
            raise BadInput("`order_by` contains duplicate fields.", where="order_by", todo="Name each field once.")
        seen.add(place)
        terms += _ordered(order, sqlite=sqlite)
    if not any(order.key == "creation_timestamp" and not order.metric for order in orders):
        terms.append(term_of(logged_models.c.created_at, ascending=False, sqlite=sqlite))
    return [*terms, Term(logged_models.c.key, ascending=False)]


def _measured(datasets: list[tuple[str, str]], *more: Condition) -> list[Condition]:
    mine = [logged_model_metrics.c.model_key == logged_models.c.key, *more]
    if not datasets:
        return mine
    of = [
        sa.and_(
            logged_model_metrics.c.dataset_name == name,
            *([logged_model_metrics.c.dataset_digest == digest] if digest else []),
        )
        for name, digest in datasets
    ]
    return [*mine, sa.or_(*of)]


def _condition(clause: Clause, datasets: list[tuple[str, str]], *, sqlite: bool) -> Condition:
    match clause.entity:
        case "metric":
            assert isinstance(clause.value, int | float)
            same = logged_model_metrics.c.name == clause.key
            right = number_condition(logged_model_metrics.c.value, clause.op, clause.value)
            return sa.exists().where(*_measured(datasets, same, right))
        case "parameter" | "tag":
            table = logged_model_params if clause.entity == "parameter" else logged_model_tags
            return label_condition(table, table.c.model_key == logged_models.c.key, clause, sqlite=sqlite)
        case _:
            return field_condition(FIELDS, clause, sqlite=sqlite)


def _ordered(order: ModelOrder, *, sqlite: bool) -> list[Term]:
    """Return the terms for one field: models that have no such metric come last, those with NaN before them."""
    if not order.metric:
        if order.key not in FIELDS:
            raise BadInput(f"Invalid order by field name: {order.key}.", where="order_by", todo="Use creation_time.")
        return [term_of(FIELDS[order.key], ascending=not order.descending, sqlite=sqlite)]
    mine = [logged_model_metrics.c.model_key == logged_models.c.key, logged_model_metrics.c.name == order.key]
    if order.dataset_name:
        mine.append(logged_model_metrics.c.dataset_name == order.dataset_name)
    if order.dataset_digest:
        mine.append(logged_model_metrics.c.dataset_digest == order.dataset_digest)
    # Of several datasets the value that was measured last; by their names where even that is the same.
    newest = (
        logged_model_metrics.c.at_us.desc(),
        logged_model_metrics.c.step.desc(),
        logged_model_metrics.c.dataset_name,
        logged_model_metrics.c.dataset_digest,
    )
    value = sa.select(logged_model_metrics.c.value).where(*mine).order_by(*newest).limit(1).scalar_subquery()
    there = sa.exists().where(*mine)
    rank = sa.case((value.is_not(None), 0), (there, 1), else_=2)
    return [Term(rank, ascending=True), Term(value, not order.descending, float, nullable=True)]
