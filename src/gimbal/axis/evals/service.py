"""The runner: puts a version through a suite with bounded concurrency, stores every result, sums up with intervals."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import (
    TARGETS,
    EvaluationResult,
    EvaluationRun,
    Example,
    RunEvaluation,
    ScorerSummary,
    StartEvaluation,
    TargetOutput,
)
from gimbal.axis.evals.results import COLUMNS, TABLE, from_row, to_row
from gimbal.axis.evals.store import evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import JobError
from gimbal.engines.compute.store import jobs as job_table
from gimbal.engines.stats import estimates
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import total
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor
from gimbal.kernel.refs import Ref, ResolvedRef

Progress = Callable[[int, int], Awaitable[None]]
JOB = "evals.run"
_log = logging.getLogger(__name__)
_PROGRESS_EVERY = 10
_LONGEST_ERROR = 2_000
# A run and what became of its job, whose key is the run's id.
_RUNS = sa.select(
    evaluations, job_table.c.status.label("job_status"), job_table.c.error.label("job_error")
).select_from(
    evaluations.outerjoin(
        job_table,
        sa.and_(
            job_table.c.project == evaluations.c.project,
            job_table.c.name == JOB,
            job_table.c.key == evaluations.c.id,
        ),
    )
)


class Evaluations:
    """Evaluation runs on the catalog, their results in the columns."""

    def __init__(self, catalog: Catalog, columns: Columns, writer: Writer, assets: Assets, suites: Suites) -> None:
        self._catalog = catalog
        self._columns = columns
        self._writer = writer
        self._assets = assets
        self._suites = suites

    async def start(self, ctx: Context, body: StartEvaluation, jobs: Jobs | None = None) -> EvaluationRun:
        """Note a new run, not yet begun, and enqueue its job in the same transaction; without `jobs` call `run`.

        Raise NotFound or BadInput when suite or subject do not fit.
        """
        if not 1 <= body.concurrency <= 64:
            raise BadInput("The concurrency is 1 to 64.", where="concurrency", todo="Choose another.")
        suite = await self._assets.resolve(ctx, Ref.parse(body.suite, kind="suite"))
        if suite.kind != "suite":
            raise BadInput(f"{suite.ref} is not a suite.", where="suite", todo="Give one: suite:help/questions.")
        subject = await self._assets.resolve(ctx, Ref.parse(body.subject))
        TARGETS.get(subject.kind)
        for name in suite.manifest["scorers"]:
            SCORERS.get(name)
        run = EvaluationRun(
            id=new_id(),
            suite=suite.ref,
            subject=subject.ref,
            status="running",
            done=0,
            total=int(suite.manifest["examples"]),
            started_at=ctx.now(),
            started_by=ctx.principal.name,
        )
        async with self._catalog.write(ctx) as tx:
            values = msgspec.structs.asdict(run)
            values |= {"project": ctx.project, "suite_ref": str(suite.ref), "subject_ref": str(subject.ref)}
            await tx.execute(evaluations.insert().values(values))
            if jobs is not None:
                payload = RunEvaluation(evaluation_id=run.id, concurrency=body.concurrency)
                await jobs.enqueue_in(tx, ctx.project or "default", ctx.principal, JOB, payload, key=run.id)
        return run

    async def run(
        self, ctx: Context, run_id: str, *, concurrency: int = 4, progress: Progress | None = None
    ) -> EvaluationRun:
        """Carry a run out, or go on with one that was cut off: an example whose result is stored is not asked again.

        What goes wrong with one example is in its result; what keeps the run from going on makes it `failed` and is
        raised.
        """
        run = await self.get(ctx, run_id)
        if run.status == "done":
            return run
        await self._note(run_id, status="running", error="", finished_at=None)
        try:
            await self._carry_out(ctx, run, concurrency, progress)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the run says so and it is raised
            first = problem.exceptions[0] if isinstance(problem, ExceptionGroup) else problem
            told = str(first) if isinstance(first, GimbalError) else f"{type(first).__name__}: {first}"
            await self._note(run_id, status="failed", error=told[:_LONGEST_ERROR], finished_at=ctx.now())
            raise first from None
        return await self.get(ctx, run_id)

    async def _carry_out(self, ctx: Context, run: EvaluationRun, concurrency: int, progress: Progress | None) -> None:
        suite = await self._assets.resolve(ctx, Ref.parse(str(run.suite)))
        subject = await self._assets.resolve(ctx, Ref.parse(str(run.subject)))
        examples = await self._suites.examples(suite)
        stored = {r.example_id for r in await self.results(ctx, run.id)}
        todo = [(i, e) for i, e in enumerate(examples) if e.id not in stored]
        finished = len(examples) - len(todo)
        gate = asyncio.Semaphore(concurrency)
        scorers = [str(name) for name in suite.manifest["scorers"]]

        async def one(position: int, example: Example) -> None:
            nonlocal finished
            async with gate:
                output = await _called(ctx, subject, example)
            judged = scored(scorers, example, output)
            row = to_row(ctx.project or "default", run.id, position, example, output, judged)
            await self._writer.write(TABLE, row)
            finished += 1
            now = finished  # others go on while this one tells
            if now % _PROGRESS_EVERY == 0 or now == len(examples):
                await self._note(run.id, done=now)
                if progress:
                    await progress(now, len(examples))

        async with asyncio.TaskGroup() as group:
            for position, example in todo:
                group.create_task(one(position, example))
        await self._finish(ctx, run.id, scorers)

    async def _finish(self, ctx: Context, run_id: str, scorers: list[str]) -> None:
        """Sum up what is stored, also by an earlier attempt."""
        results = await self.results(ctx, run_id)
        latencies = [r.latency_ms for r in results if r.latency_ms is not None]
        cost, unpriced = total(r.cost for r in results)
        await self._note(
            run_id,
            status="done",
            done=len(results),
            finished_at=ctx.now(),
            summaries=[summarise(name, results) for name in scorers],
            cost=cost if unpriced < len(results) else None,
            unpriced=unpriced,
            latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
            latency_p95_ms=float(np.percentile(latencies, 95)) if latencies else None,
        )

    async def _note(self, run_id: str, **values: Any) -> None:
        async with self._catalog.write() as tx:
            await tx.execute(evaluations.update().where(evaluations.c.id == run_id).values(values))

    async def results(self, ctx: Context, run_id: str) -> list[EvaluationResult]:
        """Return the results of a run that are stored, in the order of the suite."""
        rows = await self._columns.query(
            f"SELECT {COLUMNS} FROM {TABLE} FINAL "
            "WHERE project = {project:String} AND evaluation_id = {id:String} ORDER BY position",
            {"project": ctx.project or "default", "id": run_id},
        )
        return [from_row(row) for row in rows]

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
        """Return the newest finished run of exactly this subject on exactly this suite, and how many there are."""
        same = (
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


def summarise(scorer: str, results: Sequence[EvaluationResult]) -> ScorerSummary:
    """Return the mean of one scorer with a cluster-robust interval, and what is missing by reason."""
    rows = [r for r in results if scorer in r.scores]
    estimate = estimates.mean([r.scores[scorer] for r in rows], [r.cluster for r in rows])
    missing = Counter(r.missing[scorer] for r in results if scorer in r.missing)
    return ScorerSummary(scorer=scorer, estimate=estimate, missing=dict(missing))


async def _called(ctx: Context, subject: Version, example: Example) -> TargetOutput:
    try:
        return await TARGETS.get(subject.kind)(ctx, subject, example)
    except GimbalError as problem:
        return TargetOutput(error=str(problem))
    except Exception as problem:  # noqa: BLE001 - as the comment says
        # A target is somebody else's code: one example that it cannot take does not stop the others.
        _log.warning("%s fails on the example %s", subject.ref, example.id, exc_info=True)
        return TargetOutput(error=f"{type(problem).__name__}: {problem}"[:_LONGEST_ERROR])


def scored(scorers: Sequence[str], example: Example, output: TargetOutput) -> dict[str, ScoreValue]:
    """Return what every scorer says of one output; what none can say is missing with a reason, never 0."""
    if output.error:
        return {name: ScoreValue(value=None, missing="error") for name in scorers}
    seen: dict[str, Any] = {"text": output.text, "sources": output.sources}
    return {name: _judged(name, example, seen) for name in scorers}


def _judged(scorer: str, example: Example, seen: Mapping[str, Any]) -> ScoreValue:
    try:
        found = SCORERS.get(scorer)(example.expected, seen)
    except Exception:  # noqa: BLE001 - so is a scorer
        _log.warning("the scorer %s fails on the example %s", scorer, example.id, exc_info=True)
        return ScoreValue(value=None, missing="scorer_error")
    if found.value is not None and not 0 <= found.value <= 1:  # also not a number
        return ScoreValue(value=None, missing="out_of_range")
    return found


def _run(row: Mapping[Any, Any]) -> EvaluationRun:
    values: dict[str, Any] = {k: v for k, v in row.items() if k not in {"project", "suite_ref", "subject_ref"}}
    job_status, job_error = values.pop("job_status"), values.pop("job_error")
    if values["status"] != "done" and job_status is not None and job_status != "succeeded":
        # The job knows what the run cannot: that its worker died for good, that it was cancelled or waits for a retry.
        values["status"] = job_status if job_status in {"failed", "cancelled"} else "running"
        if job_status == "failed" and not values["error"]:
            values["error"] = msgspec.convert(job_error, JobError).message
    values["suite"] = msgspec.convert(values["suite"], ResolvedRef)
    values["subject"] = msgspec.convert(values["subject"], ResolvedRef)
    values["summaries"] = msgspec.convert(values["summaries"], list[ScorerSummary])
    return EvaluationRun(**values)
