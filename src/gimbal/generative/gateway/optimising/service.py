"""Optimisations: planned, begun, carried out by a job, read.

A run that begins again after a crash goes the same way: what was answered and said is stored, and is not paid for twice.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.judging import foreseen_judging
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.running import check_amount
from gimbal.axis.evals.suites import Suites, applied, scorers_of
from gimbal.axis.evals.target import TARGETS
from gimbal.axis.scores.scorer import Applied
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import JobError
from gimbal.engines.compute.store import jobs as job_table
from gimbal.engines.stats import paired
from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.gateway.optimising.carrying import Carrying
from gimbal.generative.gateway.optimising.desk import foreseen_reflection
from gimbal.generative.gateway.optimising.marking import Objective
from gimbal.generative.gateway.optimising.model import (
    Candidate,
    Optimisation,
    OptimisationPlan,
    OptimisePrompt,
    Proof,
    RunOptimisation,
    Split,
    WeightedMark,
)
from gimbal.generative.gateway.optimising.searching import shares
from gimbal.generative.gateway.optimising.splitting import independent, split
from gimbal.generative.gateway.optimising.store import candidates, optimisations
from gimbal.generative.prompts.model import PromptManifest, decode_manifest
from gimbal.generative.prompts.service import as_prompt
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound, Unpriced
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import ZERO, format_money
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor
from gimbal.kernel.refs import Ref, ResolvedRef

JOB = "prompts.optimise"
_ENDED = frozenset({"done", "stopped"})
_RUNS = sa.select(
    optimisations, job_table.c.status.label("job_status"), job_table.c.error.label("job_error")
).select_from(optimisations.outerjoin(job_table, job_table.c.id == optimisations.c.job_id))


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What an optimisation would be of."""

    start: Version
    suite: Version
    examples: list[Example]
    objective: Objective
    split: Split
    plan: OptimisationPlan


class Optimisations:
    """Optimisations on the catalog."""

    def __init__(self, catalog: Catalog, assets: Assets, suites: Suites) -> None:
        self._catalog = catalog
        self._assets = assets
        self._suites = suites

    async def plan(self, ctx: Context, ref: Ref, body: OptimisePrompt) -> OptimisationPlan:
        """Tell what an optimisation would ask and cost.

        Raise NotFound or BadInput for what does not fit, Unpriced where nobody knows what a call costs.
        """
        return (await self._planned(ctx, ref, body)).plan

    async def _planned(self, ctx: Context, ref: Ref, body: OptimisePrompt) -> Planned:
        start = await self._assets.resolve(ctx, as_prompt(ref))
        manifest = decode_manifest(start.manifest)
        _check(start, manifest, body)
        suite = await self._assets.resolve(ctx, Ref.parse(body.suite, kind="suite"))
        if suite.kind != "suite":
            raise BadInput(f"{suite.ref} is not a suite.", where="suite", todo="Give one: suite:help/questions.")
        objective = Objective(applied(scorers_of(suite)), body.marks)
        examples = await self._suites.examples(suite)
        parts = split(examples, validation=body.validation, shots="few_shot" in body.methods, seed=body.seed)
        reflector = (body.reflector or manifest.model) if "reflection" in body.methods else ""
        repeats = int(suite.manifest.get("repeats", 1))
        reflections, drawings = shares(body.methods, body.rounds)
        train, proof = len(parts.train), 2 * repeats * len(parts.validation)
        # A minibatch is of the training part, so what it has answered is not asked again.
        search = train * (1 + reflections + drawings) + (len(parts.shots) if drawings else 0) + reflections
        search = search if body.max_calls is None else min(search, body.max_calls)
        reflections = min(reflections, search)
        costs = await self._costs(ctx, start, examples, objective.scorers, reflector)
        cost = costs[0] * (search - reflections + proof) + costs[1] * reflections
        plan = OptimisationPlan(
            start=start.ref,
            suite=suite.ref,
            marks=objective.marks,
            reflector=reflector,
            train=train,
            shots=len(parts.shots),
            validation=len(parts.validation),
            clusters=parts.clusters,
            rounds=body.rounds,
            calls=search + proof,
            cost=cost,
            most=ZERO if costs[2] else body.max_cost,
            proof=costs[0] * proof,
            detectable=paired.detectable_share(parts.clusters["validation"]),
        )
        _check_cap(body, plan, costs[0] * (train + proof), free=costs[2])
        return Planned(start=start, suite=suite, examples=examples, objective=objective, split=parts, plan=plan)

    async def _costs(
        self, ctx: Context, start: Version, examples: Sequence[Example], scorers: Sequence[Applied], reflector: str
    ) -> tuple[Decimal, Decimal, bool]:
        """Return what an answer with its judges and a reflection cost, about, and whether all is free; raise Unpriced."""
        answer = await TARGETS.get("prompt").foresee(ctx, start, examples)
        # A reflection reads a few examples and the message, and may write a long one.
        texts = ["x" * 6_000]
        said = await foreseen_reflection(ctx, start, reflector, texts) if reflector else None
        for found in (answer, said):
            if found is not None and found.cost is None:
                raise Unpriced(
                    f"What a call costs is not known: {found.unpriced or 'the model does not say'}.",
                    where="max_cost",
                    kept="nothing was asked",
                    todo="Give the model a price: the cap could not be held.",
                )
        judging = await foreseen_judging(ctx, scorers, examples)
        if judging.cost is None:
            raise Unpriced(
                f"What judging costs is not known: {judging.unpriced}.",
                where="max_cost",
                kept="nothing was asked",
                todo="Give the judge a price: the cap could not be held.",
            )
        free = not judging.cost and all(
            found is None or (found.cost == 0 and found.most == 0) for found in (answer, said)
        )
        return (answer.cost or ZERO) + judging.cost, (said.cost if said is not None else None) or ZERO, free

    async def start(self, ctx: Context, ref: Ref, body: OptimisePrompt, jobs: Jobs | None = None) -> Optimisation:
        """Note a new optimisation and enqueue its job in the same transaction; without `jobs` call `run`.

        Raise what `plan` raises.
        """
        planned = await self._planned(ctx, ref, body)
        found = Optimisation(
            id=new_id(),
            start=planned.start.ref,
            suite=planned.suite.ref,
            status="running",
            options=body,
            marks=planned.plan.marks,
            reflector=planned.plan.reflector,
            split=planned.split,
            started_at=ctx.now(),
            started_by=ctx.principal.name,
        )
        async with self._catalog.write(ctx) as tx:
            if jobs is not None:
                project = ctx.project or "default"
                job = await jobs.enqueue_in(tx, project, ctx.principal, JOB, RunOptimisation(optimisation_id=found.id))
                found = msgspec.structs.replace(found, job_id=job.id)
            values = msgspec.structs.asdict(found) | {"project": ctx.project, "start_ref": str(found.start)}
            await tx.execute(optimisations.insert().values(values))
        return found

    async def run(
        self, ctx: Context, id_: str, *, progress: Callable[[Optimisation], Awaitable[None]] | None = None
    ) -> Optimisation:
        """Carry an optimisation out, or go on with one that was cut off; cancelled, what it has found stays.

        What keeps it from going on makes it `failed` and is raised.
        """
        found = await self.get(ctx, id_)
        if found.status == "done":
            return found
        start = await self._assets.resolve(ctx, Ref.parse(str(found.start)))
        suite = await self._assets.resolve(ctx, Ref.parse(str(found.suite)))
        carrying = Carrying(
            ctx,
            found,
            start,
            independent(await self._suites.examples(suite)),
            Objective(applied(scorers_of(suite)), found.marks),
            repeats=int(suite.manifest.get("repeats", 1)),
            progress=progress,
        )
        await carrying.run()
        return await self.get(ctx, id_)

    async def cancel(self, ctx: Context, id_: str, jobs: Jobs) -> Optimisation:
        """Stop an optimisation; what it has found stays. Raise Conflict when it has ended."""
        found = await self.get(ctx, id_)
        if found.status != "running" or found.job_id is None:
            raise Conflict(f"The optimisation is {found.status}.", where="id", todo="Nothing to do.")
        await jobs.cancel(ctx, found.job_id)
        return await self.get(ctx, id_)

    async def get(self, ctx: Context, id_: str) -> Optimisation:
        """Return an optimisation; raise NotFound."""
        query = _RUNS.where(optimisations.c.id == id_, optimisations.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(
                f"There is no optimisation {id_}.", where="id", todo="`gimbal optimisations list` shows them."
            )
        return _optimisation(row)

    async def page(
        self, ctx: Context, *, prompt: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Optimisation]:
        """Return optimisations, newest first; `prompt` is a version's reference or the prompt's own."""
        query = _RUNS.where(optimisations.c.project == ctx.project)
        if prompt:
            column = optimisations.c.start_ref
            query = query.where(column == prompt if "@" in prompt else column.startswith(f"{prompt}@", autoescape=True))
        if cursor:
            query = query.where(optimisations.c.id < cursor_text(cursor, "id"))
        query = query.order_by(optimisations.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            items = [_optimisation(row) for row in (await tx.execute(query)).mappings()]
        more = len(items) > limit
        items = items[:limit]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if more else None)

    async def candidates(self, ctx: Context, id_: str) -> list[Candidate]:
        """Return the candidates of an optimisation in the order in which they were found; raise NotFound."""
        await self.get(ctx, id_)
        query = sa.select(candidates).where(candidates.c.optimisation_id == id_).order_by(candidates.c.number)
        async with self._catalog.read() as tx:
            rows = [dict(row) for row in (await tx.execute(query)).mappings()]
        return [_candidate(row) for row in rows]


def _candidate(row: Mapping[str, Any]) -> Candidate:
    plain = {str(name): value for name, value in row.items() if name not in {"optimisation_id", "cost"}}
    return msgspec.structs.replace(msgspec.convert(plain, Candidate), cost=row["cost"])


def _check(start: Version, manifest: PromptManifest, body: OptimisePrompt) -> None:
    if manifest.foreign is not None:
        raise BadInput(
            f"{start.ref} was registered by {manifest.foreign.format}'s client.",
            where="ref",
            todo="Sync it as a prompt file first.",
        )
    if not body.methods or len(set(body.methods)) < len(body.methods):
        raise BadInput("Name each method once.", where="methods", todo="Give few_shot, reflection or both.")
    if body.methods == ["few_shot"] and not any(message.role == "user" for message in manifest.messages):
        raise BadInput(
            f"{start.ref} has no message of the user, before which examples could stand.",
            where="methods",
            todo="Use reflection, or give it a section ## user.",
        )
    check_amount(body.max_cost)
    if not body.margin < float("inf"):
        raise BadInput("A margin is a number from 0.", where="margin", todo="Use 0.02, or 0 for none.")


def _check_cap(body: OptimisePrompt, plan: OptimisationPlan, least: Decimal, *, free: bool) -> None:
    if free:
        return
    if body.max_cost is None:
        raise BadInput(
            f"This may cost about {format_money(plan.cost)}, and there is no cap.",
            where="max_cost",
            todo="Give max_cost: the most that it may cost, in US dollars.",
        )
    if body.max_cost <= least:
        raise BadInput(
            f"A cap of {format_money(body.max_cost)} leaves nothing to search with: to answer the training part once and "
            f"the held-out part twice costs about {format_money(least)}.",
            where="max_cost",
            todo="Give more, or take a smaller suite.",
        )


def _optimisation(row: Mapping[Any, Any]) -> Optimisation:
    values: dict[str, Any] = {k: v for k, v in row.items() if k not in {"project", "start_ref"}}
    job_status, job_error = values.pop("job_status"), values.pop("job_error")
    if values["status"] not in _ENDED and job_status is not None and job_status != "succeeded":
        # The job knows what this cannot: that its worker died for good, that it was cancelled or waits for a retry.
        values["status"] = job_status if job_status in {"failed", "cancelled"} else "running"
        if job_status == "failed" and not values["error"]:
            values["error"] = msgspec.convert(job_error, JobError).message
    kinds: dict[str, Any] = {
        "start": ResolvedRef, "suite": ResolvedRef, "options": OptimisePrompt, "marks": list[WeightedMark],
        "split": Split, "proof": Proof | None, "winner": ResolvedRef | None,
    }  # fmt: skip
    for name, kind in kinds.items():
        values[name] = msgspec.convert(values[name], kind)
    return Optimisation(**values)
