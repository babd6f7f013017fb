"""Evaluations: planned, begun, carried out by a job, gone on with, read.

`running` makes the calls of one run, `summing` turns stored answers into numbers, `comparing` puts two runs side by side.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals import reading
from gimbal.axis.evals.answers import NOT_ANSWERED
from gimbal.axis.evals.model import (
    MOST_AT_ONCE,
    EvaluationOptions,
    EvaluationPlan,
    EvaluationResult,
    EvaluationRun,
    Example,
    ResumeEvaluation,
    RunEvaluation,
    ScorerSummary,
    StartEvaluation,
)
from gimbal.axis.evals.recall import Recall
from gimbal.axis.evals.results import TABLE, Ask
from gimbal.axis.evals.running import Progress, Running, check_cap
from gimbal.axis.evals.store import evaluations
from gimbal.axis.evals.subject import subject_of
from gimbal.axis.evals.suites import Suites, applied, scorers_of
from gimbal.axis.evals.summing import summarised
from gimbal.axis.evals.target import TARGETS, Foreseen
from gimbal.axis.scores.scorer import Applied
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import JobError
from gimbal.engines.compute.store import jobs as job_table
from gimbal.engines.stats import paired
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import ZERO, total
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor
from gimbal.kernel.refs import Ref, ResolvedRef

OnProgress = Callable[[Progress], Awaitable[None]]
JOB = "evals.run"
_LONGEST_ERROR = 2_000
_ENDED = frozenset({"done", "stopped"})
_RESUMABLE = frozenset({"failed", "cancelled", "stopped"})
# A run and what became of its job.
_RUNS = sa.select(
    evaluations, job_table.c.status.label("job_status"), job_table.c.error.label("job_error")
).select_from(evaluations.outerjoin(job_table, job_table.c.id == evaluations.c.job_id))


class _Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation is of."""

    suite: Version
    subject: Version
    scorers: list[Applied]
    repeats: int


class Evaluations:
    """Evaluation runs on the catalog, their results in the columns."""

    def __init__(self, catalog: Catalog, columns: Columns, writer: Writer, assets: Assets, suites: Suites) -> None:
        self._catalog = catalog
        self._columns = columns
        self._writer = writer
        self._assets = assets
        self._suites = suites

    async def plan(self, ctx: Context, body: StartEvaluation) -> EvaluationPlan:
        """Tell what an evaluation would ask and cost; raise NotFound or BadInput as `start` does."""
        whole = await self._whole(ctx, body)
        examples = await self._suites.examples(whole.suite)
        foreseen = await TARGETS.get(whole.subject.kind).foresee(ctx, whole.subject, examples)
        asks = _asks(examples, whole.repeats)
        cached = 0
        if body.cache and foreseen.identity:
            cached = await Recall(ctx, foreseen.identity, asks).count()
        calls = len(asks) - cached
        clusters = len({example.cluster or example.id for example in examples})
        return EvaluationPlan(
            suite=whole.suite.ref,
            subject=whole.subject.ref,
            examples=len(examples),
            repeats=whole.repeats,
            cached=cached,
            calls=calls,
            cost=None if foreseen.cost is None else foreseen.cost * calls,
            most=None if foreseen.most is None else foreseen.most * calls,
            unpriced=foreseen.unpriced,
            detectable=paired.detectable_share(clusters),
        )

    async def start(self, ctx: Context, body: StartEvaluation, jobs: Jobs | None = None) -> EvaluationRun:
        """Note a new run, not yet begun, and enqueue its job in the same transaction; without `jobs` call `run`.

        Raise NotFound or BadInput when suite or subject do not fit, Unpriced for a cap that cannot be held.
        """
        whole = await self._whole(ctx, body)
        if body.max_cost is not None:
            examples = await self._suites.examples(whole.suite)
            check_cap(body, await TARGETS.get(whole.subject.kind).foresee(ctx, whole.subject, examples))
        run = EvaluationRun(
            id=new_id(),
            suite=whole.suite.ref,
            subject=whole.subject.ref,
            status="running",
            done=0,
            total=int(whole.suite.manifest["examples"]) * whole.repeats,
            repeats=whole.repeats,
            options=_options(body),
            started_at=ctx.now(),
            started_by=ctx.principal.name,
        )
        return await self.add(ctx, run, jobs)

    async def add(self, ctx: Context, run: EvaluationRun, jobs: Jobs | None = None) -> EvaluationRun:
        """Note a run that was not there, with its job where `jobs` are given."""
        async with self._catalog.write(ctx) as tx:
            if jobs is not None:
                project = ctx.project or "default"
                job = await jobs.enqueue_in(tx, project, ctx.principal, JOB, RunEvaluation(evaluation_id=run.id))
                run = msgspec.structs.replace(run, job_id=job.id)
            values = msgspec.structs.asdict(run) | {"options": msgspec.to_builtins(run.options)}
            values |= {"project": ctx.project, "suite_ref": str(run.suite), "subject_ref": str(run.subject)}
            await tx.execute(evaluations.insert().values(values))
        return run

    async def _whole(self, ctx: Context, body: StartEvaluation) -> _Whole:
        if not 1 <= body.concurrency <= MOST_AT_ONCE:
            raise BadInput(f"The concurrency is 1 to {MOST_AT_ONCE}.", where="concurrency", todo="Choose another.")
        if body.max_cost is not None and body.max_cost < 0:
            raise BadInput("A cap is an amount from 0.", where="max_cost", todo="Give dollars like 5.00.")
        suite = await self._assets.resolve(ctx, Ref.parse(body.suite, kind="suite"))
        if suite.kind != "suite":
            raise BadInput(f"{suite.ref} is not a suite.", where="suite", todo="Give one: suite:help/questions.")
        named = body.subject or str(suite.manifest.get("task", ""))
        if not named:
            raise BadInput(
                f"{suite.ref} does not say what to call.",
                where="subject",
                todo="Name a version: prompt:help/answer@v2.",
            )
        subject = await subject_of(ctx, self._assets, named)
        repeats = body.repeats or int(suite.manifest.get("repeats", 1))
        return _Whole(suite=suite, subject=subject, scorers=applied(scorers_of(suite)), repeats=repeats)

    async def resume(
        self, ctx: Context, run_id: str, body: ResumeEvaluation, jobs: Jobs | None = None
    ) -> EvaluationRun:
        """Go on with a run that failed, was cancelled or stopped at its cap; raise Conflict for another.

        What is stored is not asked again. One whose answers come from outside takes the others from there again.
        """
        run = await self.get(ctx, run_id)
        if run.status not in _RESUMABLE:
            raise Conflict(
                f"The evaluation is {run.status}.",
                where="id",
                todo="One that failed, was cancelled or stopped goes on.",
            )
        options = run.options
        if body.max_cost is not None:
            options = msgspec.structs.replace(options, max_cost=body.max_cost)
        values: dict[str, Any] = {"options": msgspec.to_builtins(options), "status": "running", "error": ""}
        values |= {"job_id": None, "finished_at": None} if run.client else {}
        async with self._catalog.write(ctx) as tx:
            if jobs is not None and not run.client:
                project = ctx.project or "default"
                job = await jobs.enqueue_in(tx, project, ctx.principal, JOB, RunEvaluation(evaluation_id=run.id))
                values["job_id"] = job.id
            same = (evaluations.c.id == run.id, evaluations.c.job_id == run.job_id)
            if not (await tx.execute(evaluations.update().where(*same).values(values))).rowcount:
                raise Conflict("The evaluation was gone on with meanwhile.", where="id", todo="Look at it.")
        return await self.get(ctx, run_id)

    async def cancel(self, ctx: Context, run_id: str, jobs: Jobs) -> EvaluationRun:
        """Stop a run; what it has found stays. Raise Conflict when it has ended."""
        run = await self.get(ctx, run_id)
        if run.status != "running" or (run.job_id is None and not run.open):
            raise Conflict(f"The evaluation is {run.status}.", where="id", todo="Nothing to do.")
        if run.open:
            await self.note(run.id, evaluations.c.job_id.is_(None), status="cancelled", finished_at=ctx.now())
            run = await self.get(ctx, run_id)
        # Also one that somebody has finished meanwhile.
        if run.job_id is not None:
            await jobs.cancel(ctx, run.job_id)
        return await self.get(ctx, run_id)

    async def run(self, ctx: Context, run_id: str, *, progress: OnProgress | None = None) -> EvaluationRun:
        """Carry a run out, or go on with one that was cut off: an answer that is stored is not asked for again.

        What goes wrong with one answer is in its result; what keeps the run from going on makes it `failed` and is
        raised. Cancelled, it sums up what it has.
        """
        return await self.carry(ctx, run_id, lambda run: self._carry_out(ctx, run, progress))

    async def carry(self, ctx: Context, run_id: str, work: Callable[[EvaluationRun], Awaitable[None]]) -> EvaluationRun:
        """Let `work` bring a run to its end, as `run` says."""
        run = await self.get(ctx, run_id)
        if run.status == "done":
            return run
        await self.note(run_id, status="running", error="", finished_at=None)
        try:
            await work(run)
        except asyncio.CancelledError:
            await asyncio.shield(self.finish(ctx, run_id, await self.scorers(ctx, run), status="cancelled"))
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, the run says so and it is raised
            first = problem.exceptions[0] if isinstance(problem, ExceptionGroup) else problem
            told = str(first) if isinstance(first, GimbalError) else f"{type(first).__name__}: {first}"
            await self.note(run_id, status="failed", error=told[:_LONGEST_ERROR], finished_at=ctx.now())
            raise first from None
        return await self.get(ctx, run_id)

    async def _carry_out(self, ctx: Context, run: EvaluationRun, progress: OnProgress | None) -> None:
        suite = await self._assets.resolve(ctx, Ref.parse(str(run.suite)))
        subject = await self._assets.resolve(ctx, Ref.parse(str(run.subject)))
        examples = await self._suites.examples(suite)
        scorers = applied(scorers_of(suite))
        foreseen = await TARGETS.get(subject.kind).foresee(ctx, subject, examples)
        check_cap(run.options, foreseen)
        stored, spent = await self._stored(ctx, run.id)
        asks = [ask for ask in _asks(examples, run.repeats) if ask.position not in stored]

        async def tell(now: Progress) -> None:
            await self.note(run.id, done=now.done)
            if progress:
                await progress(now)

        running = Running(
            ctx, run.id, subject, scorers, run.options, writer=self._writer, foreseen=foreseen, recall=_recall(ctx, run, foreseen, asks),
            tell=tell, spent=spent,
        )  # fmt: skip
        await running.go(asks, len(stored))
        running.check()
        await self.finish(ctx, run.id, scorers, status="stopped" if running.stopped else "done", error=running.stopped)

    async def _stored(self, ctx: Context, run_id: str) -> "tuple[set[int], Any]":
        """Return the places whose answers are stored, and what they cost this run."""
        rows = await self._columns.query(
            f"SELECT position, cost, cached FROM {TABLE} FINAL "
            "WHERE project = {project:String} AND evaluation_id = {id:String}",
            {"project": ctx.project or "default", "id": run_id},
        )
        spent = sum((row["cost"] for row in rows if row["cost"] is not None and not row["cached"]), ZERO)
        return {row["position"] for row in rows}, spent

    async def finish(self, ctx: Context, run_id: str, scorers: list[Applied], *, status: str, error: str = "") -> None:
        """Sum up what is stored, also by an earlier attempt."""
        results = await self.results(ctx, run_id)
        # Nobody made a call for what nobody answered.
        made = [r for r in results if not r.cached and r.error != NOT_ANSWERED]
        latencies = [r.latency_ms for r in made if r.latency_ms is not None]
        cost, unpriced = total(r.cost for r in made)
        # In a thread: with many answers this takes a second or more.
        summaries = await asyncio.to_thread(lambda: summarised(scorers, results))
        await self.note(
            run_id,
            status=status,
            error=error,
            done=len(results),
            cached=sum(r.cached for r in results),
            finished_at=ctx.now(),
            summaries=summaries,
            cost=cost if unpriced < len(made) or not made else None,
            unpriced=unpriced,
            latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
            latency_p95_ms=float(np.percentile(latencies, 95)) if latencies else None,
        )

    async def scorers(self, ctx: Context, run: EvaluationRun) -> list[Applied]:
        """Return the scorers of a run's suite."""
        return applied(scorers_of(await self._assets.resolve(ctx, Ref.parse(str(run.suite)))))

    async def note(self, run_id: str, *where: sa.ColumnElement[bool], **values: Any) -> None:
        """Note what became of a run; with `where` only if it is still so."""
        async with self._catalog.write() as tx:
            await tx.execute(evaluations.update().where(evaluations.c.id == run_id, *where).values(values))

    async def results(self, ctx: Context, run_id: str) -> list[EvaluationResult]:
        """Return all results of a run that are stored, in the order of the suite."""
        return await reading.every(self._columns, ctx, run_id)

    async def results_page(
        self, ctx: Context, run: EvaluationRun, *, scorer: str = "", **asked: Any
    ) -> Page[EvaluationResult]:
        """Return a page of the results of a run, as `reading.page` is asked; raise BadInput, also for an unknown scorer."""
        if scorer:
            named = {one.name: one.card for one in await self.scorers(ctx, run)}
            if scorer not in named:
                raise BadInput(
                    f"The suite has no scorer {scorer!r}.", where="scorer", todo=f"It has: {', '.join(named)}."
                )
            card = named[scorer]
            lower = card.better == "lower"
            best = card.low if lower else card.high
            asked |= {"lower_is_better": lower, "best": (0.0 if lower else 1.0) if best is None else best}
        return await reading.page(self._columns, ctx, run.id, scorer=scorer, **asked)

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


def _options(body: StartEvaluation) -> EvaluationOptions:
    return EvaluationOptions(**{name: getattr(body, name) for name in EvaluationOptions.__struct_fields__})


def _asks(examples: list[Example], repeats: int) -> list[Ask]:
    """Return every answer of a run, all repeats of an example one after another."""
    return [
        Ask(position=place * repeats + repeat, repeat=repeat, example=example)
        for place, example in enumerate(examples)
        for repeat in range(repeats)
    ]


def _recall(ctx: Context, run: EvaluationRun, foreseen: Foreseen, asks: list[Ask]) -> Recall | None:
    return Recall(ctx, foreseen.identity, asks) if run.options.cache and foreseen.identity else None


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
