"""Searches over logged models as SQL."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gimbal.axis.assets.registry.model import Clause
from gimbal.axis.assets.registry.search import compared
from gimbal.axis.runs.candidates.model import ModelOrder, ModelQuery
from gimbal.axis.runs.candidates.store import (
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
)
from gimbal.axis.runs.store import experiments
from gimbal.kernel.errors import BadInput

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


def models_query(project: str, asked: ModelQuery, dialect: str) -> sa.Select[Any]:
    """Return the query; one row more than the limit tells that there are more."""
    query = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT)
    query = query.where(logged_models.c.project == project, logged_models.c.stage == "active")
    query = query.where(logged_models.c.experiment_key.in_(asked.experiments))
    for clause in asked.clauses:
        query = query.where(_condition(clause, asked.datasets, dialect))
    if asked.datasets and not any(clause.entity == "metric" for clause in asked.clauses):
        query = query.where(sa.exists().where(*_measured(asked.datasets)))
    seen: set[tuple[str, str, str]] = set()
    for order in asked.order:
        place = (order.key, order.dataset_name, order.dataset_digest)
        if place in seen:
            raise BadInput("`order_by` contains duplicate fields.", where="order_by", todo="Name each field once.")
        seen.add(place)
        query = query.order_by(*_ordered(order))
    if not any(order.key == "creation_timestamp" for order in asked.order):
        query = query.order_by(logged_models.c.created_at.desc())
    return query.order_by(logged_models.c.key.desc()).limit(asked.limit + 1).offset(asked.offset)


def _measured(datasets: list[tuple[str, str]], *more: sa.ColumnElement[bool]) -> list[sa.ColumnElement[bool]]:
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


def _condition(clause: Clause, datasets: list[tuple[str, str]], dialect: str) -> sa.ColumnElement[bool]:
    match clause.entity:
        case "metric":
            same = logged_model_metrics.c.name == clause.key
            right = compared(logged_model_metrics.c.value, clause, dialect)
            return sa.exists().where(*_measured(datasets, same, right))
        case "param" | "tag":
            table = logged_model_params if clause.entity == "param" else logged_model_tags
            there = sa.exists().where(table.c.model_key == logged_models.c.key, table.c.name == clause.key)
            if clause.op == "IS NULL":
                return ~there
            return there if clause.op == "IS NOT NULL" else there.where(compared(table.c.value, clause, dialect))
        case "attribute":
            if clause.key not in FIELDS:
                raise BadInput(
                    f"Invalid attribute key '{clause.key}' specified.",
                    where="filter",
                    todo=f"Valid keys are {', '.join(sorted(FIELDS))}, metrics, params and tags.",
                )
            return compared(FIELDS[clause.key], clause, dialect)


def _ordered(order: ModelOrder) -> list[Any]:
    """Return the expressions for one field: models that have no such metric come last, those with NaN before them."""
    if not order.metric:
        if order.key not in FIELDS:
            raise BadInput(f"Invalid order by field name: {order.key}.", where="order_by", todo="Use creation_time.")
        field = FIELDS[order.key]
        return [field.desc() if order.descending else field.asc()]
    mine = [logged_model_metrics.c.model_key == logged_models.c.key, logged_model_metrics.c.name == order.key]
    if order.dataset_name:
        mine.append(logged_model_metrics.c.dataset_name == order.dataset_name)
    if order.dataset_digest:
        mine.append(logged_model_metrics.c.dataset_digest == order.dataset_digest)
    newest = (logged_model_metrics.c.at_us.desc(), logged_model_metrics.c.step.desc())
    value = sa.select(logged_model_metrics.c.value).where(*mine).order_by(*newest).limit(1).scalar_subquery()
    there = sa.exists().where(*mine)
    rank = sa.case((value.is_not(None), 0), (there, 1), else_=2)
    return [rank, value.desc() if order.descending else value.asc()]
