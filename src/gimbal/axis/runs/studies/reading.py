"""Reads studies and trials back as records."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.model import to_wire
from gimbal.axis.runs.store import experiments
from gimbal.axis.runs.studies.model import Attrs, Report, Study, Trial, TrialParam
from gimbal.axis.runs.studies.store import studies, study_attrs, trial_reports, trials
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound

_COLUMNS = [*studies.c, experiments.c.name.label("experiment"), experiments.c.stage.label("stage")]
_WITH_EXPERIMENT = studies.join(experiments, studies.c.experiment_key == experiments.c.key)
_MOST_NUMBER = 2**62
_SOME = 500


def selected(ctx: Context) -> sa.Select[Any]:
    """Return the question for the studies of the context's project."""
    return sa.select(*_COLUMNS).select_from(_WITH_EXPERIMENT).where(studies.c.project == (ctx.project or "default"))


async def study_row(ctx: Context, tx: AsyncConnection, study: str) -> Mapping[str, Any]:
    """Return the row of a study by its number or, when that is none, by its name; raise NotFound."""
    query = selected(ctx)
    # A number first: that is how programs ask.
    if study.isascii() and study.isdigit() and int(study) < _MOST_NUMBER:
        row = (await tx.execute(query.where(studies.c.key == int(study)))).mappings().first()
    else:
        row = None if "\0" in study else (await tx.execute(query.where(studies.c.name == study))).mappings().first()
    if row is None:
        raise NotFound(f"There is no study {study[:100]}.", where="study", todo="`gimbal studies list` shows them.")
    return {str(name): value for name, value in row.items()}


async def studies_of(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> list[Study]:
    """Return rows of studies as records, with their attributes."""
    found: dict[int, dict[str, Attrs]] = {row["key"]: {"user": {}, "system": {}} for row in rows}
    query = sa.select(study_attrs).where(study_attrs.c.study_key.in_(list(found))).order_by(study_attrs.c.name)
    for one in (await tx.execute(query)).mappings():
        found[one["study_key"]][one["kind"]][one["name"]] = one["value"]
    return [
        Study(
            number=row["key"],
            user_attrs=found[row["key"]]["user"],
            system_attrs=found[row["key"]]["system"],
            **{
                name: row[name]
                for name in (
                    "project", "name", "experiment", "directions", "trials", "revision", "created_at", "updated_at",
                )
            },
        )
        for row in rows
    ]  # fmt: skip


async def trials_of(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> list[Trial]:
    """Return rows of trials as records, with what was reported."""
    reports: dict[int, list[Report]] = {}
    keys = [row["key"] for row in rows]
    for start in range(0, len(keys), _SOME):
        some = trial_reports.c.trial_key.in_(keys[start : start + _SOME])
        query = sa.select(trial_reports).where(some).order_by(trial_reports.c.trial_key, trial_reports.c.step)
        for one in (await tx.execute(query)).mappings():
            value = "NaN" if one["value"] is None else to_wire(one["value"])
            reports.setdefault(one["trial_key"], []).append(Report(step=one["step"], value=value))
    return [
        Trial(
            id=row["key"],
            study=row["study_key"],
            reports=reports.get(row["key"], []),
            params=msgspec.convert(row["params"], dict[str, TrialParam]),
            **{
                name: row[name]
                for name in (
                    "number", "run_id", "state", "values", "user_attrs", "system_attrs", "started_at",
                    "ended_at", "revision",
                )
            },
        )
        for row in rows
    ]  # fmt: skip


async def trial_row(ctx: Context, tx: AsyncConnection, trial: int) -> Mapping[str, Any]:
    """Return the row of a trial of the context's project; raise NotFound."""
    query = sa.select(*trials.c, studies.c.directions, studies.c.name.label("study_name"))
    query = query.select_from(trials.join(studies, trials.c.study_key == studies.c.key))
    query = query.where(trials.c.key == trial, studies.c.project == (ctx.project or "default"))
    row = (await tx.execute(query)).mappings().first() if 0 <= trial < _MOST_NUMBER else None
    if row is None:
        raise NotFound(f"There is no trial {trial}.", where="trial", todo="`gimbal studies trials` shows them.")
    return {str(name): value for name, value in row.items()}
