"""Evaluations: planned, begun, carried out by a job, gone on with, read.

`runs` keeps them on the catalog, `running` makes the calls of one, `summing` turns stored answers into numbers, `comparing` puts
two runs side by side.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import numpy as np

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals import reading
from gimbal.axis.evals.answers import NOT_ANSWERED
from gimbal.axis.evals.judging import foreseen_judging
from gimbal.axis.evals.metering import judges_of
from gimbal.axis.evals.model import (
    MOST_AT_ONCE,
    EvaluationOptions,
    EvaluationPlan,
    EvaluationResult,
    EvaluationRun,
    Example,
    ResumeEvaluation,
    StartEvaluation,
)
from gimbal.axis.evals.recall import Recall
from gimbal.axis.evals.results import MOST_GENERATIONS, Ask
from gimbal.axis.evals.running import Progress, Running, check_amount, check_cap
from gimbal.axis.evals.runs import JUDGE_JOB, RUN_JOB, EvaluationRuns, as_read
from gimbal.axis.evals.store import evaluations
from gimbal.axis.evals.subject import asked_as, subject_of
from gimbal.axis.evals.suites import Suites, applied, scorers_of
from gimbal.axis.evals.summing import summarised
from gimbal.axis.evals.target import TARGETS, Foreseen
from gimbal.axis.scores.scorer import Applied
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.stats import paired
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, GimbalError
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import ZERO, total
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref

OnProgress = Callable[[Progress], Awaitable[None]]
_LONGEST_ERROR = 2_000
_RESUMABLE = frozenset({"failed", "cancelled", "stopped"})


class _Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation is of."""

    suite: Version
    subject: Version
    asked: str
    scorers: list[Applied]
    repeats: int


class Evaluations:
    """Evaluations; `runs` are their rows on the catalog, their results are in the columns."""

    def __init__(self, catalog: Catalog, columns: Columns, writer: Writer, assets: Assets, suites: Suites) -> None:
        self.runs = EvaluationRuns(catalog)
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
        judges = judges_of(whole.scorers)
        before = await self.runs.judging(ctx, whole.suite.ref) if judges else None
        judging = await foreseen_judging(ctx, whole.scorers, examples)
        if before is not None:
            judging = msgspec.structs.replace(judging, cost=before[0], calls=before[1], unpriced="")
        clusters = len({example.cluster or example.id for example in examples})
        return EvaluationPlan(
            suite=whole.suite.ref,
            subject=whole.subject.ref,
            asked=whole.asked,
            examples=len(examples),
            repeats=whole.repeats,
            cached=cached,
            calls=calls,
            cost=None if foreseen.cost is None else foreseen.cost * calls,
            most=None if foreseen.most is None else foreseen.most * calls,
            unpriced=foreseen.unpriced,
            judges=judges,
            judge_calls=round(judging.calls * len(asks)),
            judge_cost=None if judging.cost is None else judging.cost * len(asks),
            judge_unpriced=judging.unpriced,
            judged_before=before is not None,
            detectable=paired.detectable_share(clusters),
        )

    async def start(self, ctx: Context, body: StartEvaluation, jobs: Jobs | None = None) -> EvaluationRun:
        """Note a new run, not yet begun, and enqueue its job in the same transaction; without `jobs` call `run`.

        Raise NotFound or BadInput when suite or subject do not fit, Unpriced for a cap that cannot be held.
        """
        whole = await self._whole(ctx, body)
        if body.max_cost is not None:
            examples = await self._suites.examples(whole.suite)
            foreseen = await TARGETS.get(whole.subject.kind).foresee(ctx, whole.subject, examples)
            check_cap(body, foreseen, await foreseen_judging(ctx, whole.scorers, examples))
        run = EvaluationRun(
            id=new_id(),
            suite=whole.suite.ref,
            subject=whole.subject.ref,
            asked=whole.asked,
            status="running",
            done=0,
            total=int(whole.suite.manifest["examples"]) * whole.repeats,
            repeats=whole.repeats,
            options=_options(body),
            started_at=ctx.now(),
            started_by=ctx.principal.name,
        )
        return await self.runs.add(ctx, run, jobs)

    async def _whole(self, ctx: Context, body: StartEvaluation) -> _Whole:
        if not 1 <= body.concurrency <= MOST_AT_ONCE:
            raise BadInput(f"The concurrency is 1 to {MOST_AT_ONCE}.", where="concurrency", todo="Choose another.")
        check_amount(body.max_cost)
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
        asked = asked_as(body.asked or named, subject.ref)
        return _Whole(suite=suite, subject=subject, asked=asked, scorers=applied(scorers_of(suite)), repeats=repeats)

    async def resume(
        self, ctx: Context, run_id: str, body: ResumeEvaluation, jobs: Jobs | None = None
    ) -> EvaluationRun:
        """Go on with a run that failed, was cancelled or stopped at its cap; raise Conflict for another.

        What is stored is not asked again. One whose answers come from outside takes the others from there again, or is judged
        on where its judges came to the cap.
        """
        run = await self.runs.get(ctx, run_id)
        if run.status not in _RESUMABLE:
            raise Conflict(
                f"The evaluation is {run.status}.",
                where="id",
                todo="One that failed, was cancelled or stopped goes on.",
            )
        options = run.options
        if body.max_cost is not None:
            options = msgspec.structs.replace(options, max_cost=body.max_cost)
        _check_generation(run)
        check_amount(options.max_cost)
        values: dict[str, Any] = {"options": msgspec.to_builtins(options), "status": "running", "error": ""}
        following = run.generation + 1
        if run.client and run.status != "stopped":
            values |= {"job_id": None, "finished_at": None}
            jobs = None
        job = JUDGE_JOB if run.client else RUN_JOB
        return await self.runs.hand_on(ctx, run, job=job, jobs=jobs, generation=following, **values)

    async def cancel(self, ctx: Context, run_id: str, jobs: Jobs) -> EvaluationRun:
        """Stop a run; what it has found stays. Raise Conflict when it has ended."""
        run = await self.runs.get(ctx, run_id)
        if run.status != "running" or (run.job_id is None and not run.open):
            raise Conflict(f"The evaluation is {run.status}.", where="id", todo="Nothing to do.")
        if run.open:
            await self.runs.note(run.id, evaluations.c.job_id.is_(None), status="cancelled", finished_at=ctx.now())
            run = await self.runs.get(ctx, run_id)
        # Also one that somebody has finished meanwhile.
        if run.job_id is not None:
            await jobs.cancel(ctx, run.job_id)
        return await self.runs.get(ctx, run_id)

    async def run(self, ctx: Context, run_id: str, *, progress: OnProgress | None = None) -> EvaluationRun:
        """Carry a run out, or go on with one that was cut off: an answer that is stored is not asked for again.

        What goes wrong with one answer is in its result; what keeps the run from going on makes it `failed` and is
        raised. Cancelled, it sums up what it has.
        """
        return await self.carry(ctx, run_id, lambda run: self._carry_out(ctx, run, progress))

    async def carry(self, ctx: Context, run_id: str, work: Callable[[EvaluationRun], Awaitable[None]]) -> EvaluationRun:
        """Let `work` bring a run to its end, as `run` says."""
        run = await self.runs.get(ctx, run_id)
        if run.status == "done":
            return run
        await self.runs.note(run_id, *as_read(run), status="running", error="", finished_at=None)
        try:
            await work(run)
        except asyncio.CancelledError:
            await asyncio.shield(self.finish(ctx, run, await self.scorers(ctx, run), status="cancelled"))
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, the run says so and it is raised
            first = problem.exceptions[0] if isinstance(problem, ExceptionGroup) else problem
            told = str(first) if isinstance(first, GimbalError) else f"{type(first).__name__}: {first}"
            error = told[:_LONGEST_ERROR]
            await self.runs.note(run_id, *as_read(run), status="failed", error=error, finished_at=ctx.now())
            raise first from None
        return await self.runs.get(ctx, run_id)

    async def _carry_out(self, ctx: Context, run: EvaluationRun, progress: OnProgress | None) -> None:
        suite = await self._assets.resolve(ctx, Ref.parse(str(run.suite)))
        subject = await self._assets.resolve(ctx, Ref.parse(str(run.subject)))
        examples = await self._suites.examples(suite)
        scorers = applied(scorers_of(suite))
        foreseen = await TARGETS.get(subject.kind).foresee(ctx, subject, examples)
        judges = await foreseen_judging(ctx, scorers, examples) if run.options.max_cost is not None else None
        check_cap(run.options, foreseen, judges)
        before = await reading.spending(self._columns, ctx, run.id)
        kept = dict(await reading.unjudged(self._columns, ctx, run.id, after=-1, limit=run.total))
        stored = before.places - kept.keys()
        asks = [ask for ask in _asks(examples, run.repeats) if ask.position not in stored]

        async def tell(now: Progress) -> None:
            # Nothing so far may be an unknown amount, too: the end tells.
            await self.runs.note(
                run.id, done=now.done, cost=now.spent - now.judges or None, judge_cost=now.judges or None
            )
            if progress:
                await progress(now)

        running = Running(
            ctx, run.id, subject, scorers, run.options, writer=self._writer, foreseen=foreseen, recall=_recall(ctx, run, foreseen, asks),
            tell=tell, before=before, judges=judges, kept=kept, generation=run.generation,
        )  # fmt: skip
        await running.go(asks, len(stored))
        running.check()
        await self.finish(ctx, run, scorers, status="stopped" if running.stopped else "done", error=running.stopped)

    async def finish(
        self, ctx: Context, run: EvaluationRun, scorers: list[Applied], *, status: str, error: str = ""
    ) -> None:
        """Sum up what is stored, also by an earlier attempt; change nothing of a run that somebody went on with meanwhile."""
        results = await self.results(ctx, run.id)
        # Nobody made a call for what nobody answered.
        made = [r for r in results if not r.cached and r.error != NOT_ANSWERED]
        latencies = [r.latency_ms for r in made if r.latency_ms is not None]
        cost, unpriced = total(r.cost for r in made)
        judge_costs = [r.judge_cost for r in results if r.judge_cost is not None]
        # In a thread: with many answers this takes a second or more.
        summaries = await asyncio.to_thread(lambda: summarised(scorers, results))
        await self.runs.note(
            run.id,
            *as_read(run),
            status=status,
            error=error,
            done=len(results),
            cached=sum(r.cached for r in results),
            finished_at=ctx.now(),
            summaries=summaries,
            cost=cost if unpriced < len(made) or not made else None,
            unpriced=unpriced,
            judge_calls=sum(r.judge_calls for r in results),
            judge_cost=sum(judge_costs, ZERO) if judge_costs else None,
            judge_unpriced=sum(r.judge_unpriced for r in results),
            latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
            latency_p95_ms=float(np.percentile(latencies, 95)) if latencies else None,
        )

    async def scorers(self, ctx: Context, run: EvaluationRun) -> list[Applied]:
        """Return the scorers of a run's suite."""
        return applied(scorers_of(await self._assets.resolve(ctx, Ref.parse(str(run.suite)))))

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


def _check_generation(run: EvaluationRun) -> None:
    # What is opened again will be finished, too.
    if run.generation + 2 > MOST_GENERATIONS:
        raise Conflict("The evaluation was gone on with too often.", where="id", todo="Start another one.")


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
