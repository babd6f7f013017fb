"""One optimisation carried out: the search, the proof, and what is noted of both while they go on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.engines.stats import estimates
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.gateway.optimising import deciding
from gimbal.generative.gateway.optimising.candidates import Refused, Start
from gimbal.generative.gateway.optimising.desk import Desk
from gimbal.generative.gateway.optimising.front import covered
from gimbal.generative.gateway.optimising.marking import Objective
from gimbal.generative.gateway.optimising.model import Optimisation, Proof
from gimbal.generative.gateway.optimising.searching import Exhausted, Found, Search
from gimbal.generative.gateway.optimising.store import candidates, optimisations
from gimbal.generative.prompts.model import decode_manifest
from gimbal.generative.prompts.stored import content_of, source_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError, Unprocessable

_LONGEST_ERROR = 2_000
_SAID = {
    "better": "On the held-out part it is better than the start.",
    "worse": "On the held-out part it is worse than the start, so it is no version.",
    "equivalent": "On the held-out part it is equivalent to the start.",
    "underpowered": "The held-out part cannot tell it from the start.",
}

OnProgress = Callable[[Optimisation], Awaitable[None]]


class Carrying:
    """Carries one optimisation out; `run` once."""

    def __init__(
        self,
        ctx: Context,
        optimisation: Optimisation,
        start: Version,
        examples: Sequence[Example],
        objective: Objective,
        *,
        repeats: int,
        progress: OnProgress | None,
    ) -> None:
        """`repeats` are those of the suite, which the proof has; the search asks once."""
        self._ctx = ctx
        self._of = optimisation
        self._version = start
        self._examples = examples
        self._objective = objective
        self._repeats = repeats
        self._progress = progress
        self._fronts: list[int] | None = None
        """Of the candidates that are stored; None before this attempt has stored any."""

    async def run(self) -> None:
        """Search and prove; raise what keeps it from going on, which makes it `failed`."""
        await self._note(status="running", error="", outcome="", finished_at=None, phase="search")
        try:
            await self._carry_out()
        except asyncio.CancelledError:
            outcome = "It was cancelled; the candidates stay, and none of them was compared."
            await asyncio.shield(self._note(status="cancelled", outcome=outcome, finished_at=self._ctx.now()))
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, the optimisation says so and it is raised
            first = problem.exceptions[0] if isinstance(problem, ExceptionGroup) else problem
            told = str(first) if isinstance(first, GimbalError) else f"{type(first).__name__}: {first}"
            await self._note(status="failed", error=told[:_LONGEST_ERROR], finished_at=self._ctx.now())
            raise first from None

    async def _carry_out(self) -> None:
        of, options = self._of, self._of.options
        start = await self._start()
        proof_calls = 2 * self._repeats * len(of.split.validation)
        desk = Desk(self._ctx, of, start, self._version, self._examples, self._objective, proof_calls)
        await desk.open()

        async def tell(search: Search) -> None:
            await self._tell(start, desk, search)

        search = Search(
            start,
            desk,
            of.split.train,
            {example.id: example.weight for example in self._examples},
            methods=options.methods,
            rounds=options.rounds,
            minibatch=options.minibatch,
            seed=options.seed,
            tell=tell,
        )
        ended = ""
        try:
            await search.go()
        except Exhausted as why:
            ended = str(why)
        except Refused:
            raise await self._no_start(start, desk) from None
        await self._tell(start, desk, search)
        if not search.found:
            await self._end("stopped", f"It stopped before the start was answered: {ended}")
            return
        if not any(found.method is None for found in search.found) or search.best() == 0:
            nothing = "No candidate was better on the training part, so there is nothing to prove."
            await self._end("done", f"{nothing} {ended}".strip())
            return
        await self._note(phase="proof")
        await self._decide(start, desk, search, ended)

    async def _start(self) -> Start:
        version = self._version
        manifest = decode_manifest(version.manifest)
        content = await content_of(self._ctx.get(Blobs), source_of(version), manifest)
        return Start(manifest, content.decode(errors="replace"), version.digest)

    async def _no_start(self, start: Start, desk: Desk) -> Unprocessable:
        answers = await desk.answers(start.genome, self._of.split.train)
        said = next((row.error for row in answers if row.error), "no scorer expects anything of them")
        return Unprocessable(
            f"The start has no mark on any of the {len(answers)} training examples: {said}",
            kept="the answers",
            todo="Evaluate it on the suite first, and mend what fails.",
        )

    async def _decide(self, start: Start, desk: Desk, search: Search, ended: str) -> None:
        best = search.best()
        genome = search.found[best].genome
        desk.prove()
        held = self._of.split.validation
        try:
            before = await desk.answers(start.genome, held, repeats=self._repeats)
            after = await desk.answers(genome, held, repeats=self._repeats)
        except Exhausted as why:
            await self._note(spent=desk.spent, chosen=best)
            await self._end("stopped", f"The winner could not be compared with the start: {why}")
            return
        made = start.make(start.genome), start.make(genome)
        examples = {example.id: example for example in self._examples}
        proof = await deciding.proved(self._objective, self._of.options.margin, examples, before, after, made)
        values: dict[str, Any] = {"proof": proof, "chosen": best, "spent": desk.spent}
        if proof.verdict != "worse":
            version = await deciding.store(self._ctx, self._of, self._version, made[1], proof)
            values["winner"] = version.ref
            values["alias"] = await self._offered(proof, version)
        await self._note(**values)
        await self._end("done", f"{_SAID[proof.verdict]} {ended}".strip())

    async def _offered(self, proof: Proof, version: Version) -> str:
        if proof.verdict != "better":
            return "candidate was not moved: only what is better is offered."
        return await deciding.offer(self._ctx, self._of, version)

    async def _tell(self, start: Start, desk: Desk, search: Search) -> None:
        """Note how far the search is, and the candidates that are new."""
        found = search.found
        self._of = msgspec.structs.replace(
            self._of,
            rounds=search.done,
            calls=desk.calls,
            spent=desk.spent,
            refused=dict(search.refused),
            start_mark=found[0].mean if found else None,
            best_mark=found[search.best()].mean if found else None,
        )
        of = self._of
        covers = covered([one.marks for one in found])
        fronts = [len(covers.get(number, ())) for number in range(len(found))]
        async with self._ctx.get(Catalog).write() as tx:
            await tx.execute(
                optimisations.update()
                .where(optimisations.c.id == of.id)
                .values(
                    rounds=of.rounds, calls=of.calls, spent=of.spent, refused=of.refused, start_mark=of.start_mark,
                    best_mark=of.best_mark,
                )
            )  # fmt: skip
            mine = candidates.c.optimisation_id == of.id
            if self._fronts is None:
                # What an earlier attempt noted; this one goes the same way.
                await tx.execute(candidates.delete().where(mine))
            known = self._fronts or []
            for number, front in enumerate(fronts[: len(known)]):
                if front != known[number]:
                    one = sa.and_(mine, candidates.c.number == number)
                    await tx.execute(candidates.update().where(one).values(front=front))
            for number in range(len(known), len(found)):
                row = self._row(start, desk, number, found[number], fronts[number])
                await tx.execute(candidates.insert().values(row))
        self._fronts = fronts
        if self._progress is not None:
            await self._progress(of)

    def _row(self, start: Start, desk: Desk, number: int, one: Found, front: int) -> dict[str, Any]:
        made = start.make(one.genome)
        examples = {example.id: example for example in self._examples}
        names = list(one.marks)
        mark = estimates.weighted_mean(
            [one.marks[name] for name in names],
            [examples[name].weight for name in names],
            [examples[name].cluster or name for name in names],
        )
        return {
            "optimisation_id": self._of.id,
            "number": number,
            "digest": made.digest,
            "method": one.method or "start",
            "parents": list(one.parents),
            "messages": msgspec.to_builtins(made.manifest.messages),
            "shots": [shot.example for shot in one.genome.shots],
            "mark": mark,
            "front": front,
            "cost": desk.costs.get(made.digest),
            "text": made.text,
        }

    async def _end(self, status: str, outcome: str) -> None:
        await self._note(status=status, phase="end", outcome=outcome, finished_at=self._ctx.now())

    async def _note(self, **values: Any) -> None:
        # What providers say may hold what a column of text cannot.
        values |= {
            name: values[name].replace("\0", "\ufffd") for name in ("error", "outcome", "alias") if name in values
        }
        async with self._ctx.get(Catalog).write() as tx:
            await tx.execute(optimisations.update().where(optimisations.c.id == self._of.id).values(values))
