"""The runner: puts a version through a suite with bounded concurrency, stores every result, sums up with intervals."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import (
    TARGETS,
    EvaluationResult,
    EvaluationRun,
    Example,
    ScorerSummary,
    StartEvaluation,
    TargetOutput,
)
from gimbal.axis.evals.store import evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.engines.stats import estimates
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import total
from gimbal.kernel.pages import Page, check_limit, decode_cursor, encode_cursor
from gimbal.kernel.refs import Ref, ResolvedRef

Progress = Callable[[int, int], Awaitable[None]]
_PROGRESS_EVERY = 10


class Evaluations:
    """Evaluation runs on the catalog, their results in the columns."""

    def __init__(self, catalog: Catalog, columns: Columns, writer: Writer, assets: Assets, suites: Suites) -> None:
        self._catalog = catalog
        self._columns = columns
        self._writer = writer
        self._assets = assets
        self._suites = suites

    async def start(self, ctx: Context, body: StartEvaluation) -> EvaluationRun:
        """Note a new run, not yet begun; raise NotFound or BadInput when suite or subject do not fit."""
        if not 1 <= body.concurrency <= 64:
            raise BadInput("The concurrency is 1 to 64.", where="concurrency", todo="Choose another.")
        suite = await self._assets.resolve(ctx, Ref.parse(body.suite, kind="suite"))
        subject = await self._assets.resolve(ctx, Ref.parse(body.subject))
        TARGETS.get(subject.kind)
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
        return run

    async def run(
        self, ctx: Context, run_id: str, *, concurrency: int = 4, progress: Progress | None = None
    ) -> EvaluationRun:
        """Carry a run out, or go on with one that was cut off; results that are stored already are kept."""
        run = await self.get(ctx, run_id)
        suite = await self._assets.resolve(ctx, Ref.parse(str(run.suite)))
        subject = await self._assets.resolve(ctx, Ref.parse(str(run.subject)))
        examples = await self._suites.examples(suite)
        stored = {r.example_id for r in await self.results(ctx, run_id)}
        todo = [(i, e) for i, e in enumerate(examples) if e.id not in stored]
        finished = len(examples) - len(todo)
        outputs: list[TargetOutput] = []
        gate = asyncio.Semaphore(concurrency)
        scorers = [str(name) for name in suite.manifest["scorers"]]

        async def one(position: int, example: Example) -> None:
            nonlocal finished
            async with gate:
                output = await _called(ctx, subject, example)
            outputs.append(output)
            await self._store(ctx, run_id, position, example, output, _scored(scorers, example, output))
            finished += 1
            if finished % _PROGRESS_EVERY == 0 or finished == len(examples):
                await self._note(run_id, done=finished)
                if progress:
                    await progress(finished, len(examples))

        try:
            async with asyncio.TaskGroup() as group:
                for position, example in todo:
                    group.create_task(one(position, example))
        except* GimbalError as failure:
            await self._note(run_id, status="failed", error=str(failure.exceptions[0]), finished_at=ctx.now())
            raise failure.exceptions[0] from None
        return await self._finish(ctx, run_id, scorers, outputs)

    async def _finish(
        self, ctx: Context, run_id: str, scorers: list[str], outputs: Sequence[TargetOutput]
    ) -> EvaluationRun:
        results = await self.results(ctx, run_id)
        latencies = [r.latency_ms for r in results if r.latency_ms is not None]
        cost, unpriced = total(o.cost for o in outputs)
        await self._note(
            run_id,
            status="done",
            done=len(results),
            finished_at=ctx.now(),
            summaries=[summarise(name, results) for name in scorers],
            cost=cost if unpriced < len(outputs) else None,
            unpriced=unpriced,
            latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
            latency_p95_ms=float(np.percentile(latencies, 95)) if latencies else None,
        )
        return await self.get(ctx, run_id)

    async def _note(self, run_id: str, **values: Any) -> None:
        async with self._catalog.write() as tx:
            await tx.execute(evaluations.update().where(evaluations.c.id == run_id).values(values))

    async def _store(
        self,
        ctx: Context,
        run_id: str,
        position: int,
        example: Example,
        output: TargetOutput,
        scores: Mapping[str, ScoreValue],
    ) -> None:
        row: dict[str, Any] = {
            "project": ctx.project,
            "evaluation_id": run_id,
            "position": position,
            "example_id": example.id,
            "cluster": example.cluster or example.id,
            "input": _json(example.input),
            "expected": _json(example.expected),
            "scores": _json({k: v.value for k, v in scores.items() if v.value is not None}),
            "missing": _json({k: v.missing or "missing" for k, v in scores.items() if v.value is None}),
            "trace_id": output.trace_id,
            "error": output.error,
        }
        table = pa.table(
            {name: [value] for name, value in row.items()}
            | {
                "position": pa.array([position], pa.uint32()),
                "text": pa.array([output.text], pa.string()),
                "sources": pa.array([None if output.sources is None else _json(output.sources)], pa.string()),
                "latency_ms": pa.array([output.latency_ms], pa.float64()),
            }
        )
        await self._writer.write("eval_results", table)

    async def results(self, ctx: Context, run_id: str) -> list[EvaluationResult]:
        """Return the results of a run that are stored, in the order of the suite."""
        rows = await self._columns.query(
            "SELECT example_id, cluster, input, expected, text, sources, scores, missing, trace_id, latency_ms, error "
            "FROM eval_results FINAL WHERE project = {project:String} AND evaluation_id = {id:String} ORDER BY position",
            {"project": ctx.project or "default", "id": run_id},
        )
        return [_result(row) for row in rows]

    async def get(self, ctx: Context, run_id: str) -> EvaluationRun:
        """Return a run; raise NotFound."""
        query = sa.select(evaluations).where(evaluations.c.id == run_id, evaluations.c.project == ctx.project)
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
        """Return runs, newest first; `suite` and `subject` are resolved references or the start of them."""
        query = sa.select(evaluations).where(evaluations.c.project == ctx.project)
        if suite:
            query = query.where(evaluations.c.suite_ref.startswith(suite, autoescape=True))
        if subject:
            query = query.where(evaluations.c.subject_ref.startswith(subject, autoescape=True))
        if cursor:
            query = query.where(evaluations.c.id < str(decode_cursor(cursor).get("id", "")))
        query = query.order_by(evaluations.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            items = [_run(row) for row in (await tx.execute(query)).mappings()]
        more = len(items) > limit
        items = items[:limit]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if more else None)

    async def latest(self, ctx: Context, suite: ResolvedRef, subject: ResolvedRef) -> EvaluationRun | None:
        """Return the newest finished run of exactly this subject on exactly this suite."""
        query = (
            sa.select(evaluations)
            .where(
                evaluations.c.project == ctx.project,
                evaluations.c.suite_ref == str(suite),
                evaluations.c.subject_ref == str(subject),
                evaluations.c.status == "done",
            )
            .order_by(evaluations.c.id.desc())
            .limit(1)
        )
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        return _run(row) if row is not None else None


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


def _scored(scorers: Sequence[str], example: Example, output: TargetOutput) -> dict[str, ScoreValue]:
    if output.error:
        return {name: ScoreValue(value=None, missing="error") for name in scorers}
    seen: dict[str, Any] = {"text": output.text, "sources": output.sources}
    return {name: SCORERS.get(name)(example.expected, seen) for name in scorers}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _result(row: Mapping[str, Any]) -> EvaluationResult:
    values = dict(row)
    for name in ("input", "expected", "scores", "missing"):
        values[name] = msgspec.json.decode(values[name])
    values["sources"] = None if row["sources"] is None else msgspec.json.decode(row["sources"])
    return EvaluationResult(**values)


def _run(row: Mapping[Any, Any]) -> EvaluationRun:
    values: dict[str, Any] = {k: v for k, v in row.items() if k not in {"project", "suite_ref", "subject_ref"}}
    values["suite"] = msgspec.convert(values["suite"], ResolvedRef)
    values["subject"] = msgspec.convert(values["subject"], ResolvedRef)
    values["summaries"] = msgspec.convert(values["summaries"], list[ScorerSummary])
    return EvaluationRun(**values)
