"""The verbs of studies: begin, note, number and hand out trials, end them, delete.

A trial's number, its claim and its end are decided in one transaction that holds the study's row, so that workers of
many processes get each number once and each waiting trial once. What is reported while a trial runs stands here, for
pruners, and as metric points of its run, for people.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.liveness import MISSED
from gimbal.axis.runs.model import LogMetric, LogRun, RunFinished
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.store import runs
from gimbal.axis.runs.studies import writing
from gimbal.axis.runs.studies.model import (
    ENDED,
    MOST_TRIALS,
    REPORTED,
    Changed,
    CreateStudy,
    CreateTrial,
    Report,
    Study,
    Trial,
    Trials,
    UpdateStudy,
    UpdateTrial,
    check_attrs,
    check_directions,
    check_params,
    check_values,
    objective_names,
    read_distribution,
)
from gimbal.axis.runs.studies.reading import selected, studies_of, study_row, trial_row, trials_of
from gimbal.axis.runs.studies.store import studies, study_attrs, study_params, trial_reports, trials
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NameTaken, NotFound, NotReady
from gimbal.kernel.ids import new_id, parse_id
from gimbal.kernel.pages import Page, check_limit, cursor_number, encode_cursor


class Studies:
    """Studies on the catalog, their trials as runs."""

    def __init__(self, catalog: Catalog, service: Runs) -> None:
        self._catalog = catalog
        self._runs = service

    async def create(self, ctx: Context, body: CreateStudy) -> Study:
        """Begin a study; raise NameTaken when there is one of this name."""
        check_directions(body.directions)
        if "\0" in body.name:
            raise BadInput("A name has no zero characters.", where="name", kept="nothing", todo="Leave them out.")
        now = ctx.now()
        async with self._catalog.write(ctx) as tx:
            values = {
                "project": ctx.project or "default",
                "name": body.name,
                "experiment_key": await self._runs.experiments.ensure(ctx, tx, body.experiment),
                "directions": body.directions,
                "trials": 0,
                "revision": 0,
                "created_by": ctx.principal.name,
                "created_at": now,
                "updated_at": now,
            }
            if not await insert_missing(tx, studies, values):
                raise NameTaken(
                    f"There is a study {body.name!r} already.",
                    where="name",
                    kept="that one",
                    todo="Go on with it (`load_if_exists=True`), or choose another name.",
                )
            row = (await tx.execute(selected(ctx).where(studies.c.name == body.name))).mappings().one()
            return (await studies_of(tx, [dict(row)]))[0]

    async def get(self, ctx: Context, study: str) -> Study:
        """Return a study by number or name; raise NotFound."""
        async with self._catalog.read() as tx:
            return (await studies_of(tx, [await study_row(ctx, tx, study)]))[0]

    async def page(
        self, ctx: Context, *, name: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Study]:
        """Return studies, newest first."""
        query = selected(ctx)
        if name is not None:
            query = query.where(studies.c.name == name.replace("\0", "�"))
        if cursor:
            query = query.where(studies.c.key < cursor_number(cursor, "key"))
        query = query.order_by(studies.c.key.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            rows = [dict(row) for row in (await tx.execute(query)).mappings()]
            items = await studies_of(tx, rows[:limit])
        return Page(items=items, next=encode_cursor({"key": items[-1].number}) if len(rows) > limit else None)

    async def update(self, ctx: Context, study: str, body: UpdateStudy) -> Study:
        """Set attributes of a study; those of other names stay."""
        async with self._catalog.write(ctx) as tx:
            row = await study_row(ctx, tx, study)
            insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
            for kind, attrs in (("user", body.user_attrs), ("system", body.system_attrs)):
                check_attrs(f"{kind}_attrs", attrs)
                for name in sorted(attrs):
                    values = {"study_key": row["key"], "kind": kind, "name": name, "value": attrs[name]}
                    statement = insert(study_attrs).values(values)
                    same = [study_attrs.c.study_key, study_attrs.c.kind, study_attrs.c.name]
                    new = {"value": statement.excluded.value}
                    await tx.execute(statement.on_conflict_do_update(index_elements=same, set_=new))
            await tx.execute(studies.update().where(studies.c.key == row["key"]).values(updated_at=ctx.now()))
            return (await studies_of(tx, [await study_row(ctx, tx, str(row["key"]))]))[0]

    async def delete(self, ctx: Context, study: str) -> Study:
        """Delete a study; the runs of its trials go out of lists and can be restored one by one."""
        async with self._catalog.write(ctx) as tx:
            found = await study_row(ctx, tx, study)
            whole = (await studies_of(tx, [found]))[0]
            key = found["key"]
            await tx.execute(sa.select(studies.c.key).where(studies.c.key == key).with_for_update())
            mine = sa.select(trials.c.key).where(trials.c.study_key == key)
            its_runs = sa.select(trials.c.run_key).where(trials.c.study_key == key)
            gone = {"stage": "deleted", "updated_at": ctx.now()}
            await tx.execute(runs.update().where(runs.c.key.in_(its_runs)).values(gone))
            await tx.execute(trial_reports.delete().where(trial_reports.c.trial_key.in_(mine)))
            for table in (trials, study_params, study_attrs):
                await tx.execute(table.delete().where(table.c.study_key == key))
            await tx.execute(studies.delete().where(studies.c.key == key))
        self._runs.desk.forget()
        return whole

    async def begin(self, ctx: Context, study: str, body: CreateTrial) -> Trial:
        """Begin a trial, or put it in line; the same run id again is the same trial."""
        run_id = parse_id(body.run_id, "run_id") if body.run_id else new_id()
        async with self._catalog.write(ctx) as tx:
            found = await study_row(ctx, tx, study)
            check_values(body.values, len(found["directions"]), body.state)
            if found["stage"] != "active":
                raise NotReady(
                    f"The experiment {found['experiment']!r} was deleted.",
                    where="study",
                    kept="nothing of this request",
                    todo="Restore it: `gimbal experiments restore`.",
                )
            # The study's row is the lock of its numbers.
            locked = sa.select(studies.c.trials).where(studies.c.key == found["key"]).with_for_update()
            number = (await tx.execute(locked)).scalar_one_or_none()
            if number is None:
                raise NotFound(f"The study {study} was deleted.", where="study", todo="Create it again.")
            there = sa.select(trials).where(trials.c.study_key == found["key"], trials.c.run_id == run_id)
            row = (await tx.execute(there)).mappings().first()
            if row is None:
                row = await self._inserted(ctx, tx, found, number, run_id, body)
            trial = (await trials_of(tx, [dict(row)]))[0]
        await self._tell(ctx, trial.run_id, body.reports, row["started_at"] or row["ended_at"])
        await self._tell_values(ctx, {**row, "directions": found["directions"]})
        return trial

    async def _inserted(
        self, ctx: Context, tx: AsyncConnection, study: Mapping[str, Any], number: int, run_id: str, body: CreateTrial
    ) -> Mapping[str, Any]:
        started = body.started_at or (None if body.state == "waiting" else ctx.now())
        ended = body.ended_at or ctx.now() if body.state in ENDED else None
        run_key = await writing.insert_run(ctx, tx, study, number, run_id, body, started=started, ended=ended)
        revision = await writing.next_revision(ctx, tx, study["key"], trials=1)
        values = {
            "study_key": study["key"],
            "number": number,
            "run_key": run_key,
            "run_id": run_id,
            "state": body.state,
            "values": body.values,
            "params": {},
            "user_attrs": {},
            "system_attrs": {},
            "owner": body.owner,
            "started_at": started,
            "ended_at": ended,
            "revision": revision,
        }
        row = dict((await tx.execute(trials.insert().values(values).returning(*trials.c))).mappings().one())
        changed = await self._noted(ctx, tx, row, body)
        if changed:
            await tx.execute(trials.update().where(trials.c.key == row["key"]).values(changed))
        return {**row, **changed}

    async def change(self, ctx: Context, trial: int, body: UpdateTrial) -> Changed:
        """Change a trial that has not ended: parameters, reports, attributes, and its state, decided once.

        Raise NotReady for a trial that has ended, Conflict for a parameter drawn from something else than before.
        """
        async with self._catalog.read() as tx:
            before = await trial_row(ctx, tx, trial)
        if before["state"] in ENDED and before["state"] == body.state:
            # It may be the same end once more, since the first time was cut off before its values were told.
            await self._tell_values(ctx, before)
        _must_go_on(before)
        if body.state in ENDED:
            check_values(body.values, len(before["directions"]), body.state or "")
        # Points first: a report that is known has its point.
        await self._tell(ctx, before["run_id"], body.reports, body.at)
        async with self._catalog.write(ctx) as tx:
            revision = await writing.next_revision(ctx, tx, before["study_key"])
            row = dict(await trial_row(ctx, tx, trial))
            _must_go_on(row)
            if body.state == "running" and row["state"] == "running":
                # A claim that is repeated because its answer was lost is the same claim.
                mine = bool(body.owner) and body.owner == row["owner"]
                times = {"started_at": row["started_at"], "ended_at": None}
                return Changed(changed=mine, revision=row["revision"], **times)
            changed = await self._noted(ctx, tx, row, body) | {"revision": revision}
            if body.values is not None:
                changed["values"] = body.values
            if body.state is not None and body.state != row["state"]:
                changed |= self._turned(ctx, row, body)
                await writing.turn_run(ctx, tx, row, body, changed)
            await tx.execute(trials.update().where(trials.c.key == trial).values(changed))
        self._runs.desk.forget(row["run_id"])
        await self._tell_values(ctx, row | changed)
        times = {name: changed.get(name, row[name]) for name in ("started_at", "ended_at")}
        return Changed(changed=True, revision=revision, **times)

    def _turned(self, ctx: Context, row: Mapping[str, Any], body: UpdateTrial) -> dict[str, Any]:
        if body.state in ENDED:
            ctx.emit(RunFinished(project=ctx.project or "default", run_id=row["run_id"], status=str(body.state)))
            return {"state": body.state, "ended_at": ctx.now()}
        started = ctx.now() if body.state == "running" else None
        return {"state": body.state, "owner": body.owner, "started_at": started}

    async def _noted(
        self, ctx: Context, tx: AsyncConnection, row: Mapping[str, Any], body: CreateTrial | UpdateTrial
    ) -> dict[str, Any]:
        """Keep parameters, reports and attributes; return the columns of the trial that change."""
        changed: dict[str, Any] = {}
        if body.params:
            query = sa.select(study_params.c.name, study_params.c.distribution)
            query = query.where(
                study_params.c.study_key == row["study_key"], study_params.c.name.in_(list(body.params))
            )
            known = {one.name: one.distribution for one in await tx.execute(query)}
            check_params(body.params, known)
            for name in sorted(set(body.params) - set(known)):
                read_distribution(name, body.params[name].distribution)
                values = {"study_key": row["study_key"], "name": name, "distribution": body.params[name].distribution}
                await tx.execute(study_params.insert().values(values))
            await writing.put_run_params(ctx, tx, row, {name: one.value for name, one in body.params.items()})
            changed["params"] = {**row["params"], **msgspec.to_builtins(body.params)}
        for kind, attrs in (("user_attrs", body.user_attrs), ("system_attrs", body.system_attrs)):
            if attrs:
                check_attrs(kind, attrs, known=len(set(row[kind]) - set(attrs)))
                changed[kind] = {**row[kind], **attrs}
        if body.user_attrs:
            await writing.tag_run(tx, row["run_key"], body.user_attrs)
        if body.reports:
            await writing.put_reports(tx, row["key"], body.reports)
        return changed

    async def get_trial(self, ctx: Context, trial: int) -> Trial:
        """Return a trial; raise NotFound."""
        async with self._catalog.read() as tx:
            return (await trials_of(tx, [await trial_row(ctx, tx, trial)]))[0]

    async def changes(self, ctx: Context, study: str, *, after: int = -1, limit: int = MOST_TRIALS) -> Trials:
        """Return the trials that changed after a revision (-1: all), in the order of their changes."""
        async with self._catalog.read() as tx:
            found = await study_row(ctx, tx, study)
            query = sa.select(trials).where(trials.c.study_key == found["key"], trials.c.revision > after)
            query = query.order_by(trials.c.revision).limit(check_limit(limit) + 1)
            rows = [dict(row) for row in (await tx.execute(query)).mappings()]
            items = await trials_of(tx, rows[:limit])
        more = len(rows) > limit
        return Trials(items=items, revision=items[-1].revision if more else found["revision"], more=more)

    async def counts(self, numbers: Sequence[int]) -> dict[int, dict[str, int]]:
        """Return by study how many trials it has of each state."""
        query = sa.select(trials.c.study_key, trials.c.state, sa.func.count().label("count"))
        query = query.where(trials.c.study_key.in_(list(numbers))).group_by(trials.c.study_key, trials.c.state)
        found: dict[int, dict[str, int]] = {}
        async with self._catalog.read() as tx:
            for row in (await tx.execute(query)).mappings():
                found.setdefault(row["study_key"], {})[row["state"]] = row["count"]
        return found

    async def newest(self, ctx: Context, study: str, most: int) -> list[Trial]:
        """Return the trials of the highest numbers, by number."""
        async with self._catalog.read() as tx:
            key = (await study_row(ctx, tx, study))["key"]
            query = sa.select(trials).where(trials.c.study_key == key).order_by(trials.c.number.desc()).limit(most)
            rows = [dict(row) for row in (await tx.execute(query)).mappings()]
            return await trials_of(tx, rows[::-1])

    async def silent(self, ctx: Context, study: str) -> list[int]:
        """Return the ids of trials that are said to run, and whose sender is not heard of any more."""
        async with self._catalog.read() as tx:
            key = (await study_row(ctx, tx, study))["key"]
            query = sa.select(trials.c.key, runs.c.status, runs.c.beat_at, runs.c.beat_s)
            query = query.select_from(trials.join(runs, trials.c.run_key == runs.c.key))
            query = query.where(trials.c.study_key == key, trials.c.state == "running")
            rows = (await tx.execute(query.order_by(trials.c.key))).all()
        return [row.key for row in rows if row.status == "dead" or _ended_silent(row, ctx.now())]

    async def _tell(self, ctx: Context, run_id: str, reports: Sequence[Report], at: datetime | None) -> None:
        """Put reports down as metric points of the run, for its page and for comparisons."""
        await self._log(
            ctx, run_id, [LogMetric(name=REPORTED, value=one.value, step=one.step, at=at) for one in reports]
        )

    async def _tell_values(self, ctx: Context, row: Mapping[str, Any]) -> None:
        """Put the values of a trial that has ended down as points of the moment when it did: the same ones every time."""
        if row["state"] in ENDED and row["values"] is not None:
            named = zip(objective_names(len(row["directions"])), row["values"], strict=False)
            await self._log(
                ctx, row["run_id"], [LogMetric(name=name, value=value, at=row["ended_at"]) for name, value in named]
            )

    async def _log(self, ctx: Context, run_id: str, points: list[LogMetric]) -> None:
        if not points:
            return
        try:
            await self._runs.log(ctx, run_id, LogRun(metrics=points))
        except NotReady:
            # Somebody deleted the run from lists; the study goes on.
            return


def _ended_silent(run: Any, now: datetime) -> bool:
    """Tell of a run that its program ended, which nobody holds for dead, whether who runs the trial is silent."""
    if run.status in {"scheduled", "running"} or run.beat_s is None or run.beat_at is None:
        return False
    return now - run.beat_at > timedelta(seconds=MISSED * run.beat_s)


def _must_go_on(row: Mapping[str, Any]) -> None:
    if row["state"] in ENDED:
        raise NotReady(
            f"The trial {row['number']} of {row['study_name']!r} is {row['state']} already.",
            where="trial",
            kept="the trial as it ended",
            todo="Begin another one.",
        )
