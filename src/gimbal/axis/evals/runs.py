"""Evaluation runs on the catalog: noted with their job, changed where they still are as somebody read them, found again."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.evals.model import EvaluationOptions, EvaluationRun, RunEvaluation, ScorerSummary
from gimbal.axis.evals.store import evaluations
from gimbal.axis.evals.target import TARGETS
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import JobError
from gimbal.engines.compute.store import jobs as job_table
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, NotFound
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor
from gimbal.kernel.refs import ResolvedRef

RUN_JOB = "evals.run"
JUDGE_JOB = "evals.judge"
_ENDED = frozenset({"done", "stopped"})
# A run and what became of its job.
_RUNS = sa.select(
    evaluations, job_table.c.status.label("job_status"), job_table.c.error.label("job_error")
).select_from(evaluations.outerjoin(job_table, job_table.c.id == evaluations.c.job_id))


class EvaluationRuns:
    """The catalog's rows of runs."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def add(self, ctx: Context, run: EvaluationRun, jobs: Jobs | None = None) -> EvaluationRun:
        """Note a run that was not there; where `jobs` are given its job is enqueued in the same transaction."""
        async with self._catalog.write(ctx) as tx:
            if jobs is not None:
                run = msgspec.structs.replace(run, job_id=await _enqueued(tx, ctx, jobs, RUN_JOB, run.id))
            values = msgspec.structs.asdict(run) | {"options": msgspec.to_builtins(run.options)}
            values |= {"project": ctx.project, "suite_ref": str(run.suite), "subject_ref": str(run.subject)}
            await tx.execute(evaluations.insert().values(values))
        return run

    async def hand_on(
        self,
        ctx: Context,
        run: EvaluationRun,
        *where: sa.ColumnElement[bool],
        job: str,
        jobs: Jobs | None,
        **values: Any,
    ) -> EvaluationRun:
        """Change a run and, where `jobs` are given, enqueue its next job in the same transaction.

        Raise Conflict, and enqueue nothing, unless it still has the job and generation that it was read with and `where` holds.
        """
        async with self._catalog.write(ctx) as tx:
            if jobs is not None:
                values["job_id"] = await _enqueued(tx, ctx, jobs, job, run.id)
            same = (evaluations.c.id == run.id, *as_read(run), *where)
            if not (await tx.execute(evaluations.update().where(*same).values(values))).rowcount:
                raise Conflict(
                    "Somebody finished, cancelled or went on with the evaluation meanwhile.",
                    where="id",
                    todo="Look at it.",
                )
        return await self.get(ctx, run.id)

    async def note(self, run_id: str, *where: sa.ColumnElement[bool], **values: Any) -> None:
        """Note what became of a run; with `where` only if it is still so."""
        async with self._catalog.write() as tx:
            await tx.execute(evaluations.update().where(evaluations.c.id == run_id, *where).values(values))

    async def get(self, ctx: Context, run_id: str) -> EvaluationRun:
        """Return a run; raise NotFound."""
        query = _RUNS.where(evaluations.c.id == run_id, evaluations.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(
                f"There is no evaluation {run_id}.", where="id", todo="`gimbal evaluations list` shows them."
            )
        return _run(row)

    async def page(
        self,
        ctx: Context,
        *,
        suite: str | None = None,
        subject: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[EvaluationRun]:
        """Return runs, newest first; `suite` and `subject` are a version's reference or the start of an asset's."""
        query = _RUNS.where(evaluations.c.project == ctx.project)
        for column, text in ((evaluations.c.suite_ref, suite), (evaluations.c.subject_ref, subject)):
            if text:
                # `@v1` is not the start of `@v10`.
                query = query.where(column == text if "@" in text else column.startswith(text, autoescape=True))
        if cursor:
            query = query.where(evaluations.c.id < cursor_text(cursor, "id"))
        query = query.order_by(evaluations.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            items = [_run(row) for row in (await tx.execute(query)).mappings()]
        more = len(items) > limit
        items = items[:limit]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if more else None)

    async def latest(self, ctx: Context, suite: ResolvedRef, subject: ResolvedRef) -> tuple[EvaluationRun | None, int]:
        """Return the newest finished run of exactly this subject on exactly this suite, and how many there are.

        Of what can be called from here only runs that asked it count: anybody could have brought other answers.
        """
        asked = [evaluations.c.client == ""] if subject.kind in TARGETS else []
        same = (
            *asked,
            evaluations.c.project == ctx.project,
            evaluations.c.suite_ref == str(suite),
            evaluations.c.subject_ref == str(subject),
            evaluations.c.status == "done",
        )
        async with self._catalog.read() as tx:
            count = (await tx.execute(sa.select(sa.func.count()).select_from(evaluations).where(*same))).scalar_one()
            query = _RUNS.where(*same).order_by(evaluations.c.id.desc()).limit(1)
            row = (await tx.execute(query)).mappings().first()
        return (_run(row) if row is not None else None), count

    async def judging(self, ctx: Context, suite: ResolvedRef) -> tuple[Decimal, float] | None:
        """Return what judging an answer took in the newest run of a suite that tells: US dollars, calls. None where none does."""
        query = (
            sa.select(evaluations.c.judge_cost, evaluations.c.judge_calls, evaluations.c.done)
            .where(
                evaluations.c.project == ctx.project,
                evaluations.c.suite_ref == str(suite),
                evaluations.c.judge_cost.is_not(None),
                evaluations.c.judge_unpriced == 0,
                evaluations.c.done > 0,
            )
            .order_by(evaluations.c.id.desc())
            .limit(1)
        )
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).first()
        return None if row is None else (row.judge_cost / row.done, row.judge_calls / row.done)


def as_read(run: EvaluationRun) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition that a run has the job and the generation that it was read with: nobody went on with it since."""
    return evaluations.c.job_id == run.job_id, evaluations.c.generation == run.generation


async def _enqueued(tx: AsyncConnection, ctx: Context, jobs: Jobs, kind: str, run_id: str) -> str:
    """Return the id of a new job of a run."""
    payload = RunEvaluation(evaluation_id=run_id)
    return (await jobs.enqueue_in(tx, ctx.project or "default", ctx.principal, kind, payload)).id


def _run(row: Mapping[Any, Any]) -> EvaluationRun:
    values: dict[str, Any] = {k: v for k, v in row.items() if k not in {"project", "suite_ref", "subject_ref"}}
    job_status, job_error = values.pop("job_status"), values.pop("job_error")
    if values["status"] not in _ENDED and job_status is not None and job_status != "succeeded":
        # The job knows what the run cannot: that its worker died for good, that it was cancelled or waits for a retry.
        values["status"] = job_status if job_status in {"failed", "cancelled"} else "running"
        if job_status == "failed" and not values["error"]:
            values["error"] = msgspec.convert(job_error, JobError).message
    values["suite"] = msgspec.convert(values["suite"], ResolvedRef)
    values["subject"] = msgspec.convert(values["subject"], ResolvedRef)
    values["summaries"] = msgspec.convert(values["summaries"], list[ScorerSummary])
    values["options"] = msgspec.convert(values["options"], EvaluationOptions)
    return EvaluationRun(**values)
